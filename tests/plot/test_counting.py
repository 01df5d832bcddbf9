"""Counting for pictures: in one pass, whatever the parts, nothing is lost and everything is in its place."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from spikeflow.plot.counting import Counts, Lines

MS = 1_000_000
EVENTS = st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 3000)), max_size=60)
PARTS = st.integers(1, 20)


@given(EVENTS, PARTS, st.sampled_from([4, 64]), st.sampled_from([8, 256]), st.integers(-3000, 0))
def test_every_spike_is_in_its_column_and_row(
    events: list[tuple[int, int]], parts: int, columns: int, rows: int, shift: int
) -> None:
    events.sort()
    t_ns = (np.array([t for t, _ in events], np.int64) + shift) * MS
    neuron = np.array([n for _, n in events], np.uint32)
    counts = Counts(0, MS, rows=rows, columns=columns)
    for t, n in zip(np.array_split(t_ns, parts), np.array_split(neuron, parts), strict=True):
        counts.add(t, n)
    table = counts.table(None, None)
    want = np.zeros_like(table)
    for t, n in zip(t_ns.tolist(), neuron.tolist(), strict=True):
        want[(t - counts.start_ns) // counts.column_ns, n // counts.row] += 1
    assert (counts.total, table.tolist()) == (len(events), want.tolist())
    assert table.shape[0] <= columns
    assert table.shape[1] <= rows


def test_a_table_goes_on_to_the_end_and_to_the_last_neuron() -> None:
    counts = Counts(0, MS)
    counts.add(np.array([3 * MS]), np.array([1], np.uint32))
    assert counts.table(10 * MS, 5).shape == (10, 5)
    assert counts.table(None, None).tolist() == [[0, 0], [0, 0], [0, 0], [0, 1]]


def _lines(most: int, t_ns: npt.NDArray[np.int64], value: npt.NDArray[np.float64], channels: int = 1) -> Lines:
    lines = Lines(0, most, None, 8)
    channel = np.arange(t_ns.size).astype(np.uint32) % channels
    for k in range(0, t_ns.size, 700):
        lines.add(t_ns[k : k + 700], channel[k : k + 700], value[k : k + 700])
    return lines


def test_few_samples_are_kept_as_they_are() -> None:
    t_ns, value = np.arange(1000) * MS, np.sin(np.arange(1000))
    lines = _lines(2000, t_ns, value, channels=2)
    assert lines.is_whole
    found = lines.line(1)
    assert (found[0].tolist(), found[1].tolist()) == (t_ns[1::2].tolist(), value[1::2].tolist())


def test_of_many_samples_the_least_and_the_greatest_of_each_column_stay() -> None:
    t_ns, value = np.arange(100_000) * MS, np.sin(np.arange(100_000) / 500)
    value[70_007] = 9.0
    lines = _lines(2000, t_ns, value)
    found = lines.line(0)
    assert not lines.is_whole
    assert found[0].size <= 4096
    assert (found[1].max(), found[1].min()) == (9.0, value.min())
    assert abs(int(found[0][np.argmax(found[1])]) - 70_007 * MS) < 64 * MS


def test_what_is_no_number_is_a_gap_in_few_and_in_many() -> None:
    t_ns, value = np.arange(100_000) * MS, np.ones(100_000)
    value[40_000:60_000] = np.nan
    for most in (200_000, 2000):
        at, found = _lines(most, t_ns, value).line(0)
        inside = (at > 40_100 * MS) & (at < 59_900 * MS)
        assert np.isnan(found[inside]).all()
        assert (found[at < 39_900 * MS] == 1.0).all()


def test_the_first_channels_that_there_are_are_chosen_unless_some_are_named() -> None:
    lines = Lines(0, 100, None, 2)
    for channels in ([7], [3, 5, 7]):
        lines.add(np.zeros(len(channels), np.int64), np.array(channels, np.uint32), np.ones(len(channels)))
    assert (lines.chosen, sorted(lines.seen)) == ([3, 7], [3, 5, 7])
    assert Lines(0, 100, [9, 2], 2).chosen == [2, 9]
