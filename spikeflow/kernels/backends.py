"""The backends that are there: each prepares one function of the arrays for a program."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

from spikeflow.errors import ParameterError, nearest
from spikeflow.kernels.network import Program, Run

Prepare = Callable[[Program], Run]

_registered: dict[str, Prepare] = {}


def register(name: str, backend: Prepare) -> None:
    """Add a backend by name; a third one plugs in here."""
    _registered[name] = backend


def _numpy(program: Program) -> Run:
    from spikeflow.kernels.numpy_backend import prepare

    return prepare(program)


def _numba(program: Program) -> Run:
    from spikeflow.kernels.numba_backend import prepare

    return prepare(program)


def backends() -> tuple[str, ...]:
    """The names of the backends that can run here, the fastest first."""
    numba = ("numba",) if importlib.util.find_spec("numba") is not None else ()
    return (*numba, "numpy", *_registered)


def prepare(name: str, program: Program) -> tuple[str, Run]:
    """The backend's name and its function for `program`; ``"auto"`` takes the first of `backends`."""
    there = backends()
    chosen = there[0] if name == "auto" else name
    if chosen not in there:
        raise ParameterError(f"there is no backend {name!r} here", nearest(name, there))
    return chosen, {"numpy": _numpy, "numba": _numba, **_registered}[chosen](program)
