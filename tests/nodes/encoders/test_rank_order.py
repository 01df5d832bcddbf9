"""Rank order."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spikeflow.events import Stream
from spikeflow.nodes.encoders.rank_order import RankOrder
from spikeflow.testing import GRID, run_node
from tests.nodes.conftest import Examples

EXAMPLES: Examples = [
    (lambda _: RankOrder(frame="20 ms"), {}),
    (lambda _: RankOrder(frame="7 ms", modulation=0.8, spacing="2 ms"), {"events": 300}),
    (lambda _: RankOrder(frame="100 ms", most=30), {"size": 100, "events": 2000}),
]


def spikes(values: list[float], **fields: Any) -> list[tuple[int, int, float]]:
    """(tick, channel, value) of the first frame."""
    return run_node(RankOrder(frame="10 ms", **fields), np.array([values]), ticks=10).rows()


def test_channels_spike_one_after_the_other_the_largest_first() -> None:
    assert spikes([0.1, 5.0, -2.0, np.nan, 0.3]) == [(0, 1, 1.0), (1, 4, 1.0), (2, 0, 1.0), (3, 2, 1.0)]


def test_equal_values_share_a_rank() -> None:
    assert [row[:2] for row in spikes([1.0, 2.0, 2.0, 0.0])] == [(0, 1), (0, 2), (1, 0), (2, 3)]


def test_later_ranks_weigh_less() -> None:
    assert spikes([1.0, 3.0, 2.0], modulation=0.5) == [(0, 1, 1.0), (1, 2, 0.5), (2, 0, 0.25)]


def test_ranks_past_the_end_or_the_most_are_silent() -> None:
    values = list(map(float, range(20)))
    assert [row[:2] for row in spikes(values)] == [(k, 19 - k) for k in range(10)]
    assert [row[:2] for row in spikes(values, spacing="4 ms")] == [(0, 19), (4, 18), (8, 17)]
    assert [row[:2] for row in spikes(values, most=2)] == [(0, 19), (1, 18)]


@given(values=st.lists(st.floats(-10, 10), min_size=1, max_size=8))
def test_the_order_of_the_spikes_is_that_of_the_values(values: list[float]) -> None:
    rows = spikes(values)
    assert sorted(row[1] for row in rows) == list(range(len(values)))
    tick = {row[1]: row[0] for row in rows}
    for one, first in enumerate(values):
        for other, second in enumerate(values):
            assert (first > second) == (tick[one] < tick[other])


def test_a_spacing_is_whole_ticks() -> None:
    problems = list(RankOrder(frame="10 ms", spacing="1500 us").check([Stream("x", "samples", 1)], GRID))
    assert [one.path for one in problems] == [("spacing",)]
