"""What a benchmark found: one value a repetition, and the median with its spread."""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psutil


@dataclass(frozen=True)
class Measured:
    """One figure.

    Attributes:
        values: one a repetition, warm-up left out.
        rate_hz: mean firing rate of the neurons while it was measured; None where no neuron is to fire.
    """

    values: Sequence[float]
    rate_hz: float | None = None

    @property
    def median(self) -> float:
        """The middle of the repetitions."""
        return statistics.median(self.values)

    def as_dict(self) -> dict[str, Any]:
        """The median, the spread, the number of repetitions, and the rate."""
        found: dict[str, Any] = {"median": self.median, "min": min(self.values), "max": max(self.values)}
        found["repetitions"] = len(self.values)
        if self.rate_hz is not None:
            found["rate_hz"] = self.rate_hz
        return {key: float(f"{value:.5g}") if isinstance(value, float) else value for key, value in found.items()}


def held() -> int:
    """Bytes of this process in memory, once the C library has given back what is free."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    size: int = psutil.Process().memory_info().rss
    return size


def repeated(work: Callable[[], object], repetitions: int, before: Callable[[], object] = lambda: None) -> list[float]:
    """Seconds of each repetition of `work`, after one that is not timed; `before` each one, untimed."""
    took = []
    for _ in range(repetitions + 1):
        before()
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return took[1:]
