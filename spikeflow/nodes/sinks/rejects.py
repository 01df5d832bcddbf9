"""Rejects: what sources could not read, kept as it came."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field

from spikeflow.errors import ConnectError, Problem, shown
from spikeflow.events import REJECTS, Grid, Stream
from spikeflow.node import Context, Inlet, Sink
from spikeflow.nodes.event_writers import try_to_write
from spikeflow.nodes.paths import GraphPath, written


class Rejects(Sink):
    """What a source with `rejects: NAME` could not read, in an Arrow stream file (`.arrows`).

    Each row says when it came (`t`), to which `node`, the `reason`, the `topic`, and its bytes (`payload`). What has
    been written outlives a killed process. It never holds a source up: what comes faster than it can be written, and
    what comes once the file has its size, is dropped and counted. `{name}` in the path is the graph's name, `{start}`
    the time at which the run began.
    """

    most_inputs: ClassVar[int | None] = 0
    collects: ClassVar[bool] = True
    opens: ClassVar[bool] = True

    path: GraphPath = Field(description="a file that ends with .arrows")
    megabytes: float = Field(1000.0, gt=0, description="what comes after so much of it is only counted")

    def claims(self) -> Mapping[str, str]:
        """The file that it writes."""
        return written(self.path)

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """A path with another ending, a rule that would begin the file anew."""
        if self.path.suffix != ".arrows":
            yield Problem(("path",), f"{self.path.name!r} does not end with .arrows", "write rejects.arrows")
        if self.on_error != "stop":
            found = f"on_error is {self.on_error!r}"
            yield Problem(("on_error",), found, "a file that failed cannot go on: leave 'on_error' out")

    async def probe(self, context: Context) -> str:
        """Look whether the file could be written."""
        path = self._path(context)
        try:
            await asyncio.to_thread(try_to_write, path)
        except OSError as error:
            raise ConnectError(str(error)) from None
        return shown(path)

    def _path(self, context: Context) -> Path:
        start = datetime.fromtimestamp(context.clock.now_ns() / 1e9, UTC).strftime("%Y%m%dT%H%M%SZ")
        return Path(str(self.path).replace("{name}", context.graph).replace("{start}", start))

    async def consume(self, inlet: Inlet) -> None:
        """Write until all sources have ended."""
        path = self._path(self.context)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file: Any = pa.OSFile(str(path), "wb")
        except OSError as error:
            raise ConnectError(f"{shown(path)} cannot be written: {error.strerror or error}") from None
        most, counters = self.megabytes * 1e6, self.context.counters
        with file, pa.ipc.new_stream(file, REJECTS) as writer:
            inlet.opened()
            async for rows in inlet:
                if file.tell() > most:
                    counters.processed -= rows.num_rows  # each is counted as processed when the next ones are asked for
                    counters.drop("full", rows.num_rows)
                    continue
                await asyncio.to_thread(writer.write_batch, rows)
