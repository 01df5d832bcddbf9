"""Runs from Python: await one, block on one, or start one and read its streams as they flow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from spikeflow.runtime.engine import Engine, Options, Report, fast_loop
from spikeflow.runtime.taps import Tap
from spikeflow.spec import GraphSpec, load

Graph = GraphSpec | str | Path | Mapping[str, Any]
"""A loaded graph, or what `load` takes."""


class Run:
    """A run that is about to begin, or on.

    Taps asked for before the first `await` slow the graph down to their reader and miss nothing.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._taps: list[Tap] = []
        self._task: asyncio.Task[Report] | None = None

    def tap(self, outlet: str) -> Tap:
        """The record batches of an outlet, ``node`` or ``node.port``, as an async iterator, one a window.

        Raises:
            ParameterError: no such outlet, or the run is on already.
        """
        tap = self.engine.tap(outlet)
        self._taps.append(tap)
        return tap

    def stop(self) -> None:
        """Drain: sources end, and what they have sent goes through the graph."""
        self.engine.stop()

    def begin(self) -> asyncio.Task[Report]:
        """Let it run; called by the first wait inside `start`."""
        if self._task is None:
            self._task = asyncio.create_task(self.engine.run(), name="spikeflow: run")
        return self._task

    async def finished(self) -> Report:
        """Wait for the end.

        Raises:
            NodeError: a node failed.
            ConnectError: a node could not connect in time.
        """
        return await self.begin()


@asynccontextmanager
async def start(graph: Graph, **options: Any) -> AsyncIterator[Run]:
    """A run as a context: ask for taps, then read them; leaving the context drains the graph.

    Args:
        graph: a loaded graph, a path, or a mapping.
        options: fields of `spikeflow.runtime.engine.Options`, such as ``seconds=5``.
    """
    run = Run(Engine(_loaded(graph), Options(**options)))
    loop = asyncio.get_running_loop()
    begin = loop.call_soon(run.begin)  # taps are asked for before the body first waits
    try:
        yield run
    finally:
        begin.cancel()
        for tap in run._taps:
            tap.close()
        run.stop()
        await run.begin()


async def run(graph: Graph, **options: Any) -> Report:
    """Run a graph to its end.

    Args:
        graph: a loaded graph, a path, or a mapping.
        options: fields of `spikeflow.runtime.engine.Options`, such as ``seconds=5``.

    Raises:
        GraphError: something in the graph is wrong; nothing has started.
        ConnectError: a node could not connect in time.
        NodeError: a node failed.
    """
    return await Engine(_loaded(graph), Options(**options)).run()


def run_blocking(graph: Graph, **options: Any) -> Report:
    """As `run`, from code that is not asynchronous."""
    with fast_loop() as runner:
        report: Report = runner.run(run(graph, **options))
    return report


def _loaded(graph: Graph) -> GraphSpec:
    return graph if isinstance(graph, GraphSpec) else load(graph)
