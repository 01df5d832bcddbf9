"""Windows: a source's events, stamped, counted, and cut into one batch a window."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable

import numpy as np
import pyarrow as pa

from spikeflow.errors import EventError
from spikeflow.events import Batch, Indices, Times, Values, Window, merge, ordered, raw_columns, sort
from spikeflow.node import Context, Source
from spikeflow.runtime.channel import Channel, Fan
from spikeflow.runtime.meters import Meter

_MINUTE_NS = 60_000_000_000
_YIELD_EVERY = 256


class SourceOutlet:
    """What a source pushes into; sends one batch a window, in order, and blocks while the graph is behind."""

    def __init__(self, node: Source, context: Context, fan: Fan, meter: Meter) -> None:
        self.node, self.context, self.fan, self.meter = node, context, fan, meter
        self.grid, self.clock, self.counters = context.grid, context.clock, context.counters
        self.stream = context.outlet
        self.schema = self.stream.schema(self.grid)
        self.next_tick = self._first_tick = 0
        self.on_window: Callable[[int], None] | None = None
        self.is_open = asyncio.Event()
        self.stopping = False
        self._unsent: list[tuple[Channel, Batch]] = []
        self._said: dict[str, tuple[int, int]] = {}
        self._window_ns = self.grid.window_ns
        self._end_ns = self.grid.time(self.grid.window_ticks)

    # What a source calls.

    def now_ns(self) -> int:
        """The run's time (ns since 1970, UTC)."""
        return self.clock.now_ns()

    def opened(self) -> None:
        """The source's connection stands."""
        self.is_open.set()

    def reject(self, reason: str, count: int = 1, detail: str = "") -> None:
        """Count events that could not be read; each reason is logged at most once a minute."""
        self.counters.accepted += count
        self._refuse(reason, count, detail)

    @abstractmethod
    async def send(self, events: pa.RecordBatch) -> None:
        """Push events."""

    async def push(self, index: int, value: float = 1.0, t_ns: int | None = None) -> None:
        """Push one event."""
        t = np.array([self.now_ns() if t_ns is None else t_ns], np.int64)
        kind = np.float64 if self.stream.double else np.float32
        values: Values | None = None if len(self.schema) == 2 else np.array([value], kind)
        await self.send(Batch(Window(0, 0, 0, 0), self.stream.plain, t, np.array([index], np.uint32), values).record)

    @abstractmethod
    async def advance(self, t_ns: int) -> None:
        """Promise that no event before `t_ns` will come any more."""

    async def send_window(self, events: pa.RecordBatch) -> None:
        """Hand on the next whole window, with these events."""
        raise TypeError("a live source has no windows of its own; use send or push")

    # What the stage calls.

    @abstractmethod
    async def close_windows(self) -> None:
        """Close windows as time goes on, until cancelled."""

    @abstractmethod
    async def finish(self) -> None:
        """Send what is left; the stream ends one tick past its last event, or at its length."""

    def resume(self, tick: int) -> None:
        """Begin at a tick that is not the first one."""
        self.next_tick = self._first_tick = tick
        self._end_ns = self.grid.time(tick) + self._window_ns

    @property
    def unsent(self) -> int:
        """Events of a window that was cut, and not taken by all who listen."""
        return sum(batch.count for _, batch in self._unsent)

    def _refuse(self, reason: str, count: int, detail: str = "") -> None:
        self.counters.reject(reason, count)
        now = self.clock.now_ns()
        since, more = self._said.get(reason, (-_MINUTE_NS, 0))
        if now - since < _MINUTE_NS and reason in self._said:
            self._said[reason] = (since, more + count)
            return
        earlier = f", {more} more in the last minute" if more else ""
        self._said[reason] = (now, 0)
        self.context.log("warning", f"rejected: {reason}" + (f" ({detail})" if detail else "") + earlier)

    def _emit(self, batch: Batch) -> bool:
        """Hand one window on; False where somebody is full, so that the rest of it is to be delivered."""
        window = batch.window
        self.counters.processed += batch.count
        self.meter.windows += 1
        self.next_tick = window.first_tick + window.ticks
        self._end_ns = window.end_ns + self._window_ns
        if self.on_window is not None:
            self.on_window(self.next_tick)
        full = self.fan.offer(batch)
        if full is None:
            return self.meter.windows % _YIELD_EVERY != 0  # a source that nobody slows still lets others run
        self._unsent += [(channel, batch) for channel in full]
        return False

    async def _deliver(self) -> None:
        """Wait until all have taken what was handed on; a cancelled call leaves it to the next one."""
        if not self._unsent:
            await asyncio.sleep(0)
        while self._unsent:
            channel, batch = self._unsent[0]
            await channel.send(batch)
            self._unsent.pop(0)

    def _outside(self, index: Indices) -> int:
        """How many indices are past the stream's size."""
        return int((index >= self.stream.size).sum()) if len(index) else 0


