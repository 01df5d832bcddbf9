"""Events: the schemas of spikes and samples, the grid of ticks and windows, and batches of one window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spikeflow.errors import EventError

Kind: TypeAlias = Literal["spikes", "samples"]
Times: TypeAlias = npt.NDArray[np.int64]
Indices: TypeAlias = npt.NDArray[np.uint32]
Values: TypeAlias = npt.NDArray[np.floating[Any]]

TIME = pa.timestamp("ns", tz="UTC")
_UINT32 = pa.uint32()
SPIKES = pa.schema([("t", TIME), ("neuron", pa.uint32())])
GRADED_SPIKES = SPIKES.append(pa.field("value", pa.float32()))
SAMPLES = pa.schema([("t", TIME), ("channel", pa.uint32()), ("value", pa.float32())])
SAMPLES64 = pa.schema([("t", TIME), ("channel", pa.uint32()), ("value", pa.float64())])
REJECTS = pa.schema(
    [("t", TIME), ("node", pa.string()), ("reason", pa.string()), ("topic", pa.string()), ("payload", pa.binary())]
)
"""What a source could not read: when it came, to which source, why not, where it was published, and its bytes."""

_ONES = np.ones(4096, np.float32)
_ONES.flags.writeable = False
_INT64, _INDEX = np.dtype(np.int64), np.dtype(np.uint32)

_NO_TIMES = np.empty(0, np.int64)
_NO_INDICES = np.empty(0, np.uint32)
_NO_VALUES = np.empty(0, np.float32)
_NO_VALUES64 = np.empty(0, np.float64)


@dataclass(frozen=True, slots=True)
class Grid:
    """The ticks and windows of a run.

    Attributes:
        origin_ns: where tick 0 starts (ns since 1970, UTC).
        dt_ns: one tick (ns).
        window_ticks: ticks in a window.
    """

    origin_ns: int
    dt_ns: int
    window_ticks: int

    @property
    def window_ns(self) -> int:
        """One window (ns)."""
        return self.dt_ns * self.window_ticks

    @property
    def dt(self) -> float:
        """One tick (s)."""
        return self.dt_ns / 1e9

    def tick(self, t_ns: int) -> int:
        """The tick that an instant (ns) falls into."""
        return (t_ns - self.origin_ns) // self.dt_ns

    def time(self, tick: int) -> int:
        """The instant (ns) at which a tick starts."""
        return self.origin_ns + tick * self.dt_ns

    def ticks(self, t_ns: Times) -> Times:
        """[n] ticks of [n] instants (ns)."""
        return (t_ns - self.origin_ns) // self.dt_ns


_window = tuple.__new__  # half the time of a named tuple's own, which parses arguments


class Window(NamedTuple):
    """Consecutive ticks that travel together.

    Attributes:
        first_tick: its first tick, counted from the origin.
        ticks: how many it holds; fewer than usual only in the last window of a stream.
        start_ns: the instant at which it starts (ns).
        end_ns: the instant at which the next one starts (ns).
        last: True where the stream ends with it.
    """

    first_tick: int
    ticks: int
    start_ns: int
    end_ns: int
    last: bool = False

    @staticmethod
    def at(grid: Grid, first_tick: int, ticks: int, last: bool = False) -> Window:
        """The window of `ticks` ticks from `first_tick` on."""
        dt_ns = grid.dt_ns
        start_ns = grid.origin_ns + first_tick * dt_ns
        return _window(Window, (first_tick, ticks, start_ns, start_ns + ticks * dt_ns, last))


@dataclass(frozen=True, slots=True)
class Stream:
    """What flows on an edge.

    Attributes:
        name: ``node`` or ``node.port``.
        kind: spikes or samples.
        size: how many neurons or channels there can be.
        valued: spikes that are signed, counted or graded carry a value.
        shape: the shape of the neurons where they have one; its product is `size`.
        double: samples in float64.
        copies: of how many equal copies the neurons are, one behind the other; the shape then begins with it.
        key: what the copies are told apart by, such as `machine`, where they have names; streams with the same key
            have the same names in the same order.
        synapses: whether they are samples of synapses, in the shape [post, pre].
        made_by: the encoder of these spikes where it knows the way back from them; only inside its own graph.
    """

    name: str
    kind: Kind
    size: int
    valued: bool = False
    shape: tuple[int, ...] = ()
    double: bool = False
    copies: int = 1
    key: str = ""
    synapses: bool = False
    made_by: Any = field(default=None, compare=False, repr=False)
    _schemas: dict[Grid, pa.Schema] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def one(self) -> Stream:
        """The stream of one copy."""
        if self.copies == 1 and not self.key:
            return self
        if self.copies == 1:
            return replace(self, key="")
        return replace(self, size=self.size // self.copies, shape=self.shape[1:], copies=1, key="")

    def times(self, copies: int, key: str = "") -> Stream:
        """The stream of as many copies of this one, told apart by a key."""
        if copies == 1:
            return self if not key else replace(self, key=key)
        shape = (copies, *(self.shape or (self.size,)))
        return replace(self, size=self.size * copies, shape=shape, copies=copies, key=key)

    @property
    def plain(self) -> pa.Schema:
        """The schema without metadata."""
        if self.kind == "samples":
            return SAMPLES64 if self.double else SAMPLES
        return GRADED_SPIKES if self.valued else SPIKES

    def schema(self, grid: Grid) -> pa.Schema:
        """The schema, with the stream's name, size, shape, dt and origin as metadata."""
        known = self._schemas.get(grid)
        if known is None:
            metadata = {"stream": self.name, "size": str(self.size), "dt": f"{grid.dt_ns} ns"}
            metadata["origin"] = str(grid.origin_ns)
            if self.shape:
                metadata["shape"] = ",".join(map(str, self.shape))
            if self.copies > 1:
                metadata["copies"] = str(self.copies)
            if self.synapses:
                metadata["of"] = "synapses"
            if self.key:
                metadata["key"] = self.key
            known = self._schemas[grid] = self.plain.with_metadata(metadata)
        return known


