"""Which messages a broker is told of, and which it has sent twice."""

from __future__ import annotations

import pytest

from spikeflow.nodes.mqtt_reader import Message
from spikeflow.nodes.mqtt_receipts import Receipt, Receipts


class Broker:
    """Keeps what it is told."""

    def __init__(self, receipts: Receipts, resumed: bool = False) -> None:
        self.heard = bytearray()
        receipts.connected(self.heard.extend, resumed)

    def answers(self) -> list[tuple[int, int]]:
        """(first byte, number) of all answers so far, which are then forgotten."""
        found = [
            (self.heard[at], int.from_bytes(self.heard[at + 2 : at + 4], "big")) for at in range(0, len(self.heard), 4)
        ]
        assert all(self.heard[at + 1] == 2 for at in range(0, len(self.heard), 4))
        self.heard.clear()
        return found


def message(mid: int, qos: int = 1, again: bool = False, payload: bytes = b"1") -> Message:
    return Message("x", payload, qos, mid, again)


def taken(receipts: Receipts, *sent: Message) -> list[Receipt]:
    found = [receipts.take(one) for one in sent]
    assert None not in found
    return [one for one in found if one is not None]


PUBACK, PUBREC, PUBCOMP = 0x40, 0x50, 0x70


def test_messages_are_acknowledged_together_once_they_are_done() -> None:
    receipts = Receipts()
    broker = Broker(receipts)
    held = taken(receipts, *(message(mid) for mid in (1, 2, 300)))
    assert (broker.answers(), receipts.waiting) == ([], 3)
    receipts.done(held[1:])
    assert (broker.answers(), receipts.waiting) == ([(PUBACK, 2), (PUBACK, 300)], 1)
    receipts.done(held[:1])
    assert (broker.answers(), receipts.waiting) == ([(PUBACK, 1)], 0)


def test_a_message_of_qos_2_is_received_once_it_is_done_and_complete_when_the_broker_lets_it_go() -> None:
    receipts = Receipts()
    broker = Broker(receipts)
    held = taken(receipts, message(1, 2))
    assert receipts.take(message(1, 2, again=True)) is None
    assert broker.answers() == []
    receipts.done(held)
    assert broker.answers() == [(PUBREC, 1)]
    assert receipts.take(message(1, 2, again=True)) is None  # the answer was lost
    assert broker.answers() == [(PUBREC, 1)]
    receipts.released(1)
    assert broker.answers() == [(PUBCOMP, 1)]
    assert taken(receipts, message(1, 2))


def test_a_release_of_an_unknown_message_is_answered_too() -> None:
    receipts = Receipts()
    broker = Broker(receipts)
    receipts.released(9)
    assert broker.answers() == [(PUBCOMP, 9)]


@pytest.mark.parametrize("qos", [1, 2])
def test_what_was_taken_before_a_connection_was_lost_is_known_when_it_comes_again(qos: int) -> None:
    receipts = Receipts()
    Broker(receipts)
    early, late = taken(receipts, message(1, qos), message(2, qos, payload=b"2"))
    receipts.lost()
    receipts.done([early])
    broker = Broker(receipts, resumed=True)
    assert receipts.waiting == 0
    assert receipts.take(message(1, qos, again=True)) is None
    assert broker.answers() == [(PUBACK if qos == 1 else PUBREC, 1)]
    receipts.done([late])  # the broker has not asked for it yet
    assert broker.answers() == []
    assert receipts.take(message(2, qos, again=True, payload=b"2")) is None
    assert broker.answers() == [(PUBACK if qos == 1 else PUBREC, 2)]
    assert receipts.waiting == 0


def test_a_message_of_qos_2_that_comes_again_after_it_was_answered_is_answered_and_waits_for_nothing() -> None:
    receipts = Receipts()
    broker = Broker(receipts)
    receipts.done(taken(receipts, message(1, 2)))
    for _ in range(3):  # such as one that a source had yet to take when its connection was lost
        assert receipts.take(message(1, 2, again=True)) is None
    assert (broker.answers(), receipts.waiting) == ([(PUBREC, 1)] * 4, 0)


def test_a_message_that_comes_again_before_it_is_done_is_acknowledged_when_it_is() -> None:
    receipts = Receipts()
    Broker(receipts)
    held = taken(receipts, message(1))
    broker = Broker(receipts, resumed=True)
    assert receipts.take(message(1, again=True)) is None
    assert receipts.waiting == 1
    receipts.done(held)
    assert (broker.answers(), receipts.waiting) == ([(PUBACK, 1)], 0)


@pytest.mark.parametrize(
    "other",
    [message(1, payload=b"2", again=True), message(1), message(3, again=True)],
    ids=["payload", "new", "number"],
)
def test_another_message_is_never_taken_for_one_that_was_lost(other: Message) -> None:
    receipts = Receipts()
    Broker(receipts)
    held = taken(receipts, message(1))
    broker = Broker(receipts, resumed=True)
    new = taken(receipts, other)
    receipts.done(held)
    assert broker.answers() == []  # not this broker's message any more
    receipts.done(new)
    assert broker.answers() == [(PUBACK, other.mid)]


def test_an_acknowledged_number_means_another_message() -> None:
    receipts = Receipts()
    Broker(receipts)
    receipts.done(taken(receipts, message(1)))
    Broker(receipts, resumed=True)
    assert taken(receipts, message(1, again=True))  # perhaps the same; it is at least once


def test_a_session_that_the_broker_has_forgotten_begins_anew() -> None:
    receipts = Receipts()
    Broker(receipts)
    held = taken(receipts, message(1))
    broker = Broker(receipts, resumed=False)
    new = taken(receipts, message(1, again=True))
    receipts.done(held)
    assert broker.answers() == []
    receipts.done(new)
    assert broker.answers() == [(PUBACK, 1)]
