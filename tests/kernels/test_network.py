"""What a network does at its edges: order within a tick, delays, holds, records, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spikeflow.errors import EventError, ParameterError
from spikeflow.kernels import Events, Group, Network, Projection, Train, backends
from spikeflow.kernels.models.lif import Lif
from spikeflow.kernels.models.lif_current import LifCurrent
from spikeflow.kernels.synapses import dense, one_to_one, sparse

BACKENDS = [name for name in backends() if name in ("numpy", "numba")]
backend_of = pytest.mark.parametrize("backend", BACKENDS)


def relay(**fields: Any) -> LifCurrent:
    """A neuron that repeats a spike of weight 20 in its own tick and forgets at once."""
    return LifCurrent(tau_mem=1e-3, **fields)


def at(*pairs: tuple[int, int], value: list[float] | None = None) -> Events:
    """Events (tick, neuron)."""
    t, neuron = zip(*pairs, strict=True)
    return Events(np.array(t), np.array(neuron, np.uint32), None if value is None else np.array(value, np.float32))


def spikes(net: Network, name: str, ticks: int, arriving: dict[str, Events]) -> list[tuple[int, int]]:
    result = net.step(0, ticks, arriving)[name]
    return list(zip(result.t.tolist(), result.neuron.tolist(), strict=True))


def chain(backend: str, *projections: Projection, size: int = 3, **options: Any) -> Network:
    groups = [Group(name, relay(), size) for name in "cba"]  # the order in the file is not the order of work
    return Network(
        groups, [Train("x", size, options.pop("valued", False))], projections, dt=1e-3, backend=backend, **options
    )


def strong(size: int = 3) -> npt.NDArray[np.float64]:
    return np.full(size, 20.0)


def test_copies_that_do_not_fit_are_refused() -> None:
    def build(train: Train, group: Group) -> None:
        synapses = dense(np.ones((train.each, group.each)))
        Network([group], [train], [Projection("x", "a", synapses)], dt=1e-3, backend="numpy")

    build(Train("x", 6, copies=3), Group("a", relay(), 9, copies=3))
    build(Train("x", 6), Group("a", relay(), 9, copies=3))
    with pytest.raises(ParameterError, match="2 copies of 'x' for 3 of 'a' — as many, or one that all hear"):
        build(Train("x", 6, copies=2), Group("a", relay(), 9, copies=3))
    with pytest.raises(ParameterError, match="10 neurons in 3 copies"):
        build(Train("x", 6, copies=3), Group("a", relay(), 10, copies=3))


@backend_of
def test_without_delay_a_spike_passes_a_chain_in_its_own_tick(backend: str) -> None:
    projections = [Projection(a, b, one_to_one(strong())) for a, b in (("b", "c"), ("a", "b"), ("x", "a"))]
    assert spikes(chain(backend, *projections), "c", 10, {"x": at((4, 1))}) == [(4, 1)]


@backend_of
def test_delays_of_all_three_kinds_shift_by_whole_ticks(backend: str) -> None:
    pre, post = np.array([0, 0, 2]), np.array([0, 1, 2])
    projections = [
        Projection("x", "a", one_to_one(strong(), 2)),
        Projection("x", "b", one_to_one(strong(), np.array([0, 3, 1]))),
        Projection("x", "c", sparse(3, 3, pre, post, strong(), np.array([5, 1, 2]))),
    ]
    net = chain(backend, *projections)
    result = net.step(0, 3, {"x": at((1, 0), (1, 1), (1, 2), (2, 0))})
    waiting = net.pending()
    later = net.step(3, 10, {})
    found = {
        name: sorted(
            (t, n)
            for part in (result, later)
            for t, n in zip(part[name].t.tolist(), part[name].neuron.tolist(), strict=True)
        )
        for name in "abc"
    }
    assert waiting == 4 and net.pending() == 0
    assert found["a"] == [(3, 0), (3, 1), (3, 2), (4, 0)]
    assert found["b"] == [(1, 0), (2, 0), (2, 2), (4, 1)]
    assert found["c"] == [(2, 1), (3, 1), (3, 2), (6, 0), (7, 0)]


@backend_of
def test_a_population_hears_itself_one_tick_later(backend: str) -> None:
    ring = np.roll(np.eye(3), 1, axis=1) * 20
    net = chain(backend, Projection("x", "a", one_to_one(strong())), Projection("a", "a", dense(ring, 1)))
    assert spikes(net, "a", 5, {"x": at((0, 0))}) == [(0, 0), (1, 1), (2, 2), (3, 0), (4, 1)]


@backend_of
def test_a_value_multiplies_the_weight_and_several_in_a_tick_add(backend: str) -> None:
    net = Network(
        [Group("a", Lif(), 2, record={"i": (np.arange(2), 1)})], [Train("x", 2, True)],
        [Projection("x", "a", one_to_one(np.array([0.5, -1.0])))], dt=1e-3, backend=backend,
    )  # fmt: skip
    recorded = net.step(0, 1, {"x": at((0, 0), (0, 0), (0, 1), value=[0.25, 0.5, 0.125])})["a"].recorded["i"]
    np.testing.assert_allclose(recorded[2], np.array([0.375, -0.125]) * 0.8, rtol=1e-6)


@backend_of
def test_a_held_sample_acts_until_the_next_one(backend: str) -> None:
    net = chain(backend, Projection("x", "a", one_to_one(strong()), hold=True), valued=True)
    events = {"x": at((1, 0), (2, 1), (2, 1), (4, 0), value=[1.0, 1.0, 0.0, 0.0])}
    assert spikes(net, "a", 8, events) == [(1, 0), (2, 0), (3, 0)]


@backend_of
def test_events_within_a_tick_may_come_in_any_order_of_neurons(backend: str) -> None:
    net = Network(
        [Group("a", relay(), 4)], [Train("x", 4)], [Projection("x", "a", one_to_one(strong(4)))],
        dt=1e-3, backend=backend, origin_ns=10**15, dt_ns=10**6,
    )  # fmt: skip
    t = 10**15 + np.array([0, 100, 200, 10**6 - 1, 10**6])
    result = net.step(0, 2, {"x": Events(t, np.array([3, 0, 2, 0, 1], np.uint32))})["a"]
    assert result.neuron.tolist() == [0, 2, 3, 1]
    assert result.t.tolist() == [10**15] * 3 + [10**15 + 10**6]


@backend_of
@pytest.mark.parametrize(
    ("events", "says"),
    [
        (at((5, 0)), "lie in ticks 5 to 5, the step in 0 to 2"),
        (at((1, 0), (0, 0)), "not in time order"),
        (at((1, 3)), "index 3 in 'x', whose size is 3"),
    ],
)
def test_events_that_do_not_fit_are_refused_and_nothing_of_them_stays(backend: str, events: Events, says: str) -> None:
    net = chain(backend, Projection("x", "a", one_to_one(strong())))
    with pytest.raises(EventError, match=says):
        net.step(0, 3, {"x": events})
    assert spikes(net, "a", 3, {"x": at((2, 1))}) == [(2, 1)]


@backend_of
def test_more_events_than_there_is_room_for_make_room(backend: str) -> None:
    net = Network(
        [Group("a", relay(v_leak=20.0), 3000)], [Train("x", 3)], [Projection("a", "a", one_to_one(np.zeros(3000), 1))],
        dt=1e-3, backend=backend,
    )  # fmt: skip
    result = net.step(0, 10, {"x": Events(np.repeat(np.arange(10), 2000), np.ones(20_000, np.uint32))})["a"]
    assert result.t.size == 30_000
    assert (result.neuron.reshape(10, 3000) == np.arange(3000)).all()


def test_a_loop_without_delay_is_an_error_that_names_it() -> None:
    loop = [Projection("a", "b", one_to_one(strong())), Projection("b", "a", one_to_one(strong()))]
    with pytest.raises(ParameterError, match="loop without delay through b, a — delay"):
        chain("numpy", *loop)
    with pytest.raises(ParameterError, match="delay of 0 from 'a' to itself"):
        chain("numpy", Projection("a", "a", one_to_one(strong())))


@pytest.mark.parametrize(
    ("projection", "says"),
    [
        (Projection("y", "a", one_to_one(strong())), "there is no 'y'"),
        (Projection("x", "d", one_to_one(strong())), "there is no group 'd'"),
        (Projection("x", "a", one_to_one(strong()), "curent"), "did you mean 'current'"),
        (Projection("x", "a", one_to_one(strong(4))), "4 neurons of 'x', which has 3"),
    ],
)
def test_a_projection_that_does_not_fit_says_why(projection: Projection, says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        chain("numpy", projection)


def test_a_state_of_another_network_is_refused() -> None:
    net = chain("numpy", Projection("x", "a", one_to_one(strong())))
    with pytest.raises(ParameterError, match="same graph"):
        net.load({})
