"""Histograms of durations, for Prometheus."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

BOUNDS_S = (1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5)
_EDGES = np.array(BOUNDS_S)


class Histogram:
    """How many durations were at most as long as each of some bounds.

    Attributes:
        total: the sum of all (s).
    """

    def __init__(self) -> None:
        self._counts = np.zeros(len(BOUNDS_S) + 1, np.int64)
        self.total = 0.0

    def add(self, seconds: npt.NDArray[Any]) -> None:
        """Add some."""
        self._counts += np.bincount(np.searchsorted(_EDGES, seconds), minlength=len(self._counts))
        self.total += float(seconds.sum())

    @property
    def buckets(self) -> list[tuple[str, int]]:
        """Bound and how many were at most as long, as Prometheus has it."""
        bounds = [*(f"{bound:g}" for bound in BOUNDS_S), "+Inf"]
        return list(zip(bounds, np.cumsum(self._counts).tolist(), strict=True))
