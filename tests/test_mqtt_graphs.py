"""Graphs that feed graphs by MQTT."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

import spikeflow
from spikeflow.runtime.engine import Engine, Options
from tests.brokers import Mosquitto, flood, mosquitto

__all__ = ["mosquitto"]

MACHINES = 40


class Running:
    """A graph at work."""

    def __init__(self, nodes: dict[str, Any]) -> None:
        self._engine = Engine(spikeflow.load({"nodes": nodes}), Options(log=lambda *_: None))
        self._news = asyncio.Event()
        self._engine.watch("sensor", lambda _: self._news.set())
        self._task = asyncio.create_task(self._engine.run())

    async def shows(self, when: Callable[[dict[str, Any]], bool]) -> None:
        """Return once something is so, looked at after each window."""
        while not self._engine.snapshot() or not when(self._engine.snapshot()):
            self._news.clear()
            await self._news.wait()

    async def end(self) -> dict[str, Any]:
        """The counts of its source, once it has drained."""
        self._engine.stop()
        counts: dict[str, Any] = (await self._task).nodes["sensor"]
        return counts


async def test_what_a_graph_publishes_as_arrow_another_takes_whole_at_its_times(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    base = {"source": "mqtt", "url": mosquitto.url, "channels": MACHINES, "qos": 1}
    out = {"sink": "mqtt", "input": "sensor", "url": mosquitto.url, "topic": "between", "payload": {"format": "arrow"}}
    first = {"sensor": {**base, "topic": "plant/{machine}"}, "out": out}
    first["tape"] = {"sink": "file", "input": "sensor", "path": str(tmp_path / "first.arrow")}
    rules = {"by": "payload", "lateness": "3 s"}
    second = {"sensor": {**base, "topic": "between", "payload": {"format": "arrow"}, "time": rules}}
    second["tape"] = {"sink": "file", "input": "sensor", "path": str(tmp_path / "second.arrow")}
    later, earlier = Running(second), Running(first)
    for graph in (later, earlier):
        await graph.shows(lambda nodes: nodes["sensor"].get("connection", {}).get("connected", False))
    for machine in range(MACHINES):
        await flood(mosquitto, f"plant/{machine}", [b"%d" % machine], 1)
    await earlier.shows(lambda nodes: nodes["out"]["processed"] == MACHINES)
    await earlier.end()
    await later.shows(lambda nodes: nodes["sensor"]["accepted"] == MACHINES)
    counts = await later.end()
    assert (counts["processed"], counts.get("dropped")) == (MACHINES, None)
    tables = []
    for name in ("first", "second"):
        with pa.ipc.open_file(str(tmp_path / f"{name}.arrow")) as reader:
            tables.append(
                reader.read_all()
                .sort_by("channel")
                .cast(pa.schema([("t", pa.int64()), ("channel", pa.uint32()), ("value", pa.float32())]))
            )
    assert tables[0].equals(tables[1])
