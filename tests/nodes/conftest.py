"""Outlets and inlets that keep what they get."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from spikeflow.events import Batch, Grid, Indices, Stream, Values, columns, split
from spikeflow.node import ChannelMap, Clock, Context, Node, Source

Examples = Sequence[tuple[Callable[[Path], Node], dict[str, Any]]]
"""Nodes of a kind, made in a folder, and what `check_node` tries them on."""


class StillClock:
    """A clock that stands still."""

    def __init__(self, t_ns: int = 0) -> None:
        self.t_ns = t_ns

    def now_ns(self) -> int:
        """The time it was given."""
        return self.t_ns

    async def sleep_until(self, t_ns: int) -> None:
        """Return at once, with the time moved on."""
        self.t_ns = max(self.t_ns, t_ns)


class KeepingOutlet:
    """An outlet that keeps the events of a source, and can wait for them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.batches: list[pa.RecordBatch] = []
        self.pushed: list[tuple[int, float, int | None]] = []
        self.rejected: dict[str, int] = {}
        self.details: list[str] = []
        self.advanced: list[int] = []
        self.is_open = asyncio.Event()
        self.holds, self.forced = False, 0
        self.held: list[Callable[[], None]] = []
        self._news = asyncio.Condition()

    def now_ns(self) -> int:
        return self.clock.now_ns()

    async def send(self, events: pa.RecordBatch) -> None:
        self.batches.append(events)
        await self._tell()

    async def send_window(self, events: pa.RecordBatch) -> None:
        await self.send(events)

    async def push(self, index: int, value: float = 1.0, t_ns: int | None = None) -> None:
        self.pushed.append((index, value, t_ns))
        await self._tell()

    async def push_all(
        self,
        index: Sequence[int] | Indices,
        value: Sequence[float] | Values,
        t_ns: Sequence[int | None] | None = None,
        ends: Sequence[int] = (),
    ) -> None:
        times = [None] * len(index) if t_ns is None else t_ns
        self.pushed += zip(map(int, index), map(float, value), times, strict=True)
        await self._tell()

    def when_handed_on(self, call: Callable[[], None]) -> None:
        if self.holds:
            self.held.append(call)
        else:
            call()

    @property
    def awaited(self) -> int:
        return len(self.held)

    def hand_on(self, count: int) -> None:
        """Say that so much has been handed on."""
        now, self.held = self.held[:count], self.held[count:]
        for call in now:
            call()

    async def force(self) -> None:
        self.forced += 1
        self.hand_on(1)

    async def settle(self) -> None:
        pass

    async def advance(self, t_ns: int) -> None:
        self.advanced.append(t_ns)

    def reject(self, reason: str, count: int = 1, detail: str = "") -> None:
        self.rejected[reason] = self.rejected.get(reason, 0) + count
        self.details.append(detail)

    def opened(self) -> None:
        self.is_open.set()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def heard(self, count: int) -> None:
        """Return once `count` events have been pushed or sent."""
        await self.told(lambda: len(self.pushed) + sum(b.num_rows for b in self.batches) >= count)

    async def told(self, enough: Callable[[], bool]) -> None:
        """Return once what was pushed or sent is enough."""
        async with self._news:
            await self._news.wait_for(enough)

    @property
    def events(self) -> list[tuple[int, int, float]]:
        """(t_ns, index, value) of everything that was sent."""
        return [row for batch in self.batches for row in zip(*(c.tolist() for c in columns(batch)), strict=True)]


class GivingInlet:
    """An inlet that gives the windows of records, in turn."""

    def __init__(self, streams: Sequence[Stream], batches: Sequence[Batch]) -> None:
        self.streams = tuple(streams)
        self.is_open = asyncio.Event()
        self._batches = list(batches)
        self.given = 0

    @classmethod
    def of(cls, grid: Grid, records: dict[Stream, tuple[pa.RecordBatch, int]]) -> GivingInlet:
        """The windows of records, each of which ends at a tick of its own."""
        batches = [
            (window.first_tick, place, Batch.of(window, stream.schema(grid), part))
            for place, (stream, (record, end_tick)) in enumerate(records.items())
            for window, part in split(record, grid, 0, end_tick)
        ]
        batches.sort(key=lambda entry: entry[:2])
        return cls(tuple(records), [entry[2] for entry in batches])

    def opened(self) -> None:
        self.is_open.set()

    async def take(self) -> Batch:
        if self.given == len(self._batches):
            raise StopAsyncIteration
        self.given += 1
        return self._batches[self.given - 1]

    def __aiter__(self) -> AsyncIterator[pa.RecordBatch]:
        return self

    async def __anext__(self) -> pa.RecordBatch:
        return (await self.take()).record


def bind_source(node: Source, grid: Grid, *, name: str = "source", seed: int = 0, now_ns: int = 0) -> KeepingOutlet:
    """Enter a run with a source; the outlet for its `produce`."""
    clock = StillClock(now_ns)
    stream = node.outlets(())[""]
    named = replace(stream, name=name)
    node.bind(Context(name, grid, clock, (), {"": named}, seed=seed))
    return KeepingOutlet(clock)


def bind_sink(
    node: Node, grid: Grid, streams: Sequence[Stream], *, now_ns: int = 0, graph: str = "graph"
) -> list[tuple[str, str]]:
    """Enter a run with a sink; what it logs."""
    said: list[tuple[str, str]] = []
    clock = StillClock(now_ns)
    log = said.append
    node.bind(Context("sink", grid, clock, tuple(streams), graph=graph, log=lambda level, text: log((level, text))))
    return said


class WallClock:
    """The clock on the wall, for tests with real brokers."""

    def now_ns(self) -> int:
        return time.time_ns()

    async def sleep_until(self, t_ns: int) -> None:
        await asyncio.sleep(max(0.0, (t_ns - self.now_ns()) / 1e9))


class Log:
    """What a node says, and a way to wait for it."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self._news = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, level: str, text: str) -> None:
        self.lines.append((level, text))
        task = asyncio.get_running_loop().create_task(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def says(self, part: str) -> str:
        """The first line with `part` in it, once it is there."""
        async with self._news:
            await self._news.wait_for(lambda: any(part in text for _, text in self.lines))
        return next(text for _, text in self.lines if part in text)


class LiveSource:
    """A source at work, and what came of it."""

    def __init__(self, node: Source, name: str = "source", named: dict[str, ChannelMap] | None = None) -> None:
        self.node, self.log = node, Log()
        stream = node.outlets(())[""]
        outlets = {"": replace(stream, name=name)}
        self.context = Context(name, Grid(0, 1_000_000, 10), WallClock(), (), outlets, log=self.log)
        if named is not None:
            self.context.named = named
        node.bind(self.context)
        self.outlet = KeepingOutlet(self.context.clock)
        self.task = asyncio.create_task(node.produce(self.outlet))

    async def __aenter__(self) -> LiveSource:
        await self.open()
        return self

    async def open(self) -> None:
        """Return once the source is open; a source that fails raises."""
        opening = asyncio.create_task(self.outlet.is_open.wait())
        await asyncio.wait((opening, self.task), return_when=asyncio.FIRST_COMPLETED)
        opening.cancel()
        if self.task.done():
            self.task.result()

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
