"""Segments: the events of an outlet one behind the other in memory, so that the record batch of a window is a slice."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from spikeflow.events import Batch, Indices, Times, Values, Window, build

ROWS = 4096
"""Rows of a segment. A window that is kept keeps all of its segment: 48 kB; larger ones are slower to write than the
memory that has just become free."""
_ALIGNED = 16
"""Rows that a window is filled up to, with zeros: Arrow's writers fill a buffer up to 64 bytes with what follows it,
and that is to be nothing of another window, nor of anybody else's memory."""


class Segments:
    """Where the events of an outlet are kept, window after window.

    A record batch costs 5 µs where it is made of arrays, and 0.3 where it is a slice of one that is there. A segment is
    filled from its beginning on; what has been handed out is never written again. It lives as long as a slice of it.

    Args:
        schema: that of the outlet.
        rows: rows of a segment. A window of more than a quarter has arrays of its own: beside copying them, what a
            record batch costs is nothing.
    """

    __slots__ = ("_end", "_first", "_index", "_kind", "_rows", "_schema", "_t_ns", "_value", "_whole")

    def __init__(self, schema: pa.Schema, rows: int = ROWS) -> None:
        self._schema, self._rows = schema, -(-rows // _ALIGNED) * _ALIGNED
        self._kind = schema.field(2).type.to_pandas_dtype() if len(schema) == 3 else None
        self._first = self._end = 0

    def batch(self, window: Window, t_ns: Times, index: Indices, value: Values | None = None) -> Batch:
        """A batch of a window, into which the events are copied.

        Args:
            t_ns: [n] instants (ns), `index`: [n] neurons or channels, `value`: [n] values where the schema has them.
        """
        count = len(t_ns)
        if count > self._rows // 4:
            own = None if value is None else value.astype(self._kind)
            return Batch(window, self._schema, t_ns.copy(), index.copy(), own)
        if self._first + count > self._end:
            self._begin()
        first = self._first
        end = first + count
        self._first = -(-end // _ALIGNED) * _ALIGNED
        self._t_ns[first:end] = t_ns
        self._index[first:end] = index
        if self._value is not None:
            self._value[first:end] = value
        return _Slice(window, self._schema, self, first, count)

    def _begin(self) -> None:
        rows = self._rows
        self._t_ns, self._index = np.zeros(rows, np.int64), np.zeros(rows, np.uint32)
        self._value: Values | None = None if self._kind is None else np.zeros(rows, self._kind)
        self._whole = build(self._schema, self._t_ns, self._index, self._value)
        self._first, self._end = 0, rows


class _Slice(Batch):
    """The events of a window in a segment; a record batch and arrays are made on the first look."""

    __slots__ = ("_columns", "_first", "_whole")

    def __init__(self, window: Window, schema: pa.Schema, segments: Segments, first: int, count: int) -> None:
        self.window, self.count, self._schema = window, count, schema
        self._arrays = self._record = None
        self._seen = True
        self._first, self._whole = first, segments._whole
        self._columns = segments._t_ns, segments._index, segments._value

    @property
    def record(self) -> pa.RecordBatch:
        """The events as a record batch."""
        record = self._record
        if record is None:
            record = self._record = self._whole.slice(self._first, self.count)
        return record

    @property
    def arrays(self) -> tuple[Times, Indices, Values | None]:
        """[n] times (ns), [n] indices, [n] values or None."""
        arrays = self._arrays
        if arrays is None:
            first, end = self._first, self._first + self.count
            t_ns, index, value = self._columns
            arrays = self._arrays = t_ns[first:end], index[first:end], None if value is None else value[first:end]
        return arrays  # type: ignore[return-value]

    def named(self, schema: pa.Schema) -> Batch:
        """The same events as those of the stream with this schema."""
        return self if self._schema is schema else Batch.of(self.window, schema, self.record)
