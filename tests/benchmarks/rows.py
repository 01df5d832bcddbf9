"""The rows of the table: what is run, in which unit, and what it is to reach."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.measured import Measured

STATE, MOVED = 8, 16
"""Bytes of a LIF neuron's state in float32, and of reading and writing it."""


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        work: the workload and how it is run.
        case: module and function that measure it, such as ``kernels.w1``.
        arguments: of that function.
        metric: which of its figures.
        unit: of the figure.
        goal: what it is to reach; None where it is only shown.
        at_least: the goal is a lower bound, else an upper one.
        limit: the figure at which bandwidth would end it, from bandwidths (GB/s) by cache and a way to place bytes.
    """

    work: str
    case: str
    arguments: Mapping[str, Any]
    metric: str
    unit: str
    goal: float | None = None
    at_least: bool = False
    limit: Callable[[Limits], float] | None = field(default=None, compare=False)

    @property
    def key(self) -> str:
        """What tells the row from all others."""
        said = ",".join(f"{name}={value}" for name, value in self.arguments.items())
        return f"{self.case}({said}).{self.metric}"

    @property
    def job(self) -> tuple[str, str]:
        """Rows with the same one are measured together."""
        return self.case, repr(sorted(self.arguments.items()))

    def met(self, median: float) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        if self.goal is None:
            return None
        return median >= self.goal if self.at_least else median <= self.goal


@dataclass(frozen=True)
class Limits:
    """Bandwidths (GB/s) of the triad and of reading, by place, and how many bytes each place holds."""

    triad: Mapping[str, float]
    read: Mapping[str, float]
    holds: Mapping[str, int]

    def ns(self, count: float, working_set: float, speeds: Mapping[str, float]) -> float:
        """The time to move `count` bytes: from the nearest place that holds the working set, or what of it there is."""
        for name, size in self.holds.items():
            if working_set <= size:
                return count / speeds[name]
        last, size = list(self.holds.items())[-1]
        near = size / working_set
        return count * (near / speeds[last] + (1 - near) / speeds["memory"])

    def update(self, n: int) -> float:
        """ns a neuron whose state is read and written."""
        return self.ns(MOVED, STATE * n, self.triad)


def measure(case: str, arguments: Mapping[str, Any]) -> dict[str, Measured]:
    """Run a case in this process."""
    module, _, name = case.partition(".")
    found: dict[str, Measured] = getattr(importlib.import_module(f"tests.benchmarks.{module}"), name)(**arguments)
    return found


def _cuba(n: int) -> Callable[[Limits], float]:
    """W3's real-time factor: four state variables read and written each tick, 16 bytes a synaptic event."""

    def limit(limits: Limits) -> float:
        update = limits.ns(n * 32, 16 * n, limits.triad)
        events = limits.ns(5.2 * n * 80 * 1e-4 * 16, 80 * 8 * n, limits.triad)
        return (update + events) * 1e-9 / 1e-4

    return limit


def _update(n: int) -> Callable[[Limits], float]:
    """ns an update of n neurons."""
    return lambda limits: limits.update(n)


def _tick(limits: Limits) -> float:
    """µs a tick of ten thousand neurons."""
    return 10 * limits.update(10_000)


SIZES = (1_000, 10_000, 100_000, 1_000_000)


