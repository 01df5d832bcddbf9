"""Threshold based representation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeflow.errors import ParameterError
from spikeflow.nodes.encoders.threshold_based import ThresholdBased
from spikeflow.testing import run_node
from tests.nodes.conftest import Examples
from tests.nodes.encoders.round_trip import pairs, recorded

EXAMPLES: Examples = [
    (lambda _: ThresholdBased(threshold=0.4), {}),
    (lambda _: ThresholdBased(factor=0.5), {}),
    (lambda _: ThresholdBased(factor=1.5, over=20, value="step"), {"size": 200, "events": 20_000}),
    (lambda _: ThresholdBased(over=20), {"size": 1, "events": 3000}),
]


def spikes(values: Any, **fields: Any) -> list[tuple[int, float]]:
    """(tick, value) of the spikes of one channel that is sampled once a tick."""
    return [(tick, value) for tick, _, value in run_node(ThresholdBased(**fields), np.array(values)[:, None]).rows()]


def test_a_given_threshold_is_what_a_sample_must_differ_by_from_the_one_before() -> None:
    assert spikes([0.0, 1.0, 2.1, 2.0, 0.5], threshold=1.0) == [(2, 1.0), (4, -1.0)]


@given(values=st.lists(st.integers(-50, 50), min_size=2, max_size=60), factor=st.sampled_from([0.0, 0.7, 1.3]))
def test_the_running_threshold_is_mean_and_deviation_of_all_differences_so_far(
    values: list[int], factor: float
) -> None:
    change = np.diff(values).astype(float)
    threshold = [max(0.0, change[: k + 1].mean() + factor * change[: k + 1].std()) for k in range(len(change))]
    found = dict(spikes(np.array(values, float), factor=factor))
    for tick, (d, limit) in enumerate(zip(change, threshold, strict=True), 1):
        if abs(abs(d) - limit) > 1e-9:
            assert found.get(tick, 0.0) == (np.sign(d) if abs(d) > limit else 0.0)


def test_a_fading_memory_forgets_an_old_jump() -> None:
    walk = np.concatenate([[0.0, 100.0], 100.0 + 0.5 * (np.arange(200) % 2)])
    assert len(spikes(walk, factor=2.0)) < 3
    assert len(spikes(walk, factor=0.9, over=4)) > 40


def test_the_way_back_adds_up_thresholds_where_they_are_known() -> None:
    record = recorded([((1_000_000, 0), value) for value in (4.0, 5.0, 3.0)])
    assert [pair.rebuilt for pair in pairs(ThresholdBased(threshold=0.75), record, first=4.0)] == [4.75, 4.0]
    rising = recorded([((1_000_000, 0), value) for value in (0.0, 1.0, 4.0)])  # differences 1, 3: mean 2, deviation 1
    assert [pair.rebuilt for pair in pairs(ThresholdBased(factor=0.5, value="step"), rising)] == [2.5]


def test_signs_alone_do_not_tell_a_running_threshold() -> None:
    with pytest.raises(ParameterError, match="value: step"):
        pairs(ThresholdBased(), recorded([((0, 0), 1.0)]))
