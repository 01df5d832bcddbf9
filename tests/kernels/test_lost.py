"""A state that is not a number: the neuron or synapse, the population and the tick are named, on every backend."""

from __future__ import annotations

import numpy as np
import pytest

import spikeflow
from spikeflow.errors import EventError
from spikeflow.kernels import Events, Group, Network, Projection, Train, backends, register
from spikeflow.kernels.models.li import Li
from spikeflow.kernels.models.lif import Lif
from spikeflow.kernels.rule import Learning
from spikeflow.kernels.rules.r_stdp import RStdp
from spikeflow.kernels.synapses import dense, sparse

from .cuda_host import COMPILER, backend

BACKENDS = [name for name in backends() if name in ("numpy", "numba")] + ["host"] * (COMPILER is not None)


def known(name: str) -> None:
    """Let there be the backend "host"."""
    if name == "host" and name not in backends():
        register(name, backend(40, reverse=False))


def network(name: str, window: int) -> Network:
    """Two populations; what arrives at `late` comes by the synapses of one channel alone."""
    known(name)
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


INFINITE = RStdp(eta_plus=3e38, a_pre=100, w_max=100)
"""The eligibility of the first pair of spikes is infinite, and zero times that is what no reward changes."""


def learning(name: str, shape: str) -> Network:
    """Three channels, of which 1 makes two neurons of `late` fire, behind another projection that learns, too."""
    known(name)
    weights = np.zeros((3, 130))
    weights[1, [77, 99]] = 50
    pre, post = np.nonzero(weights)
    synapses = dense(weights) if shape == "dense" else sparse(3, 130, pre, post, weights[pre, post])
    projections = [
        Projection("y", "early", dense(np.ones((3, 70))), learning=Learning(RStdp(), name="y")),
        Projection("x", "late", synapses, learning=Learning(INFINITE, name="x")),
    ]
    groups = [Group("early", Lif(), 70), Group("late", Lif(), 130)]
    return Network(groups, [Train("x", 3), Train("y", 3, True)], projections, dt=1e-3, backend=name)


def at(tick: int, channel: int, value: float | None = None) -> Events:
    values = None if value is None else np.array([value])
    return Events(np.array([tick]), np.array([channel], np.uint32), values)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("shape", ["dense", "sparse"])
@pytest.mark.parametrize("window", [1, 20])
def test_the_first_synapse_and_the_tick_are_named_whatever_the_window(name: str, shape: str, window: int) -> None:
    net = learning(name, shape)
    synapse = 77 * 3 + 1
    with pytest.raises(EventError, match=rf"synapse {synapse} into 'late' is not a number at tick 9, in its 'w_x'"):
        for first in range(0, 20, window):
            net.step(first, window, {"x": at(9, 1)} if first <= 9 < first + window else {})


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
@pytest.mark.parametrize("name", BACKENDS)
def test_weights_that_were_saved_before_go_on(name: str) -> None:
    net = learning(name, "sparse")
    net.step(0, 5, {"x": at(3, 0)})
    before = net.save()
    with pytest.raises(EventError, match="not a number at tick 6"):
        net.step(5, 5, {"x": at(6, 1)})
    net.load(before)
    net.step(5, 5, {"x": at(6, 2)})
    plastic = net.plastic("late", "x")
    assert plastic.read(net.arrays, "w").tolist() == [50, 50] and not plastic.read(net.arrays, "e").any()


@pytest.mark.parametrize("name", BACKENDS)
def test_a_trace_is_named_as_the_port_that_carries_it(name: str) -> None:
    known(name)
    none = sparse(3, 70, np.array([0]), np.array([5]), np.ones(1))
    projection = Projection("y", "late", none, learning=Learning(RStdp(), name="y"))
    net = Network([Group("late", Lif(), 70)], [Train("y", 3, True)], [projection], dt=1e-3, backend=name)
    with pytest.raises(EventError, match="trace 2 of 't_pre_y' in 'late' is not a number at tick 4"):
        net.step(0, 10, {"y": at(4, 2, np.nan)})


@pytest.mark.parametrize("size", [3, 64, 65])
def test_windows_of_weights_that_are_not_numbers_are_skipped_to_the_end(size: int) -> None:
    rule = {"stdp": {"hardbound": False, "eta_plus": 3e38, "eta_minus": 3e38, "tau_pre": "5 ms", "tau_post": "5 ms"}}
    nodes = {
        "x": {"source": "synthetic", "signal": "poisson", "size": 5, "rate": "100 Hz", "length": "300 ms"},
        "n": {
            "neuron": "lif",
            "on_error": "skip",
            "size": size,
            "inputs": [{"from": "x", "weights": 1.5, "learn": rule}],
        },
        "out": {"sink": "console", "input": "n"},
    }
    report = spikeflow.run_blocking(spikeflow.load({"nodes": nodes}))
    assert report.exit_code == 0 and 0 < report.nodes["n"]["errors"] < 30
