"""Stages: one task a node or block, which takes a batch of every input, and sends a batch on every outlet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa

from spikeflow.errors import NodeError
from spikeflow.events import Batch, Grid, Stream
from spikeflow.node import Context, Sink, Source
from spikeflow.runtime.channel import Channel, Fan, Pressure
from spikeflow.runtime.checkpoint import Checkpoint
from spikeflow.runtime.meters import Meter
from spikeflow.runtime.windows import SourceOutlet

_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 10.0


@dataclass(slots=True)
class Entry:
    """One input of a stage.

    Attributes:
        channel: where its batches come from.
        lag: windows by which a loop's input is behind.
        inside: True where it comes from the stage's own loop, and so does not keep the stage alive.
        forgets: the member that goes back to its initial state at this input's events.
        keep: how many of the next batches belong to the checkpoint that the stage has passed.
        stepped: False where the input only says when to forget, or how long the stage's loop goes on.
    """

    channel: Channel
    lag: int = 0
    inside: bool = False
    forgets: str | None = None
    stepped: bool = True
    keep: int = 0


@dataclass(slots=True)
class Shared:
    """What all stages of a run share.

    Attributes:
        grid: origin, dt and window.
        pool: threads for heavy windows.
        live: True where the run follows the clock.
        heavy: how many stages have heavy windows at present.
        jobs: how many threads work at present.
        checkpoint: what is to be filled when its tick has come.
        pressure: whether a channel was full.
    """

    grid: Grid
    pool: ThreadPoolExecutor
    live: bool = False
    heavy: int = 0
    jobs: int = 0
    checkpoint: Checkpoint | None = None
    pressure: Pressure = field(default_factory=Pressure)


@dataclass(slots=True)
class Stage:
    """What every stage has: the name of its task, its members' contexts, its meter."""

    name: str
    shared: Shared
    contexts: list[Context]
    on_error: str = "stop"
    meter: Meter = field(default_factory=Meter)
    entries: list[Entry] = field(default_factory=list)
    fans: list[Fan] = field(default_factory=list)
    has_windows: ClassVar[bool] = True
    """Whether a failure costs a window that can be skipped; else `skip` means `restart`."""

    async def run(self) -> None:
        """Work until the stage ends."""
        raise TypeError(f"{type(self).__name__} does not run")

    def end(self) -> None:
        """Close the outlets and leave the inlets."""
        for fan in self.fans:
            fan.close()
        for entry in self.entries:
            entry.channel.abandon()

    async def failed(self, error: Exception, waits: int) -> None:
        """Count a failure and wait as the `on_error` rule says; raises where it says `stop`."""
        self.meter.errors += 1
        context = self.contexts[0]
        if self.on_error == "stop":
            raise NodeError(self.name, error) from error
        said = f"{type(error).__name__}: {error}"
        if self.on_error == "skip" and not isinstance(self, SourceStage):
            errors = self.meter.errors
            if errors & (errors - 1) == 0:  # the first, the second, the fourth …: a node may fail at every window
                context.log(
                    "error", f"{said}; the window is skipped" + (f", the {errors}th so far" if errors > 2 else "")
                )
            return
        self.meter.restarts += 1
        wait = min(_FIRST_WAIT_S * 2**waits, _LONGEST_WAIT_S)
        context.log("error", f"{said}; restarts in {wait:g} s")
        await context.clock.sleep_until(context.clock.now_ns() + int(wait * 1e9))


