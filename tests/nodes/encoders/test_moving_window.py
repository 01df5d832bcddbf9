"""Moving window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeflow.nodes.encoders.moving_window import MovingWindow
from spikeflow.testing import run_node
from tests.nodes.conftest import Examples
from tests.nodes.encoders.round_trip import pairs, recorded, streams

EXAMPLES: Examples = [
    (lambda _: MovingWindow(threshold=0.2, over=5), {}),
    (lambda _: MovingWindow(threshold=0.1, over=1), {"size": 40, "events": 8000}),
    (lambda _: MovingWindow(threshold=0.5, over=37), {"size": 1, "events": 3000}),
]


def spikes(values: list[float], **fields: Any) -> list[tuple[int, float]]:
    """(tick, value) of the spikes of one channel that is sampled once a tick."""
    return [(tick, value) for tick, _, value in run_node(MovingWindow(**fields), np.array(values)[:, None]).rows()]


def test_a_sample_is_held_against_the_mean_of_those_before_it() -> None:
    walk = [0.0, 1.0, 2.0, 2.0, 0.0, 1.0]  # means before: none, 0, 0.5, 1.5, 2, 1
    assert spikes(walk, threshold=0.9, over=2) == [(1, 1.0), (2, 1.0), (4, -1.0)]


@given(samples=streams, over=st.integers(1, 7))
def test_it_is_the_sum_that_it_says(samples: list[Any], over: int) -> None:
    record = recorded([(step, value if abs(value) < 1e12 else np.nan) for step, value in samples])
    before: dict[int, list[float]] = {}
    expected = []
    channel, value = (record.column(k).to_numpy() for k in (1, 2))
    for c, x in zip(channel.tolist(), value.tolist(), strict=True):
        if np.isfinite(x):
            known = before.setdefault(c, [])
            if known and abs(x - sum(known[-over:]) / len(known[-over:])) > 0.5:
                expected.append(c)
            known.append(x)
    assert sorted(row[1] for row in run_node(MovingWindow(threshold=0.5, over=over), record).rows()) == sorted(expected)


def test_the_way_back_adds_up_thresholds() -> None:
    record = recorded([((1_000_000, 0), value) for value in (4.0, 5.0, 6.0, 6.0)])
    found = pairs(MovingWindow(threshold=0.75, over=1), record, first=4.0)
    assert [pair.rebuilt for pair in found] == [4.75, 5.5]


@pytest.mark.parametrize("fields", [{"over": 0}, {"over": 3, "threshold": 0.0}])
def test_bounds_are_held(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"over|threshold"):
        MovingWindow(**{"threshold": 1.0, **fields})
