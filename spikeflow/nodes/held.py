"""What encoders share: the value that a channel holds at each tick, and the sample before a sample."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from spikeflow.context import Counters
from spikeflow.events import Grid, Indices, Values, Window, build, columns, raw_columns

_CELLS = 1 << 18


def finite(samples: pa.RecordBatch, counters: Counters) -> pa.RecordBatch:
    """The samples that are numbers; those that are not finite are noted, and count as none."""
    t_ns, channel, value = raw_columns(samples)
    if value is None or (fits := np.isfinite(value)).all():
        return samples
    counters.note("not finite", int(len(fits) - np.count_nonzero(fits)))
    return build(samples.schema, t_ns[fits], channel[fits], value[fits])


def within(samples: pa.RecordBatch, most: float, counters: Counters) -> pa.RecordBatch:
    """The samples whose size is no more than `most`; the others are noted as out of range, and count as none."""
    t_ns, channel, value = raw_columns(samples)
    if value is None or float(np.finfo(value.dtype).max) <= most or (fits := np.abs(value) <= most).all():
        return samples
    counters.note("out of range", int(len(fits) - np.count_nonzero(fits)))
    return build(samples.schema, t_ns[fits], channel[fits], value[fits])


def held_values(samples: pa.RecordBatch, window: Window, grid: Grid, last: Values) -> Iterator[tuple[int, Values]]:
    """The value of every channel at every tick of a window, in parts of consecutive ticks.

    A sample holds from its own tick on, until the next one; of several in a tick the last one counts. The parts are
    small enough for the cache, whatever the window's length.

    Args:
        samples: [n] rows of the window, in time order.
        last: [size] what the channels held before the window, NaN before their first sample; updated in place.

    Yields:
        the first tick of a part, and [ticks, size] values of `last`'s type.
    """
    t_ns, channel, value = columns(samples)
    low, high = window.first_tick, window.first_tick + window.ticks
    if not len(t_ns):
        yield from ((tick, np.broadcast_to(last, (part, len(last)))) for tick, part in pieces(low, high, len(last)))
        return
    tick = grid.ticks(t_ns)
    fits = np.isfinite(value)
    for first, ticks in pieces(low, high, len(last)):
        use = slice(*np.searchsorted(tick, (first, first + ticks)).tolist())
        rows, where = tick[use][fits[use]] - first + 1, channel[use][fits[use]]
        found = np.empty((ticks + 1, len(last)), last.dtype)
        found[0] = last
        newest = np.zeros((ticks + 1, len(last)), np.int32)
        newest[rows, where] = rows
        found[rows, where] = value[use][fits[use]]  # of equal places the last one stays
        np.maximum.accumulate(newest, axis=0, out=newest)
        found = np.take_along_axis(found, newest, axis=0)
        last[:] = found[-1]
        yield first, found[1:]


def pieces(low: int, high: int, size: int) -> Iterator[tuple[int, int]]:
    """First tick and number of ticks of pieces of [low, high) with a bounded number of cells."""
    most = max(1, _CELLS // max(1, size))
    for first in range(low, high, most):
        yield first, min(most, high - first)


def previous_values(channel: Indices, value: Values, last: Values) -> Values:
    """For each sample the one before it on the same channel.

    Args:
        channel: [n] channels.
        value: [n] values, in time order.
        last: [size] the newest value of each channel, NaN before its first; updated in place.

    Returns:
        [n] values; NaN where there was none.
    """
    count = len(value)
    order = np.argsort(channel, kind="stable")
    grouped, sorted_channel = value[order], channel[order]
    before = np.empty(count, last.dtype)
    before[1:] = grouped[:-1]
    edge = np.ones(count + 1, np.bool_)  # whether a channel begins here
    np.not_equal(sorted_channel[1:], sorted_channel[:-1], out=edge[1:count])
    heads, tails = edge[:count], edge[1:]
    before[heads] = last[sorted_channel[heads]]
    last[sorted_channel[tails]] = grouped[tails]
    result = np.empty_like(before)
    result[order] = before
    return result
