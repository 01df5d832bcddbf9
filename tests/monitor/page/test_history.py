"""History: every spike that is kept is counted once, in its column and row, and what is kept has bounds."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spikeflow.monitor.page.history import COARSE_COLUMNS, Budget, Part, Samples, Spikes

EVENTS = st.lists(st.tuples(st.integers(0, 999), st.integers(0, 29)), max_size=80)


def filled(events: list[tuple[int, int]], size: int = 30, budget: int = 1 << 20) -> Spikes:
    """A stream of 1000 ticks of 1 ms, ten ticks at a time."""
    stream = Spikes(size, 1e-3, Budget(budget))
    for first in range(0, 1000, 10):
        here = sorted(event for event in events if first <= event[0] < first + 10)
        tick, neuron = np.array([t for t, _ in here], np.int64), np.array([n for _, n in here], np.uint32)
        stream.add(tick, neuron, first + 10)
    return stream


@given(events=EVENTS, low=st.integers(0, 20), wide=st.integers(1, 10), column=st.integers(1, 40), data=st.data())
def test_every_spike_is_in_its_column_and_row(
    events: list[tuple[int, int]], low: int, wide: int, column: int, data: st.DataObject
) -> None:
    rows = data.draw(st.integers(1, wide))
    part = Part(low, low + wide, rows, column, 2, 10)
    wanted = np.zeros((10, rows), int)
    for tick, neuron in events:
        if 2 <= tick // column < 12 and low <= neuron < low + wide:
            wanted[tick // column - 2, (neuron - low) * rows // wide] += 1
    assert filled(events).counts(part).tolist() == wanted.tolist()


@given(events=EVENTS)
def test_counts_that_are_kept_longest_are_those_of_the_spikes(events: list[tuple[int, int]]) -> None:
    stream = filled(events)
    part = Part(0, 30, 30, 100, 0, 10)
    assert stream.coarse == 50
    assert stream.coarse_counts(part).tolist() == stream.counts(part).tolist()
    assert sum(stream.totals(1, 20)) == len(events)


def test_single_spikes_take_no_more_than_their_budget_and_counts_stay() -> None:
    events = [(tick, tick % 30) for tick in range(1000)]
    stream = filled(events, budget=2400)
    tick, _ = stream.spikes(0, 1000)
    assert 100 <= tick.size <= 200
    assert stream.whole_from == 1000 - tick.size
    assert int(stream.coarse_counts(Part(0, 30, 30, 50, 0, 20)).sum()) == 1000


def test_streams_share_one_budget_and_the_oldest_spikes_go_first() -> None:
    budget = Budget(1200)
    first, second = Spikes(1, 1e-3, budget), Spikes(1, 1e-3, budget)
    for tick in range(200):
        for stream in (first, second):
            stream.add(np.array([tick], np.int64), np.zeros(1, np.uint32), tick + 1)
    assert budget.used <= 1200
    assert first.whole_from == second.whole_from == 150


def test_counts_of_more_than_ten_minutes_ago_are_gone() -> None:
    stream = Spikes(1, 1e-3, Budget(1 << 20))
    late = COARSE_COLUMNS * 50 + 25
    for tick in (10, 60, late):
        stream.add(np.array([tick], np.int64), np.zeros(1, np.uint32), tick + 1)
    assert stream.coarse_counts(Part(0, 1, 1, 50, 0, 2)).tolist() == [[0], [1]]
    assert stream.coarse_counts(Part(0, 1, 1, 50, late // 50, 1)).tolist() == [[1]]


def test_large_populations_share_rows_in_the_counts_that_are_kept_longest() -> None:
    stream = Spikes(100_000, 1e-3, Budget(1 << 20))
    neuron = np.array([0, 50_000, 99_999], np.uint32)
    stream.add(np.zeros(3, np.int64), neuron, 50)
    whole = stream.coarse_counts(Part(0, 100_000, 256, 50, 0, 1))[0]
    assert np.flatnonzero(whole).tolist() == [0, 128, 255]
    assert stream.coarse_counts(Part(50_000, 100_000, 2, 50, 0, 1)).tolist() == [[1, 1]]


def test_columns_of_samples_have_the_least_the_greatest_and_the_last() -> None:
    samples = Samples([0, 3])
    tick, channel = np.array([0, 1, 1, 2, 15], np.int64), np.array([0, 0, 3, 0, 0], np.uint32)
    samples.add(tick, channel, np.array([5, 1, 7, 2, 9], np.float32), 20)
    found = samples.columns(10, 0, 2)
    assert found[0].tolist() == [[1, 9], [5, 9], [2, 9]]
    assert np.isnan(found[1, :, 1]).all()
    assert found[1, :, 0].tolist() == [7, 7, 7]


def test_samples_are_bounded() -> None:
    samples = Samples([0], most=100)
    for tick in range(1000):
        samples.add(np.array([tick], np.int64), np.zeros(1, np.uint32), np.ones(1), tick + 1)
    assert samples.kept <= 100


def test_what_a_view_shows_as_it_begins_is_counted_once_for_all_who_ask() -> None:
    stream = Spikes(230, 1e-3, Budget(1 << 20))
    stream.add(np.arange(1000), np.zeros(1000, np.uint32), 1000)
    part = Part(0, 230, 230, 1, 0, 900)
    assert stream.counts(part) is stream.counts(Part(0, 230, 230, 1, 0, 900))
    assert stream.counts(Part(0, 230, 230, 1, 200, 900)) is not stream.counts(Part(0, 230, 230, 1, 200, 900))  # goes on
