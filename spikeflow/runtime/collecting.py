"""Collecting: what sources could not read, on its way to the sink that keeps it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from spikeflow.context import Counters
from spikeflow.events import REJECTS, Batch, Stream, Window
from spikeflow.runtime.sinks import SinkStage

_MOST_BYTES = 1 << 23
_OVERHEAD = 300
"""About what a row takes beside its payload (bytes)."""
_MOST_ROWS = 1000

Row = tuple[int, str, str, str, bytes]


class CollectingInlet:
    """What waits for the sink; it never holds a source up: what is more than it holds is dropped, and counted."""

    def __init__(self, counters: Counters) -> None:
        self.streams: tuple[Stream, ...] = ()
        self.is_open = asyncio.Event()
        self._counters = counters
        self._rows: deque[Row] = deque()
        self._bytes = self._taken = 0
        self._sources = 0
        self._news = asyncio.Event()

    def joined(self) -> None:
        """A source will send."""
        self._sources += 1

    def left(self) -> None:
        """A source will not send any more."""
        self._sources -= 1
        self._news.set()

    def offer(self, node: str, reason: str, topic: str, t_ns: int, payload: bytes) -> None:
        """Take what a source could not read."""
        self._counters.accepted += 1
        if self._bytes > _MOST_BYTES:
            self._counters.drop("overflow")
            return
        self._bytes += len(payload) + _OVERHEAD
        self._rows.append((t_ns, node, reason, topic, payload))
        self._news.set()

    def opened(self) -> None:
        """The sink is ready."""
        self.is_open.set()

    def account(self, lost: str | None = None) -> None:
        """What was handed out is done with, or lost for a reason."""
        taken, self._taken = self._taken, 0
        if lost is None:
            self._counters.processed += taken
        elif taken:
            self._counters.drop(lost, taken)

    def __aiter__(self) -> AsyncIterator[pa.RecordBatch]:
        return self

    async def __anext__(self) -> pa.RecordBatch:
        self.account()
        while not self._rows:
            if not self._sources:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        rows = [self._rows.popleft() for _ in range(min(len(self._rows), _MOST_ROWS))]
        self._taken = len(rows)
        self._bytes -= sum(len(row[4]) + _OVERHEAD for row in rows)
        columns: Any = zip(*rows, strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, REJECTS, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=REJECTS)

    async def take(self) -> Batch:
        """The next rows."""
        return Batch.of(Window(0, 0, 0, 0), REJECTS, await anext(self))


@dataclass(slots=True)
class CollectingStage(SinkStage):
    """Runs `consume` of a sink that takes what sources could not read."""

    def prepare(self) -> None:
        """Make the inlet."""
        self.inlet = CollectingInlet(self.contexts[0].counters)  # type: ignore[assignment]
        if not self.node.opens:
            self.inlet.opened()

    def _consume(self) -> Awaitable[None]:
        return self.node.consume(self.inlet)

    def account(self, lost: str | None = None, now: int | None = None) -> None:
        """What was handed out is done with, or lost for a reason."""
        self.meter.windows += 1
        inlet: Any = self.inlet
        inlet.account(lost)
