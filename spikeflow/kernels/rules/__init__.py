"""Learning rules, one file each, named as in a graph file; others come by the entry point `spikeflow.rules`."""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
from functools import cache

from spikeflow.errors import ParameterError, said
from spikeflow.kernels.rule import LearningRule

GROUP = "spikeflow.rules"


@cache
def rules() -> dict[str, type[LearningRule]]:
    """Every rule there is, by name; an installed one that cannot be loaded is left out, and in `broken`.

    Raises:
        ParameterError: a file that holds no rule.
    """
    found = {}
    for module in sorted(one.name for one in pkgutil.iter_modules(__path__)):
        held = vars(importlib.import_module(f"{__name__}.{module}")).values()
        here = [one for one in held if _is_rule(one) and one.__module__ == f"{__name__}.{module}"]
        if len(here) != 1:
            raise ParameterError(f"{module}.py holds {len(here)} learning rules", "leave one in the file")
        found[module] = here[0]
    installed, _ = _installed()
    return dict(sorted((installed | found).items()))


def kind_of(rule: LearningRule) -> str:
    """The name of a rule in a graph file; that of its class where it has none."""
    return next((name for name, known in rules().items() if known is type(rule)), type(rule).__name__)


def broken() -> dict[str, ParameterError]:
    """Why an installed rule cannot be had, by name: nobody needs to know before they name it."""
    return _installed()[1]


@cache
def _installed() -> tuple[dict[str, type[LearningRule]], dict[str, ParameterError]]:
    found: dict[str, type[LearningRule]] = {}
    lacking: dict[str, ParameterError] = {}
    for entry in importlib.metadata.entry_points(group=GROUP):
        try:
            rule = entry.load()
        except (Exception, SystemExit) as error:  # a third party's module may do anything while it is imported
            hint = "install what it needs" if isinstance(error, ImportError) else f"mend {entry.value}"
            lacking[entry.name] = ParameterError(f"{entry.name!r} cannot be imported: {said(error)}", hint)
            continue
        if _is_rule(rule):
            found.setdefault(entry.name, rule)
        else:
            lacking[entry.name] = ParameterError(
                f"{entry.value} is no learning rule", "name a subclass of LearningRule"
            )
    return found, lacking


def _is_rule(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, LearningRule)
