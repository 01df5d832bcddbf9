"""How far a broker sends ahead of what is acknowledged, and what a source does at its limit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spikeflow.nodes.sources.mqtt import Mqtt
from tests.brokers import FAST, Mosquitto, flood, running_mosquitto
from tests.nodes.conftest import LiveSource
from tests.packets import length as packet_length
from tests.scripted import scripted

MESSAGES = 300
LIMIT = 20


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker with the limit that mosquitto has unless told otherwise."""
    with running_mosquitto(tmp_path, settings=[*FAST, f"max_inflight_messages {LIMIT}"]) as found:
        yield found


def holding(broker: Mosquitto, **fields: Any) -> LiveSource:
    """A source whose events are handed on only when the test says so."""
    live = LiveSource(Mqtt.model_validate({"url": broker.url, "topic": "x", "channels": 1, "qos": 1, **fields}))
    live.outlet.holds = True
    return live


def numbers(live: LiveSource) -> list[float]:
    return [value for _, value, _ in live.outlet.pushed]


async def publish(broker: Mosquitto, payload: str = "%d") -> None:
    await flood(broker, "x", [payload.encode() % number for number in range(MESSAGES)], 1)


async def answered(broker: Mosquitto) -> None:
    """Return once the broker has had time to send what it may: it answers another client after that."""
    await flood(broker, "other", [b""], 1)


@pytest.mark.parametrize("inflight", [None, 0])
async def test_with_mqtt_5_the_broker_sends_as_much_as_it_is_asked_for(broker: Mosquitto, inflight: int | None) -> None:
    async with holding(broker, inflight=inflight) as live:
        await publish(broker)
        await live.outlet.heard(MESSAGES)
        assert live.outlet.held  # nothing has been acknowledged
        live.outlet.hand_on(len(live.outlet.held))
    assert numbers(live) == list(range(MESSAGES))


@pytest.mark.parametrize("fields", [{"protocol": "3.1.1"}, {"protocol": 5, "inflight": LIMIT}], ids=["3.1.1", "5"])
async def test_at_its_limit_the_broker_waits_until_something_has_been_handed_on(
    broker: Mosquitto, fields: dict[str, Any]
) -> None:
    async with holding(broker, **fields) as live:
        await publish(broker)
        await live.outlet.heard(LIMIT)
        await answered(broker)
        assert numbers(live) == list(range(LIMIT))
        assert live.context.counters.noted == {"at_limit": 1}
        live.outlet.holds = False
        live.outlet.hand_on(len(live.outlet.held))
        await live.outlet.heard(MESSAGES)
    assert numbers(live) == list(range(MESSAGES))


@pytest.mark.parametrize("fields", [{"inflight": LIMIT}, {"protocol": "3.1.1"}], ids=["known", "assumed"])
async def test_at_the_limit_windows_that_wait_for_what_cannot_come_are_forced(
    broker: Mosquitto, fields: dict[str, Any]
) -> None:
    payload = {"value": "$.v", "time": "$.t", "time_unit": "ns"}
    async with holding(broker, payload=payload, time={"by": "payload"}, **fields) as live:
        await publish(broker, '{"v": %d, "t": 5}')
        await live.outlet.heard(LIMIT + 2)
        assert live.outlet.forced
        assert "the broker's limit: windows close before their time" in await live.log.says("raise max_inflight")
        live.outlet.holds = False
        live.outlet.hand_on(len(live.outlet.held))
        await live.outlet.heard(MESSAGES)


async def test_on_arrival_nothing_waits_for_its_window(broker: Mosquitto) -> None:
    async with holding(broker, ack="arrival") as live:
        await publish(broker)
        await live.outlet.heard(MESSAGES)
    assert not live.outlet.held
    assert live.context.counters.noted == {}


async def test_garbage_is_acknowledged_at_once_whatever_else_waits(broker: Mosquitto) -> None:
    async with holding(broker) as live:
        await flood(broker, "x", [b"1", *[b"garbage"] * MESSAGES, b"2"], 1)
        await live.outlet.heard(2)
        assert len(live.outlet.held) <= 2
        assert live.outlet.rejected == {"not json": MESSAGES}


async def test_a_source_that_reads_nothing_for_a_while_keeps_its_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [*FAST, "max_inflight_messages 0", "log_type all"]
    with running_mosquitto(tmp_path, settings=settings) as broker:
        live = holding(broker, keepalive="1 s", client_id="me")
        full, push_all = asyncio.Event(), live.outlet.push_all

        async def blocked(*events: Any) -> None:
            await full.wait()
            await push_all(*events)

        monkeypatch.setattr(live.outlet, "push_all", blocked)
        async with live:
            large = [b"%d" % number + b" " * 100_000 for number in range(200)]
            await flood(broker, "x", large, 1)
            await asyncio.to_thread(broker.says, "Received PINGREQ from me", 4)  # of which none was answered
            assert not live.outlet.pushed
            full.set()
            await live.outlet.heard(len(large))
        assert numbers(live) == list(range(200))
        assert live.context.counters.noted == {}
        assert not any("lost" in text for _, text in live.log.lines)


async def test_two_sources_do_not_stop_each_other(broker: Mosquitto) -> None:
    async with holding(broker, inflight=LIMIT) as slow, holding(broker) as quick:
        quick.outlet.holds = False
        await publish(broker)
        await quick.outlet.heard(MESSAGES)
        assert len(slow.outlet.pushed) <= 2 * LIMIT
        slow.outlet.holds = False
        slow.outlet.hand_on(len(slow.outlet.held))
        await asyncio.wait_for(slow.outlet.heard(MESSAGES), 60)


async def test_what_is_acknowledged_has_been_taken_though_the_source_ends_while_it_waits_for_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers = {1: [7.0], 2: [float(k) for k in range(20)], 3: [8.0]}
    acknowledged: list[int] = []

    gone = asyncio.Event()

    async def answer(kind: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        if kind == 8:
            messages = [b"\0\1x" + bytes([0, mid]) + json.dumps(said).encode() for mid, said in numbers.items()]
            packets = [b"\x32" + packet_length(len(message)) + message for message in messages]
            writer.write(b"\x90\x03" + body[:2] + b"\1" + b"".join(packets))
        elif kind == 4:
            acknowledged.append(body[1])
        elif kind == 14:
            gone.set()

    async with scripted(answer) as url:
        live = LiveSource(Mqtt(url=url, topic="x", channels=20, qos=1, protocol="3.1.1"))
        take = live.outlet.push_all

        async def full(*events: Any) -> None:
            await take(*events)
            await asyncio.get_running_loop().create_future()

        monkeypatch.setattr(live.outlet, "push_all", full)
        async with live:
            await live.outlet.heard(1)
        await gone.wait()
    taken = [value for _, value, _ in live.outlet.pushed]
    assert acknowledged
    assert taken == [value for mid in acknowledged for value in numbers[mid]]
