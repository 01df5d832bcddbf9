"""What each kind of encoder costs a sample, and a million samples a second through one of them in a running graph."""

from __future__ import annotations

import asyncio
import importlib
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

import spikeflow
from spikeflow.catalog import kinds
from spikeflow.events import Batch, Grid, Kind, Stream, empty, sample_batch, spike_batch, split
from spikeflow.node import Inlet, Outlet, Sink, Source, Stepper
from spikeflow.runtime.engine import Engine, Options, fast_loop
from spikeflow.testing import GRID, Bench
from tests.benchmarks.table import show

TICKS = 1000
SHAPES = {"64 channels at 1 kHz": (64, 1), "1 channel at 16 kHz": (1, 16), "4096 channels at 100 Hz": (4096, 0.1)}
"""Channels, and samples of each in a tick."""

A_SECOND, SECONDS = 1_000_000, 5


def fed(kind: Kind, channels: int, a_tick: float, low: float, high: float) -> tuple[Stream, pa.RecordBatch]:
    """Sines with a little noise between `low` and `high`, or as many spikes."""
    draw = np.random.default_rng(0)
    rounds = round(TICKS * a_tick)
    t_ns = np.repeat(np.arange(rounds) * round(GRID.dt_ns / a_tick), channels)
    channel = np.tile(np.arange(channels, dtype=np.uint32), rounds)
    if kind == "spikes":
        return Stream("x", "spikes", channels), spike_batch(t_ns // GRID.dt_ns * GRID.dt_ns, channel)
    wave = np.sin(2e-9 * np.pi * t_ns * (1.0 + channel % 7)) + 0.05 * draw.standard_normal(len(t_ns))
    value = low + (high - low) * (0.5 + 0.45 * wave)
    return Stream("x", "samples", channels), sample_batch(t_ns, channel, value.astype(np.float32))


def cost(make: Callable[[], Stepper], kind: Kind, channels: int, a_tick: float, low: float, high: float) -> float:
    """ns a sample: the best of three runs, each with a new node."""
    stream, record = fed(kind, channels, a_tick, low, high)
    if kind == "spikes":
        order = np.lexsort((record.column(1).to_numpy(), record.column(0).to_numpy().astype(np.int64)))
        record = record.take(pa.array(order))
    windows = [
        (window, [Batch.of(window, stream.schema(GRID), part)]) for window, part in split(record, GRID, 0, TICKS)
    ]
    best = float("inf")
    for _ in range(3):
        node = Bench(make(), [stream]).node
        assert isinstance(node, Stepper)
        began = time.perf_counter()
        for window, batches in windows:
            for sent in node.step(window, batches):
                sent.bare  # noqa: B018  # what is built on the first look counts
        best = min(best, time.perf_counter() - began)
    return float(best / record.num_rows * 1e9)


def silence(make: Callable[[], Stepper], kind: Kind) -> float:
    """µs for a window in which nothing comes, before anything has."""
    stream = Stream("x", kind, 64)
    node, windows = Bench(make(), [stream]).node, list(split(empty(stream.plain), GRID, 0, 10 * TICKS))
    assert isinstance(node, Stepper)
    given = [(window, [Batch.of(window, stream.schema(GRID), part)]) for window, part in windows]
    began = time.perf_counter()
    for window, batches in given:
        node.step(window, batches)
    return (time.perf_counter() - began) / len(given) * 1e6


class Million(Source):
    """A million samples a second, as the clock says."""

    gives: ClassVar[tuple[Kind, ...]] = ("samples",)
    timed: ClassVar[bool] = True
    trusted: ClassVar[bool] = True
    channels: int

    @property
    def finite(self) -> bool:
        return True

    def origin_ns(self) -> int | None:
        return 0

    def size_out(self, inputs: Sequence[Any]) -> int:
        return self.channels

    async def produce(self, outlet: Outlet) -> None:
        grid: Grid = self.context.grid
        count = A_SECOND * grid.window_ns // 1_000_000_000
        rounds = count // self.channels
        t_ns = np.repeat(np.arange(rounds) * (grid.window_ns // rounds), self.channels)
        channel = np.tile(np.arange(self.channels, dtype=np.uint32), rounds)
        wave = np.sin(2e-7 * np.pi * t_ns) + 0.05 * np.random.default_rng(0).standard_normal(count)
        value = wave.astype(np.float32)
        clock = self.context.clock
        began = clock.now_ns()
        for k in range(SECONDS * 1_000_000_000 // grid.window_ns):
            await clock.sleep_until(began + k * grid.window_ns)
            await outlet.send_window(sample_batch(t_ns + k * grid.window_ns, channel, value))


class Counting(Sink):
    """Counts events."""

    async def consume(self, inlet: Inlet) -> None:
        async for batch in inlet:
            _counted[0] += batch.num_rows


_counted = [0]


def running(channels: int, encoder: dict[str, Any] | None) -> tuple[float, float, int]:
    """% of a core, seconds it took for `SECONDS` of samples, and events at the sink."""
    nodes: dict[str, Any] = {"x": {"source": Million, "channels": channels}}
    if encoder is not None:
        nodes["spikes"] = {**encoder, "input": "x"}
    nodes["out"] = {"sink": Counting, "input": "x" if encoder is None else "spikes"}
    _counted[0] = 0

    async def measured() -> tuple[float, float]:
        engine = Engine(spikeflow.load({"name": "million", "nodes": nodes}), Options())
        before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        await asyncio.create_task(engine.run())
        after, took = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - began
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, took

    with fast_loop() as runner:
        busy, took = runner.run(measured())
    return 100 * busy / took, took, _counted[0]


def main() -> None:
    """Print ns a sample of every kind, with the fields of the first example of its test; then the million."""
    rows: list[list[Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in kinds("encoder"):
            [(make, options), *_] = importlib.import_module(f"tests.nodes.encoders.test_{name}").EXAMPLES
            values = options.get("values", (-1.0, 1.0))

            def made(make: Any = make) -> Any:
                return make(Path(folder))

            kind = type(made()).takes[0]
            costs = [cost(made, kind, *shape, *values) for shape in SHAPES.values()]
            rows.append([name, *costs, silence(made, kind)])
    show(["encoder", *(f"ns a sample, {shape}" for shape in SHAPES), "µs a window before any sample"], rows)
    print()
    rows = []
    for channels in (1000, 10, 1):
        for what, encoder in (("nothing", None), ("level_crossing", {"encoder": "level_crossing", "threshold": 0.05})):
            share, took, events = running(channels, encoder)
            rows.append([channels, what, share, took / SECONDS, events // SECONDS])
    show(["channels", "between source and sink", "% of a core", "s for each s of samples", "events/s"], rows)


if __name__ == "__main__":
    main()
