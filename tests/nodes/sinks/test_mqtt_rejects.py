"""What sources could not read, on a topic."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

import spikeflow
from spikeflow.context import Context, Counters
from spikeflow.errors import GraphError
from spikeflow.events import Grid
from spikeflow.nodes.sinks.mqtt_rejects import MqttRejects
from spikeflow.runtime.collecting import CollectingInlet
from tests.brokers import Mosquitto, flood, mosquitto
from tests.commands import Running, accounted
from tests.nodes.conftest import Log, WallClock

__all__ = ["mosquitto"]


def graph(url: str, sink: dict[str, Any], **source: Any) -> dict[str, Any]:
    fields = {"source": "mqtt", "url": url, "channels": 1, "qos": 1, "rejects": "dead", "topic": "plant/#"}
    return {
        "spikeflow": 1,
        "name": "watch",
        "nodes": {"one": fields | source, "dead": {"sink": "mqtt_rejects", "url": url, **sink}},
    }


@asynccontextmanager
async def heard(broker: Mosquitto, topics: str, count: int) -> AsyncIterator[list[aiomqtt.Message]]:
    """The first so many messages of a filter, once the block is done."""
    async with aiomqtt.Client(broker.host, broker.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        await client.subscribe(topics, 1)
        found: list[aiomqtt.Message] = []
        yield found
        async for message in client.messages:
            found.append(message)
            if len(found) == count:
                break


async def run(broker: Mosquitto, folder: Path, sink: dict[str, Any], sent: dict[str, bytes]) -> dict[str, Any]:
    """The report of a run that takes what is sent."""
    (folder / "graph.yaml").write_text(json.dumps(graph(broker.url, sink)))
    with Running(folder, "graph.yaml") as command:
        await asyncio.to_thread(command.shows, lambda nodes: True)
        for topic, payload in sent.items():
            await flood(broker, topic, [payload], 1)
        await asyncio.to_thread(command.shows, lambda nodes: nodes["one"]["accepted"] == len(sent))
        command.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(command.end) == 0
    return command.report


GARBAGE = {"plant/a": b"\xff\x00", "plant/a/b": b'{"v": "x"}', "plant/c": b""}
REASONS = {"plant/a": "not json", "plant/a/b": "not a number", "plant/c": "not json"}


async def test_what_cannot_be_read_is_told_as_json(mosquitto: Mosquitto, tmp_path: Path) -> None:
    before = time.time_ns()
    async with heard(mosquitto, "dead/#", 3) as letters:
        report = await run(mosquitto, tmp_path, {"topic": "dead/{name}/{node}/{reason}/{topic}"}, GARBAGE)
    assert report["nodes"]["dead"]["accepted"] == report["nodes"]["dead"]["processed"] == 3
    for (topic, payload), letter in zip(GARBAGE.items(), letters, strict=True):
        assert isinstance(letter.payload, bytes)
        found = json.loads(letter.payload)
        assert before < found.pop("t") < time.time_ns()
        assert base64.b64decode(found.pop("payload")) == payload
        assert found == {"node": "one", "reason": REASONS[topic], "topic": topic}
        assert str(letter.topic) == f"dead/watch/one/{REASONS[topic]}/{topic}"


async def test_what_cannot_be_read_comes_as_it_was_with_properties(mosquitto: Mosquitto, tmp_path: Path) -> None:
    before = time.time_ns()
    async with heard(mosquitto, "dead", 3) as letters:
        await run(mosquitto, tmp_path, {"topic": "dead", "format": "bytes", "protocol": "5"}, GARBAGE)
    for (topic, payload), letter in zip(GARBAGE.items(), letters, strict=True):
        assert letter.payload == payload
        found = dict(getattr(letter.properties, "UserProperty", ()))
        assert before < int(found.pop("t")) < time.time_ns()
        assert found == {"node": "one", "reason": REASONS[topic], "topic": topic}


async def given(broker: Mosquitto, topic: str, *rows: tuple[str, str], **fields: Any) -> tuple[Counters, Log]:
    """What became of (reason, topic) at a sink."""
    log = Log()
    context = Context("dead", Grid(0, 1_000_000, 10), WallClock(), log=log)
    inlet = CollectingInlet(context.counters)
    inlet.joined()
    for reason, where in rows:
        inlet.offer("one", reason, where, 0, b"garbage")
    inlet.left()
    node = MqttRejects(url=broker.url, topic=topic, **fields)
    node.bind(context)
    async with asyncio.timeout(20):
        await node.consume(inlet)
    return context.counters, log


async def test_what_went_round_unseen_is_dropped_and_counted(mosquitto: Mosquitto) -> None:
    rows = [("not json", topic) for topic in ("plant/a", "dead/plant/a", "dead/dead/plant/a")]
    counters, log = await given(mosquitto, "dead/{topic}", *rows)
    assert (counters.accepted, counters.processed, counters.dropped) == (3, 1, {"loop": 2})
    assert accounted(counters.as_dict()) == 3
    assert [text for _, text in log.lines] == [
        "'dead/plant/a' could not be read, and is a topic where this is said; it is not said"
    ]


async def test_a_topic_that_no_broker_takes_is_dropped_and_counted(mosquitto: Mosquitto) -> None:
    rows = [("a/b+#\n", "plant/a"), ("not json", "x" * 65_535)]
    async with heard(mosquitto, "dead/#", 1) as letters:
        counters, _ = await given(mosquitto, "dead/{reason}/{topic}", *rows)
    assert (counters.accepted, counters.processed, counters.dropped) == (2, 1, {"topic": 1})
    assert [str(letter.topic) for letter in letters] == ["dead/a_b___/plant/a"]


def fault(sink: dict[str, Any], url: str = "mqtt://broker", **source: Any) -> str:
    """What is wrong with a graph."""
    with pytest.raises(GraphError) as told:
        spikeflow.load(graph(url, sink, **source))
    return str(told.value)


ROUND = "what 'one' cannot read would come to it again, and never end"


@pytest.mark.parametrize(
    ("source", "sink"),
    [
        ("#", "dead"),
        ("plant/#", "plant/dead"),
        ("$share/all/#", "dead/{topic}"),
        ("plant/{machine}/{axis}", "{topic}"),
        ("plant/+/+", "plant/{node}/{reason}"),
        ("plant/one/dead", "plant/{node}/dead"),
        ("dead-letters", "dead-{reason}"),
        ("a/#", "{topic}/dead"),
    ],
)
def test_a_topic_that_the_source_listens_to_is_refused(source: str, sink: str) -> None:
    assert ROUND in fault({"topic": sink}, topic=source)


@pytest.mark.parametrize(
    ("source", "sink"),
    [
        ("plant/+", "plant/{node}/dead"),
        ("plant/{machine}", "dead/{topic}"),
        ("#", "$dead/{topic}"),
        ("plant/one", "plant/two"),
        ("plant/+", "{topic}/dead"),
        ("plant/two/dead", "plant/{node}/dead"),
    ],
)
def test_a_topic_that_the_source_does_not_hear_is_taken(source: str, sink: str) -> None:
    spikeflow.load(graph("mqtt://broker", {"topic": sink}, topic=source))


def test_brokers_tell_who_hears_whom() -> None:
    spikeflow.load(graph("mqtt://one", {"url": "mqtt://other", "topic": "plant/dead"}))
    assert ROUND in fault({"url": "mqtt://localhost", "topic": "plant/dead"}, url="mqtt://127.0.0.1")
    assert ROUND in fault({"url": ["mqtt://other", "mqtt://one"], "topic": "plant/dead"}, url="mqtt://one")
    assert ROUND in fault({"url": "embedded", "topic": "plant/dead"}, url="embedded")


def test_a_longer_way_round_is_refused_too() -> None:
    described = graph("mqtt://broker", {"topic": "again/dead"})
    source = {"source": "mqtt", "url": "mqtt://broker", "channels": 1}
    described["nodes"]["two"] = {**source, "topic": "again/+", "rejects": "worse"}
    described["nodes"]["worse"] = {"sink": "mqtt_rejects", "url": "mqtt://broker", "topic": "plant/worse"}
    with pytest.raises(GraphError) as told:
        spikeflow.load(described)
    assert "what 'one' cannot read would come to it by way of 'two', and never end" in str(told.value)
    described["nodes"]["worse"]["topic"] = "worst"
    spikeflow.load(described)


def test_what_is_wrong_with_the_fields_is_told() -> None:
    assert "MQTT 3.1.1 has no user properties" in fault({"topic": "dead", "format": "bytes", "protocol": "3.1.1"})
    box = {"path": "box.db"}
    assert "an outbox keeps no user properties" in fault(
        {"topic": "dead", "format": "bytes", "protocol": "5", "outbox": box}
    )
    assert "unknown placeholder {nod} — did you mean 'node'?" in fault({"topic": "dead/{nod}"})
    assert "{topic} is part of a level" in fault({"topic": "dead-{topic}"})
    assert "nothing can be published to 'dead/#'" in fault({"topic": "dead/#"})
    assert "put a level before it" in fault({"topic": "{topic}", "url": "mqtt://other"})
