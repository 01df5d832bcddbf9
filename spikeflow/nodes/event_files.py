"""Event files: what a file holds, read from its header, and its events, part by part."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from spikeflow.errors import EventError, ParameterError, instead, shown, why
from spikeflow.events import Indices, Kind, Stream, Times, Values, build, metadata

FORMATS = {".arrows": "arrows", ".arrow": "arrow", ".feather": "arrow", ".parquet": "parquet", ".csv": "csv"}
"""Ending to format: `arrows` is Arrow's IPC stream, `arrow` its IPC file."""

ROWS = 1 << 16
"""Rows of a part, at most."""

_SECOND_NS = 1_000_000_000
_MAGIC = b"ARROW1\0\0"
_WHOLE = re.compile(r"\s*[-+]?\d+\s*")
_ZONED = re.compile(r".*(Z|[-+]\d\d:?\d\d|[-+]\d\d)\s*")


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of a file before its events are read.

    Attributes:
        kind: spikes, where there is a column `neuron`, or samples, where there is a column `channel`.
        valued: whether there is a column `value`.
        double: whether the values are float64.
        relative: whether `t` is whole nanoseconds from the origin, rather than an instant.
        size, shape, copies, key, names, synapses, origin_ns, length_ns, dt_ns, stream: from the metadata, as far as
            they are there.
        first_ns: `t` of the first event (ns); None in an empty file.
        whole: False where the end of the file is missing, as after a crash; what is there can be read.
        types: types of the columns to read (CSV only).
    """

    kind: Kind
    valued: bool
    double: bool
    relative: bool
    size: int | None = None
    shape: tuple[int, ...] = ()
    origin_ns: int | None = None
    length_ns: int | None = None
    first_ns: int | None = None
    whole: bool = True
    types: tuple[tuple[str, pa.DataType], ...] = field(default=(), repr=False)
    copies: int = 1
    key: str = ""
    names: tuple[str, ...] = ()
    synapses: bool = False
    dt_ns: int | None = None
    stream: str = ""

    @property
    def index(self) -> str:
        """The name of the column with neurons or channels."""
        return "neuron" if self.kind == "spikes" else "channel"

    @property
    def start_ns(self) -> int:
        """The file's own origin: that of the metadata, else the first event floored to the second (ns)."""
        if self.origin_ns is not None:
            return self.origin_ns
        if self.relative or self.first_ns is None:
            return 0
        return self.first_ns // _SECOND_NS * _SECOND_NS


@dataclass(slots=True)
class Part:
    """Events of a file that follow each other, and what could not be used of its rows."""

    record: pa.RecordBatch
    rejected: dict[str, int] = field(default_factory=dict)


