"""Connections to a broker: what is left of them when they end."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable
from typing import Any, cast

import aiomqtt
import pytest
from paho.mqtt import client as paho

from spikeflow.nodes.mqtt_reader import Message
from spikeflow.nodes.mqtt_reasons import reason
from spikeflow.nodes.mqtt_session import HungUpError, Inbox, connection
from spikeflow.nodes.sources.mqtt import Mqtt
from tests.brokers import Mosquitto, mosquitto
from tests.nodes.conftest import LiveSource
from tests.scripted import scripted

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


@pytest.mark.parametrize("after", [1, 8], ids=["its greeting", "the subscription"])
async def test_a_broker_that_goes_before_it_has_taken_the_subscription_is_asked_again_at_once(
    after: int, caplog: pytest.LogCaptureFixture
) -> None:
    left = 2

    async def answer(kind: int, body: bytes, writer: asyncio.StreamWriter) -> bool:
        nonlocal left
        if kind == 8:
            writer.write(b"\x90\x03" + body[:2] + b"\1" if left == 0 or after == 1 else b"")
        goes = bool(left) and kind == after
        left -= goes
        return goes

    async with scripted(answer) as url:
        before = time.monotonic()
        async with LiveSource(Mqtt(url=url, topic="x", channels=1, qos=1, protocol="3.1.1")):
            assert left == 0
            assert time.monotonic() - before < 5  # the library waits 10 s for an answer that cannot come any more
        gc.collect()
    assert "never retrieved" not in caplog.text


async def test_no_thread_but_that_of_the_loop_touches_it_where_a_broker_hangs_up_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop, own, touched = asyncio.get_running_loop(), threading.get_ident(), set[int]()

    def watched(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            touched.add(threading.get_ident())
            return call(*arguments)

        return called

    for name in ("add_reader", "remove_reader", "add_writer", "remove_writer"):
        monkeypatch.setattr(loop, name, watched(getattr(loop, name)))

    def fails(client: paho.Client) -> int:  # as where the broker resets the connection before CONNECT is sent
        client._loop_rc_handle(paho.MQTT_ERR_CONN_LOST)
        return paho.MQTT_ERR_CONN_LOST

    monkeypatch.setattr(paho.Client, "_send_connect", lambda client, _keepalive: fails(client))
    async with await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()[:2]
        with pytest.raises(HungUpError):
            async with connection(aiomqtt.Client(host, port)):
                pass
    assert touched <= {own}


async def test_a_broker_that_has_forgotten_the_session_is_said_to_have(mosquitto: Mosquitto) -> None:
    node = Mqtt(url=mosquitto.url, topic="x", channels=1, qos=1, client_id="me", keepalive=1)
    async with LiveSource(node) as live:
        for clean, said in ((False, "back on "), (True, "has no session of me any more")):
            async with aiomqtt.Client(mosquitto.host, mosquitto.port, identifier="me", clean_session=clean):
                pass  # a broker throws the first one of a name out; who begins anew takes its session away
            await live.log.says(said)
    assert live.context.counters.noted == {"reconnected": 2, "session_lost": 1}


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


class Patient:
    """Takes a message a turn, and keeps it."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self.taken: list[Message] = []
        self.patience: float | None = None
        self.relieved = asyncio.Event()
        self.news = asyncio.Event()

    async def take(self) -> None:
        self.taken.append(self.inbox.pop())
        self.news.set()
        await asyncio.sleep(0)

    async def has(self, count: int) -> None:
        """Return once so many have been taken."""
        while len(self.taken) < count:
            self.news.clear()
            await self.news.wait()

    def patience_s(self) -> float | None:
        return self.patience

    async def relieve(self) -> None:
        self.patience = None
        self.relieved.set()


class Connection:
    """A connection that ends when told to."""

    def __init__(self) -> None:
        self._disconnected: asyncio.Future[None] = asyncio.get_running_loop().create_future()


def put(inbox: Inbox, *messages: Message) -> None:
    for message in messages:
        inbox.put(message)
    inbox.told()


