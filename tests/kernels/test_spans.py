"""Populations that go through several ticks at once, block by block, give the bits of one tick after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeflow.errors import EventError, ParameterError
from spikeflow.kernels import Events, Group, Network, Projection, Train, backends, builder
from spikeflow.kernels.layout import CODES
from spikeflow.kernels.models.lif import Lif
from spikeflow.kernels.models.sigma_delta import SigmaDelta
from spikeflow.kernels.synapses import Synapses, dense, one_to_one, sparse
from tests.kernels.blocks import assert_same, joined, run

pytestmark = pytest.mark.skipif("numba" not in backends(), reason="Numba is not installed")

SIZE, CHANNELS, TICKS = 200, 12, 150


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tile a block, and spans that end within the test's ticks."""
    monkeypatch.setattr(builder, "_CACHE", 1)
    monkeypatch.setattr(builder, "_SPAN", 40)


def synapses(kind: str, rng: np.random.Generator) -> Synapses:
    weights = rng.normal(0.4, 0.8, (CHANNELS, SIZE))
    if kind == "dense":
        return dense(weights)
    if kind == "delayed":
        return dense(weights, rng.integers(0, 5, CHANNELS))
    channel, neuron = np.nonzero(rng.random((CHANNELS, SIZE)) < 0.2)
    return sparse(CHANNELS, SIZE, channel, neuron, weights[channel, neuron])


def network(backend: str, kinds: tuple[str, ...], seed: int, recurrent: int, recorded: bool) -> Network:
    """A population that hears neurons and channels, and one behind it; back from there after `recurrent` ticks."""
    rng = np.random.default_rng(seed)
    record: dict[str, Any] = {"v": (np.arange(0, SIZE, 9), 3)} if recorded else {}
    projections = [Projection("single", "first", one_to_one(rng.normal(3.0, 1.0, SIZE)))]
    projections += [Projection("few", "first", synapses(kind, rng)) for kind in kinds]
    projections.append(Projection("first", "second", dense(rng.normal(0.3, 0.4, (SIZE, 70)))))
    if recurrent:
        projections.append(Projection("second", "first", dense(rng.normal(0.0, 0.2, (70, SIZE)), recurrent)))
    groups = [Group("first", Lif(), SIZE, record=record), Group("second", Lif(refractory=2), 70)]
    trains = [Train("single", SIZE, True), Train("few", CHANNELS)]
    return Network(groups, trains, projections, dt=1e-3, backend=backend, seed=seed)


def arriving(seed: int, busy: float) -> dict[str, Events]:
    """Events of both trains, with a silence in the middle, long enough for what is small to be set to zero."""
    rng, found = np.random.default_rng(seed + 1), {}
    for name, size in (("single", SIZE), ("few", CHANNELS)):
        sent = rng.random((TICKS, size)) < busy
        sent[40:100] = False
        tick, index = np.nonzero(sent)
        value = rng.uniform(0.5, 2.0, tick.size) if name == "single" else None
        found[name] = Events(tick, index.astype(np.uint32), value)
    return found


kinds = st.lists(st.sampled_from(["dense", "sparse", "delayed"]), max_size=3).map(tuple)


@given(
    kinds=kinds, seed=st.integers(0, 99), recurrent=st.sampled_from([0, 0, 1, 3, 60]), recorded=st.booleans(),
    busy=st.sampled_from([0.002, 0.05, 0.9]), cut=st.lists(st.integers(1, TICKS - 1), max_size=4),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_blocks_give_the_bits_of_the_reference(
    kinds: tuple[str, ...], seed: int, recurrent: int, recorded: bool, busy: float, cut: list[int]
) -> None:
    events = arriving(seed, busy)
    expected = run(network("numpy", kinds, seed, recurrent, recorded), events, TICKS)
    assert_same(run(network("numba", kinds, seed, recurrent, recorded), events, TICKS, cut), expected)


def test_more_spikes_than_there_is_room_for_are_all_kept() -> None:
    t, index = (part.ravel() for part in np.meshgrid(np.arange(TICKS), np.arange(SIZE), indexing="ij"))
    events = {"single": Events(t, index.astype(np.uint32), np.full(t.size, 50.0))}
    nets = [network(backend, (), 3, 0, False) for backend in ("numpy", "numba")]
    expected, found = (joined([net.step(0, TICKS, events)]) for net in nets)
    assert expected["first/t"].size > 2 * nets[1].arrays.table[CODES["H_SPAN"]] * SIZE
    assert_same(found, expected)


@pytest.mark.parametrize("window", [1, 13, TICKS])
def test_of_several_neurons_that_are_lost_in_a_span_the_earliest_is_named(window: int) -> None:
    net = network("numba", (), 3, 0, False)
    t, index = np.array([17, 17, 25]), np.array([70, 190, 3], np.uint32)
    with pytest.raises(EventError, match=r"neuron 70 of 'first' is not a number at tick 17"):
        for first in range(0, TICKS, window):
            inside = (t >= first) & (t < first + window)
            net.step(first, window, {"single": Events(t[inside], index[inside], np.full(inside.sum(), np.nan))})


def test_how_far_a_population_may_be_ahead_is_the_least_delay_of_what_comes_back() -> None:
    for recurrent, span in ((0, 40), (1, 1), (3, 3), (60, 40)):
        assert network("numba", (), 3, recurrent, False).arrays.table[CODES["H_SPAN"]] == span
    graded = Network([Group("g", SigmaDelta(), 5)], [], [], dt=1e-3, backend="numba")
    assert graded.arrays.table[CODES["H_SPAN"]] == 1


def test_what_spikes_carry_is_not_changed_behind_them_by_a_coupling() -> None:
    class Both(SigmaDelta):
        def couplings(self, dt: float) -> Any:
            from spikeflow.kernels.model import Coupling

            return [Coupling(np.ones((5, 5)), self.state[0], self.receptors[0], after=True)]

    with pytest.raises(ParameterError, match="graded spikes and a coupling that acts after them"):
        Network([Group("g", Both(), 5)], [], [], dt=1e-3)
