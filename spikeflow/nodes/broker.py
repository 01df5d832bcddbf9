"""The embedded broker: MQTT on loopback inside this process, for trying things without installing one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any
from weakref import WeakKeyDictionary

from spikeflow.errors import ConnectError

EMBEDDED = "embedded"
"""What graph files call it."""

_HOST = "127.0.0.1"
_LEVEL = 4
"""What MQTT 3.1.1 calls itself."""
_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, _Shared] = WeakKeyDictionary()


class _Shared:
    """The broker of one event loop and how many use it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0
        self.port = 0
        self.broker: Any = None


@contextlib.asynccontextmanager
async def embedded_broker() -> AsyncIterator[tuple[str, int]]:
    """Host and port of the broker that all nodes of this event loop share; it stops with its last user.

    It speaks MQTT 3.1.1, keeps nothing for clients that are away, and wants a client id of its own from each.

    Raises:
        ConnectError: amqtt is not installed.
    """
    shared = _shared.setdefault(asyncio.get_running_loop(), _Shared())
    async with shared.lock:
        if shared.users == 0:
            shared.broker, shared.port = await start_broker()
        shared.users += 1
    try:
        yield _HOST, shared.port
    finally:
        shared.users -= 1
        if shared.users == 0:
            async with shared.lock:
                if shared.users == 0 and shared.broker is not None:
                    broker, shared.broker = shared.broker, None
                    await broker.shutdown()


async def start_broker(host: str = _HOST, port: int = 0) -> tuple[Any, int]:
    """A running amqtt broker (stop it with its `shutdown`) and its port; port 0 takes a free one.

    Raises:
        ConnectError: amqtt is not installed, or the port is taken.
    """
    try:
        from amqtt.broker import Broker
        from amqtt.errors import BrokerError
        from amqtt.mqtt.connect import ConnectPacket
    except ImportError:
        raise ConnectError("the embedded broker needs amqtt: pip install 'spikeflow[broker]'") from None
    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # a client that goes away is an error to it
    if ConnectPacket.PAYLOAD.__module__ != __name__:
        ConnectPacket.PAYLOAD = _refusing_others(ConnectPacket.PAYLOAD)
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    try:
        await broker.start()
    except BrokerError as error:
        raise ConnectError(f"no broker on {host}:{port}: {error.__cause__ or error}") from None
    return broker, int(broker._servers["default"].instance.sockets[0].getsockname()[1])


def _refusing_others(payload: Any) -> Any:
    """What reads the rest of a CONNECT, so that another version than 3.1.1 is refused at once.

    amqtt takes the properties of MQTT 5 for a client id, and waits for bytes of it that never come.
    """

    class Payload(payload):  # type: ignore[misc]
        """The rest of a CONNECT; that of another version is not looked at."""

        @classmethod
        async def from_stream(cls, reader: Any, fixed: Any, variable: Any) -> Any:
            """Read it."""
            if variable is not None and variable.proto_level != _LEVEL:
                return cls(client_id="unread")
            return await super().from_stream(reader, fixed, variable)

    return Payload
