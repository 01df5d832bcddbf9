"""Times of first spikes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeflow.events import Stream
from spikeflow.nodes.decoders.spikes_to_times import SpikesToTimes
from tests.nodes.conftest import Examples
from tests.nodes.decoders import golden
from tests.nodes.decoders.arrays import GRID, answers, spikes

TIMES = golden.cases("times_")


def made(frame: str, count: int, unit: str, _: Path) -> SpikesToTimes:
    return SpikesToTimes.model_validate({"frame": frame, "spike_count": count, "unit": unit})


EXAMPLES: Examples = [
    (partial(made, frame, count, unit), {"inputs": [Stream("", "spikes", 5)]})
    for frame, count, unit in (("1 ms", 2, "ticks"), ("13 ms", 1, "s"), ("100 ms", 7, "s"), ("100 ms", 500, "ticks"))
]


@pytest.mark.parametrize("case", sorted(TIMES))
def test_times_are_those_of_norse(case: str) -> None:
    given, expected = TIMES[case]
    count = int(case.removeprefix("times_count").partition("_")[0])
    unit = "s" if case.endswith("_s") else "ticks"
    node = SpikesToTimes.model_validate({"frame": golden.TICKS * GRID.dt_ns, "spike_count": count, "unit": unit})
    _, [found] = answers(node, given.reshape(golden.TICKS, -1), absent=np.inf)
    found = found.reshape(count, golden.LANES, golden.NEURONS)
    few = min(count, golden.TICKS)  # Norse gives no more rows than there are ticks
    assert np.isinf(found[few:]).all()
    assert np.array_equal(np.isinf(found[:few]), np.isinf(expected))
    known = np.isfinite(expected)
    if unit == "ticks":
        assert np.array_equal(found[:few][known], expected[known])
    else:  # there a float32 product, here the float32 nearest to the time
        assert np.allclose(found[:few][known], expected[known], rtol=1.2e-7, atol=0)


def test_a_frame_starts_with_no_spikes_and_at_time_0() -> None:
    ticks, found = answers(
        SpikesToTimes(frame="10 ms", spike_count=2, unit="ticks"), spikes(20, 2, (0, 0), (3, 0), (4, 0), (12, 1))
    )
    assert ticks == [10, 20]
    assert np.array_equal(found, [[0, np.nan, 3, np.nan], [np.nan, 2, np.nan, np.nan]], equal_nan=True)


def test_channels_have_the_shape_of_the_input_with_one_axis_before_it() -> None:
    node = SpikesToTimes(frame="10 ms", spike_count=4)
    assert node.outlets([Stream("x", "spikes", 6, shape=(2, 3))])[""].shape == (4, 2, 3)
    assert node.outlets([Stream("x", "spikes", 6)])[""].shape == (4, 6)


@given(
    at=st.lists(st.tuples(st.integers(0, 59), st.integers(0, 2)), max_size=40),
    frame=st.integers(1, 25),
    count=st.integers(1, 5),
)
def test_they_are_the_first_ones_in_order(at: list[tuple[int, int]], frame: int, count: int) -> None:
    array = spikes(60, 3, *at)
    node = SpikesToTimes(frame=frame * GRID.dt_ns, spike_count=count, unit="ticks")
    lines = dict(zip(*answers(node, array), strict=True))
    for end in range(frame, 61, frame):
        expected = np.full((count, 3), np.nan)
        for neuron in range(3):
            ticks = np.flatnonzero(array[end - frame : end, neuron])[:count]
            expected[: len(ticks), neuron] = ticks
        found = lines.pop(end, np.full(count * 3, np.nan)).reshape(count, 3)
        assert np.array_equal(found, expected, equal_nan=True)
    assert not lines
