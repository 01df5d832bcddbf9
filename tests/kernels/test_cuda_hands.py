"""Several ticks at once on a GPU: the reference's bits, the state read and written once, rest without a launch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikeflow.errors import EventError
from spikeflow.kernels import Events, Group, Network, Projection, Train, register, spread
from spikeflow.kernels import synapses as build
from spikeflow.kernels.models.lif import Lif
from spikeflow.kernels.models.tsodyks_makram import TsodyksMakram

from . import catalogue
from . import cuda_networks as networks
from .cuda_hands import BACK, ahead, still
from .cuda_host import COMPILER, Races, backend
from .cuda_networks import DT, Outcome, differences, outcome
from .cuda_stand_in import StandIn, stand_in

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no g++ for Linux here")


@pytest.fixture(scope="module")
def expected() -> Outcome:
    return outcome(ahead("numpy"))


def host(blocks: int, threads: int, *, reverse: bool, races: Races = "unwatched", counts: Any = None) -> str:
    name = f"hands {blocks} {threads} {reverse} {races} {id(counts)}"
    register(name, backend(threads, blocks=blocks, reverse=reverse, races=races, counts=counts))
    return name


def hand(net: Network, blocks: int = 2) -> int:
    return spread.hand_of(net.arrays.table, blocks)


@pytest.mark.parametrize(("blocks", "threads"), [(1, 7), (1, 128), (3, 33), (4, 101)])
@pytest.mark.parametrize("reverse", [False, True])
def test_any_grid_gives_the_bits_of_the_reference(blocks: int, threads: int, reverse: bool, expected: Outcome) -> None:
    net = ahead(host(blocks, threads, reverse=reverse))
    assert hand(net) == BACK
    assert differences(outcome(net), expected) == []


@pytest.mark.parametrize("window", [1, 8, 9, 10, 13])
def test_so_do_any_windows(window: int, expected: Outcome) -> None:
    assert differences(outcome(ahead(host(3, 33, reverse=True)), window=window), expected) == []


@pytest.mark.parametrize("most", [1, 2, 64])
def test_so_does_any_number_of_ticks_in_hand(most: int, expected: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread, "MOST_HAND", most)
    net = ahead(host(3, 33, reverse=False))
    assert hand(net) == min(most, BACK)
    assert differences(outcome(net), expected) == []


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("blocks", [1, 3])
def test_no_two_threads_race(blocks: int, reverse: bool, expected: Outcome) -> None:
    net = ahead(host(blocks, 33, reverse=reverse, races="errors"))
    assert differences(outcome(net, window=20), expected) == []


@pytest.mark.parametrize("tolerance", catalogue.alone())
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.timeout(600)
def test_every_model_gives_the_bits_of_the_reference(
    precision: Any, tolerance: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in `test_cuda_network`, but nothing is recorded, so that the ticks are in hand."""
    monkeypatch.setattr(spread, "MOST_IN_HAND", 10_000)
    chosen = catalogue.alone()[tolerance]
    expected = catalogue.run(chosen, "numpy", precision, recorded=False)
    assert hand(catalogue.network(chosen, "numpy", precision, recorded=False), blocks=4) == 64
    found = catalogue.run(chosen, host(4, 20, reverse=True), precision, window=11, recorded=False)
    assert catalogue.differences(found, expected, precision, tolerance) == []


def test_a_hand_that_overflows_goes_on_with_the_spikes_that_it_kept() -> None:
    assert hand(networks.overflowing("numpy")) == 64
    expected = outcome(networks.overflowing("numpy"), ticks=30)
    for blocks, reverse in ((1, False), (3, True)):
        net = networks.overflowing(host(blocks, 60, reverse=reverse, races="errors"))
        assert differences(outcome(net, ticks=30), expected) == []


def test_of_several_states_that_are_lost_in_a_hand_the_first_tick_is_named() -> None:
    said = []
    for of in ("numpy", host(2, 30, reverse=True, races="errors")):
        net = still(of)
        events = Events(np.array([3, 5, 5]), np.array([100, 7, 8], np.uint32))
        valued = Network(
            [Group("a", Lif(), 150)], [Train("x", 150, True)],
            [Projection("x", "a", build.one_to_one(np.ones(150)))], dt=DT, backend=net.backend,
        )  # fmt: skip
        with pytest.raises(EventError) as error:
            valued.step(0, 12, {"x": Events(events.t, events.neuron, np.full(3, np.nan))})
        said.append(str(error.value))
    assert said[0] == said[1] == "neuron 100 of 'a' is not a number at tick 3, in its state 'v'"


def test_what_comes_through_a_long_delay_alone_is_heard() -> None:
    """Ticks 10 to 19 and 20 to 29 hear nothing; in those behind them the event acts a second time."""
    found = []
    for of in ("numpy", host(2, 30, reverse=True)):
        synapses = build.sparse(4, 70, np.array([2, 2]), np.array([5, 66]), np.full(2, 30.0), np.array([1, 35]))
        net = Network([Group("a", Lif(), 70)], [Train("x", 4)], [Projection("x", "a", synapses)], dt=DT, backend=of)
        assert hand(net) == 64
        event = {"x": Events(np.array([0]), np.array([2], np.uint32))}
        spikes = [net.step(first, 10, event if first == 0 else {})["a"] for first in range(0, 60, 10)]
        found.append([(int(t), int(n)) for result in spikes for t, n in zip(result.t, result.neuron, strict=True)])
    assert found[0] == found[1]
    assert {neuron for _, neuron in found[1]} == {5, 66}


