"""Taps: the events of an outlet for one who looks on; what that one does not take in time is lost and counted."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from spikeflow.errors import ParameterError
from spikeflow.events import Batch, Grid, Indices, Stream, Times, Values, Window, build
from spikeflow.node import Seen
from spikeflow.runtime.channel import Channel

if TYPE_CHECKING:
    from spikeflow.runtime.engine import Engine

MOST_EVENTS = 1 << 20
"""Events that wait for a slow reader."""
MOST_BATCHES = 1 << 14
SPARSE = 2
"""Ticks a spike, beyond which counts of ticks would be longer than the times of the spikes."""
AT_ONCE = 1 << 16
"""Events of a frame, more or less; what takes long to put together would hold up the run."""
LOOKED_AT = 16
"""Neurons whose state is noted where nobody says which."""
MOST_LOOKED_AT = 256
_LOOK_EVERY_S = 0.05

Message = tuple[dict[str, Any], Any]


class Subscription:
    """Something that goes on telling."""

    once = False

    def first(self) -> Iterable[Message]:
        """What is told at once."""
        return ()

    def begin(self, soon: Callable[[float], None]) -> None:
        """Take part in the run; ``soon(delay)`` asks for `take` to be called."""
        self._soon = soon

    @abstractmethod
    def take(self, to_the_end: bool = False) -> Message | None:
        """The next thing to tell."""

    def flushed(self) -> None:
        """Everything has been told."""

    def close(self) -> None:
        """Leave the run."""


class _Tap(Subscription):
    def __init__(self, stream: Stream, grid: Grid, indices: Sequence[int] | None, together: float) -> None:
        self.stream, self.grid, self.together = stream, grid, together
        self.schema = stream.schema(grid)
        self.lost = 0
        self.indices = None if indices is None else sorted(set(indices))
        if self.indices and not 0 <= self.indices[0] <= self.indices[-1] < stream.size:
            found = f"index {self.indices[-1] if self.indices[0] >= 0 else self.indices[0]} of {stream.name!r}"
            raise ParameterError(found, f"name some of 0 to {stream.size - 1}")

    def first(self) -> Iterable[Message]:
        facts = {"kind": "stream", "outlet": self.stream.name, "indices": self.indices}
        return ((facts, self.schema.serialize()),)

    def _message(self, window: tuple[int, int], arrays: tuple[Times, Indices, Values | None]) -> Message:
        record: pa.RecordBatch = build(self.schema, *arrays)
        facts = {"kind": "batch", "first": window[0], "end": window[1], "count": len(arrays[0]), "lost": self.lost}
        return facts, record.serialize()


class OutletTap(_Tap):
    """The batches of an outlet as they pass; `by_tick` lets many spikes be told as counts of ticks and indices."""

    def __init__(
        self, engine: Engine, name: str, indices: Sequence[int] | None, together: float, *, by_tick: bool = False
    ) -> None:
        wired = engine.wired
        assert wired is not None
        self._fan = wired.fans[name]
        super().__init__(self._fan.stream, engine.grid, indices, together)
        self._by_tick = by_tick and self.stream.kind == "spikes"
        self._waiting: deque[Batch] = deque()
        self._events = 0
        self._newest: Window | None = None
        self._end = -1
        self._told = -1
        self._wanted: Any = None
        if self.indices is not None:
            self._wanted = np.zeros(self.stream.size, np.bool_)
            self._wanted[self.indices] = True
        self._own = self._see  # the same object for both: a bound method is made anew at each look

    def begin(self, soon: Callable[[float], None]) -> None:
        super().begin(soon)
        self._fan.taps.append(self._own)

    def close(self) -> None:
        if self._own in self._fan.taps:
            self._fan.taps.remove(self._own)
        self._waiting.clear()

    def _see(self, batch: Batch) -> None:
        """Note a batch; it is told later, with others. The run pays for this at each window: it must be short."""
        self._newest = batch.window
        if batch.count or not self.together:
            self._waiting.append(batch)
            self._events += batch.count
            if self._events > MOST_EVENTS or len(self._waiting) > MOST_BATCHES:
                self._give_up()
        self._soon(self.together)

    def _give_up(self) -> None:
        """Lose the oldest batches."""
        while self._events > MOST_EVENTS or len(self._waiting) > MOST_BATCHES:
            gone = self._waiting.popleft().count
            self._events -= gone
            self.lost += gone

    def take(self, to_the_end: bool = False) -> Message | None:
        waiting = self._waiting
        if self._newest is not None:
            self._end = self._newest.first_tick + self._newest.ticks
        if not waiting:
            if self._told >= self._end:
                return None
            first, self._told = self._told, self._end
            return {"kind": "batch", "first": first, "end": self._end, "count": 0, "lost": self.lost}, b""
        parts, events = [waiting.popleft()], 0
        while waiting and self.together and events < AT_ONCE:
            parts.append(waiting.popleft())
            events += parts[-1].count
        self._events -= sum(part.count for part in parts)
        begins, last = parts[0].window, parts[-1].window
        end = self._end if not waiting else last.first_tick + last.ticks
        self._told = end
        first = begins.first_tick
        if self._by_tick and end - first <= SPARSE * sum(part.count for part in parts):
            return self._counted(first, end, parts)
        return self._message((first, end), self._chosen(_joined(parts)))

    def _counted(self, first: int, end: int, parts: Sequence[Batch]) -> Message:
        """Spikes as counts of ticks and indices, which are not copied: a write takes them from where they are."""
        ends_ns = np.arange(first + 1, end + 1) * self.grid.dt_ns + self.grid.origin_ns
        before = np.zeros(end - first + 1, np.int64)  # how many spikes there are before the end of each tick
        raw: list[Any] = [b""]
        count = 0
        for part in parts:
            t_ns, index, _ = self._chosen(part.arrays)
            low = part.window.first_tick - first
            high = low + part.window.ticks
            before[low + 1 : high + 1] = t_ns.searchsorted(ends_ns[low:high]) + count
            raw.append(index if index.flags.c_contiguous else np.ascontiguousarray(index))
            count += len(index)
        raw[0] = np.diff(np.maximum.accumulate(before)).astype(np.uint32)  # windows without spikes were left out
        return {"kind": "ticks", "first": first, "end": end, "count": count, "lost": self.lost}, raw

    def _chosen(self, arrays: tuple[Times, Indices, Values | None]) -> tuple[Times, Indices, Values | None]:
        if self._wanted is None:
            return arrays
        t_ns, index, value = arrays
        keep = self._wanted[index]
        return t_ns[keep], index[keep], None if value is None else value[keep]


def _joined(parts: Sequence[Batch]) -> tuple[Times, Indices, Values | None]:
    if len(parts) == 1:
        return parts[0].arrays
    arrays = [part.arrays for part in parts]
    values = None if arrays[0][2] is None else np.concatenate([part[2] for part in arrays if part[2] is not None])
    return np.concatenate([part[0] for part in arrays]), np.concatenate([part[1] for part in arrays]), values


def ticks_of(facts: dict[str, Any], raw: bytes) -> tuple[Times, Indices]:
    """[n] ticks and indices of the spikes that came as counts of ticks."""
    numbers = np.frombuffer(raw, np.uint32)
    ticks = facts["end"] - facts["first"]
    return np.repeat(np.arange(facts["first"], facts["end"]), numbers[:ticks]), numbers[ticks:]


class LookTap(_Tap):
    """A state variable that nobody listens to, noted while somebody looks."""

    def __init__(self, engine: Engine, name: str, indices: Sequence[int] | None, together: float) -> None:
        node, _, port = name.partition(".")
        assert engine.wired is not None
        stream = engine.spec.nodes[node].outlets[port]
        if indices is None:
            indices = range(min(stream.size, LOOKED_AT))
        if len(indices) > MOST_LOOKED_AT:
            hint = f"name at most {MOST_LOOKED_AT}, or let a node of the graph listen to {name}"
            raise ParameterError(f"{len(indices)} neurons to look at", hint)
        super().__init__(stream, engine.grid, indices, max(together, _LOOK_EVERY_S))
        self._node = engine.wired.nodes[node]
        look = getattr(self._node, "look", None)
        if look is None:
            raise ParameterError(f"nothing flows from {name!r}", "let a node of the graph listen to it")
        assert self.indices is not None
        self._seen: Seen = look(port, self.indices)
        self._channel = np.array(self.indices, np.uint32)

    def begin(self, soon: Callable[[float], None]) -> None:
        super().begin(soon)
        soon(self.together)

    def flushed(self) -> None:
        self._soon(self.together)

    def close(self) -> None:
        self._node.look_away(self._seen)  # type: ignore[attr-defined]

    def take(self, to_the_end: bool = False) -> Message | None:
        ticks: list[int] = []
        values: list[Values] = []
        while self._seen and len(ticks) * len(self._channel) < AT_ONCE:
            tick, value = self._seen.popleft()
            ticks.append(tick)
            values.append(value)
        if not ticks:
            return None
        t_ns = np.repeat(np.array(ticks, np.int64) * self.grid.dt_ns + self.grid.origin_ns, self._channel.size)
        arrays = t_ns, np.tile(self._channel, len(ticks)), np.concatenate(values)
        return self._message((ticks[0], ticks[-1] + 1), arrays)


class Tap:
    """Record batches of one outlet, as an async iterator in the run's own process; slows the run if not read."""

    def __init__(self, stream: Stream) -> None:
        self.channel = Channel(stream)
        self._schema = stream.plain

    def attached(self, stream: Stream, grid: Grid) -> Channel:
        """The channel, once the run has its grid."""
        self._schema = stream.schema(grid)
        return self.channel

    def __aiter__(self) -> AsyncIterator[pa.RecordBatch]:
        return self

    async def __anext__(self) -> pa.RecordBatch:
        batch = await self.channel.receive()
        if batch is None:
            raise StopAsyncIteration
        # a copy of its own: it may be kept, or sent elsewhere, without its neighbours
        t_ns, index, value = batch.arrays
        return build(self._schema, t_ns.copy(), index.copy(), None if value is None else value.copy())

    def close(self) -> None:
        """Stop listening, so that the graph goes on."""
        self.channel.abandon()
