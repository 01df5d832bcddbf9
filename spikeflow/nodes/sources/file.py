"""File: events that were recorded, or made by another program."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from spikeflow.errors import ConnectError, ParameterError, Problem, nearest, shown
from spikeflow.events import Grid, Kind, Stream
from spikeflow.node import Context, Outlet, Source
from spikeflow.nodes.event_files import FORMATS, ROWS, Header, Part, read_events, read_header
from spikeflow.nodes.keys import Key
from spikeflow.nodes.paths import GraphPath
from spikeflow.nodes.sizes import Size, shape_of
from spikeflow.units import Nanoseconds


class File(Source):
    """The events of an Arrow (`.arrows`, `.arrow`, `.feather`), Parquet or CSV file, at their own times.

    Columns are `t`, `neuron` and perhaps `value` for spikes, or `t`, `channel` and `value` for samples, in order of
    `t`, then of the neuron or channel. `t` is an instant, or whole nanoseconds from the origin. The origin is that of
    the file's metadata, else the first event floored to the second; the end is `length`, else the metadata's, else one
    tick past the last event. Rows with an empty field or a value that is not finite are rejected and counted.
    """

    gives: ClassVar[tuple[Kind, ...]] = ("samples", "spikes")
    timed: ClassVar[bool] = True
    trusted: ClassVar[bool] = True

    path: GraphPath = Field(description="a file, or a folder with one file a stream")
    stream: str | None = Field(None, description="which file of a folder: `hidden`, `hidden.v`")
    size: Size | None = Field(
        None, description="how many neurons or channels, or their shape, where the file does not say"
    )
    copies: Annotated[int, Field(ge=1)] | None = Field(
        None, description="how many equal copies they are, for each of which there is one of everything downstream"
    )
    replicate: Key | None = Field(
        None,
        description="what the copies are told apart by, such as `machine`, instead of what the file says",
    )
    length: Annotated[Nanoseconds, Field(gt=0)] | None = Field(
        None, description="where the stream ends, counted from its origin, where the file does not say, or earlier"
    )
    precision: Literal["float32", "float64"] | None = Field(
        None, description="type of samples; that of the file where it is not said, float32 from CSV"
    )

    def file(self) -> Path:
        """The one file to read.

        Raises:
            ParameterError: no such folder, or no such stream in it.
        """
        if self.stream is None:
            if self.path.is_dir():
                names = sorted({p.stem for p in self.path.iterdir() if p.suffix in FORMATS})
                raise ParameterError(f"{shown(self.path)} is a folder", f"say which 'stream'; {nearest('', names)}")
            return self.path
        if not self.path.is_dir():
            raise ParameterError(
                f"there is no folder {shown(self.path)}", "'stream' picks one file of a folder; write its path"
            )
        there = {p.stem: p for p in sorted(self.path.iterdir()) if p.suffix in FORMATS}
        if self.stream not in there:
            raise ParameterError(f"{shown(self.path)} has no stream {self.stream!r}", nearest(self.stream, there))
        return there[self.stream]

    def header(self) -> Header:
        """What the file says of itself.

        Raises:
            ParameterError: the file cannot be read, or holds no events.
        """
        return read_header(self.file())

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """A file that cannot be read, has lost its end, or is of another size."""
        try:
            header = self.header()
        except ParameterError as error:
            yield Problem(("stream" if self.stream and self.path.is_dir() else "path",), error.found, error.hint)
            return
        if not header.whole:
            hint = "it is read as far as it goes, and ends one tick past its last event"
            yield Problem(("path",), f"{shown(self.file())} has lost its end", hint, warning=True)
        if self.size is not None and header.size is not None and self.size != header.size:
            found = f"size is {self.size}, the file says {header.size}"
            yield Problem(("size",), found, "leave 'size' out", warning=self.size > header.size)

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """Spikes or samples, as the columns say.

        Raises:
            ParameterError: the file cannot be read, or its size is not known.
        """
        header = self.header()
        size = int(self.size) if self.size is not None else header.size
        if size is None:
            raise ParameterError(
                f"{shown(self.file())} does not say how many {header.index}s there are", "declare it: size: 256"
            )
        copies = self._copies(header, size)
        if size % copies:
            raise ParameterError(f"{size} {header.index}s in {copies} copies", "each copy has as many")
        shape = shape_of(self.size) or (header.shape if size == header.size else ())
        double = header.double if self.precision is None else self.precision == "float64"
        valued = header.kind == "spikes" and header.valued
        double &= header.kind == "samples"
        key = self.replicate or (header.key if copies == header.copies else "")
        if copies > 1:
            shape = shape[1:] if shape[:1] == (copies,) else ()
        synapses = header.synapses and len(shape) == 2
        one = Stream("", header.kind, size // copies, valued, shape, double, synapses=synapses)
        return {"": one.times(copies, key)}

    def _copies(self, header: Header, size: int) -> int:
        return (header.copies if size == header.size else 1) if self.copies is None else self.copies

    def copy_names(self) -> Sequence[str]:
        """Those that the file says; where it says none, and `replicate` what they are, the numbers of the copies."""
        header = self.header()
        copies = self._copies(header, int(self.size) if self.size is not None else header.size or 1)
        if header.names and copies == header.copies:
            return header.names
        return [str(copy) for copy in range(copies)] if self.replicate else ()

    @property
    def finite(self) -> bool:
        """A file ends."""
        return True

    def origin_ns(self) -> int | None:
        """The file's own origin (ns since 1970)."""
        return self.header().start_ns

    def length_ns(self) -> int | None:
        """The length that is declared or said by the file, whichever is shorter (ns)."""
        known = [length for length in (self.length, self.header().length_ns) if length is not None]
        return min(known, default=None)

    async def probe(self, context: Context) -> str:
        """Open the file."""
        try:
            return shown(await asyncio.to_thread(self._opened))
        except ParameterError as error:
            raise ConnectError(str(error)) from None

    def _opened(self) -> Path:
        self.header()
        return self.file()

    async def produce(self, outlet: Outlet) -> None:
        """Send the file, part by part; reading happens in a thread."""
        header, length = self.header(), self.length_ns()
        end_ns = None if length is None else header.start_ns + length
        parts = read_events(self.file(), header, self.context.outlet)
        while True:
            taken = await asyncio.to_thread(_some, parts)
            for part in taken:
                for reason, count in part.rejected.items():
                    outlet.reject(reason, count, self.path.name)
                if part.record.num_rows:
                    await outlet.send(part.record)
            latest = next((p.record.column(0)[-1].value for p in reversed(taken) if p.record.num_rows), None)
            if not taken or (end_ns is not None and latest is not None and latest >= end_ns):
                return
            if latest is not None:
                await outlet.advance(latest)


def _some(parts: Iterator[Part]) -> list[Part]:
    """The next parts of a file: enough of them to be worth a thread."""
    taken: list[Part] = []
    rows = 0
    while rows < ROWS:
        part = next(parts, None)
        if part is None:
            break
        taken.append(part)
        rows += part.record.num_rows
    return taken