_empty: dict[int, tuple[pa.Schema, pa.RecordBatch]] = {}


def empty(schema: pa.Schema) -> pa.RecordBatch:
    """A record batch without rows."""
    found = _empty.get(id(schema))  # a schema's own hash costs as much as a window
    if found is None:
        made = pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)
        found = _empty[id(schema)] = schema, made  # keeps the schema, so that no other one gets its id
    return found[1]


def build(schema: pa.Schema, t_ns: Times, index: Indices, value: Values | None = None) -> pa.RecordBatch:
    """A record batch over the arrays, without a copy where their types already fit."""
    count = len(t_ns)
    if count == 0:
        return empty(schema)
    if len(index) != count:
        raise EventError(_UNEQUAL)
    if t_ns.dtype is not _INT64 or not t_ns.flags.c_contiguous:
        t_ns = np.ascontiguousarray(t_ns, np.int64)
    if index.dtype is not _INDEX or not index.flags.c_contiguous:
        index = _as_index(index)
    # as `_array`, without its calls; that no field is empty is said, else Arrow looks
    arrays = [_from(TIME, count, [None, _buffer(t_ns)], 0), _from(_UINT32, count, [None, _buffer(index)], 0)]
    if len(schema) == 3:
        if value is None:
            value = np.ones(count, np.float32)
        kind = schema.field(2).type
        arrays.append(_array(kind, np.ascontiguousarray(value, np.float64 if kind == pa.float64() else np.float32)))
    if value is not None and len(value) != count:
        raise EventError(_UNEQUAL)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _as_index(index: npt.ArrayLike) -> Indices:
    found = np.asarray(index)
    if found.dtype == np.uint32:
        return np.ascontiguousarray(found)
    if found.dtype.kind not in "iu" or (found.dtype.kind == "i" and found.size and int(found.min()) < 0):
        raise EventError(f"indices of type {found.dtype}; neurons and channels are whole numbers from 0 on")
    return np.ascontiguousarray(found, np.uint32)


