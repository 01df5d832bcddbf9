"""JSON lines: one a second with every node's figures, and a last one with the report."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import IO, Any

import orjson

from spikeflow.monitor.figures import Figures
from spikeflow.runtime.engine import Engine

_EVERY_S = 1.0


class JsonLines:
    """Writes lines beside a run. A reader that is slow delays lines, never the run; one that has gone ends the run.

    Attributes:
        error: why no line can be written any more.
    """

    def __init__(self, engine: Engine, stream: IO[bytes]) -> None:
        self.engine, self.stream = engine, stream
        self.error: OSError | None = None
        self._figures = Figures(engine)
        self._under_way: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Write a line a second, until it is cancelled or nobody reads."""
        while self.error is None:
            await asyncio.sleep(_EVERY_S)
            await self._write({"t": round(time.time(), 3), **self._figures.look()})

    async def close(self, exit_code: int) -> None:
        """Write the last line."""
        report = self.engine.report
        said: dict[str, Any] = {"exit_code": exit_code, "error": str(self.engine.error) if self.engine.error else None}
        if report is not None:
            said |= dataclasses.asdict(report)
        await self._write({"t": round(time.time(), 3), "report": said})

    async def _write(self, facts: dict[str, Any]) -> None:
        line = orjson.dumps(facts, default=str) + b"\n"
        try:
            if self._under_way is not None:  # who waited for it was cancelled, and the last line is to be the last one
                await self._under_way
            if self.error is None:
                self._under_way = asyncio.ensure_future(asyncio.to_thread(self._put, line))
                await asyncio.shield(self._under_way)
                self._under_way = None
        except OSError as error:
            self.error, self._under_way = error, None
            self.engine.stop()

    def _put(self, line: bytes) -> None:
        self.stream.write(line)
        self.stream.flush()
