"""MQTT: where brokers are, what topics match, and connections that come back."""

from __future__ import annotations

import contextlib
import logging
import random
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from pydantic import BaseModel, BeforeValidator, Field, SecretStr, WithJsonSchema

from spikeflow.errors import ConnectError, ParameterError, Problem
from spikeflow.node import Context
from spikeflow.nodes.broker import EMBEDDED, embedded_broker
from spikeflow.nodes.mqtt_session import Inbox, connection, reason
from spikeflow.units import Seconds

_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 10.0
_STEADY_NS = 5_000_000_000
_FOR_EVER = 0xFFFFFFFF
_LISTENS = "is the address right, and does something listen there?"

_LOGGER = logging.getLogger("spikeflow.mqtt")  # what it has to say, the nodes say in the run's log
_LOGGER.addHandler(logging.NullHandler())
_LOGGER.propagate = False


@dataclass(frozen=True, slots=True)
class MqttUrl:
    """Where a broker is; `host` is empty for the one inside this process."""

    host: str
    port: int = 1883
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False

    @property
    def embedded(self) -> bool:
        """Whether the broker runs inside this process."""
        return not self.host

    def __str__(self) -> str:
        if self.embedded:
            return EMBEDDED
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def parse_url(text: Any) -> Any:
    """The broker of ``mqtt://user:password@host:port``, ``mqtts://…`` (TLS), or ``embedded``.

    Raises:
        ParameterError: not such a text.
    """
    if not isinstance(text, str):
        return text
    if text == EMBEDDED:
        return MqttUrl("")
    hint = f"write mqtt://host:1883, mqtts://host:8883 or {EMBEDDED}"
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError as error:
        raise ParameterError(f"{_hidden(text)!r} is not a broker's address: {error}", hint) from None
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        raise ParameterError(f"{_hidden(text)!r} is not a broker's address", hint)
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ParameterError(f"{_hidden(text)!r} goes on after the port", "a topic goes into 'topic'")
    tls = parts.scheme == "mqtts"
    user, secret = (None if part is None else unquote(part) for part in (parts.username, parts.password))
    return MqttUrl(parts.hostname, port or (8883 if tls else 1883), user, secret, tls)


def _hidden(text: str) -> str:
    """An address without its password."""
    head, at, tail = text.rpartition("@")
    return f"{head.partition('://')[0]}://…@{tail}" if at else text


BrokerUrl = Annotated[
    MqttUrl,
    BeforeValidator(parse_url),
    WithJsonSchema({"type": "string", "examples": ["mqtt://127.0.0.1:1883", EMBEDDED]}),
]


@dataclass(frozen=True, slots=True)
class TopicPattern:
    """A pattern of topics: ``{name}`` takes one level as a key, ``+`` any level, ``#`` all the rest.

    Attributes:
        text: as it was written.
        filter: as a broker knows it.
        names: of the keys, in order.
    """

    text: str
    filter: str
    names: tuple[str, ...]
    _levels: tuple[str | None, ...]
    _places: tuple[int, ...]

    def key(self, topic: str) -> str | None:
        """As `keys`, joined by slashes."""
        found = self.keys(topic)
        return None if found is None else "/".join(found)

    def keys(self, topic: str) -> list[str] | None:
        """The levels of `topic` that the names take; None where the pattern does not match."""
        levels, wanted = topic.split("/"), self._levels
        if wanted[-1] == "#":
            wanted = wanted[:-1]
            if len(levels) < len(wanted):
                return None
        elif len(levels) != len(wanted):
            return None
        for level, want in zip(levels, wanted, strict=False):
            if want is not None and want != level:
                return None
        return [levels[place] for place in self._places]


def parse_topic(text: Any) -> Any:
    """The pattern of a text such as ``plant/{machine}/vibration``.

    Raises:
        ParameterError: an empty pattern, a wildcard or name that is not a whole level, a name twice.
    """
    if not isinstance(text, str):
        return text
    if not text or "\0" in text:
        raise ParameterError(f"{text!r} is not a topic", "write levels, such as plant/{machine}/vibration")
    shared = text.split("/")[:2] if text.startswith("$share/") else []
    levels = text.split("/")[len(shared) :]
    names: list[str] = []
    wanted: list[str | None] = []
    places: list[int] = []
    for place, level in enumerate(levels):
        if level.startswith("{") and level.endswith("}") and level[1:-1].isidentifier():
            if level[1:-1] in names:
                raise ParameterError(f"{level} is there twice in {text!r}", "give each level a name of its own")
            names.append(level[1:-1])
            places.append(place)
            wanted.append(None)
        elif level == "#" and place == len(levels) - 1:
            wanted.append("#")
        elif level == "+":
            wanted.append(None)
        elif any(sign in level for sign in "{}+#"):
            hint = "{name}, + and # take whole levels, and # is the last one"
            raise ParameterError(f"the level {level!r} of {text!r} is not clear", hint)
        else:
            wanted.append(level)
    plain = ["+" if level.startswith("{") else level for level in levels]
    return TopicPattern(text, "/".join([*shared, *plain]), tuple(names), tuple(wanted), tuple(places))


Topic = Annotated[
    TopicPattern,
    BeforeValidator(parse_topic),
    WithJsonSchema({"type": "string", "examples": ["plant/{machine}/vibration"]}),
]


Protocol = Annotated[Literal["3.1.1", "5"], BeforeValidator(lambda found: "5" if found == 5 else found)]