@dataclass(slots=True)
class SourceStage(Stage):
    """Runs `produce`, and closes windows beside it."""

    node: Source = field(kw_only=True)
    outlet: SourceOutlet = field(kw_only=True)
    has_windows: ClassVar[bool] = False
    stopping: bool = False
    _produce: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Produce until the source ends or the run drains, then send what is left."""
        if not self.node.opens:
            self.outlet.opened()
        closer = asyncio.create_task(self.outlet.close_windows(), name=f"{self.name}: windows")
        try:
            waits = 0
            while not self.stopping:
                began = time.monotonic()
                self._produce = asyncio.create_task(self.node.produce(self.outlet), name=f"{self.name}: produce")
                try:
                    await self._first(self._produce, closer)
                    break
                except asyncio.CancelledError:
                    if not self.stopping:
                        raise
                    break
                except Exception as error:
                    waits = 0 if time.monotonic() - began > _LONGEST_WAIT_S else waits
                    await self.failed(error, waits)
                    waits += 1
        finally:
            for task in (self._produce, closer):
                if task is not None and not task.done():
                    task.cancel()
            await asyncio.gather(*(t for t in (self._produce, closer) if t is not None), return_exceptions=True)
        self.outlet.opened()
        await self.outlet.finish()

    def resume(self, point: Checkpoint) -> None:
        """Go on from a checkpoint: what the source sends of the time before it is left out."""
        self.node.load(point.state(self.name))
        self.outlet.resume(point.tick)

    def stop(self) -> None:
        """End the source: what it has sent so far still goes through the graph."""
        self.stopping = self.outlet.stopping = True
        if self._produce is not None:
            self._produce.cancel()

    @staticmethod
    async def _first(produce: asyncio.Task[None], closer: asyncio.Task[None]) -> None:
        """Wait for `produce`; a closer that fails ends it."""
        await asyncio.wait((produce, closer), return_when=asyncio.FIRST_COMPLETED)
        if closer.done() and not produce.done():
            produce.cancel()
            await asyncio.gather(produce, return_exceptions=True)
            closer.result()
        await produce


class SinkInlet:
    """What a sink iterates over: the record batches of all its inputs, window by window."""

    def __init__(self, stage: SinkStage) -> None:
        self._stage = stage
        self.streams: tuple[Stream, ...] = tuple(entry.channel.stream for entry in stage.entries)
        self.is_open = asyncio.Event()
        grid = stage.shared.grid
        self._channels = [(entry.channel, entry.channel.stream.schema(grid)) for entry in stage.entries]
        self._counters = stage.contexts[0].counters
        self._turn = 0

    def opened(self) -> None:
        """The sink's connection stands."""
        self.is_open.set()

    def __aiter__(self) -> AsyncIterator[pa.RecordBatch]:
        return self

    async def __anext__(self) -> pa.RecordBatch:
        batch = self._ready()
        if batch is None:
            batch = await self._awaited()
        return batch.record_as(self._channels[self._turn - 1][1])

    async def take(self) -> Batch:
        """The next batch, in turn of the inputs; StopAsyncIteration once all have ended."""
        batch = self._ready()
        if batch is None:
            batch = await self._awaited()
        return batch.named(self._channels[self._turn - 1][1])

    def _ready(self) -> Batch | None:
        """The next batch, where it is there already."""
        stage = self._stage
        if stage.open is not None:
            stage.account()
        turn = self._turn
        channel = self._channels[turn][0]
        queue = channel.queue
        if not queue:
            return None
        self._turn = turn + 1 if turn + 1 < len(self._channels) else 0
        stage.open = batch = queue.popleft()
        if channel.sender is not None:
            channel.made_room()
        stage.began_ns = time.perf_counter_ns()
        self._counters.accepted += batch.count
        return batch

    async def _awaited(self) -> Batch:
        """Wait for the next batch; an input that has ended is passed over."""
        for _ in self._channels:
            await self._channels[self._turn][0].wait()
            batch = self._ready()
            if batch is not None:
                return batch
            self._turn = (self._turn + 1) % len(self._channels)
        raise StopAsyncIteration


@dataclass(slots=True)
class SinkStage(Stage):
    """Runs `consume`."""

    node: Sink = field(kw_only=True)
    inlet: SinkInlet = field(init=False)
    open: Batch | None = None
    began_ns: int = 0

    def prepare(self) -> None:
        """Make the inlet, once the entries are there."""
        self.inlet = SinkInlet(self)
        if not self.node.opens:
            self.inlet.opened()

    async def run(self) -> None:
        """Consume until every input has ended."""
        waits = 0
        while True:
            try:
                await self.node.consume(self.inlet)
                break
            except Exception as error:
                idle = self.open is None
                self.account("failed")
                self.meter.missed += 1
                await self.failed(error, waits)
                waits += 1
                if idle and self.on_error == "skip" and not await self._pass_over():
                    break
        self.inlet.opened()
        self.account()
        async for _ in self.inlet:  # a sink that returns early still takes what comes, so that the others go on
            self.account("sink_ended")

    async def _pass_over(self) -> bool:
        """Lose the next batch, where the sink fails before it takes one; False at the end."""
        try:
            await self.inlet.take()
        except StopAsyncIteration:
            return False
        self.account("failed")
        return True

    def account(self, lost: str | None = None) -> None:
        """The batch that was handed out is done, or lost for a reason."""
        batch, self.open = self.open, None
        if batch is None:
            return
        self.meter.took(time.perf_counter_ns() - self.began_ns)
        context = self.contexts[0]
        if lost is None:
            context.counters.processed += batch.count
        elif batch.count:
            context.counters.drop(lost, batch.count)
        if self.shared.live:
            self.meter.lag_ns = context.clock.now_ns() - batch.window.end_ns


__all__ = ["Entry", "Shared", "SinkInlet", "SinkStage", "SourceStage", "Stage"]
