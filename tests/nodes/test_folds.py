"""Recursions over the samples of each channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeflow.nodes import folds
from spikeflow.nodes.folds import exact_counts, fold, follow, turns

samples = st.lists(st.tuples(st.integers(0, 4), st.floats(-100, 100)), max_size=80)


def split(rows: list[tuple[int, float]]) -> tuple[Any, Any]:
    return np.array([c for c, _ in rows], np.uint32), np.array([x for _, x in rows], float)


def leaky(where: Any, x: Any, v: Any, n: Any) -> tuple[Any, ...]:
    v = 0.9 * v + x * 0.1
    over = abs(v) > 3.0
    return where(over, 0.0, v), n + 1.0, where(over, v, -1.0), n


@given(rows=samples)
@pytest.mark.parametrize("narrow", [0, 10**9])
def test_arrays_and_plain_numbers_give_the_same_bits(narrow: int, rows: list[tuple[int, float]]) -> None:
    channel, value = split(rows)
    v, n = np.zeros(5), np.zeros(5)
    known = folds._NARROW
    try:
        folds._NARROW = narrow
        first, second = fold(channel, [value], [v, n], leaky, 2)
    finally:
        folds._NARROW = known
    expected = dict.fromkeys(range(5), (0.0, 0.0))
    for row, (c, x) in enumerate(rows):
        *now, one, two = leaky(lambda test, yes, no: yes if test else no, x, *expected[c])
        expected[c] = (now[0], now[1])
        assert (first[row], second[row]) == (one, two)
    assert [(v[c], n[c]) for c in range(5)] == list(expected.values())


@given(rows=samples, width=st.floats(0, 30), cut=st.integers(0, 80))
def test_a_number_that_moves_no_further_than_it_must(rows: list[tuple[int, float]], width: float, cut: int) -> None:
    channel, value = split(rows)
    last = np.full(5, np.nan)
    last[2] = 7.0
    known: dict[int, float] = {2: 7.0}
    expected = []
    for c, x in rows:
        before = known.get(c, np.nan)
        known[c] = min(max(before, x - width), x + width) if c in known else x
        expected.append((before, known[c]))
    found = [
        follow(channel[part], value[part] - width, value[part] + width, value[part], last)
        for part in (slice(0, cut), slice(cut, None))
    ]
    both = [np.concatenate(one) for one in zip(*found, strict=True)]
    assert np.array_equal(np.stack(both, 1), np.array(expected).reshape(-1, 2), equal_nan=True)
    assert np.array_equal(last, [known.get(c, np.nan) for c in range(5)], equal_nan=True)


@given(count=st.lists(st.integers(-(2**45), 2**45).filter(bool), max_size=20))
def test_counts_are_sent_exactly(count: list[int]) -> None:
    place = np.arange(len(count))
    t_ns, neuron, value = exact_counts(place, place.astype(np.uint32), np.array(count, float))
    assert value.dtype == np.float32 and (value != 0).all()
    assert np.array_equal(t_ns, neuron)
    assert [int(value[neuron == k].astype(float).sum()) for k in place] == count


def test_turns_are_the_first_samples_of_all_channels_then_the_second_ones() -> None:
    found = [place.tolist() for place in turns(np.array([3, 1, 3, 3, 0, 1], np.uint32))]
    assert [sorted(place) for place in found] == [[0, 1, 4], [2, 5], [3]]
    assert list(turns(np.zeros(0, np.uint32))) == []
