"""Step forward."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spikeflow.nodes.encoders.step_forward import StepForward
from spikeflow.testing import run_node
from tests.nodes.conftest import Examples
from tests.nodes.encoders.round_trip import pairs, recorded, streams

EXAMPLES: Examples = [
    (lambda _: StepForward(threshold=0.2), {}),
    (lambda _: StepForward(threshold=0.1, initial=0.0), {"size": 200, "events": 20_000}),
    (lambda _: StepForward(threshold=0.2, steps="all"), {}),
    (lambda _: StepForward(threshold=0.01, steps="all", initial=1.0), {"size": 1, "events": 3000}),
]


def stepped(values: list[float], **fields: Any) -> list[tuple[int, float]]:
    """(tick, value) of the spikes of one channel that is sampled once a tick."""
    array = np.array(values)[:, None]
    return [(tick, value) for tick, _, value in run_node(StepForward(**fields), array).rows()]


def test_the_base_moves_one_step_a_sample() -> None:
    walk = [0.0, 1.0, 1.1, 3.5, 3.5, 3.5, 0.0]
    assert stepped(walk, threshold=1.0) == [(2, 1.0), (3, 1.0), (4, 1.0), (6, -1.0)]


def test_it_may_take_all_steps_at_once() -> None:
    assert stepped([0.0, 1.0, 3.5, 3.5, 0.0], threshold=1.0, steps="all") == [(2, 3.0), (4, -2.0)]


def test_an_initial_base_lets_the_first_sample_spike() -> None:
    assert stepped([2.5], threshold=1.0, initial=0.0) == [(0, 1.0)]


@given(samples=streams, threshold=st.floats(0.01, 10))
def test_with_all_steps_the_way_back_is_within_one_threshold_for_any_input(
    samples: list[Any], threshold: float
) -> None:
    encoder = StepForward(threshold=threshold, steps="all", initial=0.0)
    for pair in pairs(encoder, recorded(samples), furthest=2.0**40 * threshold):
        assert abs(pair.rebuilt - pair.sample) <= 1.001 * threshold


@given(steps=st.lists(st.floats(-1, 1), min_size=1, max_size=60), threshold=st.floats(1, 3))
def test_with_one_step_it_is_while_the_signal_moves_by_a_threshold_a_sample_at_most(
    steps: list[float], threshold: float
) -> None:
    values = np.cumsum(steps)
    record = recorded([((1_000_000, 0), float(value)) for value in values])
    for pair in pairs(StepForward(threshold=threshold), record, first=float(values[0])):
        assert abs(pair.rebuilt - pair.sample) <= 1.001 * threshold


@given(samples=streams)
def test_the_way_back_from_single_steps_is_the_base_itself(samples: list[Any]) -> None:
    record = recorded(samples)
    base: dict[int, float] = {}
    at: dict[tuple[int, int], float] = {}
    t_ns, channel, value = (column.to_numpy() for column in record.columns)
    for t, c, x in zip(t_ns.astype(np.int64).tolist(), channel.tolist(), value.tolist(), strict=True):
        if np.isfinite(x) and abs(x) <= 2.0**40:
            b = base.get(c, 0.0)
            base[c] = b + (x > b + 1.0) - (x < b - 1.0)
            at[(t - 5_000_000_000) // 1_000_000, c] = base[c]
    for pair in pairs(StepForward(threshold=1.0, initial=0.0), record, furthest=2.0**40):
        assert pair.rebuilt == at[pair.tick, pair.channel]
