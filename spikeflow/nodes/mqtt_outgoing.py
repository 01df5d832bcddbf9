"""MQTT: messages on one connection, and what the broker says to each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any

import aiomqtt
from paho.mqtt.enums import MQTTErrorCode

from spikeflow.nodes.mqtt_outbox import Sendable
from spikeflow.nodes.mqtt_properties import with_user_properties
from spikeflow.nodes.mqtt_reasons import TOO_LARGE
from spikeflow.nodes.mqtt_session import raise_lost

_SILENCE_S = 10.0
"""After so long without an answer the broker's silence is told."""
_AROUND = 16
"""Bytes of a packet beside its topic, its properties and its payload, at most."""


class Outgoing:
    """Publishes on one connection, and hears what the broker says to each message.

    Args:
        warn: says something of a kind, now and then.
        largest: bytes of the largest packet that the broker takes; None where it does not say.
    """

    def __init__(
        self, client: aiomqtt.Client, qos: int, retain: bool, warn: Callable[[str, str], None], largest: int | None
    ) -> None:
        self._warn, self._largest = warn, largest
        self._library, self._lost = client._client, client._disconnected
        self._qos, self._retain = qos, retain
        self._waiting: set[int] = set()
        self._codes: dict[int, int] = {}
        self.news = asyncio.Event()
        self._lost.add_done_callback(lambda _: self.news.set())
        tell = client._on_publish

        def published(library: Any, data: Any, mid: int, code: Any, properties: Any = None) -> None:
            self._codes[mid] = getattr(code, "value", 0)
            self._waiting.discard(mid)
            if not self._waiting:
                self.news.set()
            tell(library, data, mid, code, properties)

        self._library.on_publish = published

    @property
    def under_way(self) -> int:
        """Messages that the broker has not answered."""
        return len(self._waiting)

    async def until(self, done: Callable[[], bool]) -> None:
        """Return once something is so; `news` has to be set when it may be.

        Raises:
            MqttError: the connection was lost before.
        """
        while not done():
            if self._lost.done():
                raise_lost(self._lost)
            self.news.clear()
            before = len(self._waiting)
            try:
                async with asyncio.timeout(_SILENCE_S if before else None):
                    await self.news.wait()
            except TimeoutError:
                if len(self._waiting) < before:
                    continue
                said = f"the broker has answered none of {len(self._waiting)} messages for {_SILENCE_S:g} s"
                self._warn("silence", f"{said}; is 'inflight' more than it takes?")

    async def send(self, messages: Sequence[Sendable]) -> tuple[list[int], aiomqtt.MqttError | None]:
        """Publish messages.

        Returns:
            the reason codes that the broker answers with, once it has answered all; where the connection is lost
            before, those of the first ones, up to one that has no answer, and why it was lost.
        """
        self._waiting.clear()
        self._codes.clear()
        mids: list[int] = []
        lost: aiomqtt.MqttError | None = None
        try:
            for message in messages:
                mids.append(self._publish(message))
                if mids[-1] not in self._codes:
                    self._waiting.add(mids[-1])
            await self.until(lambda: not self._waiting)
        except aiomqtt.MqttError as error:
            lost = error
        return [self._codes[mid] for mid in takewhile(self._codes.__contains__, mids)], lost

    def _publish(self, message: Sendable) -> int:
        """The number of a message that is under way, or of its answer where it is not sent.

        Raises:
            MqttError: the connection is lost.
        """
        if self._largest is not None and _size(message) > self._largest:
            number = -len(self._codes) - 1  # none that the library gives
            self._codes[number] = TOO_LARGE
            return number
        properties = with_user_properties(message.properties)
        info = self._library.publish(message.topic, message.data, self._qos, self._retain, properties)
        if info.rc not in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_QUEUE_SIZE):
            if self._lost.done():
                raise_lost(self._lost)
            raise aiomqtt.MqttCodeError(info.rc)
        return info.mid


def _size(message: Sendable) -> int:
    """Bytes of the packet of a message, at most."""
    properties = sum(5 + len(name.encode()) + len(value.encode()) for name, value in message.properties)
    return len(message.data) + len(message.topic.encode()) + properties + _AROUND


__all__ = ["Outgoing"]
