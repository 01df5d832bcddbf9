"""For tests that look at a run from outside: a source that waits to be let go, and a run beside a client."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from spikeflow.events import Kind, spike_batch
from spikeflow.node import Outlet, Source
from spikeflow.runtime.engine import Engine, Options, Report
from spikeflow.runtime.runs import Attached, paths
from spikeflow.runtime.taps import ticks_of
from spikeflow.spec import load

MS = 1_000_000
SIZE = 50


class Gate(Source):
    """Waits until it is let go, and then sends `windows` windows: in each, every neuron that divides its number."""

    gives: ClassVar[tuple[Kind, ...]] = ("spikes",)
    timed: ClassVar[bool] = True
    go: ClassVar[asyncio.Event]
    open: ClassVar[asyncio.Future[None] | None] = None
    leave: ClassVar[asyncio.Event | None] = None
    """What it waits for at its end; None where it does not."""
    windows: int = 20

    @property
    def finite(self) -> bool:
        return True

    def origin_ns(self) -> int | None:
        return 0

    def size_out(self, inputs: Sequence[Any]) -> int:
        return SIZE

    async def produce(self, outlet: Outlet) -> None:
        if Gate.open is not None and not Gate.open.done():
            Gate.open.set_result(None)
        await Gate.go.wait()
        for number in range(self.windows):
            await outlet.send_window(spike_batch(*events_of(number)))
            if not number % 100:
                await asyncio.sleep(0)
        if Gate.leave is not None:
            await Gate.leave.wait()


def events_of(number: int) -> tuple[list[int], list[int]]:
    """Times (ns) and neurons of a window."""
    neurons = [neuron for neuron in range(SIZE) if number % (neuron + 1) == 0]
    return [(10 * number + 3) * MS] * len(neurons), neurons


def graph(windows: int = 20, **more: Any) -> dict[str, Any]:
    """The gate, neurons, and a rate."""
    nodes: dict[str, Any] = {
        "gate": {"source": Gate, "windows": windows},
        "hidden": {
            "neuron": "lif",
            "size": 7,
            "inputs": [
                {"from": "gate", "weights": {"normal": {"mean": 1.0, "std": 1.0}}},
                {"from": "hidden", "weights": 0.1},
            ],
        },
        "rate": {"decoder": "rate", "input": "hidden", "over": "50 ms", "per": "population"},
    }
    return {"name": "watched", "nodes": nodes | more}


@contextmanager
def own_folder() -> Iterator[Path]:
    """A short folder for sockets, which no other run uses."""
    before, made = os.environ.get("XDG_RUNTIME_DIR"), Path(tempfile.mkdtemp(prefix="sf"))
    os.environ["XDG_RUNTIME_DIR"] = str(made)
    try:
        yield made
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before
        shutil.rmtree(made)


@asynccontextmanager
async def looked_at(
    graph: dict[str, Any], stays: bool = False, **options: Any
) -> AsyncIterator[tuple[Engine, Path, asyncio.Task[Report]]]:
    """A run whose gate is shut: the engine, its socket, and the task; one that stays does not end by itself."""
    Gate.leave = asyncio.Event() if stays else None
    Gate.go, Gate.open = asyncio.Event(), asyncio.get_running_loop().create_future()
    engine = Engine(load(graph), Options(**options))
    run = asyncio.create_task(engine.run())
    await Gate.open  # by now it listens
    try:
        yield engine, (await asyncio.to_thread(paths))[0], run
    finally:
        Gate.go.set()
        engine.stop()
        await run


class Reader(threading.Thread):
    """Reads all that a subscription tells, until the run ends."""

    def __init__(self, path: Path, op: str, **facts: Any) -> None:
        super().__init__(daemon=True)
        self.attached = Attached(path)
        self.frames: list[tuple[dict[str, Any], bytes]] = []
        self.error: Exception | None = None
        self.attached.send(op, **facts)
        self._frames = self.attached.frames(20.0)
        self.frames.append(next(self._frames))
        self.start()

    def run(self) -> None:
        try:
            with self.attached:
                self.frames += list(self._frames)
        except Exception as error:
            self.error = error

    def rows(self) -> list[tuple[Any, ...]]:
        """The events of a tap, once the run has ended."""
        import pyarrow as pa

        from spikeflow.events import raw_columns

        self.join(20.0)
        assert self.error is None, self.error
        schema = pa.ipc.read_schema(pa.py_buffer(self.frames[0][1]))
        found: list[tuple[Any, ...]] = []
        for facts, raw in self.frames[1:]:
            if facts["kind"] == "ticks":
                tick, neuron = ticks_of(facts, raw)
                found += zip((tick * MS).tolist(), neuron.tolist(), strict=True)
            if facts["kind"] == "batch" and raw:
                columns = raw_columns(pa.ipc.read_record_batch(pa.py_buffer(raw), schema))
                found += zip(*(np.asarray(column).tolist() for column in columns if column is not None), strict=True)
        return found


__all__ = ["MS", "SIZE", "Gate", "Reader", "events_of", "graph", "looked_at", "own_folder"]
