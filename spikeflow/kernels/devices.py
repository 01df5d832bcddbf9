"""Where populations are stepped: on a core or on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from spikeflow.errors import ParameterError
from spikeflow.kernels import cupy_backend
from spikeflow.kernels.backends import is_device
from spikeflow.kernels.model import NeuronModel

CORE_NS = 0.3
"""What a neuron costs a core in a tick (ns): 1 024 take 0.3 µs."""
LAUNCH_NS = 10_000
"""What a launch and its copies cost a window (ns), however small it is."""
TICK_NS = 5_000
"""What a tick costs a GPU (ns) whose blocks wait for each other twice in it; ticks in hand will cost less."""


class Choice(NamedTuple):
    """Where a population is stepped, and why.

    Attributes:
        backend: ``"auto"``, which is the fastest one on a core, or ``"cuda"``, ``"cuda:1"``.
        why: in words.
    """

    backend: str
    why: str


def choose(devices: Sequence[str], models: Sequence[NeuronModel], neurons: int, window_ticks: int) -> Choice:
    """Where a population, or the members of a block, are stepped.

    Args:
        devices: what each of them says: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
        models: the model of each.
        neurons: of all of them.

    Raises:
        ParameterError: they say different devices, or one that is not there.
    """
    stated = sorted(set(devices) - {"auto"})
    if len(stated) > 1:
        found = f"populations that are stepped together on {' and '.join(stated)}"
        raise ParameterError(found, "say the same device for all of them, or for one only")
    if stated == ["cpu"]:
        return Choice("auto", "as it says")
    if stated:
        return Choice(f"cuda:{cupy_backend.number_of(stated[0])}", "as it says")
    for model in models:
        if model.tolerance is not None:
            name = type(model).__name__
            return Choice("auto", f"{name} may differ in its last bits on a GPU; say device: cuda if it may")
    core, device = neurons * CORE_NS, TICK_NS + LAUNCH_NS / window_ticks
    costs = f"{neurons} neurons take {core / 1e3:.2g} µs a tick on a core, and {device / 1e3:.2g} on a GPU at least"
    if core <= device:  # known before CuPy is imported, which takes 0.2 s
        return Choice("auto", costs)
    if (missing := cupy_backend.missing()) is not None:
        return Choice("auto", missing)
    return Choice("cuda:0", costs)


def problem(device: str) -> ParameterError | None:
    """Why nothing can be stepped on a device, or None."""
    if is_device(device):
        try:
            cupy_backend.number_of(device)
        except ParameterError as error:
            return error
    return None
