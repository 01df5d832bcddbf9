"""The backends that are there: each prepares one function of the arrays for a program."""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Callable

from spikeflow.errors import ParameterError, nearest
from spikeflow.kernels.layout import ARGUMENTS, Arrays
from spikeflow.kernels.parts import Bind, Program, Run

Prepare = Callable[[Program], Run]

_registered: dict[str, Prepare] = {}


def register(name: str, backend: Prepare) -> None:
    """Add a backend by name; a third one plugs in here."""
    _registered[name] = backend


def _bound(run: Run) -> Bind:
    def bind(arrays: Arrays) -> Callable[[], None]:
        return functools.partial(run, *(getattr(arrays, name) for name in ARGUMENTS))

    return bind


def _prepare(name: str, program: Program) -> Bind:
    if name in _registered:
        return _bound(_registered[name](program))
    if is_device(name):
        from spikeflow.kernels import cupy_backend

        return cupy_backend.prepare(program, name)
    if name == "numba":
        from spikeflow.kernels import numba_backend

        return numba_backend.prepare(program)
    from spikeflow.kernels import numpy_backend

    return _bound(numpy_backend.prepare(program))


def is_device(name: str) -> bool:
    """Whether a backend is a device that has memory of its own: ``"cuda"`` is its first, ``"cuda:1"`` its second."""
    return re.fullmatch(r"cuda(:\d+)?", name) is not None


def backends() -> tuple[str, ...]:
    """The names of the backends that can run here on the CPU, the fastest first."""
    numba = ("numba",) if importlib.util.find_spec("numba") is not None else ()
    return (*numba, "numpy", *_registered)


def prepare(name: str, program: Program) -> tuple[str, Bind]:
    """The backend's name and its function for `program`; ``"auto"`` takes the first of `backends`."""
    there = backends()
    chosen = there[0] if name == "auto" else name
    if chosen not in there and not is_device(chosen):
        raise ParameterError(f"there is no backend {name!r} here", nearest(name, there))
    return chosen, _prepare(chosen, program)
