"""A witness between a broker and its client, which keeps what the broker has delivered."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.brokers import Mosquitto

_PUBLISH = 3


class Witness:
    """Passes all bytes on, and keeps the payload of every message that went to the client as a whole.

    When the broker dies, the client still gets to read all that the broker had sent.

    Attributes:
        delivered: payloads of the messages, in order; repeated ones too.
        again: how many of them came with the mark of one that may have come before.
        url: where the client finds it.
        cut: the part of the next message after which the connection is cut; None once it has been, or where none is.
        delay_s: how long each message takes (s).
    """

    def __init__(self, broker: Mosquitto) -> None:
        self.delivered: list[bytes] = []
        self.again = 0
        self.url = ""
        self.cut: float | None = None
        self.delay_s = 0.0
        self._broker = broker
        self._has_properties = False
        self._news = asyncio.Condition()

    async def has(self, payload: bytes) -> None:
        """Return once a message has been delivered."""
        async with self._news:
            await self._news.wait_for(lambda: payload in self.delivered)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        with contextlib.closing(writer):
            try:
                from_broker, to_broker = await asyncio.open_connection(self._broker.host, self._broker.port)
            except OSError:
                return
            with contextlib.closing(to_broker):
                first = await reader.read(65536)
                to_broker.write(first)
                self._has_properties = first[first.find(b"MQTT") + 4 :][:1] == b"\5"
                up = asyncio.create_task(self._up(reader, to_broker))
                await self._down(from_broker, writer)
                with contextlib.suppress(OSError):
                    writer.write_eof()
                to_broker.close()  # a broker whose client has been cut off learns of it
                await up

    async def _up(self, reader: asyncio.StreamReader, to_broker: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not to_broker.is_closing():  # a client that answers a dead broker is not told so: it reads on
                    to_broker.write(data)

    async def _down(self, from_broker: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):  # what was cut off has not been delivered
            while True:
                head = await from_broker.readexactly(1)
                length = shift = 0
                while True:
                    byte = await from_broker.readexactly(1)
                    head += byte
                    length |= (byte[0] & 127) << shift
                    shift += 7
                    if byte[0] < 128:
                        break
                body = await from_broker.readexactly(length)
                is_message = head[0] >> 4 == _PUBLISH
                if is_message and self.cut is not None:
                    part, self.cut = max(1, int(self.cut * len(head + body))), None
                    writer.write((head + body)[:part])
                    await writer.drain()
                    return
                if is_message and self.delay_s:
                    writer.write(head)
                    await asyncio.sleep(self.delay_s)
                    head, first = b"", head[0]
                else:
                    first = head[0]
                writer.write(head + body)
                await writer.drain()
                if is_message:
                    await self._keep(first, body)

    async def _keep(self, flags: int, body: bytes) -> None:
        start = 2 + int.from_bytes(body[:2], "big")
        start += 2 if flags & 6 else 0  # the number of a message that wants an answer
        start += 1 + body[start] if self._has_properties else 0  # of MQTT 5; there are few
        self.again += flags >> 3 & 1
        async with self._news:
            self.delivered.append(body[start:])
            self._news.notify_all()


@asynccontextmanager
async def witnessed(broker: Mosquitto) -> AsyncIterator[Witness]:
    """A witness that listens."""
    witness = Witness(broker)
    server = await asyncio.start_server(witness.serve, "127.0.0.1", 0)
    witness.url = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield witness
    finally:
        server.close()
