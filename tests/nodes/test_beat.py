"""Instants at a steady rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeflow.errors import ParameterError
from spikeflow.nodes.beat import Beat

RATES = st.one_of(st.floats(1e-3, 1e9), st.integers(1, 10**9).map(float))


def test_the_beats_of_three_a_second_never_drift() -> None:
    assert Beat(3.0).at(3 * 86_400 * 365) == 86_400 * 365 * 10**9


@given(rate=RATES, first=st.integers(0, 10**6))
def test_times_are_those_of_the_single_beats_and_never_go_back(rate: float, first: int) -> None:
    beat = Beat(rate)
    times = beat.times(first, 20).tolist()
    assert times == [beat.at(first + k) for k in range(20)]
    assert times == sorted(times)


@given(rate=RATES, t_ns=st.integers(0, 10**15))
def test_the_first_beat_after_an_instant_is_at_or_after_it(rate: float, t_ns: int) -> None:
    beat = Beat(rate)
    k = beat.first(t_ns)
    assert beat.at(k) >= t_ns
    assert k == 0 or beat.at(k - 1) < t_ns


@given(rate=st.floats(0.01, 1e9))
def test_a_second_has_as_many_beats_as_the_rate_says(rate: float) -> None:
    assert Beat(rate).first(10**12) == pytest.approx(1000 * rate, rel=1e-4, abs=1.01)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), 2e9])
def test_a_rate_out_of_bounds_is_refused(rate: float) -> None:
    with pytest.raises(ParameterError):
        Beat(rate)