class TimedOutlet(SourceOutlet):
    """For sources whose events carry times of their own and come in order: windows close as events pass them.

    Args:
        shift_ns: added to every time, where the source's origin is not the run's.
        pace: waits until a window may go; None in a run that goes as fast as it can.
    """

    def __init__(
        self,
        node: Source,
        context: Context,
        fan: Fan,
        meter: Meter,
        shift_ns: int = 0,
        pace: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(node, context, fan, meter)
        self._shift_ns, self._pace = shift_ns, pace
        self._parts: list[pa.RecordBatch] = []
        self._latest_ns = self.grid.origin_ns
        length = node.length_ns()
        self._length_ns = None if length is None else self.grid.origin_ns + length

    async def send(self, events: pa.RecordBatch) -> None:
        """Push events in order of time; windows before the last one are handed on."""
        count = events.num_rows
        if count == 0:
            return
        self.counters.accepted += count
        t_ns, index, value = raw_columns(events)
        if not self.node.trusted:
            events, t_ns = self._examine(events, t_ns, index, value)
        if self._shift_ns:
            t_ns = t_ns + self._shift_ns
            events = Batch(Window(0, 0, 0, 0), self.stream.plain, t_ns, *raw_columns(events)[1:]).record
        if events.num_rows == 0:
            return
        latest = int(t_ns[-1])
        if int(t_ns[0]) < self.grid.time(self.next_tick) or (self._length_ns is not None and latest >= self._length_ns):
            events, t_ns = self._trim(events, t_ns)
            if events.num_rows == 0:
                return
        self._latest_ns = latest
        low = 0
        while latest >= self._end_ns:
            high = int(np.searchsorted(t_ns, self._end_ns))
            if high > low:
                self._parts.append(events.slice(low, high - low))
                low = high
            await self._cut(self.grid.window_ticks)
        self._parts.append(events.slice(low) if low else events)

    def _examine(
        self, events: pa.RecordBatch, t_ns: Times, index: Indices, value: Values | None
    ) -> tuple[pa.RecordBatch, Times]:
        if not events.schema.equals(self.stream.plain):
            raise EventError(
                f"the source sent the columns {events.schema.names}, its stream has {self.stream.plain.names}"
            )
        if not ordered(t_ns, index) or int(t_ns[0]) + self._shift_ns < self._latest_ns:
            raise EventError("the source sent events out of order; sort them by time, then by index")
        outside = self._outside(index)
        if outside:
            self._refuse("index", outside, f"index {int(index.max())} in a stream of size {self.stream.size}")
            keep = index < self.stream.size
            events = events.filter(pa.array(keep))
            t_ns = t_ns[keep]
        return events, t_ns

    def _trim(self, events: pa.RecordBatch, t_ns: Times) -> tuple[pa.RecordBatch, Times]:
        """Without what lies before the first open tick, or past the length."""
        low = int(np.searchsorted(t_ns, self.grid.time(self.next_tick)))
        high = len(t_ns) if self._length_ns is None else max(low, int(np.searchsorted(t_ns, self._length_ns)))
        if low and self._first_tick:  # a resumed source begins anew: what went before is not this run's
            self.counters.accepted -= low
        elif low:
            self._refuse("before_origin" if self.next_tick == 0 else "late", low)
        if high < len(t_ns):
            self.counters.drop("after_end", len(t_ns) - high)
        return events.slice(low, high - low), t_ns[low:high]

    async def advance(self, t_ns: int) -> None:
        """Hand on every window that ends at or before `t_ns`."""
        t_ns += self._shift_ns
        paced = self._pace is not None
        while t_ns >= self._end_ns and (self._length_ns is None or self._end_ns <= self._length_ns):
            if paced or self._unsent or not self._take(self.grid.window_ticks, False):
                await (self._cut(self.grid.window_ticks) if paced else self._deliver())

    async def send_window(self, events: pa.RecordBatch) -> None:
        """Hand on the next whole window."""
        if self._parts or self._shift_ns or self._length_ns is not None or not self.node.trusted:
            await self.send(events)
            await self.advance(self._end_ns - self._shift_ns)
            return
        self.counters.accepted += events.num_rows
        self._parts.append(events)
        if self._pace is not None or self._unsent:
            await self._cut(self.grid.window_ticks)
        elif not self._take(self.grid.window_ticks, False):
            await self._deliver()

    async def close_windows(self) -> None:
        """Nothing to do: events close the windows."""
        await asyncio.get_running_loop().create_future()

    async def finish(self) -> None:
        """Send the rest, up to the length or one tick past the last event."""
        await self._deliver()
        end = self.next_tick
        if self._parts:
            end = max(end, self.grid.tick(self._latest_ns) + 1)
        if self._length_ns is not None and not self.stopping:
            end = max(end, self.grid.tick(self._length_ns + self.grid.dt_ns - 1))
        while self.next_tick < end:
            ticks = min(self.grid.window_ticks, end - self.next_tick)
            await self._cut(ticks, last=self.next_tick + ticks >= end)
        if self.stopping and self.counters.buffered:
            self.counters.drop("stopped", self.counters.buffered)  # read ahead, and not due when the run was drained

    async def _cut(self, ticks: int, last: bool = False) -> None:
        if self._unsent:
            await self._deliver()
        if self._pace is not None:  # before anything is taken: a run that stops here loses nothing
            await self._pace(self.grid.time(self.next_tick + ticks))
        if not self._take(ticks, last):
            await self._deliver()

    def _take(self, ticks: int, last: bool) -> bool:
        """Send the open window, without waiting."""
        window = Window.at(self.grid, self.next_tick, ticks, last)
        parts, self._parts = self._parts, []
        if not parts:
            batch = Batch.none(window, self.schema)
        elif len(parts) == 1:
            batch = Batch.of(window, self.schema, parts[0])
        else:
            batch = merge(window, self.schema, [Batch.of(window, self.schema, part) for part in parts])
        return self._emit(batch)


class _Bucket:
    """The pending events of one window."""

    __slots__ = ("chunks", "index", "seen", "t_ns", "value")

    def __init__(self) -> None:
        self.t_ns: list[int] = []
        self.index: list[int] = []
        self.value: list[float] = []
        self.chunks: list[tuple[Times, Indices, Values | None]] = []
        self.seen: set[tuple[int, int]] = set()

    def __len__(self) -> int:
        return len(self.t_ns) + sum(len(chunk[0]) for chunk in self.chunks)

    def drop_first(self) -> None:
        """Give up the oldest event."""
        if self.chunks:
            t_ns, index, value = self.chunks.pop(0)
            if len(t_ns) > 1:
                self.chunks.insert(0, (t_ns[1:], index[1:], None if value is None else value[1:]))
        else:
            del self.t_ns[0], self.index[0], self.value[0]

    def arrays(self, valued: bool, double: bool) -> tuple[Times, Indices, Values | None]:
        """The events by time, then by index; equal ones in the order in which they came."""
        kind = np.float64 if double else np.float32
        chunks = list(self.chunks)
        if self.t_ns:
            values: Values = np.array(self.value, kind)
            chunks.append((np.array(self.t_ns, np.int64), np.array(self.index, np.uint32), values))
        if len(chunks) == 1:
            t_ns, index, value = chunks[0]
        else:
            t_ns = np.concatenate([chunk[0] for chunk in chunks])
            index = np.concatenate([chunk[1] for chunk in chunks])
            value = np.concatenate([np.ones(len(c[0]), kind) if c[2] is None else c[2] for c in chunks])
        return sort(t_ns, index, value if valued else None)


class LiveOutlet(SourceOutlet):
    """For sources that speak when the world does: stamps on arrival, or orders by the payload's time."""

    def __init__(self, node: Source, context: Context, fan: Fan, meter: Meter) -> None:
        super().__init__(node, context, fan, meter)
        self._rules = node.time
        self._pending: dict[int, _Bucket] = {}
        self._held = 0
        self._last_tick = -1
        self._heard: dict[int, tuple[int, int]] = {}
        self._limit_ns = self._reached_ns = self.grid.origin_ns
        self._cutting = False
        self._room: list[asyncio.Future[None]] = []
        now = self.clock.now_ns()
        if now >= self._end_ns:  # what has passed before the source could speak is empty
            self._limit_ns = now

    async def push(self, index: int, value: float = 1.0, t_ns: int | None = None) -> None:
        """Push one event, stamped now (`by: arrival`) or at `t_ns` (`by: payload`)."""
        self.counters.accepted += 1
        now = self.clock.now_ns()
        payload = self._rules.by == "payload" and t_ns is not None
        self._admit(index, value, t_ns if payload and t_ns is not None else now, now, payload)
        await self._keep_bounds(now)

    async def send(self, events: pa.RecordBatch) -> None:
        """Push events, stamped now (`by: arrival`) or at their own times (`by: payload`)."""
        t_ns, index, value = raw_columns(events)
        self.counters.accepted += len(t_ns)
        now = self.clock.now_ns()
        if self._rules.by == "payload":
            values = value.tolist() if value is not None else [1.0] * len(t_ns)
            left = len(t_ns)
            try:
                for row in zip(index.tolist(), values, t_ns.tolist(), strict=True):
                    left -= 1
                    self._admit(*row, now, True)
                    if self._held >= self.node.buffer:
                        await self._keep_bounds(now)
            except BaseException as error:  # the source ends here, or fails: nobody will send the rest again
                if left:
                    self.counters.drop("overflow" if isinstance(error, EventError) else "stopped", left)
                raise
        elif len(t_ns):
            outside = self._outside(index)
            if outside:
                self._refuse("index", outside, f"index {int(index.max())} in a stream of size {self.stream.size}")
                keep = index < self.stream.size
                index, value = index[keep], None if value is None else value[keep]
            tick = max(self.grid.tick(now), self.next_tick)
            stamped = np.full(len(index), max(now, self.grid.time(self.next_tick)), np.int64)
            self._bucket(tick).chunks.append((stamped, index, value))
            self._held += len(index)
            self._last_tick = max(self._last_tick, tick)
        await self._keep_bounds(now)

    def _bucket(self, tick: int) -> _Bucket:
        found = self._pending.get(tick // self.grid.window_ticks)
        if found is None:
            found = self._pending[tick // self.grid.window_ticks] = _Bucket()
        return found

    def _admit(self, index: int, value: float, t_ns: int, now: int, payload: bool) -> None:
        """Put one event into its window, or count why not."""
        if index >= self.stream.size or index < 0:
            self._refuse("index", 1, f"index {index} in a stream of size {self.stream.size}")
            return
        tick = self.grid.tick(t_ns)
        if payload:
            if t_ns > now + self._rules.ahead:
                ahead = (t_ns - now) / 1e9
                hint = "; is its unit right?" if ahead > 86400 else ""
                self._refuse("future", 1, f"a stamp {ahead:.3g} s ahead of the clock{hint}")
                return
            if tick < 0:
                behind = (self.grid.origin_ns - t_ns) / 1e9
                hint = "; is its unit right?" if behind > 86400 else ""
                self._refuse("before_origin", 1, f"a stamp {behind:.3g} s before the run began{hint}")
                return
            reached = max(t_ns, self._heard.get(index, (t_ns, 0))[0])
            self._heard[index] = (reached, now)
            self._reached_ns = max(self._reached_ns, reached)
        if tick < self.next_tick:
            if payload and self._rules.late == "drop":
                self.counters.drop("late")
                return
            if payload:
                self.counters.note("clamped")
            tick, t_ns = self.next_tick, self.grid.time(self.next_tick)
        bucket = self._bucket(tick)
        if payload:
            if (index, t_ns) in bucket.seen:
                self.counters.drop("duplicate")
                return
            bucket.seen.add((index, t_ns))
        bucket.t_ns.append(t_ns)
        bucket.index.append(index)
        bucket.value.append(value)
        self._held += 1
        self._last_tick = max(self._last_tick, tick)

    async def _keep_bounds(self, now: int) -> None:
        if self._rules.by == "payload" and self._reached_ns - self._rules.lateness >= self._end_ns:
            self._reached_ns = self._end_ns
            await self._close_to(self._watermark(now))
        while self._held >= self.node.buffer:
            await self._overflow()

    async def _overflow(self) -> None:
        if self.node.overflow == "fail":
            raise EventError(f"the buffer of {self.node.buffer} events is full; the graph is too slow for this source")
        if self.node.overflow == "drop_oldest":
            first = min(self._pending)
            bucket = self._pending[first]
            bucket.drop_first()
            if not len(bucket):
                del self._pending[first]
            self._held -= 1
            self.counters.drop("overflow")
        elif self._rules.by == "payload" and not self._cutting:
            # nothing downstream is slow: only open windows hold the events, so waiting would be for ever
            await self.force()
        else:
            room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._room.append(room)
            await room

    async def force(self) -> None:
        """Close the oldest window at once, whatever may still come for it."""
        self.counters.note("forced")
        await self._close_to(self._end_ns)

    def _watermark(self, now: int) -> int:
        """The instant before which no event is expected any more."""
        heard = [t for t, at in self._heard.values() if now - at < self._rules.idle_after]
        return (min(heard) if heard else now) - self._rules.lateness

    async def advance(self, t_ns: int) -> None:
        """Hand on every window that ends at or before `t_ns` (`by: payload`)."""
        if self._rules.by == "payload":
            await self._close_to(t_ns)

    async def close_windows(self) -> None:
        """Close windows as the clock passes them; those by payload as the watermark does, looked at once a window."""
        while True:
            now = self.clock.now_ns()
            await self._close_to(now if self._rules.by == "arrival" else self._watermark(now))
            now = self.clock.now_ns()
            await self.clock.sleep_until(self._end_ns if self._end_ns > now else now + self.grid.window_ns)

    async def finish(self) -> None:
        """Send what is held; the stream ends one tick past its last event."""
        self._cutting = False
        await self._deliver()
        end = max(self._last_tick + 1, self.next_tick)
        while self.next_tick < end:
            ticks = min(self.grid.window_ticks, end - self.next_tick)
            await self._cut(ticks, last=self.next_tick + ticks >= end)

    async def _close_to(self, limit_ns: int) -> None:
        self._limit_ns = max(self._limit_ns, limit_ns)
        if self._cutting:
            return  # whoever is cutting goes on to the new limit
        self._cutting = True
        try:
            while self._end_ns <= self._limit_ns:
                await self._cut(self.grid.window_ticks)
        finally:
            self._cutting = False

    async def _cut(self, ticks: int, last: bool = False) -> None:
        if self._unsent:
            await self._deliver()
        window = Window.at(self.grid, self.next_tick, ticks, last)
        bucket = self._pending.pop(self.next_tick // self.grid.window_ticks, None)
        if bucket is None:
            batch = Batch.none(window, self.schema)
        else:
            self._held -= len(bucket)
            arrays = bucket.arrays(len(self.schema) == 3, self.stream.double)
            batch = Batch(window, self.schema, *arrays)
        if self._room:
            for room in self._room:
                if not room.done():
                    room.set_result(None)
            self._room.clear()
        self.meter.lag_ns = max(0, self.clock.now_ns() - window.end_ns)
        if not self._emit(batch):
            await self._deliver()
