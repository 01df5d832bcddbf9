"""A chain of three pass-through nodes, beside the peers that are installed: CPU a window, and latency."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

import spikeflow
from spikeflow.events import Kind, spike_batch
from spikeflow.node import Encoder, Inlet, Outlet, Sink, Source
from spikeflow.runtime.engine import Engine, Options, fast_loop
from spikeflow.spec import GraphSpec
from tests.benchmarks.table import show

PEERS = Path(__file__).parent / "streaming_peers"
WINDOW_NS = 10_000_000
EVENTS, BATCHES, REPEATS = 100, 20_000, 3
OVER = "16 windows over and over"

sys.path.insert(0, str(PEERS))

_sent: list[int] = []


class Windows(Source):
    """One full window after the other, flat out or as the clock says."""

    gives: ClassVar[tuple[Kind, ...]] = ("spikes",)
    timed: ClassVar[bool] = True
    trusted: ClassVar[bool] = True
    count: int
    rate: float | None = None
    repeat: bool = False

    @property
    def finite(self) -> bool:
        return True

    def origin_ns(self) -> int | None:
        return 0

    def size_out(self, inputs: Sequence[Any]) -> int:
        return 1 << 20

    async def produce(self, outlet: Outlet) -> None:
        windows = _windows(self.count, self.repeat)  # made beforehand, as the peers' batches are
        clock, began = self.context.clock, self.context.clock.now_ns()
        for k, batch in enumerate(windows):
            if self.rate:
                await clock.sleep_until(began + int(k * 1e9 / self.rate))
            _sent.append(time.monotonic_ns())
            await outlet.send_window(batch)


def _windows(count: int, repeat: bool) -> list[pa.RecordBatch]:
    """So many windows; the first sixteen over and over, as the peers send them, where `repeat` says so."""
    if repeat:
        return [_window(k) for k in range(16)] * (count // 16)
    return [_window(k) for k in range(count)]


def _window(k: int) -> pa.RecordBatch:
    """The events of window k."""
    rng = np.random.default_rng(k % 16)
    t_ns = np.sort(rng.integers(0, WINDOW_NS, EVENTS)) + k * WINDOW_NS
    return spike_batch(t_ns, rng.integers(0, 1 << 20, EVENTS).astype(np.uint32))


class Pass(Encoder):
    """Passes spikes on."""

    takes: ClassVar[tuple[Kind, ...]] = ("spikes",)

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        return samples


class Measured(Sink):
    """Hands every batch to the harness's meter."""

    async def consume(self, inlet: Inlet) -> None:
        k = 0
        async for batch in inlet:
            _meter[0].take(_sent[k], batch)
            k += 1


_meter: list[Any] = [None]


def chain(count: int, rate: float | None = None, repeat: bool = False) -> GraphSpec:
    """source → three pass-through nodes → sink."""
    nodes = {
        "source": {"source": Windows, "count": count, "rate": rate, "repeat": repeat},
        "a": {"encoder": Pass, "input": "source"},
        "b": {"encoder": Pass, "input": "a"},
        "c": {"encoder": Pass, "input": "b"},
        "sink": {"sink": Measured, "input": "c"},
    }
    return spikeflow.load({"name": "chain", "nodes": nodes})


def measure(mode: str, capacity: int, repeat: bool) -> dict[str, Any]:
    """One run in this process: of ours, or of plain queues where there is no capacity."""
    from s1_common import SinkMeter

    count = (5 * BATCHES if repeat else BATCHES) if mode == "throughput" else 800  # a hundred thousand, as the peers'
    a = Namespace(mode=mode, hops=3, events=EVENTS, batches=count, warmup=50)
    _sent.clear()
    _meter[0] = SinkMeter("spikeflow", a)
    rate = None if mode == "throughput" else 100.0
    with fast_loop() as runner:
        if capacity:
            runner.run(Engine(chain(count, rate, repeat), Options(capacity=capacity)).run())
        else:
            runner.run(floor(count, rate))
    found: dict[str, Any] = _meter[0].report()
    return found


async def floor(count: int, rate: float | None) -> None:
    """The same windows through plain queues: what asyncio itself costs."""
    windows = [_window(k) for k in range(count)]
    queues: list[asyncio.Queue[tuple[int, pa.RecordBatch]]] = [asyncio.Queue(16) for _ in range(4)]

    async def source() -> None:
        began = time.monotonic()
        for k, batch in enumerate(windows):
            if rate:
                await asyncio.sleep(began + k / rate - time.monotonic())
            await queues[0].put((time.monotonic_ns(), batch))

    async def hop(here: int) -> None:
        while True:
            await queues[here + 1].put(await queues[here].get())

    tasks = [asyncio.create_task(source()), *(asyncio.create_task(hop(here)) for here in range(3))]
    for _ in range(count):
        _meter[0].take(*await queues[3].get())
    for task in tasks:
        task.cancel()


def main() -> None:
    """Print CPU µs a window flat out, and latency at 100 windows a second, with ratios to a plain queue."""
    rows: list[list[Any]] = []
    variants = [("spikeflow", ["--ours", "16"]), ("spikeflow, capacity 64", ["--ours", "64"])]
    variants.append(("asyncio.Queue", ["--ours", "0"]))
    variants.append((f"spikeflow, {OVER}", ["--ours", "16", "--repeat"]))
    peers = [
        (f"asyncio.Queue, {OVER}", "s1_asyncio.py", ["--uvloop", "--queue", "16"]),
        (f"direct calls, {OVER}", "s1_direct.py", []),
    ]
    if importlib.util.find_spec("bytewax"):
        peers.append((f"bytewax, {OVER}", "s1_bytewax.py", []))
    commands = [(name, [sys.executable, "-m", "tests.benchmarks.chain", *more]) for name, more in variants]
    commands += [
        (name, [sys.executable, str(PEERS / file), "--events", str(EVENTS), *more]) for name, file, more in peers
    ]
    for name, command in commands:
        flat = sorted(_run([*command, "--mode", "throughput"])["cpu_us_per_batch"] for _ in range(REPEATS))
        paced = [_run([*command, "--mode", "latency"]) for _ in range(REPEATS)]
        middle = sorted(paced, key=lambda row: row["p50_us"])[REPEATS // 2]
        rows.append([name, flat[REPEATS // 2], middle["p50_us"], middle["p99_us"]])
    floors = {OVER in row[0]: row[1] for row in rows if row[0].startswith("asyncio.Queue")}
    show(
        ["engine", "CPU µs a window, flat out", "to asyncio.Queue on the same windows", "p50 µs at 100/s", "p99 µs"],
        [[row[0], row[1], row[1] / floors[OVER in row[0]], row[2], row[3]] for row in rows],
    )


def _run(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


if __name__ == "__main__":
    which = sys.argv[sys.argv.index("--mode") + 1]
    measure(which, int(sys.argv[sys.argv.index("--ours") + 1]), "--repeat" in sys.argv)
