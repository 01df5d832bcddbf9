"""Rasters: every spike is counted once, in its column and row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeflow.events import Batch, Grid, Stream, Window
from spikeflow.monitor.frames import row_sizes
from spikeflow.monitor.raster import KEPT, Curve, Raster

GRID = Grid(origin_ns=1_700_000_000_000_000_000, dt_ns=1_000_000, window_ticks=10)


def batch(number: int, ticks: list[int], neurons: list[int], size: int = 512) -> Batch:
    window = Window.at(GRID, number * 10, 10)
    times = np.array([GRID.time(tick) for tick in ticks], np.int64)
    schema = Stream("hidden", "spikes", size).schema(GRID)
    return Batch(window, schema, times, np.array(neurons, np.uint32), None)


def test_a_column_is_given_once_it_is_complete() -> None:
    raster = Raster(4, column_ticks=20)
    raster.watch(batch(0, [0, 9], [1, 3]))
    assert raster.take()[1].shape == (0, 4)
    raster.watch(batch(1, [19], [3]))
    first, counts = raster.take()
    assert (first, counts.tolist()) == (0, [[0, 1, 0, 2]])
    assert raster.take()[1].shape == (0, 4)


def test_silence_gives_empty_columns() -> None:
    raster = Raster(4, column_ticks=10)
    for number in range(3):
        raster.watch(batch(number, [], []))
    assert raster.take()[1].tolist() == [[0] * 4] * 3


def test_large_populations_share_rows() -> None:
    raster = Raster(512, column_ticks=10, most_rows=128)
    raster.watch(batch(0, [0, 0, 1], [0, 3, 511]))
    counts = raster.take()[1]
    assert counts.shape == (1, 128)
    assert (counts[0, 0], counts[0, 127]) == (2, 1)


def test_what_nobody_takes_is_given_up_oldest_first() -> None:
    raster = Raster(4, column_ticks=10)
    for number in range(2 * KEPT):
        raster.watch(batch(number, [number * 10], [number % 4]))
    first, counts = raster.take()
    assert (first, counts.shape, int(counts.sum())) == (KEPT, (KEPT, 4), KEPT)


@given(
    spikes=st.lists(st.tuples(st.integers(0, 199), st.integers(0, 299)), max_size=60),
    column_ticks=st.integers(1, 50),
    looks=st.sets(st.integers(0, 19)),
)
def test_every_spike_is_counted_once_however_often_one_looks(
    spikes: list[tuple[int, int]], column_ticks: int, looks: set[int]
) -> None:
    raster = Raster(300, column_ticks)
    taken: dict[int, list[int]] = {}
    for number in range(20):
        here = sorted((tick, neuron) for tick, neuron in spikes if tick // 10 == number)
        raster.watch(batch(number, [tick for tick, _ in here], [neuron for _, neuron in here]))
        if number in looks or number == 19:
            first, counts = raster.take()
            taken |= {first + k: column for k, column in enumerate(counts.tolist())}
    wanted = np.zeros((200 // column_ticks, 256), int)
    for tick, neuron in spikes:
        if tick // column_ticks < len(wanted):
            wanted[tick // column_ticks, neuron * 256 // 300] += 1
    assert [taken[column] for column in range(len(wanted))] == wanted.tolist()


@pytest.mark.parametrize(("size", "rows"), [(1, 1), (5, 5), (300, 256), (100_000, 256)])
def test_rows_hold_every_neuron(size: int, rows: int) -> None:
    sizes = row_sizes(size, rows)
    assert (len(sizes), int(sizes.sum()), int(sizes.min()) > 0) == (rows, size, True)


def samples(number: int, ticks: list[int], values: list[float]) -> Batch:
    window = Window.at(GRID, number * 10, 10)
    times = np.array([GRID.time(tick) for tick in ticks], np.int64)
    schema = Stream("rate", "samples", 4).schema(GRID)
    return Batch(window, schema, times, np.zeros(len(ticks), np.uint32), np.array(values, np.float32))


def test_a_curve_is_the_mean_of_each_column() -> None:
    curve = Curve(column_ticks=5)
    curve.watch(samples(0, [0, 4, 5], [1.0, 3.0, 7.0]))
    curve.watch(samples(1, [], []))
    assert curve.take(0, 4) == [2.0, 7.0, None, None]


def test_a_sample_that_comes_late_counts_for_the_next_column() -> None:
    curve = Curve(column_ticks=10)
    assert curve.take(0, 2) == [None, None]
    curve.watch(samples(1, [12], [5.0]))
    assert curve.take(2, 1) == [5.0]
    assert curve.take(3, 0) == []
