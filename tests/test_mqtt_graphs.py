"""Graphs that feed graphs by MQTT."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

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


@pytest.mark.parametrize("qos", [0, 1])
async def test_samples_of_one_instant_in_a_graph_are_no_duplicates_in_the_one_that_it_feeds(
    mosquitto: Mosquitto, qos: int
) -> None:
    base = {"source": "mqtt", "url": mosquitto.url, "channels": 1}
    out = {"sink": "mqtt", "input": "sensor", "url": mosquitto.url, "topic": "between", "payload": {"format": "arrow"}}
    first = {"sensor": {**base, "topic": "plant", "qos": 1}, "out": out}
    rules = {"by": "payload", "lateness": "3 s"}
    second = {"sensor": {**base, "topic": "between", "qos": qos, "payload": {"format": "arrow"}, "time": rules}}
    later, earlier = Running(second), Running(first)
    for graph in (later, earlier):
        await graph.shows(lambda nodes: nodes["sensor"].get("connection", {}).get("connected", False))
    count = 300  # which come in blocks, each stamped with one instant
    await flood(mosquitto, "plant", [b"1"] * count, 1)
    await earlier.shows(lambda nodes: nodes["out"]["processed"] == count)
    await earlier.end()
    await later.shows(lambda nodes: nodes["sensor"]["accepted"] == count)
    counts = await later.end()
    assert (counts["processed"], counts.get("dropped")) == (count, None)


@pytest.mark.parametrize("qos", [0, 1])
async def test_a_reading_that_comes_in_two_messages_is_a_duplicate_however_they_come(
    mosquitto: Mosquitto, qos: int
) -> None:
    payload = {"value": "$.v", "time": "$.t", "time_unit": "ns"}
    sensor = {"source": "mqtt", "url": mosquitto.url, "topic": "x", "channels": 1, "qos": qos, "payload": payload}
    graph = Running({"sensor": {**sensor, "time": {"by": "payload", "lateness": "3 s"}}})
    await graph.shows(lambda nodes: nodes["sensor"].get("connection", {}).get("connected", False))
    now = time.time_ns()
    await flood(mosquitto, "x", [b'{"v": 1, "t": %d}' % (now + number // 2) for number in range(200)], qos)
    await graph.shows(lambda nodes: nodes["sensor"]["accepted"] == 200)
    counts = await graph.end()
    assert (counts["processed"], counts["dropped"]) == (100, {"duplicate": 100})
