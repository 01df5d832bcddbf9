"""Sources of known spikes, which begin once somebody looks on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from spikeflow.events import Kind, spike_batch
from spikeflow.node import Outlet, Source

DOTS = [(50 * k, k % 10) for k in range(40)]
"""Tick and neuron of every spike of `dots`, within two seconds."""
CROWD = [(tick, neuron) for tick in range(1000, 2000, 5) for neuron in range(0, 500, 5)]
"""Those of `crowd`: every fifth neuron of the lower half, two hundred times in the second of these seconds."""


class Pattern(Source):
    """Waits until somebody writes to a pipe, then sends what is known, and silence for ten minutes."""

    gives: ClassVar[tuple[Kind, ...]] = ("spikes",)
    timed: ClassVar[bool] = True
    which: Literal["dots", "crowd"]
    go: Path

    @property
    def finite(self) -> bool:
        return True

    def origin_ns(self) -> int | None:
        return 0

    def size_out(self, inputs: Sequence[Any]) -> int:
        return 10 if self.which == "dots" else 1000

    async def produce(self, outlet: Outlet) -> None:
        loop, gone = asyncio.get_running_loop(), asyncio.Event()
        pipe = os.open(self.go, os.O_RDONLY | os.O_NONBLOCK)
        loop.add_reader(pipe, gone.set)  # nobody reads what is written, so that every pattern hears of it
        try:
            await gone.wait()
        finally:
            loop.remove_reader(pipe)
        events = np.array(DOTS if self.which == "dots" else CROWD)
        for first in range(0, 600_000, 10):
            low, high = np.searchsorted(events[:, 0], (first, first + 10))
            here = events[low:high]
            await outlet.send_window(spike_batch(here[:, 0] * 1_000_000, here[:, 1]))
