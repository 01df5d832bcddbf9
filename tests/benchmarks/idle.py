"""An idle graph of ten nodes at windows of 10 ms, without a view: its share of a core."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ClassVar

import spikeflow
from spikeflow.events import Kind
from spikeflow.node import Outlet, Source
from spikeflow.runtime.clock import WallClock
from spikeflow.runtime.engine import Engine, Options, fast_loop
from tests.benchmarks.table import show

SECONDS = 20.0
WINDOW_NS = 10_000_000


class Quiet(Source):
    """A live source that says nothing."""

    gives: ClassVar[tuple[Kind, ...]] = ("samples",)

    def size_out(self, inputs: Sequence[Any]) -> int:
        return 16

    async def produce(self, outlet: Outlet) -> None:
        await self.context.clock.sleep_until(1 << 62)


def graph() -> dict[str, Any]:
    """Ten nodes: a source, two encoders, three populations, a rate decoder, and sinks."""
    hear = {"weights": {"normal": {"mean": 0.1, "std": 0.1}}}
    nodes: dict[str, Any] = {
        "quiet": {"source": Quiet},
        "edges": {"encoder": "level_crossing", "input": "quiet", "threshold": 0.1},
        "noise": {"encoder": "poisson", "input": "quiet"},
        "a": {"neuron": "lif", "size": 1000, "inputs": [{"from": "edges", **hear}, {"from": "a", **hear}]},
        "b": {"neuron": "lif", "size": 1000, "inputs": [{"from": "noise", **hear}]},
        "c": {"neuron": "lif", "size": 1000, "inputs": [{"from": "a", "weights": 0.1, "connect": {"indegree": 8}}]},
        "rate": {"decoder": "rate", "input": "c", "over": "100 ms"},
        "rate2": {"decoder": "rate", "input": "b", "over": "100 ms", "per": "population"},
        "out": {"sink": "console", "input": ["edges"]},
        "out2": {"sink": "console", "input": ["noise"]},
    }
    return {"name": "idle", "nodes": nodes}


async def _graph(watched: bool) -> tuple[float, float]:
    """% of a core and wake-ups a second of the graph, once the run is under way."""
    engine = Engine(spikeflow.load(graph()), Options(seconds=SECONDS + 4))
    if watched:
        engine.watch("quiet", lambda batch: None)
    run = asyncio.create_task(engine.run())
    await asyncio.sleep(3)
    found = await _used()
    report = await run
    windows = report.nodes["out"]["windows"]
    assert windows > 100 * SECONDS, f"{windows} windows"
    return found


async def _timer() -> tuple[float, float]:
    """% of a core and wake-ups a second of a timer that does nothing else."""
    clock = WallClock()
    due = clock.now_ns()

    def again() -> None:
        nonlocal due
        due += WINDOW_NS
        clock.call_at(due, again)

    again()
    try:
        return await _used()
    finally:
        clock.close()


async def _used() -> tuple[float, float]:
    before = resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.sleep(SECONDS)
    after = resource.getrusage(resource.RUSAGE_SELF)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 100 * busy / SECONDS, (after.ru_nvcsw - before.ru_nvcsw) / SECONDS


def main() -> None:
    """Print the CPU time of the whole process against the clock."""
    rows: list[tuple[str, Callable[[], Coroutine[Any, Any, tuple[float, float]]]]] = [
        ("ten nodes, windows of 10 ms", lambda: _graph(watched=False)),
        ("the same, while somebody looks at every window", lambda: _graph(watched=True)),
        ("a bare timer at the same rate", _timer),
    ]
    found = []
    for name, measured in rows:
        with fast_loop() as runner:
            found.append([name, *runner.run(measured())])
    show(["idle", "% of a core", "wake-ups a second"], found)


if __name__ == "__main__":
    main()
