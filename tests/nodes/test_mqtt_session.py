"""Connections to a broker: what is left of them when they end."""

from __future__ import annotations

import asyncio
from typing import cast

import aiomqtt
import pytest

from spikeflow.nodes.mqtt_session import Inbox, connection, reason
from spikeflow.nodes.sources.mqtt import Mqtt
from tests.brokers import Mosquitto, mosquitto
from tests.nodes.conftest import LiveSource

__all__ = ["mosquitto"]

MESSAGES = 400


async def test_a_source_that_is_stopped_again_and_again_loses_no_message_without_counting_it(
    mosquitto: Mosquitto,
) -> None:
    node = Mqtt(url=mosquitto.url, topic="x", channels=1, qos=1, client_id="me")
    async with LiveSource(node):
        pass  # from now on the broker keeps what comes
    async with aiomqtt.Client(mosquitto.host, mosquitto.port, timeout=60) as client:
        await asyncio.gather(*(client.publish("x", str(number), 1) for number in range(MESSAGES)))
    heard: set[float] = set()
    dropped = 0
    while len(heard) + dropped < MESSAGES:
        async with LiveSource(node) as live:
            await live.outlet.heard(min(10, MESSAGES - len(heard) - dropped))
        heard |= {value for _, value, _ in live.outlet.pushed}
        counters = live.context.counters
        assert counters.accepted == counters.dropped.get("stopped", 0)  # the outlet here counts nothing itself
        dropped += counters.accepted
    assert len(heard) + dropped >= MESSAGES


async def test_who_is_cancelled_in_the_moment_a_socket_opens_leaves_it_to_nobody(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, before = asyncio.get_running_loop(), asyncio.all_tasks()
    client = aiomqtt.Client(mosquitto.host, mosquitto.port)
    entering = asyncio.ensure_future(connection(client).__aenter__())
    futures: list[asyncio.Future[None]] = []

    def create_future() -> asyncio.Future[None]:
        futures.append(asyncio.Future(loop=loop))
        if len(futures) == 1:  # the one that says that the socket is open
            futures[0].add_done_callback(lambda _: entering.cancel())
        return futures[-1]

    with monkeypatch.context() as patched:
        patched.setattr(loop, "create_future", create_future)
        await asyncio.gather(entering, return_exceptions=True)
    assert entering.cancelled() and futures[0].done() and not futures[0].cancelled()
    assert client._client.socket() is None
    while left := asyncio.all_tasks() - before:
        await asyncio.wait(left)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (aiomqtt.MqttError("[Errno 111] Connection refused"), "Connection refused"),
        (aiomqtt.MqttError("[Errno -2] Name or service not known"), "Name or service not known"),
        (aiomqtt.MqttCodeError(7), "The connection was lost"),
        (aiomqtt.MqttError("timed out"), "timed out"),
        (aiomqtt.MqttError(), "MqttError"),
    ],
)
def test_a_lost_connection_is_told_in_words(error: aiomqtt.MqttError, said: str) -> None:
    assert reason(error).rstrip(".") == said


class Connection:
    """A client whose connection never ends."""

    def __init__(self) -> None:
        self.messages = self

    def __aiter__(self) -> Connection:
        return self

    async def __anext__(self) -> aiomqtt.Message:
        return await Inbox().get()


@pytest.mark.parametrize("turns", range(12))
async def test_a_reader_cancelled_at_any_turn_has_taken_a_message_or_left_it(turns: int) -> None:
    inbox, taken = Inbox(), []
    sent = [aiomqtt.Message("x", b"%d" % number, 1, False, 1, None) for number in range(8)]

    async def take(message: aiomqtt.Message) -> None:
        taken.append(message)
        await asyncio.sleep(0)

    reading = asyncio.create_task(inbox.each(cast(aiomqtt.Client, Connection()), take))
    for turn in range(turns):
        if turn < len(sent):
            inbox.put_nowait(sent[turn])
        await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert [*taken, *inbox.messages] == sent[:turns]


async def test_an_inbox_is_a_queue_that_hands_nothing_out() -> None:
    inbox = Inbox()
    waiting = asyncio.create_task(inbox.get())
    message = aiomqtt.Message("x", b"1", 1, False, 1, None)
    inbox.put_nowait(message)
    await asyncio.wait((waiting,), timeout=0)
    assert not waiting.done()
    assert inbox.qsize() == 1
    waiting.cancel()
