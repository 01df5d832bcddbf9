"""Learning rules, one file each, named as in a graph file; others come by the entry point `spikeflow.rules`."""

from __future__ import annotations

from spikeflow.errors import ParameterError
from spikeflow.family import Family
from spikeflow.kernels.rule import LearningRule

FAMILY: Family[LearningRule] = Family(__name__, LearningRule, "learning rule", "spikeflow.rules")


def rules() -> dict[str, type[LearningRule]]:
    """Every rule there is, by name."""
    return FAMILY.members


def kind_of(rule: LearningRule) -> str:
    """The name of a rule in a graph file; that of its class where it has none."""
    return next((name for name, known in rules().items() if known is type(rule)), type(rule).__name__)


def broken() -> dict[str, ParameterError]:
    """Why an installed rule cannot be had, by name."""
    return FAMILY.broken