def read_header(path: Path) -> Header:
    """What a file holds.

    Raises:
        ParameterError: no such file, an unknown ending, or no events in it.
    """
    if path.suffix not in FORMATS:
        found = f"{path.name!r} has no ending that says what it is"
        raise ParameterError(found, f"endings: {', '.join(FORMATS)}")
    try:
        state = path.stat()
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            hint = instead(path, FORMATS)
            raise ParameterError(f"there is no file {shown(path)}", hint) from None
        raise ParameterError(f"{shown(path)} cannot be read: {why(error)}", "check its permissions") from None
    return _read_header(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _read_header(path: Path, changed_ns: int, size: int) -> Header:
    try:
        if FORMATS[path.suffix] == "csv":
            return _csv_header(path)
        return _arrow_header(path)
    except (pa.ArrowException, OSError, csv.Error, UnicodeDecodeError) as error:
        hint = f"is it really {path.suffix}?"
        if path.suffix == ".csv":
            hint = "a row is like 2024-05-01T12:00:00.25Z,3,0.5, or with t in whole nanoseconds from the origin"
        raise ParameterError(f"{shown(path)} cannot be read: {why(error)}", hint) from None


def _arrow_header(path: Path) -> Header:
    schema, extra, whole = _schema(path)
    known = {**metadata(schema), **extra}
    kind, valued = _columns(path, schema.names)
    types = {f.name: f.type for f in schema}
    index = "neuron" if kind == "spikes" else "channel"
    t, at, value = types["t"], types[index], types.get("value", pa.float32())
    if not (pa.types.is_timestamp(t) or pa.types.is_integer(t)):
        raise ParameterError(
            f"{shown(path)}: column 't' is of type {t}", "timestamps, or whole nanoseconds from the origin"
        )
    if not pa.types.is_integer(at):
        raise ParameterError(f"{shown(path)}: column {index!r} is of type {at}", "whole numbers from 0 on")
    if not (pa.types.is_floating(value) or pa.types.is_integer(value)):
        raise ParameterError(f"{shown(path)}: column 'value' is of type {value}", "numbers")
    shape = tuple(int(part) for part in known.get("shape", "").split(",") if part)
    return Header(
        kind=kind,
        valued=valued,
        double=kind == "samples" and value == pa.float64(),
        relative=not pa.types.is_timestamp(t),
        size=_whole(known.get("size")),
        shape=shape,
        copies=_whole(known.get("copies")) or 1,
        key=known.get("key", ""),
        synapses=known.get("of") == "synapses",
        names=_names(path, known.get("names")),
        origin_ns=_whole(known.get("origin")),
        length_ns=_whole(known.get("length")),
        first_ns=_first(path),
        whole=whole,
        dt_ns=_whole(known.get("dt", "").removesuffix("ns")),
        stream=known.get("stream", ""),
    )


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and _WHOLE.fullmatch(text) else None


def _names(path: Path, text: str | None) -> tuple[str, ...]:
    """The names of copies."""
    if text is None:
        return ()
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len({*names}) < len(names):
        raise ParameterError(f"{shown(path)}: its metadata 'names' is {text[:40]!r}", "a JSON array, each name once")
    return tuple(names)


def _columns(path: Path, names: list[str]) -> tuple[Kind, bool]:
    """Whether columns are those of spikes or of samples, and whether there are values."""
    shape = "spikes have the columns t, neuron and perhaps value; samples t, channel and value"
    found = f"{shown(path)} has the columns {', '.join(names) or '(none)'}"
    if "t" not in names or ("neuron" in names) == ("channel" in names):
        raise ParameterError(found, shape)
    if "channel" in names and "value" not in names:
        raise ParameterError(found, shape)
    return ("spikes" if "neuron" in names else "samples"), "value" in names


def _schema(path: Path) -> tuple[pa.Schema, dict[str, str], bool]:
    """The schema, the metadata that were written last, and whether the file has its end."""
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as parquet:
            extra = {k.decode(): v.decode(errors="replace") for k, v in (parquet.metadata.metadata or {}).items()}
            extra.pop("ARROW:schema", None)
            return parquet.schema_arrow, extra, True
    if FORMATS[path.suffix] == "arrow" and (reader := _open_arrow(path)) is not None:
        extra = {}
        if reader.num_record_batches:
            last = reader.get_batch_with_custom_metadata(reader.num_record_batches - 1)
            extra = _texts(last.custom_metadata)
        return reader.schema, extra, True
    with pa.memory_map(str(path)) as source:
        source.seek(_skip(path))
        schema = pa.ipc.open_stream(source).schema
        source.seek(_skip(path))
        last, whole = None, True
        messages = pa.ipc.MessageReader.open_stream(source)
        while True:  # heads only: bodies of a mapped file are not touched
            try:
                last = messages.read_next_message()
            except StopIteration:
                break
            except (pa.ArrowInvalid, OSError):
                whole = False
                break
        extra = {}
        if last is not None and last.type == "record batch":
            with pa.ipc.open_stream(_stream(schema, last)) as one:
                extra = _texts(one.read_next_batch_with_custom_metadata().custom_metadata)
        if not whole:
            extra.pop("length", None)  # it may have lost no more than its last word, but who knows
        ours = "stream" in metadata(schema)  # other programs say no length
        return schema, extra, whole and ("length" in extra or not ours)


def _texts(found: Any) -> dict[str, str]:
    return {k.decode(): v.decode(errors="replace") for k, v in dict(found or {}).items()}


def _stream(schema: pa.Schema, message: Any) -> pa.Buffer:
    """An IPC stream of one message."""
    return pa.py_buffer(schema.serialize().to_pybytes() + message.serialize().to_pybytes())


def _open_arrow(path: Path) -> Any:
    """A reader of an IPC file; None where its end is missing, so that it can only be read as a stream."""
    try:
        return pa.ipc.open_file(pa.OSFile(str(path)))
    except pa.ArrowInvalid:
        if _skip(path):
            return None
        raise


def _skip(path: Path) -> int:
    """Where the IPC stream begins: an IPC file is one between a magic word and a list of its batches."""
    with path.open("rb") as file:
        return len(_MAGIC) if file.read(len(_MAGIC)) == _MAGIC else 0


def _first(path: Path, types: tuple[tuple[str, pa.DataType], ...] = ()) -> int | None:
    """`t` of the first row that has one (ns)."""
    for batch in _raw(path, types):
        t = batch.column("t").drop_null()
        if len(t):
            return int(_times(t)[0])
    return None


def _csv_header(path: Path) -> Header:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(file)
        names = [name.strip() for name in next(rows, [])]
        first = next((row for row in rows if any(cell.strip() for cell in row)), None)
    kind, valued = _columns(path, names)
    index = "neuron" if kind == "spikes" else "channel"
    text = first[names.index("t")] if first is not None and len(first) == len(names) else "0"
    t: pa.DataType = pa.int64()
    if not _WHOLE.fullmatch(text):
        t = pa.timestamp("ns", tz="UTC" if _ZONED.fullmatch(text.partition(":")[2]) else None)
    types = [("t", t), (index, pa.int64()), *([("value", pa.float64())] if valued else [])]
    first_ns = _first(path, tuple(types))
    return Header(kind, valued, False, relative=t == pa.int64(), first_ns=first_ns, types=tuple(types))


def _raw(path: Path, types: tuple[tuple[str, pa.DataType], ...]) -> Iterator[pa.RecordBatch]:
    """The record batches of a file as they lie there; a stream without its end gives the whole ones."""
    kind = FORMATS[path.suffix]
    if kind == "parquet":
        with pq.ParquetFile(path) as parquet:
            yield from parquet.iter_batches(batch_size=ROWS)
    elif kind == "csv":
        convert = pa_csv.ConvertOptions(column_types=dict(types), include_columns=[name for name, _ in types])
        with pa_csv.open_csv(path, convert_options=convert) as reader:
            yield from reader
    elif kind == "arrow" and (reader := _open_arrow(path)) is not None:
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)
    else:
        with pa.OSFile(str(path)) as source:
            source.seek(_skip(path))
            reader = pa.ipc.open_stream(source)
            while True:
                try:
                    yield reader.read_next_batch()
                except (StopIteration, pa.ArrowInvalid, OSError):
                    return


