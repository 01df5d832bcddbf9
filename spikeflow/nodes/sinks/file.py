"""File: events kept, in a file of one stream or a folder with one file a stream."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from string import Formatter
from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from spikeflow.errors import ConnectError, Problem, nearest, shown
from spikeflow.events import Batch, Grid, Stream
from spikeflow.node import Context, Inlet, Sink
from spikeflow.nodes.event_files import FORMATS
from spikeflow.nodes.event_writers import Compression, EventWriter, try_to_write
from spikeflow.nodes.paths import GraphPath, written

_LONGEST_NS = 1_000_000_000
_PLACES = ("name", "start")
_LIKE_AN_ENDING = re.compile(r"\.[a-zA-Z]{2,8}")


class File(Sink):
    """Every event, in an Arrow (`.arrows`, `.arrow`, `.feather`), Parquet or CSV file, complete when the run ends.

    A path with such an ending takes one stream; any other is a folder with one file a stream (`hidden.arrow`,
    `hidden.v.arrow`). `{name}` in the path is the graph's name, `{start}` the time at which the run began. Events are
    gathered, for at most `rows` of them or a second, and written in a thread. What has been written to an Arrow file
    outlives a killed process; a Parquet file can only be read once it is complete.
    """

    opens: ClassVar[bool] = True
    unopened: ClassVar[str] = "does the disk answer, and does a program read where it is a pipe?"

    path: GraphPath = Field(description="a file with an ending that says its format, or a folder")
    format: Literal["arrows", "arrow", "feather", "parquet", "csv"] = Field(
        "arrow", description="format of the files in a folder"
    )
    compression: Compression = Field("none", description="of Arrow and Parquet files; `zstd` is small, `lz4` quick")
    rows: int = Field(10_000, ge=1, description="events that are gathered before they are written")

    def claims(self) -> Mapping[str, str]:
        """The file that it writes."""
        return written(self.path) if self.path.suffix in FORMATS else {}

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """Several streams for one file, a placeholder that means nothing, a format without compression."""
        ending = self.path.suffix if self.path.suffix in FORMATS else ""
        if ending and len(inputs) > 1:
            hint = f"write a folder, {shown(self.path.with_suffix(''))!r}, for one file a stream"
            yield Problem(("path",), f"{self.path.name!r} is one file, and there are {len(inputs)} streams", hint)
        if not ending and _LIKE_AN_ENDING.fullmatch(self.path.suffix):
            hint = f"endings of files: {', '.join(FORMATS)}"
            yield Problem(("path",), f"{self.path.name!r} is taken as the name of a folder", hint, warning=True)
        if ending and "format" in self.model_fields_set and ending != f".{self.format}":
            yield Problem(("format",), f"the path ends with {ending!r}", "leave 'format' out")
        try:
            places = [place for _, place, _, _ in Formatter().parse(str(self.path)) if place is not None]
        except ValueError:
            yield Problem(
                ("path",), f"{shown(self.path)!r} has a brace without its other half", "write {name} or {start}"
            )
            places = []
        for place in places:
            if place not in _PLACES:
                yield Problem(("path",), f"unknown placeholder {{{place}}}", nearest(place, _PLACES))
        if self.compression != "none" and (ending or f".{self.format}") == ".csv":
            yield Problem(("compression",), "CSV files are not compressed", "leave 'compression' out")
        if self.on_error != "stop":
            found = f"on_error is {self.on_error!r}"
            yield Problem(("on_error",), found, "a file that failed cannot go on: leave 'on_error' out")
        twice = {stream.name for stream in inputs if [s.name for s in inputs].count(stream.name) > 1}
        for name in sorted(twice):
            yield Problem(("inputs",), f"{name!r} is named twice", "name it once")

    async def probe(self, context: Context) -> str:
        """Look whether the files could be written; those that are there stay as they are."""
        paths = self.paths(context, context.inputs, context.clock.now_ns())
        for path in paths:
            try:
                await asyncio.to_thread(try_to_write, path)
            except OSError as error:
                raise ConnectError(str(error)) from None
        return shown(paths[0] if len(paths) == 1 else paths[0].parent)

    def paths(self, context: Context, streams: Sequence[Stream], began_ns: int) -> list[Path]:
        """The file of each stream, in a run that began at an instant (ns)."""
        start = datetime.fromtimestamp(began_ns / 1e9, UTC).strftime("%Y%m%dT%H%M%SZ")
        path = Path(str(self.path).format(name=context.graph, start=start))
        if path.suffix in FORMATS:
            return [path]
        return [path / f"{stream.name.replace('/', '.')}.{self.format}" for stream in streams]

    def _open(self, tapes: dict[bytes, _Tape], streams: Sequence[Stream], paths: Sequence[Path]) -> None:
        for stream, path in zip(streams, paths, strict=True):
            writer = EventWriter(path, stream.schema(self.context.grid), self.compression)
            tapes[stream.name.encode()] = _Tape(writer, self.context.grid, self.context.names(stream).keys)

    async def consume(self, inlet: Inlet) -> None:
        """Write until all inputs have ended, then complete the files."""
        clock = self.context.clock
        paths = self.paths(self.context, inlet.streams, clock.now_ns())
        tapes: dict[bytes, _Tape] = {}
        try:
            try:  # all at once, for between two of them a busy graph may step many windows
                await asyncio.to_thread(self._open, tapes, inlet.streams, paths)
            except OSError as error:
                raise ConnectError(str(error)) from None
            inlet.opened()
            while True:
                try:
                    batch = await inlet.take()
                except StopAsyncIteration:
                    break
                tape = tapes[batch.record.schema.metadata[b"stream"]]
                tape.add(batch, clock.now_ns())
                if tape.count and (tape.count >= self.rows or clock.now_ns() - tape.since_ns >= _LONGEST_NS):
                    await asyncio.to_thread(tape.write)
            for tape in tapes.values():
                await asyncio.to_thread(tape.close)
        except OSError:
            self._own_up(tapes.values())
            raise
        except asyncio.CancelledError:
            for tape in list(tapes.values()):  # stopped at once: what is there is still written, on the loop
                with contextlib.suppress(OSError):
                    tape.close()
            self._own_up(tapes.values())
            raise
        finally:
            for tape in list(tapes.values()):  # a thread may still be opening
                tape.writer.abandon()

    def _own_up(self, tapes: Iterable[_Tape]) -> None:
        """Count what was taken, and never reached its file, as lost."""
        counters = self.context.counters
        lost = counters.processed - sum(tape.kept for tape in tapes)
        if lost > 0:
            counters.processed -= lost
            counters.drop("failed", lost)


class _Tape:
    """One stream on its way to its file."""

    def __init__(self, writer: EventWriter, grid: Grid, names: Sequence[str]) -> None:
        self.writer, self._names = writer, names
        self.count = 0
        self._written = 0
        self._complete = False
        self.since_ns = 0
        self._grid = grid
        self._lock = threading.Lock()  # a cancelled write still runs in its thread
        self._gathered: list[pa.RecordBatch] = []
        self._end_tick = 0

    @property
    def kept(self) -> int:
        """Events that can be read from the file, whatever becomes of it."""
        return self._written if self._complete or self.writer.lasting else 0

    def add(self, batch: Batch, now_ns: int) -> None:
        """Gather a batch; empty ones only say how far the stream has come."""
        self._end_tick = batch.window.first_tick + batch.window.ticks
        if batch.count:
            if not self.count:
                self.since_ns = now_ns
            self._gathered.append(batch.record)
            self.count += batch.count

    def write(self) -> None:
        """Write what has been gathered."""
        with self._lock:
            self._flush()

    def close(self) -> None:
        """Write the rest and complete the file."""
        with self._lock:
            if self._gathered:
                self._flush()
            self.writer.close(self._end_tick * self._grid.dt_ns, self._names)
            self._complete = True

    def _flush(self) -> None:
        gathered, count, self._gathered, self.count = self._gathered, self.count, [], 0
        self.writer.write(gathered, self._names)
        self._written += count
