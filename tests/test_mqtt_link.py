"""Connections that go to another broker, wait, are kept by the broker, and say that they are there."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from spikeflow.errors import RefusedError
from spikeflow.nodes.mqtt_addresses import parse_urls
from spikeflow.nodes.mqtt_reasons import REFUSED, SENTENCES, sentence
from spikeflow.nodes.sources.mqtt import Mqtt
from tests.brokers import Mosquitto, mosquitto, running_mosquitto
from tests.commands import Running
from tests.nodes.conftest import LiveSource

__all__ = ["mosquitto"]


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Mosquitto]:
    """A second broker."""
    folder = tmp_path / "other"
    folder.mkdir()
    with running_mosquitto(folder) as broker:
        yield broker


async def published(broker: Mosquitto, topic: str, *values: int, qos: int = 1, retain: bool = False) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        for value in values:
            await client.publish(topic, str(value), qos, retain)


def numbers(live: LiveSource) -> list[float]:
    return [value for _, value, _ in live.outlet.pushed]


async def test_a_source_goes_to_the_next_broker_and_counts_it(mosquitto: Mosquitto, other: Mosquitto) -> None:
    node = Mqtt(url=[mosquitto.url, other.url], topic="x", channels=1, qos=1)
    async with LiveSource(node) as live:
        await published(mosquitto, "x", 1)
        await live.outlet.heard(1)
        mosquitto.kill()
        said = await live.log.says("back on ")
        assert said.startswith(f"back on {other.url} after ")
        await published(other, "x", 2, 3)
        await live.outlet.heard(3)
        assert live.context.look is not None
        assert live.context.look() | {"last_message_s": None} == {
            "broker": other.url,
            "connected": True,
            "protocol": "5",
            "reconnects": 1,
            "last_message_s": None,
            "in_flight": 0,
        }
        mosquitto.start()
        other.kill()
        await live.log.says(f"back on {mosquitto.url}")
        await published(mosquitto, "x", 4)
        await live.outlet.heard(4)
    assert numbers(live) == [1, 2, 3, 4]
    assert live.context.counters.noted == {"reconnected": 2, "failover": 2}
    lost = [text for level, text in live.log.lines if level == "warning"]
    assert [text.partition(": ")[0] for text in lost if text.startswith("lost")] == [
        f"lost {mosquitto.url}",
        f"lost {other.url}",
    ]


async def test_a_source_begins_with_the_second_broker_where_the_first_is_not_there(
    mosquitto: Mosquitto, other: Mosquitto
) -> None:
    mosquitto.kill()
    async with LiveSource(Mqtt(url=f"{mosquitto.url},{other.url}", topic="x", channels=1)) as live:
        assert live.log.lines == [
            ("warning", f"cannot connect to {mosquitto.url}: Connection refused; trying {other.url}"),
            ("info", live.log.lines[-1][1]),
        ]
        assert live.log.lines[-1][1] == f"connected to {other.url}"


def test_several_brokers_are_a_list_or_a_text_with_commas() -> None:
    class Info:
        context: dict[str, Any] = {}

    info: Any = Info()
    one = parse_urls(["mqtt://a", "wss://u:p,q@b/x,y"], info)
    assert one == parse_urls("mqtt://a , wss://u:p,q@b/x,y", info)
    assert [str(url) for url in one] == ["mqtt://a:1883", "wss://b:443/x,y"]


async def test_every_broker_that_refuses_for_good_is_named(tmp_path: Path) -> None:
    folders = tmp_path / "one", tmp_path / "two"
    with contextlib.ExitStack() as stack:
        for folder in folders:
            folder.mkdir()
        urls = [stack.enter_context(running_mosquitto(folder, {"me": "secret"})).url for folder in folders]
        live = LiveSource(Mqtt(url=urls, topic="x", channels=1, username="me", password="wrong"))
        with pytest.raises(RefusedError) as error:
            await live.task
    assert all(url in str(error.value) for url in urls)


GRAPH = """
spikeflow: 1
nodes:
  sensor:
    source: mqtt
    url: {url}
    topic: x
    channels: 1
    qos: 1
    first_connect: wait
  tape: {{sink: file, input: sensor, path: tape.arrow}}