class Connected(BaseModel):
    """The fields of every node that talks to a broker."""

    url: BrokerUrl = Field(description="the broker: mqtt://user:password@host:port, mqtts://…, or `embedded`")
    username: str | None = Field(None, description="instead of the one in the address")
    password: SecretStr | None = Field(None, description="instead of the one in the address")
    client_id: str | None = Field(
        None, min_length=1, description="with qos 1 or 2, the broker keeps messages for this name while it is away"
    )
    protocol: Protocol = Field("3.1.1", description="the version of MQTT")
    keepalive: Annotated[Seconds, Field(ge=1, le=65535)] = Field(
        15.0, description="a broker that is silent for twice as long is given up"
    )

    def address_problems(self) -> Iterable[Problem]:
        """Credentials for a broker that asks for none."""
        if self.url.embedded and (self.username or self.password):
            yield Problem(("username",), "the embedded broker asks for no name", "leave it out", warning=True)

    async def probe(self, context: Context) -> str:
        """Connect to the broker, and leave it."""
        # under a name of its own: one with `client_id` would end a run's connection, and what the broker keeps for it
        await self._link(context, None, keep=False).once()
        return str(self.url)

    def link(self, context: Context, qos: int, most_unacknowledged: int = 0) -> Link:
        """The connection of a node in its run.

        Args:
            most_unacknowledged: messages that the broker may send ahead of their acknowledgement (MQTT 5).
        """
        return self._link(context, self.client_id, self.client_id is not None and qos > 0, most_unacknowledged)

    def _link(self, context: Context, name: str | None, keep: bool, most_unacknowledged: int = 0) -> Link:
        secret = self.password.get_secret_value() if self.password is not None else self.url.password
        identifier = name or f"spikeflow-{context.graph}-{context.name}-{uuid.uuid4().hex[:8]}"
        return Link(
            self.url,
            context,
            partial(
                aiomqtt.Client,
                username=self.username or self.url.username,
                password=secret,
                identifier=identifier,
                keepalive=max(1, round(self.keepalive)),
                **self._session(keep, most_unacknowledged),
                tls_context=ssl.create_default_context() if self.url.tls else None,
                logger=_LOGGER,
            ),
        )

    def _session(self, keep: bool, most_unacknowledged: int) -> dict[str, Any]:
        """Whether the broker keeps what comes while the node is away, as each version of MQTT says it."""
        if self.protocol != "5":
            return {"clean_session": not keep}
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        if keep:
            properties.SessionExpiryInterval = _FOR_EVER
        if most_unacknowledged:
            properties.ReceiveMaximum = most_unacknowledged
        return {"protocol": aiomqtt.ProtocolVersion.V5, "clean_start": not keep, "properties": properties}


class Link:
    """A connection to a broker that comes back by itself; every gap is logged with its length and counted."""

    def __init__(self, url: MqttUrl, context: Context, client: Callable[..., aiomqtt.Client]) -> None:
        self.url = url
        self._context, self._client = context, client
        self._gone_ns: int | None = None
        self._wait_s = _FIRST_WAIT_S
        self._had_one = False

    async def keep(self, work: Callable[[aiomqtt.Client], Awaitable[None]], inbox: Inbox | None = None) -> None:
        """Do `work` on a connection, and again on a new one whenever it is lost, until `work` returns.

        Args:
            inbox: where messages go.
        """
        async with self._address() as (host, port):
            while True:
                began_ns = self._context.clock.now_ns()
                try:
                    async with connection(self._client(host, port), inbox) as session:
                        began_ns = self._context.clock.now_ns()
                        await work(session)
                        return
                except aiomqtt.MqttError as error:
                    await self._away(error, steady=self._context.clock.now_ns() - began_ns > _STEADY_NS)

    async def once(self) -> None:
        """Connect, and hang up.

        Raises:
            ConnectError: nobody answers there, or the broker says no.
        """
        async with self._address() as (host, port):
            try:
                async with connection(self._client(host, port)):
                    pass
            except aiomqtt.MqttError as error:
                refused = isinstance(error, aiomqtt.MqttCodeError)
                hint = "are name and password right?" if refused else _LISTENS
                raise ConnectError(f"{self.url}: {reason(error)} — {hint}") from None

    def stands(self) -> None:
        """Say that the connection can be used: subscribed, where that is needed."""
        context = self._context
        if self._gone_ns is not None and self._had_one:
            gap_s = (context.clock.now_ns() - self._gone_ns) / 1e9
            context.counters.note("reconnected")
            context.log("info", f"back on {self.url} after {gap_s:.3g} s")
        elif self._gone_ns is not None:
            context.log("info", f"connected to {self.url}")
        self._gone_ns, self._had_one = None, True

    async def _away(self, error: aiomqtt.MqttError, steady: bool) -> None:
        """Say why the connection is gone, and wait before the next try: longer each time, and not all at once."""
        context = self._context
        if self._gone_ns is None:
            self._gone_ns = context.clock.now_ns()
            what = "lost" if self._had_one else "cannot connect to"
            context.log("warning", f"{what} {self.url}: {reason(error)}; trying again")
        if steady:
            self._wait_s = _FIRST_WAIT_S
        wait = self._wait_s * random.uniform(0.5, 1.0)
        self._wait_s = min(2.0 * self._wait_s, _LONGEST_WAIT_S)
        await context.clock.sleep_until(context.clock.now_ns() + int(wait * 1e9))

    @contextlib.asynccontextmanager
    async def _address(self) -> AsyncIterator[tuple[str, int]]:
        if self.url.embedded:
            async with embedded_broker() as address:
                yield address
        else:
            yield self.url.host, self.url.port
