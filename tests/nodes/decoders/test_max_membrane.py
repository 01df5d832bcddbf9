"""The largest value in a frame."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from spikeflow.events import Stream, columns, sample_batch
from spikeflow.nodes.decoders.max_membrane import MaxMembrane
from spikeflow.testing import run_node
from tests.nodes.conftest import Examples
from tests.nodes.decoders.arrays import GRID, answers


def made(frame: str, _: Path) -> MaxMembrane:
    return MaxMembrane.model_validate({"frame": frame})


EXAMPLES: Examples = [
    (partial(made, frame), {"inputs": [Stream("", "samples", 5, double=double)], "events": 200})
    for frame in ("1 ms", "13 ms", "100 ms")
    for double in (False, True)
]


def test_the_largest_sample_of_a_frame_is_given_at_its_end() -> None:
    values = np.full((20, 2), np.nan, np.float32)
    values[2:5, 0], values[19, 1], values[10, 1] = (-3, -1, -2), 5, 7
    ticks, found = answers(MaxMembrane(frame="10 ms"), values)
    assert ticks == [10, 20]
    assert np.array_equal(found, [[-1, np.nan], [np.nan, 7]], equal_nan=True)


def test_the_precision_of_what_comes_is_kept() -> None:
    stream = Stream("x", "samples", 1, double=True)
    record = sample_batch([GRID.origin_ns], [0], np.array([np.pi]))
    ran = run_node(MaxMembrane(frame="1 ms"), (stream, record), ticks=2, grid=GRID)
    assert columns(ran.events)[2].tolist() == [np.pi]


def test_samples_that_are_not_finite_count_as_none_and_are_noted() -> None:
    record = sample_batch([GRID.origin_ns] * 3, [0, 0, 1], np.array([1.0, np.inf, np.nan], np.float32))
    ran = run_node(MaxMembrane(frame="1 ms"), (Stream("x", "samples", 2), record), ticks=2, grid=GRID)
    assert ran.rows() == [(1, 0, 1.0)]
    assert ran.counters.noted == {"not finite": 2}


@given(
    values=arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 50), st.integers(1, 4)),
        elements=st.one_of(st.floats(width=32, allow_infinity=False), st.just(float("nan"))),
    ),
    frame=st.integers(1, 12),
)
def test_it_is_the_maximum_over_the_frame(
    values: np.ndarray[tuple[int, int], np.dtype[np.float32]], frame: int
) -> None:
    ticks, found = answers(MaxMembrane(frame=frame * GRID.dt_ns), values)
    lines = dict(zip(ticks, found, strict=True))
    for end in range(frame, len(values) + 1, frame):
        part = values[end - frame : end]
        expected = np.where(np.isnan(part).all(axis=0), np.nan, np.fmax.reduce(part, axis=0))
        if not np.isnan(expected).all():
            assert np.array_equal(lines.pop(end), expected, equal_nan=True)
    assert not lines


@pytest.mark.parametrize("value", [0, -1])
def test_a_frame_is_longer_than_nothing(value: int) -> None:
    with pytest.raises(ValueError, match="frame"):
        MaxMembrane(frame=value)
