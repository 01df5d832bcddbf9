"""MQTT: which messages the broker waits to hear of, and which it has sent twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Literal

from spikeflow.nodes.mqtt_reader import Message

Answer = Literal["puback", "pubrec", "pubcomp"]
_FIRST_BYTE: dict[Answer, bytes] = {"puback": b"\x40\x02", "pubrec": b"\x50\x02", "pubcomp": b"\x70\x02"}


class Receipt:
    """What there is to say to the broker of one message of QoS 1 or 2."""

    __slots__ = ("connection", "done", "mark", "mid", "qos")

    def __init__(self, message: Message, connection: int) -> None:
        self.mid, self.qos = message.mid, message.qos
        self.mark = hash((message.topic, message.payload))
        self.connection = connection
        self.done = False


class Receipts:
    """The messages of a session that have not been acknowledged, over all its connections.

    A broker that goes on with a session sends again what it has heard nothing of, under the same numbers: what is known
    here is known to be the same message. A message of QoS 2 is answered by PUBREC where one of QoS 1 is acknowledged:
    until then the broker keeps it. A number means a message only on the connection on which it came, and on those on
    which the broker goes on with that session: nothing else is acknowledged by it.

    Attributes:
        waiting: messages that came over the present connection and have not been acknowledged.
    """

    def __init__(self) -> None:
        self.waiting = 0
        self._known: dict[int, Receipt] = {}
        self._left: deque[tuple[Message, Receipt | None]] = deque()
        """Messages that nobody had taken when their connection was lost, and what they were noted as."""
        self._connection = 0
        self._write: Callable[[bytes], None] | None = None

    def connected(self, write: Callable[[bytes], None], resumed: bool, left: Iterable[Message] = ()) -> None:
        """A new connection stands.

        Args:
            write: sends bytes to the broker.
            resumed: whether the broker goes on with the session of the one before.
            left: what has come on earlier connections and will be taken yet, in its order.
        """
        self._write = None
        unnoted = [message for message in left if message.qos][len(self._left) :]
        self._left += [(message, self.take(message)) for message in unnoted]  # as of the connection on which they came
        self._connection += 1
        self._write, self.waiting = write, 0
        if not resumed:
            self._known.clear()

    def lost(self) -> None:
        """The connection is gone."""
        self._write = None

    def take(self, message: Message) -> Receipt | None:
        """Note a message of QoS 1 or 2; None where it is one that has been noted before."""
        if self._left and message is self._left[0][0]:
            return self._left.popleft()[1]
        known = self._known.get(message.mid)
        receipt = Receipt(message, self._connection)
        if known is not None and (message.again or message.qos == 2) and known.mark == receipt.mark:
            if known.connection != self._connection or known.done:  # in either case, it is yet to be answered (again)
                known.connection = self._connection
                self.waiting += 1
            if known.done and self._write is not None:
                self._answer((known,))
            return None
        self._known[message.mid] = receipt
        self.waiting += 1
        return receipt

    def done(self, receipts: Iterable[Receipt]) -> None:
        """Acknowledge messages; those of an earlier connection when the broker asks for them again."""
        present = []
        for receipt in receipts:
            receipt.done = True
            if receipt.connection == self._connection:
                present.append(receipt)
        if present and self._write is not None:
            self._answer(present)

    def released(self, mid: int) -> None:
        """The broker will not send a message of QoS 2 again."""
        self._known.pop(mid, None)
        self._say("pubcomp", (mid,))

    def _answer(self, receipts: Iterable[Receipt]) -> None:
        first = [receipt.mid for receipt in receipts if receipt.qos == 1]
        second = [receipt.mid for receipt in receipts if receipt.qos == 2]
        if first:
            for mid in first:
                self._known.pop(mid, None)  # from now on the number may mean another message
            self._say("puback", first)
        if second:
            self._say("pubrec", second)
        self.waiting -= len(first) + len(second)

    def _say(self, what: Answer, mids: Iterable[int]) -> None:
        """All answers in one write: one at a time, each costs a call of the system and a turn of the loop."""
        if self._write is not None:
            begin = _FIRST_BYTE[what]
            self._write(b"".join([begin + mid.to_bytes(2, "big") for mid in mids]))
