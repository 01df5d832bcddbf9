"""A state that is not a number: the neuron, the population and the tick are named, on every backend."""

from __future__ import annotations

import numpy as np
import pytest

from spikeflow.errors import EventError
from spikeflow.kernels import Events, Group, Network, Projection, Train, backends, register
from spikeflow.kernels.models.li import Li
from spikeflow.kernels.models.lif import Lif
from spikeflow.kernels.synapses import sparse

from .cuda_host import COMPILER, backend

BACKENDS = [name for name in backends() if name in ("numpy", "numba")] + ["host"] * (COMPILER is not None)


def network(name: str, window: int) -> Network:
    """Two populations; what arrives at `late` comes by the synapses of one channel alone."""
    if name == "host" and name not in backends():
        register(name, backend(40, reverse=False))
    synapses = sparse(3, 130, np.array([1, 1]), np.array([77, 99]), np.ones(2))
    groups = [Group("early", Lif(), 70), Group("late", Lif(), 130), Group("out", Li(), 130)]
    projections = [Projection("x", "late", synapses), Projection("x", "out", synapses)]
    return Network(groups, [Train("x", 3, True)], projections, dt=1e-3, backend=name)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("window", [1, 4, 20])
def test_the_first_neuron_and_the_tick_are_named_whatever_the_window(name: str, window: int) -> None:
    net = network(name, window)
    events = Events(np.array([2, 9]), np.array([1, 1], np.uint32), np.array([1.0, np.nan]))
    with pytest.raises(EventError, match=r"neuron 77 of 'late' is not a number at tick 9, in its state 'v'"):
        for first in range(0, 20, window):
            inside = (events.t >= first) & (events.t < first + window)
            given = Events(events.t[inside], events.neuron[inside], np.asarray(events.value)[inside])
            net.step(first, min(window, 20 - first), {"x": given} if inside.any() else {})


@pytest.mark.parametrize("name", BACKENDS)
def test_a_state_that_was_saved_before_goes_on(name: str) -> None:
    net = network(name, 1)
    net.step(0, 5, {"x": Events(np.array([2]), np.array([1], np.uint32), np.array([9.0]))})
    before = net.save()
    with pytest.raises(EventError, match="not a number at tick 6"):
        net.step(5, 5, {"x": Events(np.array([6]), np.array([1], np.uint32), np.array([np.nan]))})
    net.load(before)
    net.step(5, 5, {})
    assert np.isfinite(net.read("late", "v")).all() and net.read("late", "v")[77] != 0