@pytest.mark.parametrize("ticks", [1, 2, 16, 40])
def test_state_is_read_and_written_once_for_all_ticks_in_hand(ticks: int) -> None:
    counts: list[tuple[int, int]] = []
    net = still(host(2, 32, reverse=False, races="errors", counts=counts), 150)
    net.step(0, ticks, {})
    assert counts == [(2 * 150, 2 * 150)]  # v and i of each neuron, however many ticks


def test_a_sum_is_read_and_written_only_where_something_arrives() -> None:
    counts: list[tuple[int, int]] = []
    net = still(host(1, 32, reverse=False, races="errors", counts=counts), 32)
    net.step(0, 20, {"x": Events(np.array([3]), np.array([5], np.uint32))})
    assert counts == [(2 * 32 + 1 + 32, 2 * 32 + 1 + 32)]  # what arrives at one, and in that tick the sum of all


def test_ticks_one_by_one_read_and_write_it_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread, "MOST_HAND", 1)
    counts: list[tuple[int, int]] = []
    still(host(1, 32, reverse=False, races="errors", counts=counts), 32).step(0, 10, {})
    assert counts == [(10 * 3 * 32, 10 * 3 * 32)]


def test_what_is_looked_at_after_each_tick_is_not_in_hand() -> None:
    def of(*projections: Projection, **more: Any) -> int:
        return hand(Network([Group("a", Lif(), 70, **more)], [Train("x", 70, True)], projections, dt=DT))

    ones = build.one_to_one(np.ones(70))
    assert of() == of(Projection("x", "a", ones)) == 64
    assert of(record={"v": (np.arange(3), 4)}) == of(Projection("x", "a", ones, hold=True)) == 1
    assert of(Projection("a", "a", build.one_to_one(np.ones(70), 5))) == 5
    graded = Network([Group("a", TsodyksMakram(), 70)], [], [], dt=DT)
    assert hand(graded) == hand(networks.lone("numpy")) == 1


def test_many_neurons_a_block_are_in_hand_only_where_nothing_arrives() -> None:
    silent = Network([Group("a", Lif(), 50_000)], [], [], dt=DT, backend="numpy")
    assert hand(silent, 2) == 64
    assert (hand(still("numpy", 50_000), 2), hand(still("numpy", 50_000), 25)) == (1, 64)


# ---- rest


@pytest.fixture
def gpu() -> Any:
    with stand_in(most_threads=64) as made:
        yield made


def kicked(tick: int) -> dict[str, Events]:
    return {"x": Events(np.array([tick, tick]), np.array([3, 140], np.uint32))}


@pytest.mark.parametrize("window", [1, 10, 40])
@pytest.mark.parametrize("of", ["one way", "both ways"])
def test_at_rest_nothing_is_launched_until_the_next_event(gpu: StandIn, window: int, of: str) -> None:
    made = {"one way": still, "both ways": recurrent}[of]
    nets = made("numpy"), made("cuda")
    launched = []
    for first in range(0, 2400, window):
        arriving = kicked(first) if first % 1200 == 0 else {}
        gpu.counts.clear()
        results = [net.step(first, window, arriving)["a"] for net in nets]
        launched.append(len(gpu.counts.launches))
        np.testing.assert_array_equal(results[0].neuron, results[1].neuron)
        np.testing.assert_array_equal(results[0].t, results[1].t)
    half = 1200 // window
    for part in (launched[:half], launched[half:]):
        assert part[0] == 1 and part[-1] == 0
        assert part == sorted(part, reverse=True)  # launched for a time, then no more
    saved = [net.save() for net in nets]
    assert all(np.array_equal(saved[0][name], saved[1][name]) for name in saved[0])


def recurrent(backend: str) -> Network:
    """As `still`, with a way back of a tick, so that the ticks are not in hand; and a long one."""
    one = build.one_to_one(np.full(150, 3.0))
    back = build.sparse(150, 150, np.arange(150), (np.arange(150) + 1) % 150, np.full(150, 0.4), 1)
    late = build.sparse(150, 150, np.array([3]), np.array([7]), np.array([3.0]), 200)
    projections = [Projection("x", "a", one), Projection("a", "a", back), Projection("a", "a", late)]
    group = Group("a", Lif(tau_mem=1.2e-3, tau_syn=1.1e-3), 150)
    return Network([group], [Train("x", 150)], projections, dt=DT, backend=backend)


def test_a_spike_in_a_delay_line_keeps_it_awake(gpu: StandIn) -> None:
    net = recurrent("cuda")
    net.step(0, 10, kicked(0))
    assert net.step(10, 180, {})["a"].neuron.size == 0 and not net.is_still
    assert 7 in net.step(190, 30, {})["a"].neuron


def test_what_never_rests_is_launched_in_every_window(gpu: StandIn) -> None:
    restless = Network([Group("a", Lif(v_leak=1.4), 100)], [], [], dt=DT, backend="cuda")
    for first in range(0, 400, 40):
        restless.step(first, 40, {})
    assert len(gpu.counts.launches) >= 10
    gpu.counts.clear()
    unskipped = still("cuda", skip=False)
    for first in range(0, 400, 40):
        unskipped.step(first, 40, {})
    assert len(gpu.counts.launches) == 10
