"""Sigma-delta."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spikeflow.nodes.encoders.sigma_delta import SigmaDelta
from spikeflow.testing import run_node
from tests.nodes.conftest import Examples
from tests.nodes.encoders.round_trip import pairs, recorded, streams

EXAMPLES: Examples = [
    (lambda _: SigmaDelta(threshold=0.2), {}),
    (lambda _: SigmaDelta(threshold=0.01, initial=0.5), {"size": 1, "events": 3000}),
    (lambda _: SigmaDelta(threshold=0.3), {"size": 300, "events": 3000}),
]


def sent(values: list[float], **fields: Any) -> list[tuple[int, float]]:
    """(tick, value) of the spikes of one channel that is sampled once a tick."""
    return [(tick, value) for tick, _, value in run_node(SigmaDelta(**fields), np.array(values)[:, None]).rows()]


def test_the_whole_thresholds_of_what_is_not_yet_said_are_sent_and_the_rest_is_kept() -> None:
    assert sent([0.6, 1.2, 1.9, 2.0, 1.01, 1.0, -3.5], threshold=1.0) == [
        (1, 1.0), (3, 1.0), (5, -1.0), (6, -4.0)
    ]  # fmt: skip


def test_the_first_sample_is_sent_from_the_initial_value_on() -> None:
    assert sent([5.5], threshold=1.0, initial=2.0) == [(0, 3.0)]


@given(samples=streams, threshold=st.sampled_from([0.25, 1.0, 4.0]))
def test_it_is_the_recursion_that_it_says(samples: list[Any], threshold: float) -> None:
    # eighths, so that no difference is rounded
    record = recorded([(step, np.round(8.0 * value) / 8.0) for step, value in samples])
    known: dict[int, float] = {}
    channel, value = (record.column(k).to_numpy() for k in (1, 2))
    for c, x in zip(channel.tolist(), value.tolist(), strict=True):
        if np.isfinite(x) and abs(x) <= 2.0**40 * threshold:
            ratio = x / threshold
            quantum = np.trunc(ratio - known.get(c, 0.0))
            known[c] = known.get(c, 0.0) + quantum
    events = run_node(SigmaDelta(threshold=threshold), record).rows()
    total: dict[int, float] = {}
    for _, c, quantum in events:
        total[c] = total.get(c, 0.0) + quantum
    expected = [known.get(c, 0.0) for c in range(3)]
    assert [total.get(c, 0.0) for c in range(3)] == expected


@given(samples=streams, threshold=st.floats(0.01, 10), initial=st.floats(-10, 10))
def test_the_way_back_is_within_one_threshold_for_any_input(
    samples: list[Any], threshold: float, initial: float
) -> None:
    encoder = SigmaDelta(threshold=threshold, initial=initial)
    for pair in pairs(encoder, recorded(samples), furthest=2.0**40 * threshold - abs(initial)):
        assert abs(pair.rebuilt - pair.sample) <= 1.001 * threshold
