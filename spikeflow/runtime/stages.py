"""Stages: one task a node or block, which takes a batch of every input, and sends a batch on every outlet."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise

import pyarrow as pa

from spikeflow.errors import NodeError
from spikeflow.events import Batch, Grid, Stream, Window, merge
from spikeflow.node import Block, Context, Sink, Source, Stepper
from spikeflow.runtime.channel import Channel, Fan
from spikeflow.runtime.checkpoint import Checkpoint
from spikeflow.runtime.meters import RECENT, Meter
from spikeflow.runtime.windows import SourceOutlet

HAND_OVER_NS = 500_000
"""Work (ns) below which a thread is not worth the hand-over, which costs 40 µs."""

_HEAVY_NS = HAND_OVER_NS // 4
_STRETCH_BITS = 6
_SLOW_WINDOWS = 16
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
    """

    grid: Grid
    pool: ThreadPoolExecutor
    live: bool = False
    heavy: int = 0
    jobs: int = 0
    checkpoint: Checkpoint | None = None


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
        if self.on_error == "skip":
            context.log("error", f"{said}; the window is skipped")
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


@dataclass(slots=True)
class StepStage(Stage):
    """Steps a node or a block, one window after the other."""

    stepper: Stepper | Block = field(kw_only=True)
    members: list[Stepper] = field(kw_only=True)
    _next_tick: int = 0
    _cost_ns: float = 0.0
    _is_heavy: bool = False
    _waits: int = 0

    async def run(self) -> None:
        """Step until every input from outside the stage's own loop has ended."""
        if self._is_plain() and await self._run_plain(self.entries[0].channel, self.fans[0]):
            return
        while True:
            for entry in self.entries:
                await entry.channel.wait()
            taken = self._poll()
            if taken is None:
                return
            window = await self._hand_over(taken) if self._cost_ns > _HEAVY_NS else None
            if window is None:
                window, batches = taken
                began = time.perf_counter_ns()
                sent = await self._careful(window, batches)
                self._took(time.perf_counter_ns() - began)
                await self._send(window, sent)
            if window.last:
                return

    def _is_plain(self) -> bool:
        """One input, one outlet, and nothing to look after: most nodes."""
        careful = self.on_error != "stop" or self.shared.checkpoint or any(member.forget for member in self.members)
        return not careful and len(self.entries) == len(self.fans) == 1 and self.entries[0].lag == 0

    async def _run_plain(self, channel: Channel, fan: Fan) -> bool:
        """The shortest way: True at the end, False once windows are so heavy that they may be better off in a thread.

        Every call counts here: a hop of a light node costs a microsecond.
        """
        step, offer, queue, meter, clock = self.stepper.step, fan.offer, channel.queue, self.meter, time.perf_counter_ns
        recent, now_ns, live = meter.recent, self.contexts[0].clock.now_ns, self.shared.live
        only = fan.channels[0] if len(fan.channels) == 1 and not fan.watchers else None
        onward: deque[Batch] = deque() if only is None else only.queue
        slow = since = 0
        while True:
            if not queue:
                await channel.wait()
                if not queue:
                    return True
            began = clock()
            while queue:
                batch = queue.popleft()
                if channel.sender is not None:
                    channel.made_room()
                window = batch.window
                try:
                    sent = step(window, (batch,))[0]
                except Exception as error:
                    meter.errors += 1
                    raise NodeError(self.name, error) from error
                ended = clock()
                recent[meter.windows & (RECENT - 1)] = took = ended - began
                began = ended
                meter.windows += 1
                if only is None:
                    full = offer(sent)
                    if full is not None:
                        for other in full:
                            await other.send(sent)
                        began = clock()
                else:  # what `offer` does, without its two calls
                    fan.events += sent.count
                    if len(onward) < only.capacity and not only.abandoned:
                        onward.append(sent)
                        if only.receiver is not None:
                            only.wake()
                    else:
                        await only.send(sent)
                        began = clock()
                if live:
                    meter.lag_ns = now_ns() - window.end_ns
                if window.last:
                    return True
                if took > _HEAVY_NS:
                    # one slow window may be the machine's doing; a stretch of them is the node's
                    stretch = meter.windows >> _STRETCH_BITS
                    slow = slow + 1 if stretch == since else 1
                    since = stretch
                    if slow >= _SLOW_WINDOWS:
                        self._cost_ns = took
                        return False

    def _took(self, nanoseconds: int) -> None:
        self.meter.took(nanoseconds)
        self._cost_ns += (nanoseconds - self._cost_ns) * 0.1

    async def _send(self, window: Window, sent: Sequence[Batch]) -> None:
        """Send one window, and save the state where a checkpoint is due."""
        point = self.shared.checkpoint
        if point is not None and window.first_tick + window.ticks == point.tick:
            point.states[self.name] = self.stepper.save()
            for entry in self.entries:
                entry.keep = entry.lag
        for fan, batch in zip(self.fans, sent, strict=True):
            await fan.send(batch)
        if self.shared.live:
            self.meter.lag_ns = self.contexts[0].clock.now_ns() - window.end_ns

    def _poll(self) -> tuple[Window, list[Batch]] | None:
        """One batch of every input, all of which are there or have ended."""
        outside = [e for e in self.entries if not e.inside] or self.entries
        here = [e for e in outside if e.channel.queue]
        if not here:
            return None
        grid = self.shared.grid
        due = [e.channel.queue[0].window for e in here if e.lag == 0]
        ticks = max((w.ticks for w in due), default=grid.window_ticks)
        last = all((e.channel.queue and e.channel.queue[0].window.last) or not e.channel.queue for e in outside)
        first = due[0].first_tick if due else self._next_tick
        window = due[0] if len(self.entries) == 1 and due else Window.at(grid, first, ticks, last)
        batches = []
        for entry in self.entries:
            batch = entry.channel.poll()
            if batch is not None and entry.keep:
                self._keep(entry, batch)
            if batch is None:
                batch = Batch.none(window, entry.channel.stream.schema(grid))
            elif batch.window.ticks > window.ticks:  # a loop's input goes on beyond the stage's own end
                batch = batch.cut(Window.at(grid, batch.window.first_tick, window.ticks))
            batches.append(batch)
        self._next_tick = window.first_tick + window.ticks
        return window, batches

    def _keep(self, entry: Entry, batch: Batch) -> None:
        """Put a loop's batch, sent before the checkpoint and due after it, with the checkpoint."""
        entry.keep -= 1
        assert self.shared.checkpoint is not None
        place = self.name, self.entries.index(entry)
        self.shared.checkpoint.on_the_way.setdefault(place, []).append(batch)

    def resume(self, point: Checkpoint) -> None:
        """Go on from a checkpoint."""
        self.stepper.load(point.state(self.name))
        self._next_tick = point.tick
        for place, entry in enumerate(self.entries):
            if entry.lag:
                entry.channel.queue.clear()
                entry.channel.queue.extend(point.on_the_way.get((self.name, place), []))

    # Failures and forgetting.

    async def _careful(self, window: Window, batches: list[Batch]) -> Sequence[Batch]:
        """Step one window under the `on_error` rule: a failed one gives empty batches and leaves the state alone."""
        if self.on_error == "stop":
            try:
                return self._forgetful(window, batches)
            except Exception as error:
                self.meter.errors += 1
                raise NodeError(self.name, error) from error
        before = self.stepper.save()
        try:
            sent = self._forgetful(window, batches)
            self._waits = 0
            return sent
        except Exception as error:
            self.stepper.load(before)
            self.meter.missed += 1
            await self.failed(error, self._waits)
            self._waits += 1
            return [Batch.none(window, fan.stream.schema(self.shared.grid)) for fan in self.fans]

    def _forgetful(self, window: Window, batches: list[Batch]) -> Sequence[Batch]:
        """Step one window in parts: each part begins where a member forgets."""
        given = [batch for entry, batch in zip(self.entries, batches, strict=True) if entry.stepped]
        resets = self._resets(window, batches)
        if not resets:
            return self.stepper.step(window, given)
        grid = self.shared.grid
        edges = sorted({window.first_tick, *resets, window.first_tick + window.ticks})
        parts: list[Sequence[Batch]] = []
        for low, high in pairwise(edges):
            for name in resets.get(low, ()):
                self._reset(name)
            part = Window.at(grid, low, high - low, window.last and high == edges[-1])
            shifts = [entry.lag * grid.window_ticks for entry in self.entries if entry.stepped]
            cut = [
                batch.cut(Window.at(grid, low - shift, high - low)) for batch, shift in zip(given, shifts, strict=True)
            ]
            parts.append(self.stepper.step(part, cut))
        schemas = [fan.stream.schema(grid) for fan in self.fans]
        return [merge(window, schema, [part[k] for part in parts]) for k, schema in enumerate(schemas)]

    def _resets(self, window: Window, batches: list[Batch]) -> dict[int, list[str]]:
        """Tick to the members that forget before it."""
        found: dict[int, list[str]] = {}
        grid = self.shared.grid
        for member in self.members:
            every = member.forget.every if member.forget else None
            if every is not None:
                step = max(1, every // grid.dt_ns)
                first = -(-max(window.first_tick, 1) // step) * step
                for tick in range(first, window.first_tick + window.ticks, step):
                    found.setdefault(tick, []).append(member.context.name)
        for entry, batch in zip(self.entries, batches, strict=True):
            if entry.forgets is not None and batch.count:
                for tick in dict.fromkeys(grid.ticks(batch.arrays[0]).tolist()):
                    found.setdefault(tick, []).append(entry.forgets)
        return found

    def _reset(self, name: str) -> None:
        if isinstance(self.stepper, Stepper):
            self.stepper.reset()
        else:
            self.stepper.reset(name)

    # Heavy windows.

    async def _hand_over(self, taken: tuple[Window, list[Batch]]) -> Window | None:
        """Step all queued windows in a thread, where that is worth it: the last one of them; None where it is not."""
        if self.on_error != "stop":
            return None
        if self._is_heavy != (self._cost_ns > _HEAVY_NS):
            self._is_heavy = not self._is_heavy
            self.shared.heavy += 1 if self._is_heavy else -1
        if not (self.shared.live or self.shared.heavy > 1):
            return None  # nothing else could run meanwhile
        ready = 1 + min(len(entry.channel.queue) for entry in self.entries)
        if ready * self._cost_ns < HAND_OVER_NS:
            return None
        queued = [taken]
        while len(queued) < ready and not queued[-1][0].last and (more := self._poll()) is not None:
            queued.append(more)
        self.shared.jobs += 1
        try:
            done = await asyncio.get_running_loop().run_in_executor(self.shared.pool, self._steps, queued)
        except Exception as error:
            self.meter.errors += 1
            raise NodeError(self.name, error) from error
        finally:
            self.shared.jobs -= 1
        for (window, _), (sent, took) in zip(queued, done, strict=True):
            self._took(took)
            await self._send(window, sent)
        return queued[-1][0]

    def _steps(self, queued: list[tuple[Window, list[Batch]]]) -> list[tuple[Sequence[Batch], int]]:
        done = []
        for window, batches in queued:
            began = time.perf_counter_ns()
            sent = self._forgetful(window, batches)
            done.append((sent, time.perf_counter_ns() - began))
        return done


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
        return (await self.take()).record

    async def take(self) -> Batch:
        """The next batch, in turn of the inputs; StopAsyncIteration once all have ended."""
        stage = self._stage
        if stage.open is not None:
            stage.account()
        channels, turn = self._channels, self._turn
        for _ in channels:
            channel, schema = channels[turn]
            turn += 1
            if turn == len(channels):
                turn = 0
            queue = channel.queue
            if not queue:
                await channel.wait()
            if queue:
                batch = queue.popleft()
                if channel.sender is not None:
                    channel.made_room()
                self._turn = turn
                stage.open, stage.began_ns = batch, time.perf_counter_ns()
                self._counters.accepted += batch.count
                return batch.named(schema)
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
                self.account("failed")
                self.meter.missed += 1
                await self.failed(error, waits)
                waits += 1
        self.inlet.opened()
        self.account()
        async for _ in self.inlet:  # a sink that returns early still takes what comes, so that the others go on
            self.account("sink_ended")

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


__all__ = ["Entry", "Shared", "SinkInlet", "SinkStage", "SourceStage", "Stage", "StepStage"]
