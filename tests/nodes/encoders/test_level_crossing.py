"""Level crossing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spikeflow.events import Grid, Stream, columns, sample_batch
from spikeflow.nodes.encoders.level_crossing import LevelCrossing
from spikeflow.testing import run_node
from tests.nodes.conftest import Examples
from tests.nodes.encoders.round_trip import pairs, recorded, streams

GRID = Grid(5_000_000_000, 1_000_000, 10)
ONE = Stream("x", "samples", 1)
EXAMPLES: Examples = [
    (lambda _: LevelCrossing(threshold=0.2), {}),
    (lambda _: LevelCrossing(threshold=3.0), {"values": (-9, 9)}),
    (lambda _: LevelCrossing(threshold=0.2, hysteresis=0.15, initial=0.0), {}),
    (lambda _: LevelCrossing(threshold=0.2, polarity="split"), {}),
    (lambda _: LevelCrossing(threshold=0.1, polarity="split", counts=False, hysteresis=0.1), {"events": 40}),
    (lambda _: LevelCrossing(threshold=0.1, counts=False), {"size": 1, "events": 3000}),
    (lambda _: LevelCrossing(threshold=0.01), {"values": (-1e9, 1e9)}),
]


def rows(values: list[float], **fields: Any) -> list[tuple[int, int, float]]:
    """(tick, neuron, value) of the spikes of one channel that is sampled once a tick."""
    t_ns = GRID.origin_ns + np.arange(len(values)) * GRID.dt_ns + 7
    record = sample_batch(t_ns, np.zeros(len(values), np.uint32), np.array(values, np.float32))
    return run_node(LevelCrossing(**fields), (ONE, record), ticks=len(values), grid=GRID).rows()


def encoded(values: list[float], threshold: float) -> list[tuple[int, float]]:
    """(tick, value) of the spikes."""
    return [(tick, value) for tick, _, value in rows(values, threshold=threshold)]


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


def test_split_polarity_has_a_neuron_for_each_way() -> None:
    walk = [0.5, 3.5, 1.5, 1.6]
    assert rows(walk, threshold=1.0, polarity="split") == [(1, 0, 3.0), (2, 1, 2.0)]
    assert rows(walk, threshold=1.0, polarity="split", counts=False) == [(1, 0, 1.0), (2, 1, 1.0)]
    [split] = (
        LevelCrossing(threshold=1.0, polarity="split", counts=False)
        .outlets([Stream("x", "samples", 6, shape=(2, 3))])
        .values()
    )
    assert (split.size, split.shape, split.valued) == (12, (2, 3, 2), False)


def test_without_counts_a_crossing_of_several_levels_is_one_spike_with_its_sign() -> None:
    assert rows([0.5, 3.5, 1.5], threshold=1.0, counts=False) == [(1, 0, 1.0), (2, 0, -1.0)]


def test_with_hysteresis_a_level_is_further_up_on_the_way_up_than_on_the_way_down() -> None:
    walk = [0.9, 1.1, 0.9, 1.21, 0.81, 0.79, 1.19, 3.1, 2.9]
    assert rows(walk, threshold=1.0, hysteresis=0.4) == [(3, 0, 1.0), (5, 0, -1.0), (7, 0, 2.0)]


@given(steps=st.lists(st.floats(-0.1, 0.1), min_size=1, max_size=60))
def test_noise_that_is_smaller_than_the_hysteresis_crosses_a_level_once_at_most(steps: list[float]) -> None:
    assert len(rows([1.0 + step for step in steps], threshold=1.0, hysteresis=0.21)) <= 1


def test_hysteresis_up_to_the_threshold_is_accepted() -> None:
    [problem] = LevelCrossing(threshold=1.0, hysteresis=1.5).check([ONE], GRID)
    assert str(problem) == "hysteresis is 1.5, more than the threshold, 1 — write 1 or less"
    assert not list(LevelCrossing(threshold=1.0, hysteresis=1.0).check([ONE], GRID))


def test_an_initial_value_from_which_levels_cannot_be_counted_is_refused() -> None:
    [problem] = LevelCrossing(threshold=0.1, initial=1e308).check([ONE], GRID)
    assert problem.found == "initial is 1e+308, more than 2^40 levels away from zero"
    assert list(LevelCrossing(threshold=1e-300, initial=1e308).check([ONE], GRID))  # whose ratio is infinite
    assert not list(LevelCrossing(threshold=1.0, initial=2.0**40).check([ONE], GRID))


def test_an_initial_value_lets_the_first_sample_spike() -> None:
    assert rows([-2.5, 0.5], threshold=1.0, initial=0.0) == [(0, 0, -3.0), (1, 0, 3.0)]


def test_a_count_that_float32_does_not_hold_takes_two_spikes() -> None:
    values = np.array([[0.5], [2.0**30 + 1.5]])
    assert run_node(LevelCrossing(threshold=1.0), values).rows() == [(1, 0, 2.0**30), (1, 0, 1.0)]


def test_samples_too_many_levels_away_count_as_none() -> None:
    ran = run_node(LevelCrossing(threshold=1.0), np.array([[0.5], [3e38], [1.5]]))
    assert ran.rows() == [(2, 0, 1.0)]
    assert ran.counters.noted == {"out of range": 1}


@given(
    samples=streams,
    threshold=st.floats(0.01, 10),
    share=st.sampled_from([0.0, 0.3, 1.0]),
    polarity=st.sampled_from(["signed", "split"]),
)
def test_the_way_back_is_within_one_threshold_for_any_input(
    samples: list[Any], threshold: float, share: float, polarity: Any
) -> None:
    encoder = LevelCrossing(threshold=threshold, hysteresis=share * threshold, polarity=polarity, initial=0.0)
    for pair in pairs(encoder, recorded(samples), furthest=2.0**40 * threshold):
        assert abs(pair.rebuilt - pair.sample) <= 0.5001 * threshold * (1.0 + share)


@given(values=st.lists(st.floats(-100, 100), min_size=1, max_size=40))
def test_the_way_back_begins_at_the_first_sample_where_that_is_told(values: list[float]) -> None:
    record = recorded([((1_000_000, 0), value) for value in values])
    for pair in pairs(LevelCrossing(threshold=0.5), record, first=values[0]):
        assert abs(pair.rebuilt - pair.sample) <= 0.251
