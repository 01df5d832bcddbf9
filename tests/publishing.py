"""A publisher that keeps a log of what its broker has acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiomqtt

from tests.brokers import Mosquitto

SOURCE = """spikeflow: 1
nodes:
  sensor:
    source: mqtt
    url: {url}
    topic: plant/vibration
    channels: 1
    payload: {{value: $.value}}
    qos: {qos}
"""


def listener(url: str, *lines: str, qos: int = 1) -> str:
    """A graph file with a source, `sensor`, that hears what a publisher says, and further lines."""
    return SOURCE.format(url=url, qos=qos) + "".join(f"{line}\n" for line in lines)


AT_ONCE = 10
"""Messages that the publisher has under way."""
_PATIENCE_S = 10.0
"""How long a broker may take to acknowledge the last of them; one that stands still never does."""


class Publisher:
    """Publishes numbers for ever, each tenth garbage, and keeps a log of what the broker acknowledged.

    Attributes:
        log: the payloads that were acknowledged.
    """

    def __init__(self, broker: Mosquitto, qos: int = 1) -> None:
        self.qos = qos
        self.log: list[bytes] = []
        self.stop = False
        self._broker = broker
        self._number = 0
        self._news = asyncio.Condition()
        self.back = asyncio.Event()
        """Set while there is a broker."""
        self.back.set()

    async def run(self) -> None:
        """Publish until told to stop; what is not acknowledged is not sent again."""
        while not self.stop:
            await self.back.wait()
            try:
                async with aiomqtt.Client(self._broker.host, self._broker.port) as client:
                    lost = asyncio.ensure_future(anext(aiter(client.messages)))  # nothing comes but the end
                    while not self.stop and not lost.done():
                        await self._some(client, lost)
                    lost.cancel()
                    await asyncio.gather(lost, return_exceptions=True)
            except aiomqtt.MqttError:
                continue

    async def _some(self, client: aiomqtt.Client, lost: asyncio.Future[aiomqtt.Message]) -> None:
        sending = {asyncio.ensure_future(client.publish("plant/vibration", p, self.qos)): p for p in self._payloads()}
        everything = asyncio.gather(*sending, return_exceptions=True)
        await asyncio.wait((everything, lost), return_when=asyncio.FIRST_COMPLETED)
        everything.cancel()
        await asyncio.gather(everything, return_exceptions=True)
        async with self._news:
            self.log += [p for task, p in sending.items() if not task.cancelled() and task.exception() is None]
            self._news.notify_all()

    def _payloads(self) -> list[bytes]:
        return [self._payload() for _ in range(AT_ONCE)]

    def _payload(self) -> bytes:
        self._number += 1
        return b"garbage %d" % self._number if self._number % 10 == 0 else b'{"value": %d}' % self._number

    async def acknowledged(self, more: int) -> None:
        """Return once the log has grown by so much."""
        wanted = len(self.log) + more
        async with self._news:
            await self._news.wait_for(lambda: len(self.log) >= wanted)


@asynccontextmanager
async def publishing(broker: Mosquitto, qos: int = 1) -> AsyncIterator[Publisher]:
    """A publisher at work. What it has under way at the end is acknowledged first: its log has all that was sent."""
    publisher = Publisher(broker, qos)
    task = asyncio.create_task(publisher.run())
    try:
        yield publisher
    finally:
        publisher.stop = True
        if publisher.back.is_set():
            await asyncio.wait((task,), timeout=_PATIENCE_S)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
