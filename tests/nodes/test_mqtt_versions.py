"""The version of MQTT that is spoken with a broker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest

from spikeflow.errors import RefusedError
from spikeflow.nodes.broker import embedded_broker
from spikeflow.nodes.sources.mqtt import Mqtt
from tests.nodes.conftest import LiveSource

Manner = Literal["says so", "hangs up", "is silent", "is gone", "speaks it"]
MANNERS: list[Manner] = ["says so", "hangs up", "is silent"]


class OldBroker:
    """A broker that speaks MQTT 3.1.1 alone, and takes subscriptions.

    Attributes:
        heard: the protocol level of each connection, in order, and the name under which it came.
        lines: the connections that stand.
    """

    def __init__(self, manner: Manner) -> None:
        self.manner = manner
        self.heard: list[tuple[int, bytes]] = []
        self.lines: list[asyncio.StreamWriter] = []
        self.news = asyncio.Condition()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
            level = 0
            while True:
                head, length = await reader.readexactly(2)
                body = await reader.readexactly(length)
                if head >> 4 == 1:
                    level = body[6]
                    self.heard.append((level, body[12:] if level == 4 else b""))
                    async with self.news:
                        self.news.notify_all()
                    if self.manner == "is gone":
                        return
                    if level == 4:
                        writer.write(b"\x20\x02\0\0")
                        self.lines.append(writer)
                    elif self.manner == "speaks it":
                        writer.write(b"\x20\x03\0\0\0")
                        self.lines.append(writer)
                    elif self.manner == "says so":
                        writer.write(b"\x20\x02\0\1")
                    elif self.manner == "is silent":
                        await reader.read()
                    if level != 4 and self.manner != "speaks it":
                        return
                elif head >> 4 == 8:
                    rest = b"\0\1" if level == 5 else b"\1"
                    writer.write(b"\x90" + bytes([2 + len(rest)]) + body[:2] + rest)


@asynccontextmanager
async def listening(broker: OldBroker) -> AsyncIterator[str]:
    """The address of a broker that listens."""
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    try:
        yield f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def source(url: str, **fields: Any) -> LiveSource:
    return LiveSource(Mqtt.model_validate({"url": url, "topic": "x", "channels": 1, "qos": 1, **fields}))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikeflow.nodes.mqtt_versions._SILENCE_S", 0.5)


@pytest.mark.parametrize("manner", MANNERS)
async def test_a_broker_without_mqtt_5_is_spoken_to_in_3_1_1_and_goes_on_to_be(manner: Manner) -> None:
    broker = OldBroker(manner)
    async with listening(broker) as url, source(url, client_id="me") as live:
        assert [level for level, _ in broker.heard] == [5, 4]
        broker.lines[0].close()
        await live.log.says("back on ")
        assert [level for level, _ in broker.heard] == [5, 4, 4]
        assert live.context.look is not None
        assert live.context.look()["protocol"] == "3.1.1"


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("fields", [{"protocol": 5}, {"session": {"expiry": "1 h"}}], ids=["said", "needed"])
async def test_where_only_mqtt_5_will_do_the_run_ends_with_a_sentence(manner: Manner, fields: dict[str, Any]) -> None:
    broker = OldBroker(manner)
    async with listening(broker) as url:
        live = source(url, client_id="me", **fields)
        with pytest.raises(RefusedError) as told:
            await live.open()
    assert str(told.value) == (
        f"{url}: the broker does not speak MQTT 5"
        " — leave 'protocol' out, and what needs MQTT 5: an expiry, user properties"
    )
    assert all(b"me" not in name.split(b"-") for _, name in broker.heard)  # what is kept for that name stays


async def test_a_broker_that_answers_nobody_is_not_said_to_be_old() -> None:
    async with listening(OldBroker("is gone")) as url:
        live = source(url, protocol=5)
        assert "it hung up before it answered; trying again" in await live.log.says("cannot connect")
        live.task.cancel()
        await asyncio.gather(live.task, return_exceptions=True)


async def test_a_broker_that_has_learned_mqtt_5_while_it_was_away_is_spoken_to_in_it() -> None:
    broker = OldBroker("says so")
    async with listening(broker) as url, source(url) as live:
        broker.manner = "is gone"
        broker.lines[0].close()
        await live.log.says("lost ")
        async with broker.news:  # in 3.1.1, as before; then from the beginning, and a while until the next round
            await broker.news.wait_for(lambda: len(broker.heard) == 5)
        broker.manner = "speaks it"
        await live.log.says("back on ")
    levels = [level for level, _ in broker.heard]
    assert levels == [5, 4, 4, 5, 4, 5]


@pytest.mark.parametrize("fields", [{}, {"protocol": 5}])
async def test_a_broker_that_has_spoken_mqtt_5_is_not_taken_for_an_old_one_when_it_is_ill(
    fields: dict[str, Any],
) -> None:
    broker = OldBroker("speaks it")
    async with listening(broker) as url, source(url, **fields) as live:
        broker.manner = "hangs up"
        broker.lines[0].close()
        await live.log.says("lost ")
        async with broker.news:
            await broker.news.wait_for(lambda: len(broker.heard) == 4)
        broker.manner = "speaks it"
        await live.log.says("back on ")
        assert not any("does not speak" in text for _, text in live.log.lines)
    assert {level for level, _ in broker.heard} == {5}


@pytest.mark.parametrize("fields", [{}, {"protocol": "3.1.1"}])
async def test_the_embedded_broker_says_at_once_that_it_has_no_mqtt_5(fields: dict[str, Any]) -> None:
    async with embedded_broker() as (host, port), source(f"mqtt://{host}:{port}", **fields) as live:
        assert live.context.look is not None
        assert live.context.look()["protocol"] == "3.1.1"


def test_the_version_is_5_unless_something_else_is_said() -> None:
    def versions(**fields: Any) -> tuple[str, ...]:
        return Mqtt.model_validate({"url": "mqtt://b", "topic": "x", "channels": 1, **fields}).versions

    assert versions() == ("5", "3.1.1")
    assert versions(protocol=5) == versions(session={"expiry": "1 h"}, client_id="me") == ("5",)
    assert versions(protocol="3.1.1") == versions(url="embedded") == ("3.1.1",)
    assert versions(payload={"time": {"property": "ts"}, "time_unit": "ms"}) == ("5",)
