"""Nodes that keep the rules, and nodes that break one each."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from spikeflow.errors import ParameterError
from spikeflow.events import Batch, Grid, Kind, Stream, Window, columns, sample_batch, spike_batch
from spikeflow.node import ALWAYS, Decoder, Encoder, Inlet, Outlet, Sink, Source, State, Stepper


class Above(Encoder):
    """A spike for every sample above `level`."""

    level: float = 0.5

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        t_ns, channel, value = columns(samples)
        keep = value > self.level
        return spike_batch(t_ns[keep], channel[keep])


class Ticking(Source):
    """A live source: one sample every 4 ms."""

    gives: ClassVar[tuple[Kind, ...]] = ("samples",)

    def size_out(self, inputs: Sequence[Stream]) -> int:
        return 1

    async def produce(self, outlet: Outlet) -> None:
        clock, start = self.context.clock, outlet.now_ns()
        for number in range(1, 1000):
            await clock.sleep_until(start + number * 4_000_000)
            await outlet.push(0, number)


class Failing(Encoder):
    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        raise ZeroDivisionError


class Copy(Encoder):
    """Passes samples on; what follows breaks a rule each."""

    gives: ClassVar[tuple[Kind, ...]] = ("samples",)

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        return sample_batch(*self.mapped(*columns(samples)))

    def mapped(self, t_ns: Any, channel: Any, value: Any) -> tuple[Any, Any, Any]:
        return t_ns, channel, value


class Drowsy(Copy):
    """Says that it rests, and speaks all the same."""

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        window, grid = self.context.window, self.context.grid
        t_ns = [grid.time(window.first_tick + tick) for tick in range(window.ticks)]
        return sample_batch(t_ns, [0] * window.ticks, np.ones(window.ticks, np.float32))

    def rests_until(self) -> int:
        return ALWAYS


class OnceAWindow(Copy):
    """Gives the last sample of each window."""

    def mapped(self, t_ns: Any, channel: Any, value: Any) -> tuple[Any, Any, Any]:
        return t_ns[-1:], channel[-1:], value[-1:]


_seen = [0]


class HiddenState(Copy):
    """Counts samples in the module."""

    def mapped(self, t_ns: Any, channel: Any, value: Any) -> tuple[Any, Any, Any]:
        numbers = _seen[0] + np.arange(len(value), dtype=np.float32)
        _seen[0] += len(value)
        return t_ns, channel, numbers


class Unsaved(Copy):
    """Keeps its sum where nothing saves it."""

    def start(self, size: int) -> None:
        self._total = np.zeros(1)

    def mapped(self, t_ns: Any, channel: Any, value: Any) -> tuple[Any, Any, Any]:
        sums = self._total + np.cumsum(value, dtype=np.float64)
        self._total = sums[-1:] if sums.size else self._total
        return t_ns, channel, sums.astype(np.float32)


class Shared(Unsaved):
    """Saves its sum without copying it, and goes on adding to it."""

    def start(self, size: int) -> None:
        self._total = np.zeros(1)

    def mapped(self, t_ns: Any, channel: Any, value: Any) -> tuple[Any, Any, Any]:
        sums = self._total + np.cumsum(value, dtype=np.float64)
        self._total[:] = sums[-1] if sums.size else self._total
        return t_ns, channel, sums.astype(np.float32)

    def save(self) -> State:
        return {"total": self._total}

    def load(self, state: State) -> None:
        self._total = state["total"].copy()


class Unforgetful(Unsaved):
    """Keeps its sum when it is reset."""

    def save(self) -> State:
        return {"total": self._total.copy()}

    def load(self, state: State) -> None:
        self._total = state["total"].copy()

    def reset(self) -> None:
        """Nothing is forgotten."""


class Unstorable(Copy):
    """Has a state that cannot be stored."""

    def start(self, size: int) -> None:
        self.convert = {"with": [np.float32]}


class Growing(Copy):
    """Has a state that appears late."""

    def mapped(self, t_ns: Any, channel: Any, value: Any) -> tuple[Any, Any, Any]:
        self.latest = float(value[-1]) if len(value) else 0.0
        return t_ns, channel, value


class Unsorted(Copy):
    def mapped(self, t_ns: Any, channel: Any, value: Any) -> tuple[Any, Any, Any]:
        return t_ns[::-1], channel[::-1], value[::-1]


class Outside(Copy):
    def mapped(self, t_ns: Any, channel: Any, value: Any) -> tuple[Any, Any, Any]:
        return t_ns + 3_000_000, channel, value


class PastTheSize(Copy):
    def mapped(self, t_ns: Any, channel: Any, value: Any) -> tuple[Any, Any, Any]:
        return t_ns, channel + 1, value


class WrongType(Copy):
    def mapped(self, t_ns: Any, channel: Any, value: Any) -> tuple[Any, Any, Any]:
        return t_ns, channel, value.astype(np.float64)


class Silent(Copy):
    def mapped(self, t_ns: Any, channel: Any, value: Any) -> tuple[Any, Any, Any]:
        return t_ns[:0], channel[:0], value[:0]


class NeedsEvents(Copy):
    def mapped(self, t_ns: Any, channel: Any, value: Any) -> tuple[Any, Any, Any]:
        return t_ns, channel, value - value[0]


class NeedsFiniteValues(Copy):
    def mapped(self, t_ns: Any, channel: Any, value: Any) -> tuple[Any, Any, Any]:
        return t_ns, channel, np.array([int(v * 10) for v in value], np.float32)


class WritesIntoInput(Copy):
    """Goes round the columns, which cannot be written to, to the memory behind them."""

    def mapped(self, t_ns: Any, channel: Any, value: Any) -> tuple[Any, Any, Any]:
        memory = (ctypes.c_float * len(value)).from_address(value.ctypes.data)
        np.abs(value, out=np.ctypeslib.as_array(memory))
        return t_ns, channel, value


class SendsItsBuffer(Copy):
    """Sends a buffer, and fills it anew in the next window."""

    def start(self, size: int) -> None:
        self._buffer = np.zeros(100_000, np.float32)

    def mapped(self, t_ns: Any, channel: Any, value: Any) -> tuple[Any, Any, Any]:
        self._buffer[: len(value)] = value
        return t_ns, channel, self._buffer[: len(value)]


class Demanding(Copy):
    def check(self, inputs: Sequence[Stream], grid: Grid) -> Any:
        raise ParameterError("five channels", "give it six")


class Lazy(Sink):
    """Leaves early."""

    async def consume(self, inlet: Inlet) -> None:
        await anext(inlet.__aiter__())


class Impatient(Sink):
    """Takes empty windows badly."""

    async def consume(self, inlet: Inlet) -> None:
        async for batch in inlet:
            assert batch.num_rows, "an empty window"


class Erratic(Ticking):
    """Another number of events each time."""

    count: ClassVar[list[int]] = [0]

    async def produce(self, outlet: Outlet) -> None:
        self.count[0] += 1
        for _ in range(self.count[0]):
            await outlet.push(0, 1.0)


class FromWindows(Source):
    """A source that sends as many events as it has windows."""

    gives: ClassVar[tuple[Kind, ...]] = ("samples",)
    timed: ClassVar[bool] = True

    @property
    def finite(self) -> bool:
        return True

    def length_ns(self) -> int:
        return 200_000_000

    def size_out(self, inputs: Sequence[Stream]) -> int:
        return 1

    async def produce(self, outlet: Outlet) -> None:
        t_ns = np.arange(0, 200_000_000, self.context.grid.window_ns)
        await outlet.send(sample_batch(t_ns, np.zeros(len(t_ns), np.uint32), np.ones(len(t_ns), np.float32)))


class CountsLongWindows(Decoder):
    """Counts spikes since the origin, but not those of short windows."""

    def start(self, size: int) -> None:
        self.count = 0

    def decode(self, spikes: pa.RecordBatch) -> pa.RecordBatch:
        t_ns, channel, _ = columns(spikes)
        first = self.count
        self.count += len(t_ns) if self.context.window.ticks > 6 else 0
        return sample_batch(t_ns, channel, np.float32(first + np.arange(len(t_ns))))


class WrongWindow(Stepper):
    """Answers with batches of its own making."""

    role: ClassVar[str] = "encoder"
    takes: ClassVar[tuple[Kind, ...]] = ("samples",)
    gives: ClassVar[tuple[Kind, ...]] = ("samples",)

    def step(self, window: Window, arriving: Sequence[Batch]) -> Sequence[Batch]:
        whole = Window.at(self.context.grid, 0, 10)
        return [Batch.of(whole, self.context.outlet.schema(self.context.grid), arriving[0].record)]
