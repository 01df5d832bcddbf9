"""Windows: a source's events, stamped, counted, and cut into one batch a window."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
import pyarrow as pa

from spikeflow.errors import EventError
from spikeflow.events import Batch, Indices, Times, Values, Window, merge, ordered, raw_columns
from spikeflow.node import Context, Source
from spikeflow.runtime.channel import Channel, Fan, Pressure
from spikeflow.runtime.meters import Meter

_MINUTE_NS = 60_000_000_000
_YIELD_EVERY = 256
_new = tuple.__new__  # half the time of a named tuple's own, which parses arguments


class SourceOutlet:
    """What a source pushes into; sends one batch a window, in order, and blocks while the graph is behind."""

    def __init__(self, node: Source, context: Context, fan: Fan, meter: Meter, pressure: Pressure) -> None:
        self.node, self.context, self.fan, self.meter, self.pressure = node, context, fan, meter, pressure
        self.grid, self.clock, self.counters = context.grid, context.clock, context.counters
        self.stream = context.outlet
        self.schema = self.stream.schema(self.grid)
        self.next_tick = self._first_tick = 0
        self.on_window: Callable[[int], None] | None = None
        self.is_open = asyncio.Event()
        self.stopping = False
        self._unsent: list[tuple[Channel, Batch]] = []
        self._said: dict[str, tuple[int, int]] = {}
        self.followed = False
        """Whether sinks say how far they have come; else a window has been handed on when all have taken it."""
        self._touched = -1  # the last window that was pushed into since somebody wished to hear of it
        self._wishes: dict[int, list[Callable[[], None]]] = {}
        self._passed_tick = 0
        self._settled: asyncio.Future[None] | None = None
        self._window_ns, self._window_ticks = self.grid.window_ns, self.grid.window_ticks
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
        """Push one event; one past the stream's size, or below zero, is rejected and counted."""
        if not 0 <= index < self.stream.size:
            self.reject("index", detail=f"index {index} in a stream of size {self.stream.size}")
            return
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

    async def push_all(
        self,
        index: Sequence[int] | Indices,
        value: Sequence[float] | Values,
        t_ns: Sequence[int | None] | None = None,
        ends: Sequence[int] = (),
    ) -> None:
        """Push events one after the other."""
        for row, number in enumerate(index):
            await self.push(number, value[row], None if t_ns is None else t_ns[row])

    def when_handed_on(self, call: Callable[[], None]) -> None:
        """Call once all that was pushed since the last such wish has been handed on."""
        number, self._touched = self._touched, -1
        if number < 0 or (number + 1) * self._window_ticks <= self._passed_tick:
            call()
        elif number in self._wishes:
            self._wishes[number].append(call)
        else:
            self._wishes[number] = [call]

    @property
    def awaited(self) -> int:
        """How many such wishes wait for a window that is still open."""
        first = self.next_tick // self._window_ticks
        return sum(len(calls) for number, calls in self._wishes.items() if number >= first)

    async def force(self) -> None:
        """Nothing to do where events close the windows."""

    async def settle(self) -> None:
        """In a run that drains: return once all that was pushed has been handed on."""
        if self.stopping and self._wishes:
            self._settled = asyncio.get_running_loop().create_future()
            await self._settled

    # What the stage calls.

    def handed_on(self, tick: int) -> None:
        """All windows before a tick have been handed on."""
        self._passed_tick = max(self._passed_tick, tick)
        if not self._wishes:
            return
        for number in [n for n in self._wishes if n * self._window_ticks < self._passed_tick]:
            for call in self._wishes.pop(number):
                call()
        if not self._wishes and self._settled is not None and not self._settled.done():
            self._settled.set_result(None)

    @abstractmethod
    async def close_windows(self) -> None:
        """Close windows as time goes on, until cancelled."""

    @abstractmethod
    async def finish(self) -> None:
        """Send what is left; the stream ends one tick past its last event, or at its length."""

    def resume(self, tick: int) -> None:
        """Begin at a tick that is not the first one."""
        self.next_tick = self._first_tick = self._passed_tick = tick
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
        if full is None:  # a source that nobody slows still lets others run
            if not self.followed:
                self._passed_tick = self.next_tick
                if self._wishes:
                    self.handed_on(self.next_tick)
            return not self.pressure.felt and self.meter.windows % _YIELD_EVERY != 0
        self._unsent += [(channel, batch) for channel in full]
        return False

    async def _deliver(self) -> None:
        """Wait until all have taken what was handed on; a cancelled call leaves it to the next one."""
        if not self._unsent:
            self.pressure.felt = False
            await asyncio.sleep(0)
        while self._unsent:
            channel, batch = self._unsent[0]
            await channel.send(batch)
            self._unsent.pop(0)
        if not self.followed:
            self.handed_on(self.next_tick)

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
        pressure: Pressure,
        shift_ns: int = 0,
        pace: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(node, context, fan, meter, pressure)
        self._shift_ns, self._pace = shift_ns, pace
        self._parts: list[pa.RecordBatch] = []
        self._latest_ns = self.grid.origin_ns
        length = node.length_ns()
        self._length_ns = None if length is None else self.grid.origin_ns + length
        self._are_whole = node.trusted and not shift_ns and length is None

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
        self._touched = max(self._touched, self.grid.tick(latest) // self._window_ticks)
        if int(t_ns[0]) < self.grid.time(self.next_tick) or (self._length_ns is not None and latest >= self._length_ns):
            events, t_ns = self._trim(events, t_ns)
            if events.num_rows == 0:
                return
            latest = int(t_ns[-1])
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
        if self._parts or not self._are_whole:
            await self.send(events)
            await self.advance(self._end_ns - self._shift_ns)
            return
        self.counters.accepted += events.num_rows
        self._touched = self.next_tick // self._window_ticks
        if self._pace is not None or self._unsent:
            self._parts.append(events)
            await self._cut(self.grid.window_ticks)
            return
        end_ns = self._end_ns
        window = _new(Window, (self.next_tick, self._window_ticks, end_ns - self._window_ns, end_ns, False))
        if not self._emit(Batch.of(window, self.schema, events)):
            await self._deliver()

    async def close_windows(self) -> None:
        """Nothing to do: events close the windows."""
        await asyncio.get_running_loop().create_future()

    async def finish(self) -> None:
        """Send the rest, up to the length or one tick past the last event."""
        await self._deliver()
        end = self.next_tick
        if filled := [part for part in self._parts if part.num_rows]:  # a source that is stopped may have read ahead
            end = max(end, self.grid.tick(int(raw_columns(filled[-1])[0][-1])) + 1)
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
        if self._pace is not None and not self.stopping:  # before anything is taken: a run that stops loses nothing
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
