"""MQTT: one connection to a broker, and what is left of it when it goes."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import count
from typing import Any

import aiomqtt

from spikeflow.errors import ConnectError

_GOODBYE_S = 1.0
_YIELD_EVERY = 256
_CODE = re.compile(r"\[(Errno -?|code:)\d+\]\s*")


def reason(error: BaseException) -> str:
    """Why a connection failed, in words."""
    cause = error.__cause__ or error
    text = _CODE.sub("", str(cause).strip()) or type(cause).__name__
    return "the connection broke" if text == "Unspecified error" else text


@contextlib.asynccontextmanager
async def connection(client: aiomqtt.Client) -> AsyncIterator[aiomqtt.Client]:
    """A connected client, of which nothing is left afterwards, however it ends.

    The library leaves a socket and a task behind where connecting is cancelled or times out half-way.
    """
    _mend(client)
    await _reach(client)
    try:
        await client.__aenter__()
        try:
            yield client
        finally:
            client.timeout = _GOODBYE_S
            with contextlib.suppress(aiomqtt.MqttError):
                await client.__aexit__(None, None, None)
    finally:
        _let_go(client)


async def _reach(client: aiomqtt.Client) -> None:
    """Open the socket of a client, in a thread that nobody waits for.

    Looking a name up and reaching its address can take long and cannot be cancelled; the library does it in a thread
    that holds up the end of the process.

    Raises:
        MqttError: nothing answers there.
    """
    loop = asyncio.get_running_loop()
    reached: asyncio.Future[None] = loop.create_future()
    connect, client._client_connect = client._client_connect, _nothing  # type: ignore[method-assign]

    def tell(error: Exception | None) -> None:
        if reached.cancelled():
            _let_go(client)
        elif error is None:
            reached.set_result(None)
        else:
            reached.set_exception(error)

    def work() -> None:
        found: Exception | None = None
        try:
            connect()
        except (OSError, UnicodeError) as error:
            found = aiomqtt.MqttError(str(error))
        except Exception as error:
            found = error
        with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
            loop.call_soon_threadsafe(tell, found)

    threading.Thread(target=work, name=f"spikeflow: {client.identifier}", daemon=True).start()
    try:
        await reached
    except asyncio.CancelledError:
        if not reached.cancelled():  # the socket was open already, and nobody else knows of it
            _let_go(client)
        raise


def _mend(client: aiomqtt.Client) -> None:
    """Two things that the library does in a way that shows.

    What stands before a broker, accepts connections for it and finds it gone hangs up without an answer: that is an
    error at once, where the library waits until its patience ends. And a socket may be gone by the time the loop gets
    to watch it, which the loop would complain of.
    """
    library, loop, own = client._client, asyncio.get_running_loop(), threading.get_ident()
    tell = client._on_disconnect

    def hung_up(*arguments: Any) -> None:
        if client._connected.cancelled():
            return  # nobody waits for an answer any more, and the library would ask why there was none
        if not client._connected.done():
            client._connected.set_exception(aiomqtt.MqttError("it hung up before it answered"))
        tell(*arguments)

    def write() -> None:
        try:
            library.loop_write()
        except Exception as error:
            if not client._disconnected.done():
                client._disconnected.set_exception(error)

    def watch(socket: Any) -> None:
        if socket.fileno() >= 0:
            loop.add_writer(socket.fileno(), write)

    def wants_to_write(_library: Any, _data: Any, socket: Any) -> None:
        if threading.get_ident() == own:
            watch(socket)
        else:
            loop.call_soon_threadsafe(watch, socket)

    library.on_disconnect = hung_up
    library.on_socket_register_write = wants_to_write


def _nothing() -> None:
    """What is left to do once the socket is open."""


def _let_go(client: aiomqtt.Client) -> None:
    client._client.disconnect()  # sends a last word and closes, where there is still a socket


class Inbox:
    """The messages of all connections of a source, in the order in which they came.

    It serves as the library's queue. The library's own iterator loses the message in its hand when its reader is
    cancelled; here none leaves before its reader has it.
    """

    def __init__(self) -> None:
        self.messages: deque[aiomqtt.Message] = deque()
        self._news = asyncio.Event()

    def put_nowait(self, message: aiomqtt.Message) -> None:
        """Take a message in."""
        self.messages.append(message)
        self._news.set()

    async def get(self) -> aiomqtt.Message:
        """Wait for ever: whoever reads through the library only wants to know that the connection is lost."""
        never: asyncio.Future[aiomqtt.Message] = asyncio.get_running_loop().create_future()
        return await never

    def qsize(self) -> int:
        """How many messages wait."""
        return len(self.messages)

    async def each(self, client: aiomqtt.Client, take: Callable[[aiomqtt.Message], Awaitable[None]]) -> None:
        """Call `take` with every message until the connection is lost; what came before that is still taken.

        Raises:
            MqttError: the connection is lost.
        """
        async with until_lost(client) as lost:
            lost.add_done_callback(lambda _: self._news.set())
            while True:
                self._news.clear()
                for turn in count(1):
                    if not self.messages:
                        break
                    await take(self.messages.popleft())
                    if turn % _YIELD_EVERY == 0:
                        await asyncio.sleep(0)
                if lost.done():
                    lost.result()
                await self._news.wait()


async def subscribe(client: aiomqtt.Client, topics: str, qos: int, broker: str) -> None:
    """Subscribe to a filter.

    Raises:
        ConnectError: the broker refuses.
    """
    granted = await client.subscribe(topics, qos)
    for code in granted:
        if (code if isinstance(code, int) else code.value) >= 128:
            raise ConnectError(f"{broker} refuses the subscription to {topics!r}; is the user allowed to read it?")


@contextlib.asynccontextmanager
async def until_lost(client: aiomqtt.Client) -> AsyncIterator[asyncio.Task[None]]:
    """A task that fails once the connection is lost, for clients that only publish."""

    async def listen() -> None:
        async for _ in client.messages:
            pass

    task = asyncio.create_task(listen())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def before_loss(task: asyncio.Task[Any], lost: asyncio.Task[None]) -> None:
    """Wait until `task` is done.

    Raises:
        MqttError: the connection was lost before.
    """
    await asyncio.wait((task, lost), return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        lost.result()


async def all_before_loss(tasks: Sequence[asyncio.Task[None]], lost: asyncio.Task[None]) -> None:
    """Wait until all tasks are done, and let none of them go on afterwards.

    Raises:
        MqttError: the connection was lost before, or what the first task raised that failed.
    """
    try:
        for task in tasks:
            await before_loss(task, lost)
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
