"""Frames: where they begin, what becomes of their answers, and what silence costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeflow.events import SAMPLES, SPIKES, Grid, Stream, Window, columns, empty, spike_batch, split
from spikeflow.nodes.decoders.argmax import Argmax
from spikeflow.nodes.decoders.rate import Rate
from spikeflow.nodes.decoders.spike_count import SpikeCount
from spikeflow.testing import Bench, random_events, run_node
from tests.nodes.decoders.arrays import GRID, answers, spikes

TWO = Stream("input", "spikes", 2)
EVERY_TICK = np.ones((100, 1), np.bool_)


def forgetful(every: int, **fields: Any) -> SpikeCount:
    return SpikeCount.model_validate({**fields, "forget": {"every": f"{every} ms"}})


def test_a_frame_that_ends_where_its_node_forgets_is_answered() -> None:
    ticks, found = answers(forgetful(20, frame="20 ms"), EVERY_TICK)
    assert ticks == [20, 40, 60, 80, 100]
    assert found[:, 0].tolist() == [20] * 5


def test_a_frame_that_is_cut_short_is_not_answered_and_the_next_one_begins_there() -> None:
    ticks, found = answers(forgetful(35, frame="20 ms"), EVERY_TICK)
    assert ticks == [20, 55, 90]
    assert found[:, 0].tolist() == [20] * 3


def test_what_goes_on_from_frame_to_frame_is_forgotten_too() -> None:
    _, found = answers(forgetful(40, frame="20 ms", cumulative=True), EVERY_TICK)
    assert found[:, 0].tolist() == [20, 40, 20, 40, 20]


def test_a_time_that_slides_begins_anew_too() -> None:
    node = Rate.model_validate({"over": "20 ms", "every": "10 ms", "forget": {"every": "35 ms"}})
    ticks, found = answers(node, EVERY_TICK)
    assert ticks == [10, 20, 30, 45, 55, 65, 80, 90, 100]
    assert found[:, 0].tolist() == [500, 1000, 1000] * 3


@given(
    frame=st.integers(1, 30),
    every=st.integers(1, 60),
    window=st.integers(1, 50),
    at=st.lists(st.tuples(st.integers(0, 99), st.integers(0, 1)), max_size=60),
)
def test_forgetting_frames_do_not_depend_on_windows(
    frame: int, every: int, window: int, at: list[tuple[int, int]]
) -> None:
    array = spikes(100, 2, *at)
    found = answers(forgetful(every, frame=f"{frame} ms"), array, grid=Grid(0, 1_000_000, window))
    expected = {}
    for begun in range(0, 101, every):
        for end in range(begun + frame, min(begun + every, 100) + 1, frame):
            expected[end] = array[end - frame : end].sum(axis=0).tolist()
    assert dict(zip(found[0], found[1].tolist(), strict=True)) == expected


def test_windows_that_were_missed_are_taken_as_silent_and_frames_stay_where_they_are() -> None:
    for node, due in ((SpikeCount(frame="20 ms"), [40, 60]), (Argmax(over="20 ms", every="10 ms"), [30, 40, 50, 60])):
        bench = Bench(node, [TWO], GRID)
        record = random_events(TWO, GRID, 70, 400)
        found = []
        for window, part in split(record, GRID, 0, 70):
            if window.first_tick not in (10, 20):
                found += GRID.ticks(columns(bench.step(window, [part])[0])[0]).tolist()
        assert sorted(set(found)) == due


def test_what_was_heard_before_missed_windows_still_counts_in_its_frame() -> None:
    bench = Bench(SpikeCount(frame="40 ms"), [TWO], GRID)
    sent = None
    for window, part in split(random_events(TWO, GRID, 50, 300, seed=3), GRID, 0, 50):
        if window.first_tick != 20:
            [sent] = bench.step(window, [part])
    given = columns(random_events(TWO, GRID, 50, 300, seed=3))
    tick = GRID.ticks(given[0])
    heard = (tick < 40) & ~((tick >= 20) & (tick < 30))
    assert sent is not None
    assert columns(sent)[2].tolist() == np.bincount(given[1][heard], minlength=2).tolist()


@pytest.mark.parametrize("node", [SpikeCount(frame="1 s"), Argmax(frame="1 s"), Rate(over="1 s")])
def test_a_window_without_spikes_and_without_an_end_of_a_frame_gives_the_one_empty_batch(node: Any) -> None:
    bench = Bench(node, [TWO], GRID)
    bench.node.context.window = Window.at(GRID, 0, 10)
    assert bench.node.decode(empty(SPIKES)) is empty(SAMPLES)  # type: ignore[attr-defined]


def test_spikes_whose_value_is_not_finite_count_as_none_and_are_noted() -> None:
    stream = Stream("x", "spikes", 1, valued=True)
    record = random_events(stream, GRID, 10, 3)
    values = np.array([np.nan, 2.0, np.inf], np.float32)
    t_ns, neuron, _ = columns(record)
    ran = run_node(SpikeCount(frame="10 ms"), (stream, spike_batch(t_ns, neuron, values)), ticks=11, grid=GRID)
    assert ran.rows() == [(10, 0, 2.0)]
    assert ran.counters.noted == {"not finite": 2}
