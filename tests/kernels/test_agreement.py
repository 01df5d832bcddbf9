"""Every backend, every split of ticks and every restart gives the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeflow.kernels import Events, Group, Network, Projection, Train, backends
from spikeflow.kernels.models.lif import Lif
from spikeflow.kernels.synapses import dense, one_to_one
from tests.kernels.blocks import Sizes, arriving, assert_same, between, block, joined, run

TICKS = 60
BACKENDS = [name for name in backends() if name in ("numpy", "numba")]
numba = pytest.mark.skipif("numba" not in BACKENDS, reason="Numba is not installed")

some_sizes = st.builds(
    Sizes,
    inputs=st.integers(1, 30),
    hidden=st.sampled_from([1, 2, 63, 64, 65, 130]),
    output=st.integers(1, 6),
    seed=st.integers(0, 1000),
    skip=st.booleans(),
)
cuts = st.lists(st.integers(1, TICKS - 1), max_size=8)


@numba
@given(sizes=some_sizes, cut=cuts, precision=st.sampled_from(["float32", "float64"]), busy=st.sampled_from([0.05, 0.5]))
@settings(max_examples=25, deadline=None)
def test_numba_gives_the_bits_of_the_reference_for_any_split_of_ticks(
    sizes: Sizes, cut: list[int], precision: Any, busy: float
) -> None:
    events = arriving(sizes, TICKS, busy)
    expected = run(block("numpy", sizes, precision), events, TICKS)
    assert_same(run(block("numba", sizes, precision), events, TICKS, cut), expected)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("window", [1, 7, 10])
def test_the_length_of_a_window_changes_no_bit(backend: str, window: int) -> None:
    sizes = Sizes()
    events = arriving(sizes, TICKS, 0.3)
    whole = run(block(backend, sizes), events, TICKS)
    assert whole["hidden/t"].size > 50 and whole["pair/t"].size > 20
    assert_same(run(block(backend, sizes), events, TICKS, range(window, TICKS, window)), whole)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("into", BACKENDS)
def test_a_saved_state_goes_on_in_another_network_on_any_backend(backend: str, into: str) -> None:
    sizes = Sizes()
    events = arriving(sizes, TICKS, 0.3)
    whole = run(block(backend, sizes), events, TICKS)
    for cut in (17, 31):
        first, second = block(backend, sizes), block(into, sizes)
        head = first.step(0, cut, between(events, 0, cut))
        second.load(first.save())
        assert first.pending() == second.pending()
        tail = second.step(cut, TICKS - cut, between(events, cut, TICKS))
        assert_same(joined([head, tail]), whole)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_reset_network_does_as_a_new_one(backend: str) -> None:
    sizes = Sizes()
    events = arriving(sizes, TICKS, 0.3)
    used, new = block(backend, sizes), block(backend, sizes)
    run(used, events, TICKS)
    used.reset(["readout", "hidden", "pair"])
    assert used.pending() == 0
    assert_same(run(used, events, TICKS), run(new, events, TICKS))


@numba
def test_skipping_what_rests_changes_no_bit() -> None:
    events = arriving(Sizes(), 600, 0.02)
    events = between(events, 0, 200)
    events.pop("levels")
    skipping, stepping = block("numba", Sizes(skip=True)), block("numba", Sizes(skip=False))
    assert_same(run(skipping, events, 600), run(stepping, events, 600))
    again = {"spikes": Events(np.array([1600]), np.array([3], np.uint32))}
    for net in (skipping, stepping):
        net.step(600, 900, {})
    assert skipping.arrays.rest.all() and not stepping.arrays.rest.any()
    assert_same(joined([skipping.step(1500, 200, again)]), joined([stepping.step(1500, 200, again)]))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_silent_population_comes_to_zero_and_not_to_subnormal_numbers(backend: str) -> None:
    net = Network(
        [Group("n", Lif(), 100)], [Train("x", 100)], [Projection("x", "n", one_to_one(np.ones(100)))],
        dt=1e-3, backend=backend, skip=False,
    )  # fmt: skip
    net.step(0, 1, {"x": Events(np.zeros(100, np.int64), np.arange(100, dtype=np.uint32))})
    for first in range(1, 1500, 100):
        net.step(first, 100, {})
        for variable in ("v", "i"):
            left = np.abs(net.read("n", variable))
            assert ((left == 0) | (left > 1e-35)).all()
    assert not net.read("n", "v").any() and not net.read("n", "i").any()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("order", ["first", "last"])
@pytest.mark.parametrize("integrator", ["euler", "exact"])
def test_every_option_gives_the_bits_of_the_reference(backend: str, order: Any, integrator: Any) -> None:
    def net(of: str) -> Network:
        model = Lif(integrator=integrator, input_order=order, v_leak=np.linspace(-0.1, 0.1, 40))
        groups = [Group("n", model, 40, record={"v": (np.arange(40), 1)})]
        projections = [
            Projection("x", "n", one_to_one(np.full(40, 4.0))),
            Projection("n", "n", dense(np.full((40, 40), 0.1), 1)),
        ]
        return Network(groups, [Train("x", 40)], projections, dt=1e-3, backend=of)

    tick, channel = np.nonzero(np.random.default_rng(0).random((50, 40)) < 0.1)
    events = {"x": Events(tick, channel.astype(np.uint32))}
    expected = run(net("numpy"), events, 50)
    assert expected["n/t"].size > 20
    assert_same(run(net(backend), events, 50, [20]), expected)
