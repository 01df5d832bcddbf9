"""Nodes that the tests of the runtime are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from spikeflow.errors import EventError
from spikeflow.events import Kind, Stream, columns, sample_batch
from spikeflow.node import Encoder, Inlet, Outlet, Sink, Source
from spikeflow.spec import GraphSpec

MS = 1_000_000
SECOND = 1_000_000_000


class Scripted(Source):
    """A live source that pushes (at, channel, value, time) when the clock says so; times count from the origin (ms)."""

    gives: ClassVar[tuple[Kind, ...]] = ("samples",)
    script: list[tuple[float, int, float, float | None]]
    channels: int = 4
    until: float | None = None

    def size_out(self, inputs: Sequence[Stream]) -> int:
        return self.channels

    async def produce(self, outlet: Outlet) -> None:
        context = self.context
        origin = context.grid.origin_ns
        for at, channel, value, t in self.script:
            await context.clock.sleep_until(origin + int(at * MS))
            await outlet.push(channel, value, None if t is None else origin + int(t * MS))
        if self.until is not None:
            await context.clock.sleep_until(origin + int(self.until * MS))


class Ramp(Source):
    """A finite, timed source: one sample a tick on channel 0, whose value is the tick."""

    gives: ClassVar[tuple[Kind, ...]] = ("samples",)
    timed: ClassVar[bool] = True
    ticks: int
    chunk: int = 7
    start_ns: int = 0

    @property
    def finite(self) -> bool:
        return True

    def origin_ns(self) -> int | None:
        return self.start_ns

    def size_out(self, inputs: Sequence[Stream]) -> int:
        return 1

    async def produce(self, outlet: Outlet) -> None:
        dt = self.context.grid.dt_ns
        for first in range(0, self.ticks, self.chunk):
            tick = np.arange(first, min(first + self.chunk, self.ticks))
            await outlet.send(
                sample_batch(self.start_ns + tick * dt, np.zeros(tick.size, np.uint32), tick.astype(np.float32))
            )


class Relay(Encoder):
    """Passes samples on."""

    gives: ClassVar[tuple[Kind, ...]] = ("samples",)

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        return samples


class Summing(Encoder):
    """Gives the running sum of its samples; fails at the values it is told to."""

    gives: ClassVar[tuple[Kind, ...]] = ("samples",)
    fails_at: list[float] = []

    def start(self, size: int) -> None:
        self.total = 0.0

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        t_ns, channel, value = columns(samples)
        sums = self.total + np.cumsum(value, dtype=np.float64)
        if sums.size:
            self.total = float(sums[-1])
        if any(v in self.fails_at for v in value.tolist()):
            raise EventError("told to fail")
        return sample_batch(t_ns, channel, sums.astype(np.float32))


class Collect(Sink):
    """Keeps what it gets, by stream: (t in ms from the origin, index, value)."""

    fails_at: float | None = None
    leaves_after: int | None = None

    def start(self, size: int) -> None:
        self._rows: dict[str, list[tuple[float, int, float]]] = {}

    async def consume(self, inlet: Inlet) -> None:
        origin = self.context.grid.origin_ns
        seen = 0
        async for batch in inlet:
            t_ns, index, value = columns(batch)
            if self.fails_at is not None and self.fails_at in value.tolist():
                self.fails_at = None
                raise EventError("told to fail")
            rows = self._rows.setdefault((batch.schema.metadata or {})[b"stream"].decode(), [])
            rows += zip(((t_ns - origin) / MS).tolist(), index.tolist(), value.tolist(), strict=True)
            seen += 1
            if seen == self.leaves_after:
                return

    @property
    def rows(self) -> dict[str, list[tuple[float, int, float]]]:
        return self._rows


def graph(nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A graph as a mapping."""
    return {"spikeflow": 1, "name": "test", "nodes": nodes, **more}


def collected_by(spec: GraphSpec, sink: str = "out") -> dict[str, list[tuple[float, int, float]]]:
    """What a `Collect` got."""
    node = spec.nodes[sink].node
    assert isinstance(node, Collect)
    return node.rows