"""


async def test_a_run_that_waits_begins_without_its_broker(mosquitto: Mosquitto, tmp_path: Path) -> None:
    mosquitto.kill()
    (tmp_path / "graph.yaml").write_text(GRAPH.format(url=mosquitto.url))
    with Running(tmp_path, "graph.yaml", "--connect-timeout", "100ms") as command:
        shown = await asyncio.to_thread(command.shows, lambda nodes: nodes["tape"]["windows"] > 20)
        assert shown["sensor"]["connection"]["connected"] is False
        assert shown["sensor"]["connection"]["away_s"] > 0
        mosquitto.start()
        await asyncio.to_thread(command.says, "connected to ")
        await published(mosquitto, "x", 1, 2)
        await asyncio.to_thread(command.shows, lambda nodes: nodes["sensor"]["accepted"] == 2)
        command.process.terminate()
        assert await asyncio.to_thread(command.end) == 0
    connection = command.report["nodes"]["sensor"]["connection"]
    assert connection["last_message_s"]["x"] >= 0


# What the broker keeps.


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
async def test_a_session_is_kept_or_clean_as_it_is_said(mosquitto: Mosquitto, protocol: Any) -> None:
    def source(**session: Any) -> LiveSource:
        node = Mqtt(
            url=mosquitto.url, topic="x", channels=1, qos=1, client_id="me", protocol=protocol, session=session or None
        )
        return LiveSource(node)

    async with source():
        pass
    await published(mosquitto, "x", 1)
    async with source() as kept:
        await kept.outlet.heard(1)
    async with source(clean=True) as clean:
        await published(mosquitto, "x", 2)
        await clean.outlet.heard(1)
    await published(mosquitto, "x", 3)
    async with source() as again:
        await published(mosquitto, "x", 4)
        await again.outlet.heard(1)
    assert (numbers(kept), numbers(clean), numbers(again)) == ([1], [2], [4])


async def test_a_session_expires_when_it_is_said(mosquitto: Mosquitto) -> None:
    def source(expiry: str) -> LiveSource:
        session = {"expiry": expiry}
        node = Mqtt(url=mosquitto.url, topic="x", channels=1, qos=1, client_id="me", protocol="5", session=session)
        return LiveSource(node)

    async with source("1 h"):
        pass
    await published(mosquitto, "x", 1)
    async with source("1 s") as kept:
        await kept.outlet.heard(1)
    await published(mosquitto, "x", 2)
    await asyncio.to_thread(mosquitto.says, "Expiring client me due to timeout")
    async with source("1 s") as gone:
        await published(mosquitto, "x", 3)
        await gone.outlet.heard(1)
    assert (numbers(kept), numbers(gone)) == ([1], [3])


def test_a_session_that_cannot_be_is_told_at_check() -> None:
    def said(**fields: Any) -> list[str]:
        node = Mqtt(url="mqtt://b", topic="x", channels=1, qos=1, **fields)
        return [str(problem) for problem in node.address_problems()]

    assert said(session={"clean": False}) == [
        "a session is kept for a name, and there is none — add 'client_id', one for each node of each process"
    ]
    assert said(session={"expiry": "1 h"}, client_id="me", protocol="3.1.1") == [
        "an expiry is nothing that MQTT 3.1.1 can ask for"
        " — write protocol: 5, or leave it to the broker (mosquitto: persistent_client_expiration)"
    ]
    assert said(session={"expiry": "1 h"}, client_id="me") == []


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
async def test_sources_of_a_group_share_the_messages(mosquitto: Mosquitto, protocol: Any) -> None:
    node = {"url": mosquitto.url, "topic": "$share/group/a/{k}", "channels": 1, "qos": 1, "protocol": protocol}
    async with LiveSource(Mqtt(**node)) as first, LiveSource(Mqtt(**node)) as second:
        await published(mosquitto, "a/1", *range(20))
        while len(numbers(first)) + len(numbers(second)) < 20:
            heard = [asyncio.create_task(one.outlet.heard(len(numbers(one)) + 1)) for one in (first, second)]
            await asyncio.wait(heard, return_when=asyncio.FIRST_COMPLETED)
            for task in heard:
                task.cancel()
    assert sorted(numbers(first) + numbers(second)) == list(range(20))
    assert numbers(first) and numbers(second)


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
async def test_retained_messages_are_dropped_and_counted_where_they_are_not_wanted(
    mosquitto: Mosquitto, protocol: Any
) -> None:
    await published(mosquitto, "x", 1, retain=True)
    node = {"url": mosquitto.url, "topic": "x", "channels": 1, "qos": 1, "protocol": protocol}
    async with LiveSource(Mqtt(**node)) as takes, LiveSource(Mqtt(**node, retained="ignore")) as leaves:
        await published(mosquitto, "x", 2)
        await takes.outlet.heard(2)
        await leaves.outlet.heard(1)
    assert (numbers(takes), numbers(leaves)) == ([1, 2], [2])
    assert leaves.context.counters.dropped["retained"] == 1


# What a node says of itself.


class Ear:
    """Hears all of some topics."""

    def __init__(self, messages: AsyncIterator[aiomqtt.Message]) -> None:
        self._messages = messages

    async def next(self) -> tuple[str, bytes, bool]:
        """Topic, payload, and whether it was kept."""
        message = await anext(self._messages)
        assert isinstance(message.payload, bytes)
        return str(message.topic), message.payload, message.retain


@contextlib.asynccontextmanager
async def hearing(broker: Mosquitto, topic: str) -> AsyncIterator[Ear]:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        await client.subscribe(topic, 1)
        yield Ear(aiter(client.messages))


NOTICES = """
spikeflow: 1
name: watch
nodes:
  sensor:
    source: mqtt
    url: {url}
    topic: x
    channels: 1
    will: {{topic: "state/{{name}}/{{node}}", payload: gone, retain: true}}
    birth: {{topic: "state/{{name}}/{{node}}", payload: {{state: here}}, retain: true}}
    closing: {{topic: "state/{{name}}/{{node}}", payload: done}}
  out: {{sink: mqtt, url: {url}, input: sensor, topic: y, will: {{topic: out/state, payload: "off"}}}}
