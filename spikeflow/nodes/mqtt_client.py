"""MQTT: the fields of every node that talks to a broker."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
import uuid
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from spikeflow.errors import ParameterError, Problem
from spikeflow.node import Context
from spikeflow.nodes.mqtt_addresses import BrokerUrls
from spikeflow.nodes.mqtt_link import Link
from spikeflow.nodes.mqtt_notices import Health, Notice, Notices
from spikeflow.nodes.mqtt_tls import Tls
from spikeflow.nodes.mqtt_topics import graph_problems
from spikeflow.nodes.mqtt_versions import Version, Wish
from spikeflow.secret import SecretText
from spikeflow.units import Seconds

_UNDER_WAY_5, _UNDER_WAY, _UNDER_WAY_TWICE = 65_535, 100, 20
"""Messages that are sent ahead of the broker's answers: with MQTT 5, by which it says how many it takes, and no more
are sent; with 3.1.1; and with 3.1.1 and QoS 2, of which mosquitto takes 20 unless told otherwise, and answers no more.
"""
_FOR_EVER = 0xFFFFFFFF
_NAME = re.compile(r"[^A-Za-z0-9_.-]")

_LOGGER = logging.getLogger("spikeflow.mqtt")  # what it has to say, the nodes say in the run's log
_LOGGER.addHandler(logging.NullHandler())
_LOGGER.propagate = False

Protocol = Annotated[Literal["3.1.1", "5"], BeforeValidator(lambda found: "5" if found == 5 else found)]


class Session(BaseModel):
    """What the broker keeps of a node that is away: what it has subscribed to, and what comes meanwhile."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    clean: bool = Field(False, description="begin anew each time: the broker keeps nothing")
    expiry: Annotated[Seconds, Field(gt=0, lt=_FOR_EVER)] | None = Field(
        None, description="how long the broker keeps it (protocol 5); for ever if not set"
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.clean and self.expiry is not None:
            raise ParameterError("a session that is clean and has an expiry", "keep one of them")
        return self


class Connected(BaseModel):
    """The fields of every node that talks to a broker."""

    model_config = ConfigDict(arbitrary_types_allowed=True, hide_input_in_errors=True)

    url: BrokerUrls = Field(
        description="the broker: mqtt://user@host:port, mqtts://…, ws://…/path, wss://…/path, or `embedded`; "
        "of a list, or of several with commas, the next one where one is gone"
    )
    username: str | None = Field(None, description="instead of the one in the address")
    password: SecretText | None = Field(
        None, description="instead of the one in the address; from a variable, ${VARIABLE}, or a file, {file: …}"
    )
    tls: Tls | None = Field(None, description="whom to trust, and how to show who one is, with mqtts:// and wss://")
    client_id: str | None = Field(
        None, min_length=1, description="with qos 1 or 2, the broker keeps messages for this name while it is away"
    )
    session: Session | None = Field(None, description="what the broker keeps for `client_id`, and for how long")
    protocol: Protocol | None = Field(
        None, description="the version of MQTT; if not set, 5, or 3.1.1 with brokers that have no 5"
    )
    keepalive: Annotated[Seconds, Field(ge=1, le=65535)] = Field(
        15.0, description="a broker that is silent for twice as long is given up"
    )
    first_connect: Literal["fail", "wait"] = Field(
        "fail", description="end the run where the first connection does not come in time, or run and wait for it"
    )
    will: Notice | None = Field(None, description="what the broker publishes when the node is gone without a word")
    birth: Notice | None = Field(None, description="what the node publishes when it has connected")
    closing: Notice | None = Field(
        None, description="what the node publishes before it ends in good order; `will` if not set"
    )
    health: Health | None = Field(None, description="where to say how the node and its connection are, and how often")

    @property
    def needs_5(self) -> bool:
        """Whether something is asked for that MQTT 3.1.1 does not have."""
        return self.session is not None and self.session.expiry is not None

    @property
    def versions(self) -> tuple[Version, ...]:
        """The versions of MQTT that may be spoken, the best one first."""
        if self.protocol is not None:
            return (self.protocol,)
        if self.url[0].embedded:
            return ("3.1.1",)
        return ("5",) if self.needs_5 else ("5", "3.1.1")

    def claims(self) -> Mapping[str, str]:
        """The name at the broker, which ends the connection of one when another comes with it."""
        if self.client_id is None:
            return {}
        return {"client_id": f"client_id {self.client_id!r} at {self.url[0].host}:{self.url[0].port}"}

    def address_problems(self, graph: str = "graph") -> Iterable[Problem]:
        """What is wrong with how the broker is to be reached, in a graph with a name."""
        secure = [url for url in self.url if url.tls]
        if self.url[0].embedded and (self.username or self.password):
            yield Problem(("username",), "the embedded broker asks for no name", "leave it out", warning=True)
        if self.url[0].embedded and self.protocol == "5":
            yield Problem(("protocol",), "the embedded broker does not speak MQTT 5", "leave it out")
        if self.password is not None:
            yield from self.password.problems("password")
            if self.username is None and any(url.username is None for url in self.url):
                yield Problem(("password",), "a password without a name", "add 'username'")
        if self.tls is not None:
            if not secure:
                found = f"tls does nothing with {self.url[0]}"
                yield Problem(("tls",), found, "write mqtts:// or wss:// in the address, or leave it out")
            yield from self.tls.problems()
        if self.session is not None:
            if not self.session.clean and self.client_id is None:
                found = "a session is kept for a name, and there is none"
                yield Problem(("session",), found, "add 'client_id', one for each node of each process")
            if self.session.expiry is not None and self.versions[0] != "5":
                hint = "write protocol: 5, or leave it to the broker (mosquitto: persistent_client_expiration)"
                yield Problem(("session", "expiry"), "an expiry is nothing that MQTT 3.1.1 can ask for", hint)
        if self.will is not None and self.health is not None:
            hint = "keep one: with 'health', its topic says offline"
            yield Problem(("will",), "a connection has one will, and 'health' needs it", hint)
        for name in ("will", "birth", "closing", "health"):
            if (said := getattr(self, name)) is not None:
                yield from graph_problems(said.topic, graph, (name, "topic"))

    async def probe(self, context: Context) -> str:
        """Connect to each broker, and leave it."""
        # under a name of its own: one with `client_id` would end a run's connection, and what the broker keeps for it
        await self._link(context, None, keep=False).once()
        return ", ".join(map(str, self.url))

    def keeps(self, qos: int) -> bool:
        """Whether the broker is to keep a session while the node is away."""
        if self.session is not None:
            return not self.session.clean
        return self.client_id is not None and qos > 0

    def link(self, context: Context, qos: int, most_unacknowledged: int = 0, under_way: int | None = None) -> Link:
        """The connection of a node in its run.

        Args:
            most_unacknowledged: messages that the broker may send ahead of their acknowledgement (MQTT 5).
            under_way: messages that are sent ahead of the broker's answers; None for what the broker takes.
        """
        keep = self.keeps(qos)
        fewest = _UNDER_WAY_TWICE if qos == 2 else _UNDER_WAY
        return self._link(context, self.client_id, keep, most_unacknowledged, under_way, fewest)

    def _link(
        self,
        context: Context,
        name: str | None,
        keep: bool,
        most_unacknowledged: int = 0,
        under_way: int | None = None,
        fewest: int = _UNDER_WAY,
    ) -> Link:
        host = _NAME.sub("-", socket.gethostname())
        identifier = name or f"spikeflow-{host}-{context.graph}-{context.name}-{uuid.uuid4().hex[:8]}"

        async def client(wish: Wish) -> aiomqtt.Client:
            url, will = wish.url, wish.will
            secret = self.password or url.password
            # a thread for the certificates: those of a system take ten milliseconds and more
            trust = await asyncio.to_thread(self._trust) if url.tls else None
            return aiomqtt.Client(
                wish.host,
                wish.port,
                username=self.username or url.username,
                password=None if secret is None else secret.reveal(),
                identifier=f"spikeflow-{uuid.uuid4().hex[:8]}" if wish.in_passing else identifier,
                keepalive=max(1, round(self.keepalive)),
                will=None if will is None else aiomqtt.Will(will.topic, will.data, will.qos, will.retain),
                transport="tcp" if url.path is None else "websockets",
                websocket_path=url.path,
                tls_context=trust,
                logger=_LOGGER,
                max_inflight_messages=under_way or (_UNDER_WAY_5 if wish.version == "5" else fewest),
                **self._session(wish.version, keep and not wish.in_passing, most_unacknowledged),
            )

        fails = self.first_connect == "fail"
        return Link(self.url, context, client, self._notices(context), self.health, fails, self.versions)

    def _trust(self) -> ssl.SSLContext:
        """Made anew for each connection: certificates are renewed while a run lasts."""
        return (self.tls or Tls()).context()

    def _notices(self, context: Context) -> Notices:
        will = None if self.will is None else self.will.message(context)
        births = () if self.birth is None else (self.birth.message(context),)
        closing = will if self.closing is None else self.closing.message(context)
        if self.health is not None:
            will = self.health.gone(context)
        closings = [said for said in (closing, will if self.health is not None else None) if said is not None]
        return Notices(will, births, closings)

    def _session(self, version: Version, keep: bool, most_unacknowledged: int) -> dict[str, Any]:
        """Whether the broker keeps what comes while the node is away, as each version of MQTT says it."""
        if version != "5":
            return {"clean_session": not keep}
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        if keep:
            expiry = None if self.session is None else self.session.expiry
            properties.SessionExpiryInterval = _FOR_EVER if expiry is None else max(1, round(expiry))
        if most_unacknowledged:
            properties.ReceiveMaximum = most_unacknowledged
        return {"protocol": aiomqtt.ProtocolVersion.V5, "clean_start": not keep, "properties": properties}
