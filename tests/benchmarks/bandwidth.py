"""What this machine's caches and memory carry: a triad, and reading, over working sets that fit into each of them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from tests.benchmarks.machine import caches
from tests.benchmarks.measured import Measured
from tests.benchmarks.table import show

PLACES = ("L1", "L2", "L3", "memory")

BYTES = {"triad": 12, "triad, NumPy": 12, "read": 4}
"""Bytes an element that are counted: the triad reads two and writes one, reading adds rows to one that stays near."""

ROW = 1024
"""Elements of the rows that are added up; those that they are added to stay in L1."""


def working_set(place: str) -> int:
    """Bytes that fit well into a cache, and into none where memory is meant."""
    shares = {"L1": 0.4, "L2": 0.4, "L3": 0.25}
    held = caches()
    return int(shares[place] * held[place]) if place in shares else 16 * max(held["L3"], 32 << 20)


_compiled: Callable[[Any], Any] = numba.njit(nogil=True)


@_compiled
def triad(a: Any, b: Any, c: Any, factor: Any, times: int) -> None:
    """a = b + factor * c, over and over."""
    for _ in range(times):
        for k in range(a.size):
            a[k] = b[k] + factor * c[k]


def triad_numpy(a: Any, b: Any, c: Any, factor: Any, times: int) -> None:
    """The same in NumPy, which goes over its arrays twice."""
    for _ in range(times):
        np.multiply(c, factor, out=a)
        np.add(a, b, out=a)


@_compiled
def read(near: Any, rows: Any, times: int) -> None:
    """Add rows to one that stays near, four at a time."""
    for _ in range(times):
        for row in range(0, rows.shape[0], 4):
            one, two, three, four = rows[row], rows[row + 1], rows[row + 2], rows[row + 3]
            for k in range(near.size):
                near[k] = near[k] + one[k] + two[k] + three[k] + four[k]


def _aligned(size: int, place: int) -> Any:
    """Zeros on a cache line of their own, each array at another offset within a page."""
    room = np.zeros(size + 4096, np.float32)
    start = (-room.ctypes.data // 4) % 1024 + 80 * place
    return room[start : start + size]


def bandwidth(place: str, repetitions: int = 9) -> dict[str, Measured]:
    """GB/s of the triad in Numba and in NumPy, and of reading."""
    held = working_set(place)
    size = held // BYTES["triad"]
    a, b, c = (_aligned(size, k) for k in range(3))
    near, rows = _aligned(ROW, 3), _aligned(max(4, held // 4 // ROW // 4 * 4) * ROW, 4).reshape(-1, ROW)
    b[:], c[:], rows[:] = 1.0, 2.0, 1e-9
    factor, times = np.float32(0.5), max(1, (128 << 20) // held)
    jobs: dict[str, tuple[Callable[[], object], int]] = {
        "triad": (lambda: triad(a, b, c, factor, times), BYTES["triad"] * size),
        "triad, NumPy": (lambda: triad_numpy(a, b, c, factor, times), BYTES["triad"] * size),
        "read": (lambda: read(near, rows, times), BYTES["read"] * rows.size),
    }
    found = {}
    for name, (work, count) in jobs.items():
        work()
        took = []
        for _ in range(repetitions):
            began = time.perf_counter()
            work()
            took.append(time.perf_counter() - began)
        found[name] = Measured([count * times / t / 1e9 for t in took])
    return found


def main() -> None:
    """Print the bandwidths."""
    rows = []
    for place in PLACES:
        found = bandwidth(place)
        rows.append([place, working_set(place) >> 10, *(found[name].median for name in BYTES)])
    show(["GB/s in", "KiB", *BYTES], rows)


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps({name: figure.as_dict() for name, figure in bandwidth(sys.argv[1]).items()}))
    else:
        main()