def _array(kind: pa.DataType, data: npt.NDArray[Any]) -> pa.Array:
    return _from(kind, len(data), [None, _buffer(data)], 0)


_from, _buffer = pa.Array.from_buffers, pa.py_buffer
_UNEQUAL = "columns of unequal length; give every event a time, an index and, where it has one, a value"


def spike_batch(t_ns: npt.ArrayLike, neuron: npt.ArrayLike, value: npt.ArrayLike | None = None) -> pa.RecordBatch:
    """Spikes as a record batch.

    Args:
        t_ns: [n] instants (ns since 1970, UTC), ascending.
        neuron: [n] neuron indices; ascending among equal times.
        value: [n] signs, counts or grades; none for plain spikes.
    """
    schema = SPIKES if value is None else GRADED_SPIKES
    return build(schema, _times(t_ns), np.asarray(neuron), None if value is None else np.asarray(value))


def sample_batch(t_ns: npt.ArrayLike, channel: npt.ArrayLike, value: npt.ArrayLike) -> pa.RecordBatch:
    """Samples as a record batch; float64 values stay so.

    Args:
        t_ns: [n] instants (ns since 1970, UTC), ascending.
        channel: [n] channel indices; ascending among equal times.
        value: [n] measured values.
    """
    values = np.asarray(value)
    return build(SAMPLES64 if values.dtype == np.float64 else SAMPLES, _times(t_ns), np.asarray(channel), values)


def _times(t_ns: npt.ArrayLike) -> Times:
    found = np.asarray(t_ns)
    if found.dtype.kind == "M":
        return found.astype("datetime64[ns]").astype(np.int64)
    if found.dtype.kind not in "iu" and found.size:
        raise EventError(f"times of type {found.dtype}; give whole nanoseconds since 1970")
    return np.ascontiguousarray(found, np.int64)


def columns(batch: pa.RecordBatch) -> tuple[Times, Indices, Values]:
    """The columns of a batch as NumPy arrays that share its memory.

    Returns:
        [n] times (ns), [n] neuron or channel indices, [n] values; plain spikes have the value 1.
    """
    t_ns, index, value = raw_columns(batch)
    if value is None:
        value = _ONES[: len(t_ns)] if len(t_ns) <= len(_ONES) else np.ones(len(t_ns), np.float32)
    return t_ns, index, value


def raw_columns(batch: pa.RecordBatch) -> tuple[Times, Indices, Values | None]:
    """As `columns`, with None in place of values where the spikes carry none.

    Raises:
        EventError: an event with an empty field.
    """
    if batch.num_rows == 0:
        if batch.num_columns == 2:
            return _NO_TIMES, _NO_INDICES, None
        return _NO_TIMES, _NO_INDICES, _NO_VALUES64 if batch.schema.field(2).type == pa.float64() else _NO_VALUES
    try:  # these are views; an array that cannot be one has empty fields
        t_ns = batch.column(0).to_numpy().view(_INT64)
        value = batch.column(2).to_numpy() if batch.num_columns == 3 else None
        return t_ns, batch.column(1).to_numpy(), value
    except pa.ArrowInvalid:
        raise EventError("an event with an empty field; each needs a value") from None


_bare = object.__new__
_known: dict[int, tuple[pa.Schema, pa.KeyValueMetadata]] = {}


def _key_values(schema: pa.Schema) -> pa.KeyValueMetadata:
    """The metadata of a schema, made once: making them costs five times as much as putting them on a batch."""
    found = _known.get(id(schema))
    if found is None:
        found = _known[id(schema)] = schema, pa.KeyValueMetadata(schema.metadata or {})  # keeps the schema, so its id
    return found[1]


class Away(Protocol):
    """The columns of events that are not in the host's memory, until somebody looks."""

    def __len__(self) -> int: ...

    def fetch(self) -> tuple[Times, Indices, Values | None]:
        """The columns as arrays, copied once."""
        ...


