"""Sinks: the stage of nodes that take batches out of the graph, and the inlet that they iterate over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from spikeflow.errors import NodeError
from spikeflow.events import Batch, Stream, Window
from spikeflow.node import ALWAYS, Sink
from spikeflow.runtime.blame import blamed
from spikeflow.runtime.feeding import Feeding
from spikeflow.runtime.meters import RECENT
from spikeflow.runtime.stages import Stage

QUICK_NS = 125_000
"""Work (ns) on a batch up to which a sink does it in the turn of whoever sends the batch."""
APART_NS = 200_000
"""Time (ns) between two batches above which each is handed over by itself."""


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
        self._heeds_all = stage.node.hears_silence or len(self._channels) > 1
        self._feeding: Feeding | None = None
        if not self._heeds_all:
            channel = self._channels[0][0]
            channel.quiet_until = lambda: 0 if channel.arrive is None else ALWAYS * grid.dt_ns

    def opened(self) -> None:
        """The sink's connection stands."""
        self.is_open.set()

    def feeding(self, work: Coroutine[Any, Any, None]) -> Feeding:
        """What awaits a coroutine that iterates over this inlet, so that it takes batches where they are sent."""
        self._feeding = Feeding(work, lambda: self._channels[self._turn][0])
        return self._feeding

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
        now = time.perf_counter_ns()  # where one batch is done the next one begins
        if stage.open is not None:
            stage.account(None, now)
        turn = self._turn
        channel = self._channels[turn][0]
        queue = channel.queue
        if not queue:
            return None
        self._turn = turn + 1 if turn + 1 < len(self._channels) else 0
        stage.turn = turn
        stage.open = batch = queue.popleft()
        if channel.sender is not None:
            channel.made_room()
        stage.began_ns = now
        self._counters.accepted += batch.count
        return batch

    async def _awaited(self) -> Batch:
        """Wait for the next batch; an input that has ended is passed over."""
        for _ in self._channels:
            channel = self._channels[self._turn][0]
            while not channel.queue and not channel.ended:  # as `Channel.wait`, without its calls
                channel.arrive = self._arrive
                channel.receiver = asyncio.get_running_loop().create_future()
                try:
                    await channel.receiver
                finally:
                    channel.arrive = None
            channel.fullest = max(channel.fullest, len(channel.queue))
            batch = self._ready()
            if batch is not None:
                return batch
            self._turn = (self._turn + 1) % len(self._channels)
        raise StopAsyncIteration

    def _arrive(self, batch: Batch) -> None:
        """Hand a batch to the sink, which waits for it; one without events is over as it comes where it means nothing.

        A sink that is not quick takes it in a turn of its own, so that what else the sender feeds comes first. So does
        one that gets many in a short time: several in one turn cost half of what they cost one by one.
        """
        stage = self._stage
        if not batch.count and not self._heeds_all:
            stage.turn = 0
            stage.passed(batch)
            return
        channel = self._channels[self._turn][0]
        channel.arrive = None
        feeding = self._feeding
        is_apart = time.perf_counter_ns() - stage.began_ns > APART_NS and stage.took_ns < QUICK_NS
        if not is_apart or feeding is None or not feeding.feed(channel, batch):
            channel.offer(batch)


@dataclass(slots=True)
class SinkStage(Stage):
    """Runs `consume`.

    Attributes:
        open: the batch that the sink has in its hands.
        turn: the input that it came from.
        took_ns: how long the sink had the last batch in its hands.
        done: the tick up to which each input is done with.
        followers: called whenever the sink is done with a batch.
    """

    node: Sink = field(kw_only=True)
    inlet: SinkInlet = field(init=False)
    open: Batch | None = None
    turn: int = 0
    began_ns: int = 0
    took_ns: int = 0
    waits: int = 0
    done: list[int] = field(default_factory=list)
    followers: list[Callable[[], None]] = field(default_factory=list)

    @property
    def done_tick(self) -> int:
        """The tick before which all that arrived is done with; inputs that have ended no longer count."""
        least = ALWAYS
        for place, entry in enumerate(self.entries):
            channel = entry.channel
            over = channel.ended and not channel.abandoned and not channel.queue
            over = over and (self.open is None or self.turn != place)
            if not over and self.done[place] < least:
                least = self.done[place]
        return least

    @property
    def is_open(self) -> bool:
        """Whether the sink's connection stands, or has stood."""
        return self.inlet.is_open.is_set()

    def prepare(self) -> None:
        """Make the inlet, once the entries are there."""
        self.inlet = SinkInlet(self)
        self.done = [0] * len(self.entries)
        if not self.node.opens:
            self.inlet.opened()

    async def run(self) -> None:
        """Consume until every input has ended."""
        while True:
            try:
                with blamed(self.name, lambda: self.is_cut):
                    await self._consume()
                break
            except NodeError as error:
                idle = self.open is None
                self.account("failed")
                self.meter.missed += 1
                await self.failed(error, self.waits)
                self.waits += 1
                if idle and self.on_error == "skip" and not await self._pass_over():
                    break
        self.inlet.opened()
        self.account()
        async for _ in self.inlet:  # a sink that returns early still takes what comes, so that the others go on
            self.account("sink_ended")
        self.done = [ALWAYS] * len(self.entries)
        for follow in self.followers:
            follow()

    def _consume(self) -> Awaitable[None]:
        work: Any = self.node.consume(self.inlet)
        return self.inlet.feeding(work) if isinstance(work, Coroutine) else work

    async def _pass_over(self) -> bool:
        """Lose the next batch, where the sink fails before it takes one; False at the end."""
        try:
            await self.inlet.take()
        except StopAsyncIteration:
            return False
        self.account("failed")
        return True

    def account(self, lost: str | None = None, now: int | None = None) -> None:
        """The batch that was handed out is done, or lost for a reason."""
        batch, self.open = self.open, None
        if batch is None:
            return
        counters = self.contexts[0].counters
        if lost is None:
            counters.processed += batch.count
            self.waits = 0
        elif batch.count:
            counters.drop(lost, batch.count)
        self.took_ns = took = (time.perf_counter_ns() if now is None else now) - self.began_ns
        meter = self.meter  # as its `took`, without the call
        meter.recent[meter.windows & (RECENT - 1)] = took
        meter.windows += 1
        if self.shared.live or self.followers:
            self._say(batch.window, lost != "failed" or self.on_error != "stop")

    def passed(self, batch: Batch) -> None:
        """A batch without events is done with as it comes, where the sink takes no notice of it."""
        self.meter.took(0)
        self._say(batch.window, True)

    def _say(self, window: Window, done: bool) -> None:
        """Say how far behind the clock the sink is and, where it is done with a window, how far it has come."""
        if self.shared.live:
            self.meter.lag_ns = self.contexts[0].clock.now_ns() - window.end_ns
        if done and self.followers:
            self.done[self.turn] = window.first_tick + window.ticks
            for follow in self.followers:
                follow()


__all__ = ["SinkInlet", "SinkStage"]
