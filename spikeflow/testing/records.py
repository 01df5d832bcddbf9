"""Events for tests: from arrays, at random, odd ones; and what two batches of them differ in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spikeflow.errors import EventError
from spikeflow.events import Grid, Stream, Window, build, columns, empty, raw_columns, verify

GRID = Grid(0, 1_000_000, 10)
"""Ticks of 1 ms in windows of 10, from 1970 on."""

Array: TypeAlias = npt.NDArray[Any]
Given: TypeAlias = pa.RecordBatch | Sequence[pa.RecordBatch] | Array | tuple[Stream, pa.RecordBatch]
"""What may arrive at a node: record batches, alone or with their stream, or an array [ticks, size].

In an array booleans are spikes, and numbers are samples; where there is NaN, there is no sample.
"""

_ENDLESS = 2**62


def taken(given: Given, name: str, grid: Grid) -> tuple[Stream, pa.RecordBatch, int]:
    """What arrives: its stream under a name, its events as one record batch, and the tick at which it ends.

    Raises:
        EventError: events that no stream may carry.
    """
    end_tick = 0
    if isinstance(given, np.ndarray):
        stream, record = _from_array(given, grid)
        end_tick = len(given)
    elif isinstance(given, tuple):
        stream, record = given
    else:
        record = given if isinstance(given, pa.RecordBatch) else joined(given)
        stream = _stream_of(record)
    named = replace(stream, name=name, _schemas={})
    record = pa.RecordBatch.from_arrays(record.columns, schema=record.schema.remove_metadata())
    verify(record, named, Window(0, 0, grid.origin_ns, _ENDLESS))
    if record.num_rows:
        end_tick = max(end_tick, grid.tick(int(raw_columns(record)[0][-1])) + 1)
    return named, record, end_tick


def _from_array(array: Array, grid: Grid) -> tuple[Stream, pa.RecordBatch]:
    if array.ndim != 2:
        raise EventError(f"an array of shape {list(array.shape)}; it takes [ticks, size]")
    spikes = array.dtype == np.bool_
    tick, index = np.nonzero(array if spikes else ~np.isnan(array))
    stream = Stream("", "spikes" if spikes else "samples", array.shape[1], double=array.dtype == np.float64)
    value = None if spikes else array[tick, index]
    return stream, build(stream.plain, grid.origin_ns + tick * grid.dt_ns, index.astype(np.uint32), value)


def _stream_of(record: pa.RecordBatch) -> Stream:
    """The stream that some events could be of, just large enough for them."""
    index = raw_columns(record)[1]
    size = int(index.max()) + 1 if len(index) else 1
    names = record.schema.names
    if "channel" in names:
        return Stream("", "samples", size, double=record.schema.field("value").type == pa.float64())
    return Stream("", "spikes", size, valued="value" in names)


def joined(batches: Sequence[pa.RecordBatch], plain: pa.Schema | None = None) -> pa.RecordBatch:
    """Record batches that follow each other, as one, in memory of its own; `plain` is the schema where there are none.

    Raises:
        EventError: there are none, and no schema.
    """
    if not batches:
        if plain is None:
            raise EventError("no record batch; give at least an empty one")
        return empty(plain)
    t_ns, index, value = (np.concatenate(one) for one in zip(*(columns(batch) for batch in batches), strict=True))
    return build(batches[0].schema.remove_metadata(), t_ns, index, value)


def random_events(
    stream: Stream, grid: Grid, ticks: int, count: int, seed: int = 0, values: tuple[float, float] = (-1.0, 1.0)
) -> pa.RecordBatch:
    """`count` events at random instants of the first `ticks` ticks, some of them at one instant or in one tick.

    Most ticks have none. Spikes come at the start of their tick, samples anywhere in it.
    """
    draw = np.random.default_rng(seed)
    busy = np.flatnonzero(draw.random(ticks) < 0.4)
    tick = draw.choice(busy if len(busy) else np.arange(ticks), count)
    within = draw.choice([0, grid.dt_ns // 3, grid.dt_ns - 1], count) if stream.kind == "samples" else 0
    index = draw.integers(0, stream.size, count)
    return _sorted(stream, grid.origin_ns + tick * grid.dt_ns + within, index, draw.uniform(*values, count))


def odd_events(stream: Stream, grid: Grid, ticks: int) -> pa.RecordBatch:
    """Events that few think of: not finite, huge, tiny, the same twice, many at one instant, at the edges."""
    values = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, 0.0, -0.0, 1.0, -1.0, 1.0, 1.0])
    tick = np.array([0, ticks // 3, ticks // 3, ticks // 2, ticks - 1])
    late = grid.dt_ns - 1 if stream.kind == "samples" else 0
    t_ns = np.repeat(grid.origin_ns + tick * grid.dt_ns + np.array([0, 0, late, late, late]), 3 * len(values))
    index = np.tile(np.repeat([0, stream.size // 2, stream.size - 1], len(values)), len(tick))
    return _sorted(stream, t_ns, index, np.tile(values, 3 * len(tick)))


def _sorted(stream: Stream, t_ns: Array, index: Array, value: Array) -> pa.RecordBatch:
    order = np.lexsort((index, t_ns))
    with np.errstate(over="ignore"):
        return build(stream.plain, t_ns[order].astype(np.int64), index[order].astype(np.uint32), value[order])


def difference(expected: pa.RecordBatch, found: pa.RecordBatch, grid: Grid = GRID) -> str | None:
    """The first event that is not the same, bit for bit; None where all are."""
    left: tuple[Array, ...] = columns(expected)
    right: tuple[Array, ...] = columns(found)
    if left[2].dtype != right[2].dtype:
        return f"values are {right[2].dtype} instead of {left[2].dtype}"
    count = min(len(left[0]), len(right[0]))
    same = np.ones(count, np.bool_)
    for one, other in zip(left, right, strict=True):
        bits = f"V{one.itemsize}"  # NaN is the same as NaN, and 0 is not -0
        same &= one[:count].view(bits) == other[:count].view(bits)
    if not same.all():
        row = int(np.argmin(same))
        return f"event {row} is {_event(found, row, grid)} instead of {_event(expected, row, grid)}"
    if len(right[0]) > count:
        return f"event {count} is one too many: {_event(found, count, grid)}"
    if len(left[0]) > count:
        return f"event {count} is missing: {_event(expected, count, grid)}"
    return None


def _event(record: pa.RecordBatch, row: int, grid: Grid) -> str:
    t_ns, index, value = raw_columns(record)
    tick, rest = divmod(int(t_ns[row]) - grid.origin_ns, grid.dt_ns)
    at = f"tick {tick} + {rest} ns" if rest else f"tick {tick}"
    shown = "" if value is None else f", value {value[row]!s}"
    return f"({at}, {record.schema.names[1]} {index[row]}{shown})"