class Batch:
    """The events of one stream in one window: arrays, a record batch, or both, each made on the first look.

    The arrays may lie elsewhere, such as on a GPU, and come here on the first look.
    """

    __slots__ = ("_arrays", "_record", "_schema", "_seen", "count", "window")

    def __init__(self, window: Window, schema: pa.Schema, t_ns: Times, index: Indices, value: Values | None) -> None:
        self.window = window
        self.count = len(t_ns)
        self._schema = schema
        self._arrays: tuple[Times, Indices, Values | None] | Away | None = (t_ns, index, value)
        self._record: pa.RecordBatch | None = None
        self._seen = True

    @staticmethod
    def of(window: Window, schema: pa.Schema, record: pa.RecordBatch) -> Batch:
        """A batch over a record batch, whose metadata become those of `schema` on the first look."""
        batch = _bare(Batch)
        batch.window = window
        batch.count = record.num_rows
        batch._schema = schema
        batch._arrays = None
        batch._record = record
        batch._seen = False
        return batch

    def named(self, schema: pa.Schema) -> Batch:
        """The same events as those of the stream with this schema."""
        if self._schema is schema:
            return self
        batch = _bare(Batch)
        batch.window, batch.count, batch._schema = self.window, self.count, schema
        batch._arrays, batch._record, batch._seen = self._arrays, self._record, False
        return batch

    @staticmethod
    def none(window: Window, schema: pa.Schema) -> Batch:
        """A batch without events."""
        batch = _bare(Batch)
        batch.window = window
        batch.count = 0
        batch._schema = schema
        batch._arrays = None
        batch._record = empty(schema)
        batch._seen = True
        return batch

    @staticmethod
    def away(window: Window, schema: pa.Schema, columns: Away) -> Batch:
        """A batch whose columns are not here; they stay where they are until somebody looks."""
        batch = _bare(Batch)
        batch.window, batch.count, batch._schema = window, len(columns), schema
        batch._arrays, batch._record, batch._seen = columns, None, True
        return batch

    @property
    def record(self) -> pa.RecordBatch:
        """The events as a record batch."""
        record = self._record
        if record is None:
            record = self._record = build(self._schema, *self.arrays)
        elif not self._seen:
            self._seen = True
            record = self._record = record.replace_schema_metadata(_key_values(self._schema))
        return record

    def record_as(self, schema: pa.Schema) -> pa.RecordBatch:
        """The events as a record batch of the stream with this schema."""
        if self._schema is schema:
            return self.record
        if self._record is None:
            return self.named(schema).record
        found = _known.get(id(schema))  # as `_key_values`, without its call
        return self._record.replace_schema_metadata(_key_values(schema) if found is None else found[1])

    @property
    def bare(self) -> pa.RecordBatch:
        """The events as a record batch whose metadata may be those of the node that built it."""
        return self._record if self._record is not None else self.record

    @property
    def arrays(self) -> tuple[Times, Indices, Values | None]:
        """[n] times (ns), [n] indices, [n] values or None."""
        arrays = self._arrays
        if arrays is None:
            assert self._record is not None
            arrays = self._arrays = raw_columns(self._record)
        return arrays if type(arrays) is tuple else arrays.fetch()  # type: ignore[union-attr]

    @property
    def columns(self) -> tuple[Times, Indices, Values | None] | Away:
        """As `arrays`, but left where they are, for one who may be there too."""
        arrays = self._arrays
        return self.arrays if arrays is None else arrays

    def handed(self, plain: pa.Schema) -> tuple[Times, Indices, Values | None] | Away | pa.RecordBatch:
        """As `columns`, or the record batch where no array has been made yet, for one who can read it itself.

        Its types are those of `plain`: memory does not say what it holds, and a node that is trusted may err.
        """
        record = self._record
        return record if self._arrays is None and record is not None and record.schema.equals(plain) else self.columns

    def cut(self, window: Window) -> Batch:
        """The part of the batch that falls into `window`."""
        if self.count == 0:
            return Batch.none(window, self._schema)
        t_ns, index, value = self.arrays
        low, high = np.searchsorted(t_ns, (window.start_ns, window.end_ns))
        return Batch(window, self._schema, t_ns[low:high], index[low:high], None if value is None else value[low:high])

    def __repr__(self) -> str:
        return f"Batch(ticks {self.window.first_tick}+{self.window.ticks}, {self.count} events)"


