"""Messages that wait in the inbox when their connection breaks: the next broker hears nothing of their numbers."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from spikeflow.nodes.mqtt_receipts import Receipt
from spikeflow.nodes.mqtt_session import Inbox
from spikeflow.nodes.sources.mqtt import Mqtt
from tests.nodes.conftest import LiveSource
from tests.nodes.test_mqtt_receipts import PUBACK, PUBREC, message
from tests.scripted import scripted

ONE, OTHER = ("one", 1883), ("other", 1883)
SAID = {1: PUBACK, 2: PUBREC}


class Line:
    """A connection that feeds an inbox, and keeps what is said on it."""

    def __init__(self, inbox: Inbox, resumed: bool, broker: tuple[str, int] = ONE) -> None:
        self.heard = bytearray()
        self._inbox = inbox
        inbox.attached(cast(Any, self), self.heard.extend, resumed, broker)

    def sends(self, *mids: int, qos: int = 1, again: bool = False, payload: bytes = b"1") -> None:
        for mid in mids:
            self._inbox.put(message(mid, qos, again, payload))

    def breaks(self) -> None:
        self._inbox.detached()

    def answers(self) -> list[tuple[int, int]]:
        """(first byte, number) of all answers so far."""
        return [(self.heard[at], self.heard[at + 3]) for at in range(0, len(self.heard), 4)]


def packet(payload: bytes, qos: int) -> bytes:
    """A message number 1 on the topic "x", as a broker of 3.1.1 sends it."""
    body = b"\0\1x\0\1" + payload
    return bytes([0x30 | qos << 1, len(body)]) + body


def take(inbox: Inbox) -> Receipt | None:
    return inbox.receipts.take(inbox.pop())


def taken(inbox: Inbox) -> Receipt:
    found = take(inbox)
    assert found is not None
    return found


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("payload", [b"1", b"2"], ids=["alike", "unlike"])
def test_a_message_left_over_never_acknowledges_that_of_a_new_session_with_its_number(qos: int, payload: bytes) -> None:
    inbox = Inbox()
    first = Line(inbox, resumed=False)
    first.sends(1, qos=qos)
    first.breaks()
    second = Line(inbox, resumed=False)
    second.sends(1, qos=qos, payload=payload)
    old, new = taken(inbox), taken(inbox)
    assert inbox.receipts.waiting == 1
    inbox.receipts.done([old])
    assert second.answers() == []
    inbox.receipts.done([new])
    assert second.answers() == [(SAID[qos], 1)]
    assert first.answers() == [] and inbox.receipts.waiting == 0


@pytest.mark.parametrize("qos", [1, 2])
def test_a_message_left_over_is_acknowledged_once_the_session_that_goes_on_has_sent_it_again(qos: int) -> None:
    inbox = Inbox()
    first = Line(inbox, resumed=False)
    first.sends(1, 2, qos=qos)
    first.breaks()
    second = Line(inbox, resumed=True)
    one, two = taken(inbox), taken(inbox)
    inbox.receipts.done([one])
    assert (second.answers(), inbox.receipts.waiting) == ([], 0)
    second.sends(1, 2, qos=qos, again=True)
    assert take(inbox) is None and take(inbox) is None
    assert (second.answers(), inbox.receipts.waiting) == ([(SAID[qos], 1)], 1)
    inbox.receipts.done([two])
    assert (second.answers(), inbox.receipts.waiting) == ([(SAID[qos], 1), (SAID[qos], 2)], 0)


@pytest.mark.parametrize("qos", [1, 2])
def test_what_is_left_over_of_several_connections_is_known_in_its_order(qos: int) -> None:
    inbox = Inbox()
    first = Line(inbox, resumed=False)
    first.sends(1, qos=qos)
    first.sends(0, qos=0)
    first.breaks()
    second = Line(inbox, resumed=True)
    second.sends(1, qos=qos, again=True)
    second.sends(2, qos=qos)
    second.breaks()
    third = Line(inbox, resumed=True)
    third.sends(1, 2, qos=qos, again=True)
    one = taken(inbox)
    assert inbox.pop().qos == 0
    assert take(inbox) is None
    two = taken(inbox)
    assert take(inbox) is None and take(inbox) is None
    inbox.receipts.done([one, two])
    assert third.answers() == [(SAID[qos], 1), (SAID[qos], 2)]
    assert first.answers() == second.answers() == []


@pytest.mark.parametrize("qos", [1, 2])
def test_an_answer_that_no_connection_takes_is_given_when_the_message_comes_once_more(qos: int) -> None:
    inbox = Inbox()
    first = Line(inbox, resumed=False)
    first.sends(1, qos=qos)
    receipt = taken(inbox)
    first.breaks()
    inbox.receipts.done([receipt])
    second = Line(inbox, resumed=True)
    second.sends(1, qos=qos, again=True)
    second.breaks()
    assert take(inbox) is None  # known, but there is nobody to be told
    third = Line(inbox, resumed=True)
    third.sends(1, qos=qos, again=True)
    assert take(inbox) is None
    assert (second.answers(), third.answers()) == ([], [(SAID[qos], 1)])


@pytest.mark.parametrize("qos", [1, 2])
def test_numbers_of_one_broker_say_nothing_about_a_session_that_another_goes_on_with(qos: int) -> None:
    inbox = Inbox()
    first = Line(inbox, resumed=False)
    first.sends(1, 2, qos=qos)
    old = taken(inbox)
    first.breaks()
    second = Line(inbox, resumed=True, broker=OTHER)
    second.sends(1, 2, qos=qos, again=True)
    left, *new = taken(inbox), taken(inbox), taken(inbox)
    inbox.receipts.done([old, left])
    assert second.answers() == []
    inbox.receipts.done(new)
    assert second.answers() == [(SAID[qos], 1), (SAID[qos], 2)]


@pytest.mark.parametrize("qos", [1, 2])
async def test_what_came_before_the_subscription_stood_is_not_acknowledged_to_the_next_session(qos: int) -> None:
    answers: list[tuple[int, int]] = []
    lines, heard_first, gone = 0, asyncio.Event(), asyncio.Event()

    async def answer(kind: int, body: bytes, writer: asyncio.StreamWriter) -> bool:
        nonlocal lines
        lines += kind == 1
        if kind == 8 and lines == 1:
            writer.write(packet(b"1", qos))
            return True
        if kind == 8:
            writer.write(b"\x90\x03" + body[:2] + bytes([qos]))
            await heard_first.wait()
            writer.write(packet(b"2", qos))
        elif kind in (4, 5):
            answers.append((kind << 4, body[1]))
        elif kind == 14:
            gone.set()
        return False

    async with scripted(answer) as url:
        live = LiveSource(Mqtt(url=url, topic="x", channels=1, qos=cast(Any, qos), protocol="3.1.1"))
        live.outlet.holds = True
        async with live:
            await live.outlet.heard(1)
            heard_first.set()
            await live.outlet.heard(2)
            live.outlet.hand_on(1)
        await gone.wait()
    assert [value for _, value, _ in live.outlet.pushed] == [1.0, 2.0]
    assert answers == []  # the second message has not been handed on