def _rows() -> list[Row]:
    found = []
    for n in SIZES:
        goal = 0.5 if n in (10_000, 100_000) else None
        arguments = {"n": n, "per": 1}
        work = f"W1, {n:,} neurons"
        found.append(
            Row(f"{work}, kernel, a tick a call", "kernels.w1", arguments, "ns", "ns an update", goal,
                limit=_update(n))
        )  # fmt: skip
    for n in SIZES:
        goal = 0.33 if n >= 10_000 else None
        arguments = {"n": n, "per": 100, "arrow": True}
        found.append(
            Row(f"W1, {n:,} neurons, kernel, windows of 100 ticks, record batch built", "kernels.w1", arguments, "ns",
                "ns an update", goal, limit=lambda limits: MOVED / limits.triad["L1"])
        )  # fmt: skip
    for n in SIZES:
        for per in (1, 100):
            said = "1 tick" if per == 1 else f"{per} ticks"
            work = f"W1, {n:,} neurons, in a graph, windows of {said}"
            found.append(Row(work, "graphs.w1", {"n": n, "per": per}, "ns", "ns an update"))
    for n, goal in ((1_000, None), (10_000, 0.2)):

        def weights(limits: Limits, n: int = n) -> float:
            return limits.ns(4, 4000 * n, limits.read)

        work = f"W2, {n:,} neurons"
        unit = "ns a synaptic event"
        found += [
            Row(f"{work}, kernel, a tick a call", "kernels.w2", {"n": n}, "ns", unit, goal, limit=weights),
            Row(f"{work}, kernel, windows of 100 ticks", "kernels.w2", {"n": n, "per": 100}, "ns", unit, limit=weights),
            Row(f"{work}, in a graph, windows of 10 ticks", "graphs.w2", {"n": n, "per": 10}, "ns", unit),
        ]
    unit = "times real time"
    for n, bare, live in ((4_000, 0.018, 0.025), (40_000, 0.19, 0.23)):
        found += [
            Row(f"W3, {n:,} neurons, kernel, calls of 1 ms", "kernels.w3", {"n": n, "per": 10}, "rtf", unit, bare,
                limit=_cuba(n)),
            Row(f"W3, {n:,} neurons, in a graph, windows of 1 ms", "graphs.w3", {"n": n}, "rtf", unit, live),
        ]  # fmt: skip
    w4 = "W4, 10,000 neurons, one tick at a time"
    for name, case, arguments, p50, p99 in (
        ("kernel", "kernels.w4", {}, 8.0, 15.0),
        ("in a graph, flat out", "graphs.w4", {}, 20.0, None),
        ("in a graph, one tick in flight", "graphs.w4", {"capacity": 1}, None, None),
        ("in a graph, paced at 1 kHz", "graphs.w4_paced", {}, 35.0, 120.0),
    ):
        limit = _tick if name == "kernel" else None
        found.append(Row(f"{w4}, {name}, p50", case, arguments, "p50", "µs", p50, limit=limit))
        found.append(Row(f"{w4}, {name}, p99", case, arguments, "p99", "µs", p99))
    silent = "after 5 s of silence, over before:"
    for said, case, some in (
        (f"{silent} W1, 10,000 neurons, kernel", "kernels.after_silence", {"work": "w1", "n": 10_000}),
        (f"{silent} W2, 10,000 neurons, kernel", "kernels.after_silence", {"work": "w2", "n": 10_000}),
        (f"{silent} W4, in a graph, flat out", "graphs.w4_after_silence", {}),
        (f"{silent} W4, in a graph, paced at 1 kHz", "graphs.w4_paced", {"silence": 5000}),
    ):
        found.append(Row(said, case, some, "ratio", "times", NOT_SLOWER))
    for n in SIZES:
        work = f"a population of {n:,} at rest, in a graph"
        found.append(Row(work, "graphs.at_rest", {"n": n}, "us", "µs a window", 3.0))
    for per, least in ((10, 0.3), (100, 0.3)):
        work = f"one event in 100 ticks, 1,024 neurons, kernel, windows of {per} ticks"
        found.append(Row(work, "kernels.sparse_events", {"per": per}, "us", "µs a tick", least,
                         limit=lambda limits: 1.024 * limits.update(1024)))  # fmt: skip
    two = "two populations of 100,000, windows of 20 ticks, on two threads"
    found += [
        Row(f"{two}, over one alone", "graphs.two_threads", {}, "ratio", "times", 1.7, at_least=True),
        Row(f"{two}: a window of one alone", "graphs.two_threads", {}, "ms", "ms", 0.5, at_least=True),
        Row("1 M spikes/s into 100,000 neurons, rate, file sink, windows of 10 ms", "graphs.million", {}, "percent",
            "% of a core", 20.0),
        Row("import to first window, warm cache", "startup.startup", {"cold": False}, "s", "s", 1.0),
        Row("import to first window, empty cache", "startup.startup", {"cold": True, "repetitions": 2}, "s", "s"),
    ]  # fmt: skip
    return found


NOT_SLOWER = 1.05
"""What is within a twentieth is not slower: repetitions differ by as much."""

ROWS = _rows()
