"""Packages that not everybody needs, imported when something needs them."""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType

from spikeflow.errors import ParameterError


@cache
def wanted(module: str, extra: str) -> ModuleType:
    """A module of a package that an extra of spikeflow brings.

    Raises:
        ParameterError: it is not installed; says how to.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ParameterError(
            f"the package {package!r} is not installed: {error}", f"pip install 'spikeflow[{extra}]'"
        ) from None
