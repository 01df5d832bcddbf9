"""Learning rules, one file each, named as in a graph file; others come by the entry point `spikeflow.rules`."""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
from functools import cache

from spikeflow.errors import ParameterError
from spikeflow.kernels.rule import LearningRule

GROUP = "spikeflow.rules"


@cache
def rules() -> dict[str, type[LearningRule]]:
    """Every rule there is, by name.

    Raises:
        ParameterError: a file or an entry point that holds no rule.
    """
    found = {}
    for module in sorted(one.name for one in pkgutil.iter_modules(__path__)):
        held = vars(importlib.import_module(f"{__name__}.{module}")).values()
        here = [one for one in held if _is_rule(one) and one.__module__ == f"{__name__}.{module}"]
        if len(here) != 1:
            raise ParameterError(f"{module}.py holds {len(here)} learning rules", "leave one in the file")
        found[module] = here[0]
    for entry in importlib.metadata.entry_points(group=GROUP):
        rule = entry.load()
        if not _is_rule(rule):
            raise ParameterError(f"{entry.value} is no learning rule", "name a subclass of LearningRule")
        found.setdefault(entry.name, rule)
    return dict(sorted(found.items()))


def _is_rule(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, LearningRule)
