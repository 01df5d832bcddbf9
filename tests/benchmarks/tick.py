"""Ten thousand LIF neurons at windows of one tick, through two channels: µs a tick, flat out and after silence."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

import spikeflow
from spikeflow.events import Kind, columns, spike_batch
from spikeflow.node import Inlet, Outlet, Sink, Source
from spikeflow.runtime.engine import Engine, Options, fast_loop
from tests.benchmarks.table import show

NEURONS, EVENTS, TICKS, SILENCE = 10_000, 100, 3000, 5000
MS = 1_000_000


class Ticks(Source):
    """A hundred spikes a tick, each window a record batch; in the middle a silence of five seconds."""

    gives: ClassVar[tuple[Kind, ...]] = ("spikes",)
    timed: ClassVar[bool] = True
    trusted: ClassVar[bool] = True

    @property
    def finite(self) -> bool:
        return True

    def origin_ns(self) -> int | None:
        return 0

    def size_out(self, inputs: Sequence[Any]) -> int:
        return NEURONS

    async def produce(self, outlet: Outlet) -> None:
        windows = [self._window(k) for k in range(2 * TICKS + SILENCE)]
        for batch in windows:
            _sent.append(time.perf_counter_ns())
            await outlet.send_window(batch)

    @staticmethod
    def _window(k: int) -> pa.RecordBatch:
        if TICKS <= k < TICKS + SILENCE:
            return spike_batch([], [])
        neuron = np.sort(np.random.default_rng(k).choice(NEURONS, EVENTS, replace=False)).astype(np.uint32)
        return spike_batch(np.full(EVENTS, k * MS), neuron)


class Arrow(Sink):
    """Reads every record batch."""

    async def consume(self, inlet: Inlet) -> None:
        async for batch in inlet:
            _spikes.append(_read(batch))
            _got.append(time.perf_counter_ns())


def _read(batch: pa.RecordBatch) -> int:
    return int(columns(batch)[1].size)


_sent: list[int] = []
_got: list[int] = []
_spikes: list[int] = []


def main() -> None:
    """Print the time of a tick from record batch to record batch, one tick in flight."""
    nodes = {
        "ticks": {"source": Ticks},
        "lif": {"neuron": "lif", "size": NEURONS, "inputs": [{"from": "ticks", "weights": 11.0}]},
        "out": {"sink": Arrow, "input": "lif"},
    }
    nodes["lif"]["inputs"][0]["connect"] = "one_to_one"  # type: ignore[index]
    spec = spikeflow.load({"name": "tick", "time": {"window": "1 ms"}, "nodes": nodes})
    with fast_loop() as runner:
        runner.run(Engine(spec, Options(capacity=1)).run())
    took = np.diff(np.array(_got)) / 1e3
    parts = {
        "before the silence": took[200 : TICKS - 1],
        "in the silence": took[TICKS + 500 : TICKS + SILENCE - 1],
        "after it": took[TICKS + SILENCE : -1],
    }
    rows = [[name, float(np.percentile(t, 50)), float(np.percentile(t, 99))] for name, t in parts.items()]
    show(["10 000 LIF, one tick a window", "p50 µs", "p99 µs"], rows)
    print(f"{sum(_spikes)} spikes, {1000 * sum(_spikes) / NEURONS / (2 * TICKS):.1f} Hz where there is input")


if __name__ == "__main__":
    main()
