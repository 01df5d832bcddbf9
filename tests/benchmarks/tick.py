"""Ten thousand LIF neurons at windows of one tick, through two channels: µs a tick, flat out and after silence."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

import spikeflow
from spikeflow.events import SPIKES, Kind, build, columns, raw_columns, spike_batch
from spikeflow.node import Inlet, Outlet, Sink, Source
from spikeflow.runtime.channel import CAPACITY
from spikeflow.runtime.engine import Engine, Options, fast_loop
from tests.benchmarks.measured import repeated
from tests.benchmarks.table import show

NEURONS, EVENTS, TICKS, SILENCE = 10_000, 100, 3000, 5000
MS = 1_000_000
PARTS = {
    "before the silence": slice(200, TICKS - 1),
    "in the silence": slice(TICKS + 500, TICKS + SILENCE - 1),
    "after it": slice(TICKS + SILENCE, 2 * TICKS + SILENCE - 1),
}


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


_got: list[int] = []
_spikes: list[int] = []


GROUP = 32
"""Ticks that are timed together at the default capacity, where windows go in bursts."""


RUNS = 3
"""Runs that count; a run on a core that was slow does not."""


def main() -> None:
    """Print the time of a tick from record batch to record batch, flat out and with one tick in flight."""
    rows, left_out = [], 0
    for name, capacity, together in (("flat out", CAPACITY, GROUP), ("one tick in flight", 1, 1)):
        found = repeated(partial(measure, capacity), RUNS)
        left_out += found.left_out
        for part, ticks in PARTS.items():
            p50, p99 = zip(*(percentiles(times[ticks], together) for times in found.results), strict=True)
            rows.append([f"{name}, {part}", statistics.median(p50), statistics.median(p99)])
    rows.append(["Arrow alone", *percentiles(arrow_alone(), 1)])
    show(["10 000 LIF, one tick a window", "p50 µs", "p99 µs"], rows)
    print(f"{1000 * sum(_spikes) / NEURONS / (2 * TICKS):.1f} Hz where there is input; {left_out} runs left out")


def percentiles(times: npt.NDArray[np.float64], together: int) -> tuple[float, float]:
    """Median and 99th percentile of the mean of so many ticks."""
    means = times[: len(times) // together * together].reshape(-1, together).mean(axis=1)
    return float(np.percentile(means, 50)), float(np.percentile(means, 99))


def measure(capacity: int) -> npt.NDArray[np.float64]:
    """The time between one record batch read and the next (µs)."""
    for kept in (_got, _spikes):
        kept.clear()
    nodes = {
        "ticks": {"source": Ticks},
        "lif": {"neuron": "lif", "size": NEURONS, "inputs": [{"from": "ticks", "weights": 11.0}]},
        "out": {"sink": Arrow, "input": "lif"},
    }
    nodes["lif"]["inputs"][0]["connect"] = "one_to_one"  # type: ignore[index]
    spec = spikeflow.load({"name": "tick", "time": {"window": "1 ms"}, "nodes": nodes})
    with fast_loop() as runner:
        runner.run(Engine(spec, Options(capacity=capacity)).run())
    return np.diff(np.array(_got)) / 1e3


def arrow_alone() -> npt.NDArray[np.float64]:
    """The time of the Arrow in a tick (µs): read a record batch, build one of three times the size, read that."""
    took = []
    for k in range(TICKS):
        batch = Ticks._window(k)
        began = time.perf_counter_ns()
        t_ns, neuron, _ = raw_columns(batch)
        _read(build(SPIKES, np.repeat(t_ns, 3), np.repeat(neuron, 3)))
        took.append(time.perf_counter_ns() - began)
    return np.array(took[200:]) / 1e3


if __name__ == "__main__":
    main()
