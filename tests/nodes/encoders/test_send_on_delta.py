"""Send on delta."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spikeflow.nodes.encoders.send_on_delta import SendOnDelta
from spikeflow.testing import run_node
from tests.nodes.conftest import Examples
from tests.nodes.encoders.round_trip import GRID, STREAM, pairs, recorded, streams

EXAMPLES: Examples = [
    (lambda _: SendOnDelta(threshold=0.3), {}),
    (lambda _: SendOnDelta(threshold=0.01), {"size": 200, "events": 20_000}),
    (lambda _: SendOnDelta(threshold=0.3), {"size": 1, "events": 2000}),
]


def sent(values: list[float], threshold: float) -> list[tuple[int, float]]:
    """(tick, value) of the spikes of one channel that is sampled once a tick."""
    record = recorded([((1_000_000 if tick else 0, 0), value) for tick, value in enumerate(values)])
    ran = run_node(SendOnDelta(threshold=threshold), record)
    first = ran.rows()[0][0]
    return [(tick - first, value) for tick, _, value in ran.rows()]


def test_a_sample_is_sent_once_it_is_a_threshold_from_the_last_one_that_was() -> None:
    assert sent([0.0, 0.5, 0.9, 1.0, 1.9, 0.0], 1.0) == [(0, 0.0), (3, 1.0), (5, 0.0)]


def test_samples_that_are_not_finite_count_as_none() -> None:
    assert sent([0.0, float("nan"), float("inf"), 0.5, 1.0], 1.0) == [(0, 0.0), (4, 1.0)]


@given(samples=streams, threshold=st.floats(0.01, 10))
def test_what_was_sent_last_is_nearer_than_a_threshold_to_every_sample(samples: list[Any], threshold: float) -> None:
    record = recorded([(step, np.float32(value) if abs(value) < 1e30 else 0.0) for step, value in samples])
    node = SendOnDelta(threshold=threshold)
    t_ns, channel, value = (column.to_numpy() for column in record.columns)
    rows = zip(t_ns.astype(np.int64).tolist(), channel.tolist(), value.tolist(), strict=True)
    events = [row for row in rows if np.isfinite(row[2])]
    last: dict[int, float] = {}
    expected = 0
    for _, where, x in events:
        if where not in last or abs(x - last[where]) >= threshold:
            last[where] = x
            expected += 1
    assert run_node(node, record).events.num_rows == expected


@given(samples=streams, threshold=st.floats(0.01, 10))
def test_the_way_back_is_within_one_threshold_for_any_input(samples: list[Any], threshold: float) -> None:
    usable = [(step, value if rounds_by(value) < threshold else float("nan")) for step, value in samples]
    for pair in pairs(SendOnDelta(threshold=threshold), recorded(usable)):
        assert abs(pair.rebuilt - pair.sample) < threshold
    found = run_node(SendOnDelta(threshold=threshold), (STREAM, recorded(samples)), grid=GRID)
    alone = run_node(SendOnDelta(threshold=threshold), (STREAM, recorded(usable)), grid=GRID)
    assert found.rows() == alone.rows()
    finite = [value for _, value in samples if np.isfinite(value)]
    lost = sum(rounds_by(value) >= threshold for value in finite)
    assert found.counters.noted.get("out of range", 0) == lost


def rounds_by(value: float) -> float:
    """How far float32 is from a value."""
    with np.errstate(over="ignore"):
        return abs(float(np.float32(value)) - value)
