"""MQTT: what a broker sends, taken off the socket in blocks."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.exception import MQTTException

BLOCK = 1 << 16
"""Bytes that are asked of the socket at once."""
LARGEST = 1 << 26
"""Bytes of the largest packet that is held, unless it is said otherwise; what is larger is passed over."""
AROUND = 1 << 17
"""Bytes that a packet may have beside its payload: a topic has 65 535 at most, and properties have some."""
_MOST_BLOCKS = 8
_MOST_TOPICS = 10_000
_SHOWN = 64
_PUBLISH, _PUBREL, _PINGRESP = 0x30, 0x60, 0xD0


class Message(NamedTuple):
    """A message as the broker sent it.

    Attributes:
        topic: where it was published.
        payload: its bytes; the first of them where it is too large.
        qos: 0, 1 or 2.
        mid: its number in the session; 0 where `qos` is 0.
        again: whether it may have been sent before.
        retained: whether it was kept from an earlier time.
        properties: of MQTT 5, as they came.
        too_large: how large it was (bytes), where it was passed over.
    """

    topic: str
    payload: bytes
    qos: int = 0
    mid: int = 0
    again: bool = False
    retained: bool = False
    properties: bytes = b""
    too_large: int = 0


class MalformedError(ValueError):
    """What came is not MQTT."""


class Frames:
    """Cuts what comes into packets.

    Args:
        published: called with each message.
        other: called with the first byte and the body of each other packet.
        v5: whether messages have properties.
        largest: bytes of the largest packet that is held.
    """

    def __init__(
        self,
        published: Callable[[Message], None],
        other: Callable[[int, bytes], None],
        *,
        v5: bool = False,
        largest: int = LARGEST,
    ) -> None:
        self._published, self._other, self._v5, self._largest = published, other, v5, largest
        self._parts: list[bytes] = []
        self._have, self._need, self._skip = 0, 2, 0
        self._topics: dict[bytes, str] = {}

    def feed(self, block: bytes) -> None:
        """Take the next bytes.

        Raises:
            MalformedError: they are not MQTT.
        """
        if self._skip:
            skipped = min(self._skip, len(block))
            self._skip -= skipped
            block = block[skipped:]
        self._parts.append(block)
        self._have += len(block)
        if self._have < self._need:  # joined once it is whole: a large packet comes in many blocks
            return
        data = block if len(self._parts) == 1 else b"".join(self._parts)
        rest = data[self._cut(data) :]
        self._parts, self._have = [rest], len(rest)

    def _cut(self, data: bytes) -> int:
        """Hand on every whole packet; where the first one that is not whole begins."""
        at, end, largest, published = 0, len(data), self._largest, self._published
        while True:
            body = at + 2
            if body > end:
                self._need = 2
                return at
            head, length = data[at], data[at + 1]
            if length > 127:
                found = _length(data, at + 1)
                if found is None:
                    self._need = end - at + 1
                    return at
                length, body = found
            stop = body + length
            if stop > end:
                if length > largest and self._pass_over(data, head, body, length):
                    self._skip, self._need = stop - end, 2
                    return end
                self._need = stop - at if length <= largest else end - at + 1
                return at
            if head & 0xF0 == _PUBLISH:
                published(self._message(data, head, body, stop))
            else:
                self._other(head, data[body:stop])
            at = stop

    def _message(self, data: bytes, head: int, body: int, stop: int) -> Message:
        begin = body + 2
        at = begin + (data[body] << 8) + data[body + 1] if begin <= stop else stop + 1
        qos = head >> 1 & 3
        mid = 0
        if qos:
            if at + 2 <= stop:
                mid = (data[at] << 8) + data[at + 1]
            at += 2
        if at > stop or qos == 3:
            raise MalformedError("a message without its topic")
        name = data[begin : at - 2 if qos else at]
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topic(name)
        properties = b""
        if self._v5 and at < stop and data[at] == 0:  # none, as most have: looked at without a call
            at += 1
        elif self._v5:
            found = _length(data, at)
            if found is None or found[1] + found[0] > stop:
                raise MalformedError("properties that do not end")
            at = found[1] + found[0]
            properties = data[found[1] : at]
        return Message(topic, data[at:stop], qos, mid, head & 8 != 0, head & 1 != 0, properties)

    def _topic(self, name: bytes) -> str:
        if len(self._topics) >= _MOST_TOPICS:
            self._topics.clear()
        topic = self._topics[name] = name.decode(errors="replace")
        return topic

    def _pass_over(self, data: bytes, head: int, body: int, length: int) -> bool:
        """Hand on what is known of a message that is too large; False where too little of it is there."""
        if head & 0xF0 != _PUBLISH:
            raise MalformedError(f"a packet of {length} bytes")
        named = body + 4 + (data[body] << 8) + data[body + 1] if len(data) >= body + 2 else len(data) + 1
        if len(data) < named:
            return False
        qos = head >> 1 & 3
        at = named if qos else named - 2
        mid = (data[named - 2] << 8) + data[named - 1] if qos else 0
        topic = data[body + 2 : named - 2].decode(errors="replace")
        if self._v5:  # what follows the properties, where they have come
            found = _length(data, at)
            at = len(data) if found is None else found[0] + found[1]
        shown = data[at : at + _SHOWN]
        self._published(Message(topic, shown, qos, mid, head & 8 != 0, head & 1 != 0, too_large=length))
        return True


def _length(data: bytes, at: int) -> tuple[int, int] | None:
    """A length of one to four bytes, and where it ends; None where it goes on after the data."""
    length = shift = 0
    for place in range(at, at + 4):
        if place >= len(data):
            return None
        length |= (data[place] & 127) << shift
        if data[place] < 128:
            return length, place + 1
        shift += 7
    raise MalformedError("a length of more than four bytes")


class Reader:
    """Reads the socket of a connection: all that it holds at once, and nothing while it is paused.

    The library takes one packet a turn of the loop, in three calls of the system. Here messages go to `take`; whatever
    else comes, such as answers to pings and subscriptions, goes to the library.

    Args:
        library: the connection.
        take: called with each message.
        taken: called once after each block.
        release: called with the number of a message of QoS 2 that the broker will not send again.
        largest: bytes of the largest packet that is held.
    """

    def __init__(
        self,
        library: paho.Client,
        take: Callable[[Message], None],
        taken: Callable[[], None],
        release: Callable[[int], None],
        largest: int = LARGEST,
    ) -> None:
        self.paused = False
        self.error: OSError | None = None
        self._library, self._taken, self._release = library, taken, release
        self._loop = asyncio.get_running_loop()
        self._socket: Any = None
        self._answered = asyncio.Event()
        self._frames = Frames(take, self._control, v5=library.protocol == paho.MQTTv5, largest=largest)

    def opened(self, socket: Any) -> None:
        """Read from a socket, unless it is closed by now."""
        if socket.fileno() >= 0:
            self._socket = socket
            self._loop.add_reader(socket.fileno(), self._read)

    def pause(self) -> None:
        """Read no further: the broker then cannot send any more."""
        if not self.paused:
            self.paused = True
            if self._socket is not None and self._socket.fileno() >= 0:
                self._loop.remove_reader(self._socket.fileno())

    def resume(self) -> None:
        """Read on."""
        if self.paused:
            self.paused = False
            if self._library.socket() is self._socket is not None:
                self.opened(self._socket)
                self._loop.call_soon(self._read)  # what a TLS connection has read already, no loop knows of

    async def heard(self) -> None:
        """Return once the broker has answered, and so has read all that was sent before."""
        if self._library.socket() is not None:
            self._answered.clear()
            self._library._send_pingreq()
            await self._answered.wait()

    async def attend(self) -> None:
        """Keep the connection alive, and find out when it no longer is."""
        library = self._library
        while True:
            if self.paused:  # the answer to a ping is not read either
                library._ping_t, library._last_bytes_received = 0.0, time.monotonic()
            if library.loop_misc() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return
            await asyncio.sleep(1)

    def _read(self) -> None:
        library = self._library
        try:
            for _ in range(_MOST_BLOCKS):
                if self.paused or library.socket() is None:
                    break
                block = library._sock_recv(BLOCK)
                if not block:
                    library._loop_rc_handle(MQTTErrorCode.MQTT_ERR_CONN_LOST)
                    break
                library._last_bytes_received = time.monotonic()
                self._frames.feed(block)
                self._taken()
                if len(block) < BLOCK and not getattr(library.socket(), "pending", int)():
                    break
        except BlockingIOError:
            pass
        except OSError as error:
            self.error = error
            library._loop_rc_handle(MQTTErrorCode.MQTT_ERR_CONN_LOST)
        except (ValueError, IndexError, struct.error, MQTTException):
            library._loop_rc_handle(MQTTErrorCode.MQTT_ERR_PROTOCOL)

    def _control(self, head: int, body: bytes) -> None:
        if head & 0xF0 == _PUBREL and len(body) >= 2:
            self._release((body[0] << 8) + body[1])
            return
        if head == _PINGRESP:
            self._answered.set()
        library = self._library
        library._in_packet = {
            "command": head,
            "have_remaining": 1,
            "remaining_count": [],
            "remaining_mult": 1,
            "remaining_length": len(body),
            "packet": bytearray(body),
            "to_process": 0,
            "pos": 0,
        }
        if (code := library._packet_handle()) > 0:
            library._loop_rc_handle(code)