def _times(column: pa.Array) -> Times:
    """[n] nanoseconds of a column of instants or whole numbers without gaps."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ns", tz=column.type.tz)).view(pa.int64())
    found: Times = column.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return found


def read_events(path: Path, header: Header, stream: Stream, *, gaps: bool = False) -> Iterator[Part]:
    """The events of a file, in parts of at most `ROWS` rows, with times that count from 1970.

    Rows with an empty field, or a value that is not finite, are left out and counted; with `gaps` the latter are kept.

    Raises:
        EventError: rows out of order, or an index past the stream's size; names the file and the row.
    """
    latest: tuple[int, int] | None = None
    row = 1
    try:
        for raw in _raw(path, header.types):
            for start in range(0, raw.num_rows, ROWS):
                batch = raw.slice(start, ROWS)
                part, latest = _part(path, header, stream, batch, row, latest, gaps)
                row += batch.num_rows
                yield part
    except (pa.ArrowException, OSError) as error:
        raise EventError(f"{shown(path)}: after row {row - 1}: {why(error)}") from None


def _part(
    path: Path,
    header: Header,
    stream: Stream,
    batch: pa.RecordBatch,
    row: int,
    latest: tuple[int, int] | None,
    gaps: bool,
) -> tuple[Part, tuple[int, int] | None]:
    names = ["t", header.index, *(["value"] if header.valued else [])]
    batch = batch.select(names)
    rows = np.arange(row, row + batch.num_rows)
    rejected: dict[str, int] = {}
    if any(column.null_count for column in batch.columns):
        there = np.logical_and.reduce([column.is_valid().to_numpy(zero_copy_only=False) for column in batch.columns])
        rejected["empty field"] = int((~there).sum())
        batch, rows = batch.filter(pa.array(there)), rows[there]
    t_ns = _times(batch.column(0))
    if header.relative:
        t_ns = t_ns + header.start_ns
    index: Any = batch.column(1).to_numpy(zero_copy_only=False)
    value: Values | None = None
    if header.valued:
        wanted = np.float64 if stream.double else np.float32
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is rejected as that
            value = batch.column(2).to_numpy(zero_copy_only=False).astype(wanted)
        finite = np.isfinite(value)
        if not gaps and not finite.all():
            rejected["not finite"] = int((~finite).sum())
            t_ns, index, value, rows = t_ns[finite], index[finite], value[finite], rows[finite]
    if len(t_ns):
        _hold_to_rules(path, header, stream, t_ns, index, rows, latest)
        latest = int(t_ns[-1]), int(index[-1])
    return Part(build(stream.plain, t_ns, index, value), rejected), latest


def _hold_to_rules(
    path: Path,
    header: Header,
    stream: Stream,
    t_ns: Times,
    index: Indices,
    rows: np.ndarray[Any, np.dtype[np.int64]],
    latest: tuple[int, int] | None,
) -> None:
    outside = (index < 0) | (index >= stream.size)
    if outside.any():
        at = int(np.argmax(outside))
        raise EventError(
            f"{shown(path)}: row {rows[at]}: {header.index} {index[at]}; the size is {stream.size}, so the last one is "
            f"{stream.size - 1}"
        )
    if latest is not None:
        t_ns, index = np.r_[latest[0], t_ns], np.r_[latest[1], index]
        rows = np.r_[rows[0], rows]
    step = np.diff(t_ns)
    wrong = (step < 0) | ((step == 0) & (index[1:] < index[:-1]))
    if wrong.any():
        at = int(np.argmax(wrong)) + 1
        found = f"its time is {t_ns[at - 1] - t_ns[at]} ns before that of the row above"
        if t_ns[at] == t_ns[at - 1]:
            found = f"{header.index} {index[at]} follows {index[at - 1]} at the same time"
        raise EventError(f"{shown(path)}: row {rows[at]}: {found}; sort the file by t, then by {header.index}")
