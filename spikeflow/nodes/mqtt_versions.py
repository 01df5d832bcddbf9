"""MQTT: which version of it is spoken with a broker."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal, NamedTuple, TypeAlias

import aiomqtt

from spikeflow.nodes.mqtt_addresses import MqttUrl
from spikeflow.nodes.mqtt_notices import Said
from spikeflow.nodes.mqtt_reasons import VersionError, is_of_version
from spikeflow.nodes.mqtt_session import HungUpError, Inbox, connection

Version: TypeAlias = Literal["3.1.1", "5"]


_SILENCE_S, _SOON_S = 3.0, 1.5
"""How long a broker may take to answer in MQTT 5 before another version is tried, and how soon one that speaks the
other version does."""
_TIMED_OUT = "Operation timed out"
"""What the library says."""


class Wish(NamedTuple):
    """The client that is wanted.

    Attributes:
        url: the broker.
        host: where it is reached.
        port: likewise.
        will: what it is to publish when the client is gone without a word.
        version: which version of MQTT is spoken.
        in_passing: whether it is under a name of its own, with nothing kept.
    """

    url: MqttUrl
    host: str
    port: int
    will: Said | None
    version: Version
    in_passing: bool = False


Make: TypeAlias = Callable[[Wish], Awaitable[aiomqtt.Client]]
"""Makes a client of a broker.

Raises:
    MqttError: it cannot be made.
"""


class Versions:
    """Tries the versions of MQTT in order, at once on the same broker, and remembers what it speaks while that works.

    A broker without the version says so, hangs up without an answer, or waits for the rest of what it cannot read.
    Others do that too, such as what stands before a broker that is gone: that is only known once the next version has
    been answered. One that has spoken MQTT 5 before is only ill, unless it says otherwise.

    Args:
        order: the versions that may be spoken, the best one first.
        make: makes a client.

    Attributes:
        spoken: that of the present connection, or of the last one.
    """

    def __init__(self, order: tuple[Version, ...], make: Make) -> None:
        self.spoken: Version = order[0]
        self._order, self._make = order, make
        self._known: dict[MqttUrl, Version] = {}
        self._new, self._doubted = set[MqttUrl](), set[MqttUrl]()
        """The brokers that have spoken MQTT 5, and those that seem not to."""

    @contextlib.asynccontextmanager
    async def connected(
        self, url: MqttUrl, host: str, port: int, will: Said | None, inbox: Inbox | None = None
    ) -> AsyncIterator[aiomqtt.Client]:
        """A client that is connected, by the best version that the broker speaks.

        Raises:
            MqttError: it cannot be, or not any more.
            VersionError: the broker speaks another version than the only one that may be.
        """
        known = self._known.pop(url, None)
        order = self._order if known is None else (known,)
        was_silent = False
        async with contextlib.AsyncExitStack() as stack:
            for version in order:
                wish = Wish(url, host, port, will, version)
                client = await self._make(wish)
                patience = client.timeout
                client.timeout = _SILENCE_S if version == "5" else _SOON_S if was_silent else patience
                try:
                    await stack.enter_async_context(connection(client, inbox))
                except aiomqtt.MqttError as error:
                    may_be_old = is_of_version(error) or (url not in self._new and _is_no_answer(error))
                    if version != order[-1] and may_be_old:
                        was_silent = str(error) == _TIMED_OUT
                        continue
                    if self._order == ("5",) and may_be_old and await self._is_old(wish, error):
                        raise VersionError("the broker does not speak MQTT 5") from None
                    raise
                if version != self._order[0]:
                    self._known[url] = version
                if version == "5":
                    self._new.add(url)
                self.spoken, client.timeout = version, patience
                break
            yield client

    async def _is_old(self, wish: Wish, error: aiomqtt.MqttError) -> bool:
        """Whether a broker that does not take MQTT 5 takes 3.1.1, twice in a row: it may just have come back."""
        if is_of_version(error):
            return True
        if not await self._speaks_older(wish):
            self._doubted.discard(wish.url)
            return False
        if wish.url in self._doubted:
            return True
        self._doubted.add(wish.url)
        return False

    async def _speaks_older(self, wish: Wish) -> bool:
        """Whether a broker that did not take MQTT 5 takes 3.1.1, and soon."""
        client = await self._make(wish._replace(version="3.1.1", will=None, in_passing=True))
        client.timeout = _SOON_S
        try:
            async with connection(client):
                return True
        except aiomqtt.MqttError:
            return False


def _is_no_answer(error: aiomqtt.MqttError) -> bool:
    """Whether a broker that does not know the version may have answered no better."""
    if isinstance(error, HungUpError):
        return not isinstance(error.__cause__, ssl.SSLError)
    return str(error) == _TIMED_OUT


__all__ = ["Make", "Version", "Versions", "Wish"]