"""


async def test_a_node_says_that_it_comes_and_goes_and_the_broker_that_it_is_gone(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    (tmp_path / "graph.yaml").write_text(NOTICES.format(url=mosquitto.url))
    async with hearing(mosquitto, "state/#") as ear, hearing(mosquitto, "out/state") as out:
        with Running(tmp_path, "graph.yaml") as command:
            assert await ear.next() == ("state/watch/sensor", b'{"state":"here"}', False)
            command.process.terminate()
            assert await asyncio.to_thread(command.end) == 0
        assert await ear.next() == ("state/watch/sensor", b"done", False)
        assert await out.next() == ("out/state", b"off", False)  # what it has no other word for
        with Running(tmp_path, "graph.yaml") as command:
            assert (await ear.next())[1] == b'{"state":"here"}'
            await asyncio.to_thread(command.shows, lambda nodes: nodes["out"]["connection"]["connected"])
            command.process.kill()
        assert await ear.next() == ("state/watch/sensor", b"gone", False)
        assert await out.next() == ("out/state", b"off", False)
    async with hearing(mosquitto, "state/#") as late:
        assert await late.next() == ("state/watch/sensor", b"gone", True)


async def test_health_is_told_again_and_again_and_offline_by_the_broker(mosquitto: Mosquitto) -> None:
    health = {"topic": "health/{node}", "every": "100 ms"}
    node = Mqtt(url=mosquitto.url, topic="plant/{k}", channels=2, qos=1, health=health)
    async with hearing(mosquitto, "health/+") as ear:
        async with LiveSource(node) as live:
            facts = json.loads((await ear.next())[1])
            assert (facts["node"], facts["state"], facts["connected"]) == ("source", "online", True)
            assert facts["last_message_s"] == {"plant/{k}": None}
            await published(mosquitto, "plant/a", 1)
            await live.outlet.heard(1)
            while facts["last_message_s"]["plant/{k}"] is None:
                facts = json.loads((await ear.next())[1])
            assert facts["in_flight"] == 0 and {"accepted", "processed", "reconnects", "broker", "t"} <= facts.keys()
        while facts["state"] == "online":
            facts = json.loads((await ear.next())[1])
        assert facts["state"] == "offline"
    async with hearing(mosquitto, "health/+") as late:
        assert json.loads((await late.next())[1])["state"] == "offline"
    problems = Mqtt(url="mqtt://b", topic="x", channels=1, health=health, will={"topic": "w"}).address_problems()
    assert ["a connection has one will, and 'health' needs it" in str(problem) for problem in problems] == [True]


# What the broker refuses.

OUTWARD = """
spikeflow: 1
nodes:
  recorded: {{source: file, path: in.csv, size: 1}}
  out: {{sink: mqtt, input: recorded, url: {url}, topic: secret/place, protocol: 5}}
"""


async def test_a_message_that_the_broker_refuses_is_counted_as_rejected(tmp_path: Path) -> None:
    (tmp_path / "acl").write_text("topic read secret/#\ntopic write other/#\n")
    (tmp_path / "in.csv").write_text("t,channel,value\n0,0,1\n10,0,2\n20000000,0,3\n")
    with running_mosquitto(tmp_path, settings=[f"acl_file {tmp_path / 'acl'}"]) as broker:
        (tmp_path / "graph.yaml").write_text(OUTWARD.format(url=broker.url))
        with Running(tmp_path, "graph.yaml") as command:
            assert await asyncio.to_thread(command.end) == 0
    counts = command.report["nodes"]["out"]
    assert counts["rejected"] == {"refused: the user is not allowed to do that": 3}
    assert (counts["accepted"], counts["processed"]) == (3, 0)
    said = "warning: node \"out\": the user is not allowed to do that: 'secret/place' is refused"
    assert command.said.count(said) == 1  # mosquitto 2.0.11 hangs up after some refusals, and that is told too


def test_every_reason_of_mqtt_5_has_a_sentence_of_its_own() -> None:
    refusals = {number for number, names in _codes() if number >= REFUSED}
    assert refusals <= SENTENCES.keys()
    assert len(set(SENTENCES.values())) == len(SENTENCES)
    assert sentence(255) == "the broker gives reason 255"


def _codes() -> list[tuple[int, Any]]:
    return list(ReasonCode(PacketTypes.CONNACK).names.items())