@pytest.mark.parametrize("turns", range(12))
async def test_a_reader_cancelled_at_any_turn_has_taken_a_message_or_left_it(turns: int) -> None:
    inbox = Inbox()
    taker = Patient(inbox)
    sent = [Message("x", b"%d" % number, 1, number) for number in range(1, 9)]
    reading = asyncio.create_task(inbox.each(cast(aiomqtt.Client, Connection()), taker))
    for turn in range(turns):
        if turn < len(sent):
            put(inbox, sent[turn])
        await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert [*taker.taken, *inbox.messages] == sent[:turns]


async def waiting(inbox: Inbox, taker: Patient) -> asyncio.Task[None]:
    """The task of a reader that waits for messages."""
    reading = asyncio.create_task(inbox.each(cast(aiomqtt.Client, Connection()), taker))
    started = asyncio.Event()
    asyncio.get_running_loop().call_soon(started.set)  # after the task has run up to where it waits
    await started.wait()
    return reading


async def test_a_message_that_is_waited_for_is_taken_as_it_comes_without_a_turn_of_the_loop() -> None:
    inbox = Inbox()
    taker = Patient(inbox)
    reading = await waiting(inbox, taker)
    sent = [Message("x", b"%d" % number) for number in range(5)]
    put(inbox, *sent)
    assert taker.taken == sent[:1]  # one a call; it then waits, and its task goes on from there
    await taker.has(len(sent))
    assert taker.taken == sent
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def test_a_taker_that_fails_as_a_message_comes_ends_its_reader() -> None:
    class Failing(Patient):
        async def take(self) -> None:
            raise OverflowError("full")

    inbox = Inbox()
    reading = await waiting(inbox, Failing(inbox))
    put(inbox, Message("x", b"1"))
    with pytest.raises(OverflowError, match="full"):
        await reading


async def test_a_reader_cancelled_as_a_message_comes_lets_its_taker_end() -> None:
    ended = []

    class Careful(Patient):
        async def take(self) -> None:
            try:
                await super().take()
            finally:
                ended.append(self.taken[-1])

    inbox = Inbox()
    reading = await waiting(inbox, Careful(inbox))
    sent = Message("x", b"1")
    put(inbox, sent)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert ended == [sent]


async def test_what_came_before_a_connection_was_lost_is_still_taken() -> None:
    inbox, lost = Inbox(), Connection()
    taker = Patient(inbox)
    sent = [Message("x", b"1"), Message("x", b"2")]
    put(inbox, *sent)
    lost._disconnected.set_exception(aiomqtt.MqttCodeError(7))
    with pytest.raises(aiomqtt.MqttError) as told:
        await inbox.each(cast(aiomqtt.Client, lost), taker)
    assert taker.taken == sent
    assert reason(told.value) == "The connection was lost."


async def test_a_taker_without_patience_is_called_when_nothing_comes() -> None:
    inbox = Inbox()
    taker = Patient(inbox)
    taker.patience = 0.0
    reading = asyncio.create_task(inbox.each(cast(aiomqtt.Client, Connection()), taker))
    await taker.relieved.wait()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


class Socket:
    """What a reader is told to do."""

    def __init__(self) -> None:
        self.paused, self.resumed = False, asyncio.Event()

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        if self.paused:
            self.resumed.set()


async def test_a_full_inbox_stops_reading_until_it_is_half_empty() -> None:
    inbox, socket = Inbox(), Socket()
    taker = Patient(inbox)
    inbox.attached(cast(Any, socket), lambda _: None, False)
    large = Message("x", bytes(1 << 18))
    put(inbox, *[large] * 3)
    assert not socket.paused
    put(inbox, *[large] * 2)
    assert socket.paused
    reading = asyncio.create_task(inbox.each(cast(aiomqtt.Client, Connection()), taker))
    await socket.resumed.wait()
    assert 2 <= len(taker.taken) <= 4
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def test_an_inbox_that_nobody_reads_acknowledges_and_keeps_nothing() -> None:
    inbox, said = Inbox(acknowledges=False), bytearray()
    inbox.attached(cast(Any, Socket()), said.extend, False)
    put(inbox, Message("x", b"1", 1, 7), Message("x", b"2"))
    assert not inbox.messages
    assert said == b"\x40\x02\x00\x07"
