"""An idle graph of ten nodes at windows of 10 ms, without a view: its share of a core."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Sequence
from typing import Any, ClassVar

import spikeflow
from spikeflow.events import Kind
from spikeflow.node import Outlet, Source
from spikeflow.runtime.engine import Engine, Options, Report, fast_loop
from tests.benchmarks.table import show

SECONDS = 20.0


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


async def _measure() -> tuple[float, Report]:
    """CPU seconds of `SECONDS` of the clock, once the run is under way, and the report."""
    engine = Engine(spikeflow.load(graph()), Options(seconds=SECONDS + 4))
    run = asyncio.create_task(engine.run())
    await asyncio.sleep(3)
    before = resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.sleep(SECONDS)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, await run


def main() -> None:
    """Print the CPU time of the whole process against the clock."""
    with fast_loop() as runner:
        busy, report = runner.run(_measure())
    windows = report.nodes["out"]["windows"]
    show(["nodes", "windows", "% of a core"], [[len(report.nodes), windows, 100 * busy / SECONDS]])


if __name__ == "__main__":
    main()
