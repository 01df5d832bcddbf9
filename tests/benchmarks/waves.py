"""Spikes for those who look on: waves that run over populations, a million spikes a second, made beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from spikeflow.events import Kind, spike_batch
from spikeflow.node import Outlet, Source

PERIOD = 400
"""Windows after which the waves begin again."""


class Waves(Source):
    """Live spikes at a mean rate, in a wave that wanders over the neurons."""

    gives: ClassVar[tuple[Kind, ...]] = ("spikes",)
    trusted: ClassVar[bool] = True
    size: int = 50_000
    rate: float = 10.0

    def size_out(self, inputs: Sequence[Any]) -> int:
        return self.size

    def start(self, size: int) -> None:
        rng = np.random.default_rng(1)
        window_s = self.context.grid.window_ns / 1e9
        self._windows = []
        for k in range(PERIOD):
            phase = 2 * np.pi * k / PERIOD
            count = rng.poisson(self.size * self.rate * window_s * (1 + 0.6 * np.sin(3 * phase)))
            spread = rng.normal(0.5 + 0.35 * np.sin(phase), 0.08, count // 2) % 1
            place = np.concatenate([spread, rng.random(count - count // 2)])
            self._windows.append(np.sort((place * self.size).astype(np.uint32)))

    async def produce(self, outlet: Outlet) -> None:
        clock, step = self.context.clock, self.context.grid.window_ns
        due = clock.now_ns()
        number = 0
        while True:
            neuron = self._windows[number % PERIOD]
            await outlet.send(spike_batch(np.full(neuron.size, clock.now_ns()), neuron))
            number += 1
            due += step
            await clock.sleep_until(due)


def graph(rate: float = 10.0, size: int = 100_000) -> dict[str, Any]:
    """Two sources and a small population that hears a part of them; `rate` spikes a second and neuron (Hz)."""
    thin = {"connect": {"indegree": 8}, "weights": 0.35}
    return {
        "name": "million",
        "nodes": {
            "left": {"source": Waves, "size": size // 2, "rate": rate},
            "right": {"source": Waves, "size": size // 2, "rate": rate},
            "sum": {"neuron": "lif", "size": 200, "inputs": [{"from": "left", **thin}, {"from": "right", **thin}]},
            "rate": {"decoder": "rate", "input": "sum", "over": "100 ms", "per": "population"},
        },
    }
