"""A source that is stopped in the middle of what it sends: every event is accounted for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

import spikeflow
from spikeflow.events import Kind, Stream, sample_batch
from spikeflow.node import Inlet, Outlet, Sink, Source
from spikeflow.runtime.engine import Engine, Options
from tests.runtime.nodes import MS, graph

EVENTS = 500


class Burst(Source):
    """Sends a sample a millisecond, all in one batch that begins now, and then nothing."""

    gives: ClassVar[tuple[Kind, ...]] = ("samples",)

    def size_out(self, inputs: Sequence[Stream]) -> int:
        return 1

    async def produce(self, outlet: Outlet) -> None:
        t_ns = outlet.now_ns() + MS * np.arange(EVENTS)
        await outlet.send(sample_batch(t_ns, np.zeros(EVENTS, np.uint32), np.arange(EVENTS)))
        await asyncio.get_running_loop().create_future()


class Gate(Sink):
    """Takes nothing until it is opened."""

    async def consume(self, inlet: Inlet) -> None:
        self._open = self.__dict__.setdefault("_open", asyncio.Event())
        await self._open.wait()
        self.seen = 0
        async for batch in inlet:
            self.seen += batch.num_rows

    def open(self) -> None:
        self.__dict__.setdefault("_open", asyncio.Event()).set()


@pytest.mark.parametrize(("buffer", "by"), [(20, "payload"), (20, "arrival"), (100_000, "payload")])
async def test_what_a_stopped_source_had_left_of_a_batch_is_dropped_and_counted(buffer: int, by: str) -> None:
    nodes: dict[str, Any] = {
        "live": {"source": Burst, "buffer": buffer, "time": {"by": by}},
        "out": {"sink": Gate, "input": "live"},
    }
    spec = spikeflow.load(graph(nodes))
    engine = Engine(spec, Options(capacity=1))
    blocked = asyncio.Event()
    windows = iter(range(10**9))
    engine.watch("live", lambda batch: blocked.set() if next(windows) == 1 else None)  # the channel holds one
    running = asyncio.create_task(engine.run())
    await blocked.wait()
    engine.stop()
    gate = spec.nodes["out"].node
    assert isinstance(gate, Gate)
    gate.open()
    report = await running
    counts = report.nodes["live"]
    assert (report.ended, report.abandoned, counts["buffered"]) == ("drained", 0, 0)
    assert counts["accepted"] == EVENTS
    assert counts["processed"] == gate.seen == EVENTS - counts.get("dropped", {}).get("stopped", 0)
    if (buffer, by) == (20, "payload"):
        assert counts["dropped"]["stopped"] > 0
