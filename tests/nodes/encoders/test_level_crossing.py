"""Level crossing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spikeflow.events import Grid, Stream, columns, sample_batch
from spikeflow.nodes.encoders.level_crossing import LevelCrossing
from spikeflow.testing import run_node
from tests.nodes.conftest import Examples

GRID = Grid(5_000_000_000, 1_000_000, 10)
ONE = Stream("x", "samples", 1)
EXAMPLES: Examples = [
    (lambda _: LevelCrossing(threshold=0.2), {}),
    (lambda _: LevelCrossing(threshold=3.0), {"values": (-9, 9)}),
]


def encoded(values: list[float], threshold: float) -> list[tuple[int, float]]:
    """(tick, value) of the spikes of one channel that is sampled once a tick."""
    t_ns = GRID.origin_ns + np.arange(len(values)) * GRID.dt_ns + 7
    record = sample_batch(t_ns, np.zeros(len(values), np.uint32), np.array(values, np.float32))
    ran = run_node(LevelCrossing(threshold=threshold), (ONE, record), ticks=len(values), grid=GRID)
    return [(tick, value) for tick, _, value in ran.rows()]


def test_a_step_counts_the_levels_that_it_crosses_and_its_sign() -> None:
    assert encoded([0.9, 3.1, 3.2, 0.9, -0.1], 1.0) == [(1, 3.0), (3, -3.0), (4, -1.0)]


def test_the_first_sample_only_says_where_a_channel_is() -> None:
    assert encoded([100.0], 1.0) == []


def test_samples_that_are_not_finite_count_as_none() -> None:
    assert encoded([0.5, float("nan"), float("inf"), 1.5], 1.0) == [(3, 1.0)]


def test_a_spike_carries_the_time_at_which_its_tick_starts() -> None:
    record = sample_batch([GRID.origin_ns, GRID.origin_ns + 1_999_999], [0, 0], np.array([0.0, 1.0], np.float32))
    ran = run_node(LevelCrossing(threshold=1.0), (ONE, record), grid=GRID)
    assert columns(ran.events)[0].tolist() == [GRID.origin_ns + 1_000_000]


@given(values=st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=40), threshold=st.floats(0.1, 10))
def test_the_counts_add_up_to_the_levels_between_the_first_and_the_last_sample(
    values: list[float], threshold: float
) -> None:
    total = sum(value for _, value in encoded(values, threshold))
    assert total == np.floor(values[-1] / threshold) - np.floor(values[0] / threshold)


@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan"), float("inf")])
def test_a_threshold_is_above_zero_and_finite(threshold: float) -> None:
    with pytest.raises(ValidationError):
        LevelCrossing(threshold=threshold)
