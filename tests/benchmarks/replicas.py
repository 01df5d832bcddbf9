"""A graph of 64 neurons for 1 to 1000 machines: µs a window and machine, and what one more machine costs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

import spikeflow
from spikeflow.events import Kind, Stream, sample_batch
from spikeflow.node import Inlet, Outlet, Sink, Source
from spikeflow.runtime.engine import Engine, Options, fast_loop
from tests.benchmarks.measured import held
from tests.benchmarks.table import show

COPIES = (1, 10, 100, 1000)
NEURONS, CHANNELS, TICKS, WINDOWS, WARM, ROUNDS = 64, 2, 10, 400, 50, 3
MS = 1_000_000


class Machines(Source):
    """One sample a window of each channel, in turn; the windows are made beforehand."""

    gives: ClassVar[tuple[Kind, ...]] = ("samples",)
    timed: ClassVar[bool] = True
    trusted: ClassVar[bool] = True
    copies: int

    @property
    def finite(self) -> bool:
        return True

    def origin_ns(self) -> int | None:
        return 0

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        return {"": Stream("", "samples", CHANNELS).times(self.copies)}

    async def produce(self, outlet: Outlet) -> None:
        windows = [self._window(k) for k in range(WINDOWS)]
        for batch in windows:
            await outlet.send_window(batch)

    def _window(self, k: int) -> pa.RecordBatch:
        size = CHANNELS * self.copies
        tick = np.arange(size) * TICKS // size
        value = np.sin(0.3 * k + np.arange(size))
        return sample_batch((k * TICKS + tick) * MS, np.arange(size), value.astype(np.float32))


class Clock(Sink):
    """Takes the time at every window."""

    async def consume(self, inlet: Inlet) -> None:
        async for batch in inlet:
            _answers.append(batch.num_rows)
            _at.append(time.perf_counter_ns())
        _held.append(held())


_held: list[int] = []
_at: list[int] = []
_answers: list[int] = []


def main() -> None:
    """Print the time of a window for each number of machines, and the slope between them."""
    rows: list[list[Any]] = []
    took = {copies: min(measure(copies) for _ in range(ROUNDS)) for copies in COPIES}
    for copies, whole in took.items():
        rows.append([str(copies), whole, whole / copies, whole / took[1]])
    show(["machines", "µs a window", "µs a window and machine", "times 1 machine"], rows)
    slope = (took[1000] - took[100]) / 900
    print(f"one more machine costs {slope:.2f} µs a window of {TICKS} ticks; one alone {took[1]:.1f} µs")


def most_held() -> int:
    """Bytes of this process in memory as the last runs ended, before they were taken down."""
    return max(_held)


def measure(copies: int) -> float:
    """The median time of a window (µs)."""
    _at.clear()
    nodes = {
        "machines": {"source": Machines, "copies": copies},
        "edges": {"encoder": "level_crossing", "input": "machines", "threshold": 0.25},
        "hidden": {
            "neuron": "lif",
            "size": NEURONS,
            "inputs": [
                {"from": "edges", "weights": {"normal": {"mean": 0.5, "std": 0.5}}},
                {"from": "hidden", "connect": {"probability": 0.1}, "weights": -0.1, "delay": "2 ms"},
            ],
        },
        "rate": {"decoder": "rate", "input": "hidden", "over": "10 ms"},
        "clock": {"sink": Clock, "input": "rate"},
    }
    spec = spikeflow.load({"name": "replicas", "time": {"window": f"{TICKS} ms"}, "nodes": nodes})
    with fast_loop() as runner:
        runner.run(Engine(spec, Options(capacity=1)).run())
    return float(np.median(np.diff(_at[WARM:]))) / 1e3


if __name__ == "__main__":
    main()
