"""What sources could not read, kept with its reason."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import spikeflow
from spikeflow.context import Counters
from spikeflow.errors import GraphError
from spikeflow.events import REJECTS
from spikeflow.runtime.collecting import CollectingInlet
from tests.brokers import FAST, Mosquitto, flood, mosquitto, running_mosquitto
from tests.commands import Running

__all__ = ["mosquitto"]


def graph(url: str, path: Any, **more: Any) -> dict[str, Any]:
    source = {"source": "mqtt", "url": url, "channels": 1, "qos": 1, "rejects": "bad"}
    return {
        "name": "watch",
        "nodes": {
            "one": {**source, "topic": "one/{machine}", "payload": {"value": "$.v"}},
            "two": {**source, "topic": "two"},
            "seen": {"sink": "file", "input": ["one", "two"], "path": "seen"},
            "bad": {"sink": "rejects", "path": str(path), **more},
        },
    }


def rows(path: Path) -> list[dict[str, Any]]:
    with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as reader:
        assert reader.schema.equals(REJECTS)
        found: list[dict[str, Any]] = reader.read_all().drop_columns(["t"]).to_pylist()
    return found


async def run(broker: Mosquitto, folder: Path, sent: list[tuple[str, list[bytes]]], **more: Any) -> dict[str, Any]:
    """The report of a run that takes what is sent."""
    count = sum(len(payloads) for _, payloads in sent)
    described = {"spikeflow": 1, **graph(broker.url, "{name}.arrows", **more)}
    (folder / "graph.yaml").write_text(json.dumps(described))
    with Running(folder, "graph.yaml") as command:
        await asyncio.to_thread(command.shows, lambda nodes: True)
        for topic, payloads in sent:
            await flood(broker, topic, payloads, 1)
        await asyncio.to_thread(
            command.shows, lambda nodes: nodes["one"]["accepted"] + nodes["two"]["accepted"] == count
        )
        command.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(command.end) == 0
    return command.report


async def test_garbage_goes_to_the_sink_with_its_reason_its_topic_and_its_bytes(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    sent = [("one/a", [b"\xff\x00", b'{"v": 1}', b'{"w": 1}']), ("one/b", [b'{"v": 2}']), ("two", [b"nan", b"3"])]
    report = await run(mosquitto, tmp_path, sent)
    found = rows(tmp_path / "watch.arrows")
    assert sorted((row["node"], row["reason"], row["topic"], row["payload"]) for row in found) == [
        ("one", "channels", "one/b", b'{"v": 2}'),
        ("one", "no value", "one/a", b'{"w": 1}'),
        ("one", "not json", "one/a", b"\xff\x00"),
        ("two", "not json", "two", b"nan"),
    ]
    assert report["nodes"]["one"]["rejected"] == {"not json": 1, "no value": 1, "channels": 1}
    assert report["nodes"]["bad"]["accepted"] == report["nodes"]["bad"]["processed"] == 4


async def test_a_flood_of_garbage_neither_loses_good_messages_nor_grows_the_file_for_ever(
    tmp_path: Path,
) -> None:
    flooded = [b"%d" % k if k % 100 == 0 else b"garbage" * 10 for k in range(20_000)]
    (tmp_path / "broker").mkdir()
    with running_mosquitto(tmp_path / "broker", settings=FAST) as broker:
        report = await run(broker, tmp_path, [("two", flooded)], megabytes=0.2)
    source, sink = report["nodes"]["two"], report["nodes"]["bad"]
    assert (source["processed"], source["rejected"]) == (200, {"not json": 19_800})
    assert sink["accepted"] == 19_800 == sink["processed"] + sum(sink["dropped"].values())
    assert len(rows(tmp_path / "watch.arrows")) == sink["processed"]
    assert (tmp_path / "watch.arrows").stat().st_size < 700_000


async def test_what_does_not_fit_is_dropped_and_counted_at_once() -> None:
    counters = Counters()
    inlet = CollectingInlet(counters)
    inlet.joined()
    for _ in range(10):
        inlet.offer("one", "not json", "x", 0, bytes(1 << 20))
    assert counters.dropped == {"overflow": 2}
    inlet.left()
    taken = [batch.num_rows async for batch in inlet]
    assert sum(taken) == counters.processed == 8
    assert counters.buffered == 0


def fault(**nodes: Any) -> str:
    """What is wrong with a graph."""
    base = graph("embedded", "bad.arrows")["nodes"]
    with pytest.raises(GraphError) as told:
        spikeflow.load({"nodes": {**base, **nodes}})
    return str(told.value)


def test_a_name_that_is_no_such_sink_is_told_with_what_would_work() -> None:
    one = {"source": "mqtt", "url": "embedded", "topic": "x", "channels": 1}
    assert "unknown node 'bat' — did you mean 'bad'?" in fault(one={**one, "rejects": "bat"})
    assert "'seen' takes no rejects — add one: bad: {sink: rejects" in fault(one={**one, "rejects": "seen"})
    other = {"sink": "rejects", "path": "other.arrows"}
    assert "no source sends it anything — write 'rejects: other' at a source" in fault(other=other)
    assert "an input — a sink takes none" in fault(bad={**other, "input": "one"})
    assert "does not end with .arrows" in fault(bad={**other, "path": "other.csv"})


def test_the_way_of_what_cannot_be_read_is_drawn() -> None:
    from spikeflow.spec.mermaid import to_mermaid

    assert 'one -. "rejects" .-> bad' in to_mermaid(spikeflow.load(graph("embedded", "bad.arrows")))