def merge(window: Window, schema: pa.Schema, parts: Sequence[Batch]) -> Batch:
    """The parts, in time order, as one batch of `window`."""
    filled = [part.arrays for part in parts if part.count]
    if not filled:
        return Batch.none(window, schema)
    if len(filled) == 1:
        return Batch(window, schema, *filled[0])
    values = None if filled[0][2] is None else np.concatenate([part[2] for part in filled if part[2] is not None])
    return Batch(window, schema, np.concatenate([p[0] for p in filled]), np.concatenate([p[1] for p in filled]), values)


def split(
    record: pa.RecordBatch, grid: Grid, first_tick: int, end_tick: int
) -> Iterator[tuple[Window, pa.RecordBatch]]:
    """The windows of `record` from `first_tick` to before `end_tick`, each with its events."""
    t_ns = raw_columns(record)[0]
    tick = first_tick
    while tick < end_tick:
        ticks = min(grid.window_ticks - tick % grid.window_ticks, end_tick - tick)
        window = Window.at(grid, tick, ticks, last=tick + ticks >= end_tick)
        low, high = np.searchsorted(t_ns, (window.start_ns, window.end_ns))
        yield window, record.slice(int(low), int(high - low))
        tick += ticks


def verify(record: pa.RecordBatch, stream: Stream, window: Window) -> None:
    """Hold events to the rules of their stream.

    Raises:
        EventError: wrong columns, times out of order or outside of the window, an index past the size.
    """
    if not record.schema.equals(stream.plain):
        found = ", ".join(f"{f.name}: {f.type}" for f in record.schema)
        wanted = ", ".join(f"{f.name}: {f.type}" for f in stream.plain)
        raise EventError(f"stream {stream.name!r} got the columns ({found}); it takes ({wanted})")
    if record.num_rows == 0:
        return
    if any(column.null_count for column in record.columns):
        raise EventError(f"stream {stream.name!r} got an event with an empty field; each needs a value")
    t_ns, index, _ = raw_columns(record)
    if not ordered(t_ns, index):
        raise EventError(f"stream {stream.name!r} got events out of order; sort them by time, then by index")
    if int(t_ns[0]) < window.start_ns or int(t_ns[-1]) >= window.end_ns:
        outside = int(t_ns[0]) if int(t_ns[0]) < window.start_ns else int(t_ns[-1])
        raise EventError(
            f"stream {stream.name!r} got an event at {outside} ns, outside of its window "
            f"[{window.start_ns}, {window.end_ns}); a batch holds the events of its own window"
        )
    if int(index.max()) >= stream.size:
        raise EventError(f"stream {stream.name!r} has the size {stream.size} and got the index {int(index.max())}")


def ordered(t_ns: Times, index: Indices) -> bool:
    """Whether events are sorted by time, then by index."""
    if len(t_ns) < 2:
        return True
    step = np.diff(t_ns)
    return bool((step >= 0).all()) and not bool(((step == 0) & (index[1:] < index[:-1])).any())


def sort(t_ns: Times, index: Indices, value: Values | None) -> tuple[Times, Indices, Values | None]:
    """The events by time, then by index; equal ones keep their order."""
    if ordered(t_ns, index):
        return t_ns, index, value
    order = np.lexsort((index, t_ns))
    return t_ns[order], index[order], None if value is None else value[order]


def metadata(schema: pa.Schema) -> Mapping[str, str]:
    """The metadata of a schema as text."""
    return {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
