"""Live windows: events stamped on arrival or ordered by the payload's time, with an account of each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from spikeflow.errors import EventError
from spikeflow.events import Batch, Indices, Times, Values, Window, raw_columns, sort
from spikeflow.node import Context, Source
from spikeflow.runtime.channel import Fan, Pressure
from spikeflow.runtime.clock import caller
from spikeflow.runtime.meters import Meter
from spikeflow.runtime.windows import SourceOutlet

_LONGEST_REST_NS = 100_000_000
"""While nothing but an event can bring anything forth, empty windows are sent together, so many at once."""


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

    def gather(self, double: bool) -> None:
        """Make a chunk of the events that came one by one, so that a chunk that comes after them stands behind them."""
        if self.t_ns:
            value: Values = np.array(self.value, np.float64 if double else np.float32)
            self.chunks.append((np.array(self.t_ns, np.int64), np.array(self.index, np.uint32), value))
            self.t_ns, self.index, self.value = [], [], []

    def arrays(self, valued: bool, double: bool) -> tuple[Times, Indices, Values | None]:
        """The events by time, then by index; equal ones in the order in which they came."""
        kind = np.float64 if double else np.float32
        self.gather(double)
        chunks = self.chunks
        if len(chunks) == 1:
            t_ns, index, value = chunks[0]
        else:
            t_ns = np.concatenate([chunk[0] for chunk in chunks])
            index = np.concatenate([chunk[1] for chunk in chunks])
            value = np.concatenate([np.ones(len(c[0]), kind) if c[2] is None else c[2] for c in chunks])
        return sort(t_ns, index, value if valued else None)


class LiveOutlet(SourceOutlet):
    """For sources that speak when the world does: stamps on arrival, or orders by the payload's time."""

    def __init__(self, node: Source, context: Context, fan: Fan, meter: Meter, pressure: Pressure) -> None:
        super().__init__(node, context, fan, meter, pressure)
        self._rules, self._by_arrival, self._call_at = node.time, node.time.by == "arrival", caller(context.clock)
        self._halted: asyncio.Future[None] | None = None
        self._due_ns, self._rests = 0, False
        self._pending: dict[int, _Bucket] = {}
        self._held = 0
        self._last_tick = -1
        self._brought: list[tuple[set[tuple[int, int]], tuple[int, int]]] = []
        """What the message at hand has brought, and where it is known of from its end on."""
        self._heard: dict[int, tuple[int, int]] = {}
        self._holder = -1
        self._deaf_ns, self._deaf_since_ns = 0, 0
        """How long nobody could be heard so far, and since when nobody can; 0 where somebody can."""
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
        self._message_ends()
        await self._keep_bounds(now)

    async def push_all(
        self,
        index: Sequence[int] | Indices,
        value: Sequence[float] | Values,
        t_ns: Sequence[int | None] | None = None,
        ends: Sequence[int] = (),
    ) -> None:
        """Push events, stamped now (`by: arrival`) or at `t_ns` (`by: payload`); all are taken before it waits."""
        now = self.clock.now_ns()
        count = len(index)
        self.counters.accepted += count
        if t_ns is not None and not self._by_arrival:
            first = 0
            for end in ends or (count,):
                for row in range(first, end):
                    own = t_ns[row]
                    self._admit(index[row], value[row], now if own is None else own, now, own is not None)
                self._message_ends()
                first = end
        elif isinstance(index, np.ndarray) and count and int(index.max()) < self.stream.size:
            tick = max(self.grid.tick(now), self.next_tick)
            stamped = np.full(count, max(now, self.grid.time(self.next_tick)), np.int64)
            values: Values = np.asarray(value, np.float64 if self.stream.double else np.float32)
            self._chunk(tick, (stamped, index.astype(np.uint32, copy=False), values))
            self._held += count
            self._last_tick = max(self._last_tick, tick)
        elif count and min(index) >= 0 and max(index) < self.stream.size:
            tick = max(self.grid.tick(now), self.next_tick)
            bucket = self._bucket(tick)
            bucket.t_ns += [max(now, self.grid.time(self.next_tick))] * count
            bucket.index += index
            bucket.value += value
            self._held += count
            self._last_tick = max(self._last_tick, tick)
        else:
            for row in range(count):
                self._admit(index[row], value[row], now, now, False)
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
            finally:
                self._message_ends()
        elif len(t_ns):
            outside = self._outside(index)
            if outside:
                self._refuse("index", outside, f"index {int(index.max())} in a stream of size {self.stream.size}")
                keep = index < self.stream.size
                index, value = index[keep], None if value is None else value[keep]
            tick = max(self.grid.tick(now), self.next_tick)
            stamped = np.full(len(index), max(now, self.grid.time(self.next_tick)), np.int64)
            self._chunk(tick, (stamped, index, value))
            self._held += len(index)
            self._last_tick = max(self._last_tick, tick)
        await self._keep_bounds(now)

    def _bucket(self, tick: int) -> _Bucket:
        number = tick // self.grid.window_ticks
        self._touched = max(self._touched, number)
        found = self._pending.get(number)
        if found is None:
            found = self._pending[number] = _Bucket()
            if self._rests:  # until now
                self._rests = False
                self._due_ns = self.grid.time((number + 1) * self.grid.window_ticks)
                self._call_at(self._due_ns, self._look)
        return found

    def _chunk(self, tick: int, chunk: tuple[Times, Indices, Values | None]) -> None:
        bucket = self._bucket(tick)
        bucket.gather(self.stream.double)
        bucket.chunks.append(chunk)

    def _admit(self, index: int, value: float, t_ns: int, now: int, payload: bool) -> None:
        """Put one event into its window, or count why not."""
        if index >= self.stream.size or index < 0:
            self._refuse("index", 1, f"index {index} in a stream of size {self.stream.size}")
            return
        tick, own_ns = self.grid.tick(t_ns), t_ns
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
            self._heard[index] = (reached, now - self._deaf_ns)
            self._reached_ns = max(self._reached_ns, reached)
        moved = tick < self.next_tick
        if moved:
            if payload and self._rules.late == "drop":
                self.counters.drop("late")
                return
            tick, t_ns = self.next_tick, self.grid.time(self.next_tick)
        bucket = self._bucket(tick)
        if payload:
            reading = index, own_ns  # not where it was moved to, which others may be as well
            if reading in bucket.seen:
                self.counters.drop("duplicate")
                return
            self._brought.append((bucket.seen, reading))
            if moved:
                self.counters.note("clamped")
        bucket.t_ns.append(t_ns)
        bucket.index.append(index)
        bucket.value.append(value)
        self._held += 1
        self._last_tick = max(self._last_tick, tick)

    def _message_ends(self) -> None:
        """What comes from now on with a channel and a time that the message had is a duplicate.

        Within a message nothing comes twice: a sender that puts a time into it twice, such as a graph whose samples
        came in one instant, means both.
        """
        for seen, reading in self._brought:
            seen.add(reading)
        self._brought.clear()

    async def _keep_bounds(self, now: int) -> None:
        if (
            self._rules.by == "payload"
            and self._reached_ns - self._rules.lateness >= self._end_ns
            and not self._is_held_back(now)
        ):
            self._reached_ns = self._end_ns
            with self._deaf():
                await self._close_to(self._watermark(now))
            self._find_holder()
        while self._held >= self.node.buffer:
            with self._deaf():
                await self._overflow()

    @contextlib.contextmanager
    def _deaf(self) -> Iterator[None]:
        """While the source has to wait it hears nobody, who then only seems to be silent."""
        if self._deaf_since_ns:
            yield
            return
        self._deaf_since_ns = self.clock.now_ns()
        try:
            yield
        finally:
            self._deaf_ns += self.clock.now_ns() - self._deaf_since_ns
            self._deaf_since_ns = 0

    def _listened(self, now: int) -> int:
        """The time in which somebody could be heard (ns): a clock that stands still while nobody can."""
        return (self._deaf_since_ns or now) - self._deaf_ns

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
            await self._made_room()

    async def _made_room(self) -> None:
        """Return once a window has gone."""
        room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._room.append(room)
        await room

    async def force(self) -> None:
        """Close the oldest window that holds events at once, whatever may still come for it.

        Where the graph is behind, windows wait to go as it is: then it returns once one has gone.
        """
        if self._cutting:
            await self._made_room()
        elif self._pending:
            self.counters.note("forced")
            await self._close_to(self.grid.time((min(self._pending) + 1) * self.grid.window_ticks))

    async def settle(self) -> None:
        """In a run that drains: close what is open, and return once all that was pushed has been handed on."""
        if self.stopping and self._wishes:
            await self._close_to(self.grid.time((max(self._wishes) + 1) * self.grid.window_ticks))
        await super().settle()

    def _watermark(self, now: int) -> int:
        """The instant before which no event is expected any more."""
        idle_after, listened = self._rules.idle_after, self._listened(now)
        if any(listened - at >= idle_after for _, at in self._heard.values()):  # of a fleet few may be there at a time
            self._heard = {key: (t, at) for key, (t, at) in self._heard.items() if listened - at < idle_after}
        return (min(t for t, _ in self._heard.values()) if self._heard else now) - self._rules.lateness

    def _is_held_back(self, now: int) -> bool:
        """Whether the key that held the open window open when it was looked at last still does."""
        listened = self._listened(now)
        t, at = self._heard.get(self._holder, (self._end_ns + self._rules.lateness, listened))
        return t - self._rules.lateness < self._end_ns and listened - at < self._rules.idle_after

    def _find_holder(self) -> None:
        """Of the keys that are behind, the one heard last: of many that speak in turn, it is the last to speak again.

        Else each event of a fleet would cost a look at all its keys.
        """
        limit = self._end_ns + self._rules.lateness
        self._holder = max(((at, key) for key, (t, at) in self._heard.items() if t < limit), default=(0, -1))[1]

    async def advance(self, t_ns: int) -> None:
        """Hand on every window that ends at or before `t_ns` (`by: payload`)."""
        if self._rules.by == "payload":
            await self._close_to(t_ns)

    async def close_windows(self) -> None:
        """Close windows as the clock passes them; those by payload as the watermark does, looked at once a window."""
        loop = asyncio.get_running_loop()
        while True:
            await self._close_to(self._passed(self.clock.now_ns()))
            self._halted = loop.create_future()
            self._look_later(self.clock.now_ns())
            await self._halted

    def _passed(self, now: int) -> int:
        """The instant before which windows may close."""
        return now if self._by_arrival else self._watermark(now)

    def _look_later(self, now: int) -> None:
        """Look again at the end of the open window, or of the last one of those that nobody waits for."""
        due = self._end_ns if self._end_ns > now else now + self._window_ns
        self._rests = False
        if self._by_arrival and not self._pending and (quiet := self.fan.quiet_until() - due) >= 0:
            self._rests = True
            due += min(quiet // self._window_ns + 1, _LONGEST_REST_NS // self._window_ns) * self._window_ns
        self._due_ns = due
        self._call_at(due, self._look)

    def _look(self) -> None:
        """Close windows where the clock calls; a task is woken only where somebody has to be waited for."""
        halted = self._halted
        now = self.clock.now_ns()
        if halted is None or halted.done() or now < self._due_ns:
            return
        if not self._by_arrival and not self._deaf_since_ns and now - self._due_ns >= self._window_ns:
            self._deaf_ns += now - self._due_ns  # the process stood still: what came meanwhile has not been read
        try:
            self._limit_ns = max(self._limit_ns, self._passed(now))
            fluent = not (self._cutting or self._unsent)
            while fluent and self._end_ns <= self._limit_ns:
                fluent = self._cut_now(self.grid.window_ticks)
            if fluent:
                self._look_later(now)
            else:
                halted.set_result(None)
        except BaseException as error:
            halted.set_exception(error)

    async def finish(self) -> None:
        """Send what is held; the stream ends one tick past its last event."""
        self._cutting = False
        if self._rests:  # windows that nobody waited for are still to be sent
            self._rests = False
            await self._close_to(self.clock.now_ns())
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
        if not self._cut_now(ticks, last):
            await self._deliver()

    def _cut_now(self, ticks: int, last: bool = False) -> bool:
        """Send the open window, without waiting; False where somebody is to be waited for."""
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
        return self._emit(batch)
