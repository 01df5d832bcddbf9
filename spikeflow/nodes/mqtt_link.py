"""MQTT: a connection that comes back by itself, to the next broker where one is gone."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiomqtt

from spikeflow.errors import ConnectError, RefusedError
from spikeflow.node import Context
from spikeflow.nodes.broker import embedded_broker
from spikeflow.nodes.mqtt_addresses import MqttUrl
from spikeflow.nodes.mqtt_notices import Health, Notices, Said
from spikeflow.nodes.mqtt_reasons import VersionError, is_final, is_of_version, reason
from spikeflow.nodes.mqtt_session import Inbox, while_it_stands
from spikeflow.nodes.mqtt_versions import Make, Version, Versions, Wish

_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 10.0
_STEADY_NS = 5_000_000_000
_LAST_WORD_S = 1.0
_CUT_S = 0.3
"""How long a last word may take where the node has been cut off: it is left behind a second later."""
_LISTENS = "is the address right, and does something listen there?"


class Link:
    """A connection to one of several brokers that comes back; every gap is logged with its length and counted.

    Args:
        urls: the brokers, the first one first.
        client: makes a client of one of them.
        notices: what is said when it comes and when it goes.
        health: where it is said how the node is.
        fails: whether a first connection that cannot be, however often one tries, is an error.
        versions: of MQTT, the best one first.

    Attributes:
        url: the broker that it is connected to, or was last.
        reconnects: how often it has come back.
        facts: adds to what is said of the node.
        fails: as it was given.
        gone: set while there is no connection that can be used.
        hopeless: set while there is none, and each broker has been tried.
    """

    def __init__(
        self,
        urls: tuple[MqttUrl, ...],
        context: Context,
        client: Make,
        notices: Notices | None = None,
        health: Health | None = None,
        fails: bool = True,
        versions: tuple[Version, ...] = ("5", "3.1.1"),
    ) -> None:
        self.url = urls[0]
        self.reconnects = 0
        self.facts: Callable[[], dict[str, Any]] = dict
        self._urls, self._context, self._client = urls, context, client
        self._notices, self._health, self.fails = notices or Notices(), health, fails
        self._at = self._tried = 0
        self._gone_ns: int | None = None
        self._last: MqttUrl | None = None
        self._wait_s = _FIRST_WAIT_S
        self.gone = asyncio.Event()
        self.gone.set()
        self.hopeless = asyncio.Event()
        self._said: set[tuple[MqttUrl, str]] = set()
        self._refusals: dict[MqttUrl, str] = {}
        self._versions = Versions(versions, self._made)

    @property
    def version(self) -> Version:
        """The version of MQTT that is spoken, or was last."""
        return self._versions.spoken

    async def keep(self, work: Callable[[aiomqtt.Client], Awaitable[None]], inbox: Inbox | None = None) -> None:
        """Do `work` on a connection, and again on a new one whenever it is lost, until `work` returns.

        Args:
            inbox: where messages go.

        Raises:
            RefusedError: every broker refuses the first connection for good.
        """
        self._context.look = self.look
        async with self._addresses() as addresses:
            while True:
                self.url, host, port = addresses[self._at]
                began_ns = self._context.clock.now_ns()
                try:
                    async with self._versions.connected(self.url, host, port, self._notices.will, inbox) as session:
                        began_ns = self._context.clock.now_ns()
                        await self._do(work, session)
                        return
                except aiomqtt.MqttError as error:
                    steady = not self.gone.is_set() and self._context.clock.now_ns() - began_ns > _STEADY_NS
                    self.gone.set()
                    await self._away(error, steady)
                finally:
                    self.gone.set()

    async def _made(self, wish: Wish) -> aiomqtt.Client:
        """A client of a broker.

        Raises:
            MqttError: a file of a certificate or of a password is gone, or is not what it was.
        """
        try:
            return await self._client(wish)
        except (OSError, UnicodeDecodeError) as error:
            raise aiomqtt.MqttError(str(error)) from (error if isinstance(error, ssl.SSLError) else None)

    async def _do(self, work: Callable[[aiomqtt.Client], Awaitable[None]], client: aiomqtt.Client) -> None:
        """Do `work`, tell how the node is meanwhile, and say goodbye."""
        telling = asyncio.create_task(self._tell(client)) if self._health is not None else None
        try:
            await work(client)
        except aiomqtt.MqttError:
            raise
        except asyncio.CancelledError:
            await self._goodbye(client, self._notices.closings, _CUT_S)
            raise
        except Exception:  # who ends in good order has no will: a node that fails has to say it itself
            will = self._notices.will
            await self._goodbye(client, () if will is None else (will,))
            raise
        else:
            await self._goodbye(client, self._notices.closings)
        finally:
            if telling is not None:
                telling.cancel()
                await asyncio.gather(telling, return_exceptions=True)

    async def _goodbye(self, client: aiomqtt.Client, last: tuple[Said, ...], patience_s: float = _LAST_WORD_S) -> None:
        self.gone.set()
        with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
            async with asyncio.timeout(patience_s):
                for said in last:
                    await client.publish(said.topic, said.data, said.qos, said.retain)

    async def _tell(self, client: aiomqtt.Client) -> None:
        """Say how the node is, again and again."""
        health, clock = self._health, self._context.clock
        assert health is not None
        while not client._disconnected.done():
            if not self.gone.is_set():
                said = health.message(self._context, self._health_facts())
                with contextlib.suppress(aiomqtt.MqttError):
                    await client.publish(said.topic, said.data, said.qos, said.retain)
            await clock.sleep_until(clock.now_ns() + int(health.every * 1e9))

    def _health_facts(self) -> dict[str, Any]:
        now_ns = self._context.clock.now_ns()
        return {"state": "online", "t": now_ns, **self.look(), **self._context.counters.as_dict()}

    def look(self) -> dict[str, Any]:
        """How the connection is, for people and scripts."""
        found: dict[str, Any] = {
            "broker": str(self.url),
            "connected": not self.gone.is_set(),
            "protocol": self.version,
            "reconnects": self.reconnects,
        }
        if self._gone_ns is not None and self.gone.is_set():
            found["away_s"] = round((self._context.clock.now_ns() - self._gone_ns) / 1e9, 3)
        return found | self.facts()

    async def once(self) -> None:
        """Connect to each broker, and hang up.

        Raises:
            ConnectError: nobody answers at one of them, or it says no.
        """
        wrong = []
        async with self._addresses() as addresses:
            for url, host, port in addresses:
                try:
                    async with self._versions.connected(url, host, port, None):
                        pass
                except aiomqtt.MqttError as error:
                    wrong.append(f"{url}: {reason(error)} — {_hint(error)}")
        if wrong:
            raise ConnectError("; ".join(wrong))

    async def stands(self, client: aiomqtt.Client) -> None:
        """Say that the connection can be used: subscribed, where that is needed."""
        context = self._context
        elsewhere = self._last is not None and self._last != self.url
        if self._gone_ns is not None and self._last is not None:
            gap_s = (context.clock.now_ns() - self._gone_ns) / 1e9
            self.reconnects += 1
            context.counters.note("reconnected")
            context.log("info", f"back on {self.url} after {gap_s:.3g} s")
        elif self._gone_ns is not None:
            context.log("info", f"connected to {self.url}")
        if elsewhere:
            context.counters.note("failover")
        self._gone_ns, self._last, self._tried = None, self.url, 0
        self.gone.clear()
        self.hopeless.clear()
        self._said.clear()
        self._refusals.clear()
        births = [*self._notices.births]
        if self._health is not None:
            births.append(self._health.message(context, self._health_facts()))
        for said in births:
            await while_it_stands(client, client.publish(said.topic, said.data, said.qos, said.retain))

    async def _away(self, error: aiomqtt.MqttError, steady: bool) -> None:
        """Say why the connection is gone; then the next broker at once, and after a round of all a wait.

        The wait is longer each time, and not the same for all who wait.
        """
        context = self._context
        had = self._last is not None and self._gone_ns is None
        if self._gone_ns is None:
            self._gone_ns = context.clock.now_ns()
        following = "trying again"
        if not steady:
            self._tried += 1
            self._at = (self._at + 1) % len(self._urls)
            if len(self._urls) > 1:
                following = f"trying {self._urls[self._at]}"
        refused = reason(error) if is_final(error) else ""  # told also where another reason was told before
        if (self.url, refused) not in self._said:
            self._said.add((self.url, refused))
            what = "lost" if had else "cannot connect to"
            context.log("warning", f"{what} {self.url}: {reason(error)}; {following}")
        if self.fails and self._last is None and is_final(error):
            self._refusals[self.url] = f"{self.url}: {reason(error)} — {_hint(error)}"
            if len(self._refusals) == len(set(self._urls)):
                raise RefusedError("; ".join(self._refusals.values())) from None
        if steady:
            self._wait_s = _FIRST_WAIT_S
        elif self._tried % len(self._urls):
            return
        self.hopeless.set()
        wait = self._wait_s * random.uniform(0.5, 1.0)
        self._wait_s = min(2.0 * self._wait_s, _LONGEST_WAIT_S)
        await context.clock.sleep_until(context.clock.now_ns() + int(wait * 1e9))

    @contextlib.asynccontextmanager
    async def _addresses(self) -> AsyncIterator[list[tuple[MqttUrl, str, int]]]:
        """Where each broker is reached."""
        if self._urls[0].embedded:
            async with embedded_broker() as (host, port):
                yield [(self._urls[0], host, port)]
        else:
            yield [(url, url.host, url.port) for url in self._urls]


def _hint(error: aiomqtt.MqttError) -> str:
    """What to look at where a first connection fails."""
    if isinstance(error, VersionError) or is_of_version(error):
        return "leave 'protocol' out, and what needs MQTT 5: an expiry, user properties"
    if isinstance(error, aiomqtt.MqttCodeError):
        return "are name and password right?"
    return "look at 'tls', and at the broker's own files" if is_final(error) else _LISTENS
