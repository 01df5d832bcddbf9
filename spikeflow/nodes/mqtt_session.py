"""MQTT: one connection to a broker, and what is left of it when it goes."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from typing import Any, NoReturn, Protocol, TypeVar

import aiomqtt
from paho.mqtt import client as paho
from paho.mqtt.client import PUBACK

from spikeflow.errors import RefusedError
from spikeflow.nodes.mqtt_reader import LARGEST, Message, Reader
from spikeflow.nodes.mqtt_reasons import REFUSED, sentence
from spikeflow.nodes.mqtt_receipts import Receipts

_GOODBYE_S = 0.3
_HEARD_S = 1.0
_MOST_BYTES = 1 << 20
_MOST_UNDER_WAY = 65_535
"""Messages that a broker of MQTT 5 takes ahead of its answers unless it says otherwise."""
_OVERHEAD = 200
"""About what a message takes beside its payload (bytes)."""

Result = TypeVar("Result")


class HungUpError(aiomqtt.MqttError):
    """A broker that takes a connection, and hangs up without an answer."""


@contextlib.asynccontextmanager
async def connection(client: aiomqtt.Client, inbox: Inbox | None = None) -> AsyncIterator[aiomqtt.Client]:
    """A connected client, of which nothing is left afterwards, however it ends.

    The library leaves a socket and a task behind where connecting is cancelled or times out half-way.

    Args:
        inbox: where messages go; without one, nobody wants any.
    """
    inbox = Inbox(acknowledges=False) if inbox is None else inbox
    begin = _mend(client, inbox)
    await _reach(client)
    begin()
    lost = client._disconnected
    try:
        await client.__aenter__()
        client._disconnected = lost  # the library forgets a loss that came with the broker's greeting
        try:
            yield client
        finally:
            inbox.detached()
            if client._disconnected.done() and not client._disconnected.cancelled():
                client._disconnected.exception()  # whoever did not wait for it need not be told
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
            _drop(client)
        elif error is None:
            reached.set_result(None)
        else:
            reached.set_exception(error)

    def work() -> None:
        found: Exception | None = None
        try:
            connect()
        except (OSError, UnicodeError, paho.WebsocketConnectionError) as error:
            found = aiomqtt.MqttError(str(error) or "no websocket there")
            found.__cause__ = error if isinstance(error, ssl.SSLError) else None
        except Exception as error:
            found = error
        with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
            loop.call_soon_threadsafe(tell, found)

    threading.Thread(target=work, name=f"spikeflow: {client.identifier}", daemon=True).start()
    try:
        await reached
    except asyncio.CancelledError:
        if not reached.cancelled():  # the socket was open already, and nobody else knows of it
            _drop(client)
        raise


def _mend(client: aiomqtt.Client, inbox: Inbox) -> Callable[[], None]:
    """What is done otherwise than the library does it.

    Messages are read in blocks, and acknowledged by whoever takes them. What stands before a broker, accepts
    connections for it and finds it gone hangs up without an answer: that is an error at once, where the library waits
    until its patience ends. And the loop watches a socket only once it is open and the thread that opened it is done:
    where a broker hangs up early, that thread would take it from the loop, which no other thread may touch.

    Returns:
        What begins to watch the socket.
    """
    library, loop, own = client._client, asyncio.get_running_loop(), threading.get_ident()
    tell, greet = client._on_disconnect, client._on_connect
    reader = Reader(library, inbox.put, inbox.told, inbox.receipts.released, inbox.largest)

    def begin() -> None:
        if (socket := library.socket()) is not None:
            reader.opened(socket)
            client._misc_task = loop.create_task(reader.attend())
            if library.want_write():
                watch(socket)

    def connected(_library: Any, data: Any, flags: Any, code: Any, properties: Any = None) -> None:
        inbox.takes = getattr(properties, "MaximumPacketSize", None)
        if not code.is_failure:
            if library.protocol == paho.MQTTv5:  # of what may be under way the library knows nothing
                most = getattr(properties, "ReceiveMaximum", _MOST_UNDER_WAY)
                library._max_inflight_messages = min(most, library._max_inflight_messages)
            inbox.attached(reader, say, flags.session_present, (client._hostname, client._port))
        greet(library, data, flags, code, properties)

    def say(answers: bytes) -> None:
        if library.socket() is not None:
            library._packet_queue(PUBACK, answers, 0, 0)

    def hung_up(*arguments: Any) -> None:
        inbox.detached()
        if client._connected.cancelled():
            return  # nobody waits for an answer any more, and the library would ask why there was none
        if not client._connected.done():
            error = HungUpError("it hung up before it answered")
            error.__cause__ = reader.error  # such as a certificate that it wants to see
            client._connected.set_exception(error)
        elif client._connected.exception() is None and not client._disconnected.done():
            _, _, flags, code = arguments[:4]
            if flags.is_disconnect_packet_from_server:
                client._disconnected.set_exception(aiomqtt.MqttCodeError(code))  # it says why
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

    def in_the_loop(call: Callable[..., None]) -> Callable[..., None]:
        def called(*arguments: Any) -> None:
            if threading.get_ident() == own:
                call(*arguments)

        return called

    library.on_socket_open = None
    library.on_socket_close = in_the_loop(client._on_socket_close)
    library.on_socket_register_write = in_the_loop(lambda _library, _data, socket: watch(socket))
    library.on_socket_unregister_write = in_the_loop(client._on_socket_unregister_write)
    library.on_connect = connected
    library.on_disconnect = hung_up
    return begin


def _nothing() -> None:
    """What is left to do once the socket is open."""


def _let_go(client: aiomqtt.Client) -> None:
    client._client.disconnect()  # sends a last word and closes, where there is still a socket


def _drop(client: aiomqtt.Client) -> None:
    """Let a client go whose socket the loop does not watch yet: nobody else would send the last word."""
    _let_go(client)
    client._client.loop_write()


class Taker(Protocol):
    """What a source does with messages."""

    def take(self) -> Coroutine[Any, None, None]:
        """Take the next message or messages out of the inbox."""

    def patience_s(self) -> float | None:
        """How long to wait for news before `relieve` is called."""

    async def relieve(self) -> None:
        """Do what lets others come."""


class _Begun:
    """A call that has been begun, up to where it has to wait; whoever awaits it goes on from there.

    Up to there it runs outside of any task: what needs one, such as `asyncio.timeout`, it cannot do.
    """

    def __init__(self, call: Coroutine[Any, None, None]) -> None:
        self._call = call
        self._awaits: Any = None
        self._failed: BaseException | None = None
        self._thrown: BaseException | None = None
        self.over = True
        try:
            self._awaits = call.send(None)
            self.over = False
        except StopIteration:
            pass
        except Exception as error:
            self._failed, self.over = error, False

    def thrown(self, error: BaseException) -> _Begun:
        """The same, to be ended by an error where it waits."""
        self._thrown = error
        return self

    def __await__(self) -> Generator[Any, None, None]:
        if self._failed is not None:
            raise self._failed
        error = self._thrown
        while not self.over:
            given = None
            if error is None:
                try:
                    given = yield self._awaits
                except BaseException as found:
                    error = found
            try:
                self._awaits = self._call.send(given) if error is None else self._call.throw(error)
            except StopIteration:
                self.over = True
            error = None


class Inbox:
    """The messages of all connections of a source, in the order in which they came.

    While more wait than it holds, the socket is not read, and so the broker cannot send. None is acknowledged, or
    leaves, before its reader has it.

    Args:
        acknowledges: whether its reader does; else each is acknowledged as it comes, and forgotten.
        largest: bytes of the largest packet that is held; of what is larger, the beginning is.

    Attributes:
        largest: as it was given.
        takes: bytes of the largest packet that the broker takes (MQTT 5); None where it does not say.
        messages: those that wait.
        receipts: what the broker waits to hear of them.
        resumed: whether the broker goes on with a session, on the present connection or the last one.
    """

    def __init__(self, acknowledges: bool = True, largest: int = LARGEST) -> None:
        self.largest = largest
        self.takes: int | None = None
        self.messages: deque[Message] = deque()
        self.receipts = Receipts()
        self.resumed = False
        self._wanted = acknowledges
        self._news = asyncio.Event()
        self._waits: Taker | None = None
        """The taker, while nothing is there for it."""
        self._begun: _Begun | None = None
        self._reader: Reader | None = None
        self._bytes = 0
        self._closed = False
        self._broker: tuple[str, int] | None = None

    # What the connection calls.

    def attached(
        self,
        reader: Reader,
        say: Callable[[bytes], None],
        resumed: bool,
        broker: tuple[str, int] | None = None,
    ) -> None:
        """A connection stands.

        Args:
            reader: takes what comes off its socket.
            say: sends bytes to the broker.
            resumed: whether the broker goes on with a session.
            broker: its host and port, where there may be several.
        """
        # with another broker, the session is not that of the connection before: its numbers mean other messages
        self.receipts.connected(say, resumed and broker == self._broker, self.messages)
        self._reader, self.resumed, self._broker = reader, resumed, broker

    def detached(self) -> None:
        """The connection is gone."""
        self._reader = None
        self.receipts.lost()
        self._news.set()

    def put(self, message: Message) -> None:
        """Take a message in."""
        if self._closed:
            return
        if self._wanted:
            self.messages.append(message)
            self._bytes += len(message.payload) + _OVERHEAD
        elif message.qos and (receipt := self.receipts.take(message)) is not None:
            self.receipts.done((receipt,))

    def told(self) -> None:
        """Let the reader have what has come: at once where it waits for that, for its task takes 10 µs to wake."""
        if not self.messages:
            return
        taker = self._waits
        if taker is not None:
            self._waits = None
            begun = _Begun(taker.take())
            if begun.over and not self.messages and taker.patience_s() is None:
                self._waits = taker
                return
            self._begun = begun
        self._news.set()
        if self._bytes > _MOST_BYTES and self._reader is not None:
            self._reader.pause()

    # What the source calls.

    def pop(self) -> Message:
        """The oldest message."""
        message = self.messages.popleft()
        self._bytes -= len(message.payload) + _OVERHEAD
        return message

    def close(self) -> None:
        """Take nothing more: what still comes is left to the broker, which hears nothing of it."""
        self._closed = True
        if self._reader is not None:
            self._reader.resume()

    async def heard(self) -> bool:
        """Whether the broker has read all that was said to it, once it has, or has taken too long.

        A socket that is closed while there is something to read takes back what was written to it last.
        """
        if self._reader is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_HEARD_S):
                    await self._reader.heard()
                    return True
        return False

    async def each(self, client: aiomqtt.Client, taker: Taker) -> None:
        """Let `taker` take while there are messages, until the connection is lost; what came before is still taken.

        Raises:
            MqttError: the connection is lost.
        """
        lost = client._disconnected
        lost.add_done_callback(lambda _: self._news.set())
        while True:
            self._news.clear()
            begun, self._begun = self._begun, None
            if begun is not None:
                await begun
            while self.messages:
                await taker.take()
                if self._bytes <= _MOST_BYTES // 2 and self._reader is not None:
                    self._reader.resume()
                if self.messages:
                    await asyncio.sleep(0)
            if lost.done():
                raise_lost(lost)
            patience = taker.patience_s()
            if patience is None:
                self._waits = taker
                try:
                    await self._news.wait()
                except BaseException as error:
                    if self._begun is not None:  # begun in the very moment
                        await self._begun.thrown(error)
                    raise
                finally:
                    self._waits = None
            else:
                try:
                    async with asyncio.timeout(patience):
                        await self._news.wait()
                except TimeoutError:
                    await taker.relieve()


def raise_lost(lost: asyncio.Future[None]) -> NoReturn:
    """Say that a connection is gone.

    Raises:
        MqttError: always.
    """
    raise aiomqtt.MqttError("the connection broke") from lost.exception()


async def while_it_stands(client: aiomqtt.Client, call: Coroutine[Any, Any, Result]) -> Result:
    """What comes of a call that waits for the broker; the library goes on waiting where the connection is gone.

    Raises:
        MqttError: the connection is lost, or the broker does not answer.
    """
    lost, answer = client._disconnected, asyncio.ensure_future(call)
    try:
        await asyncio.wait((answer, lost), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise_lost(lost)
        return answer.result()
    finally:
        answer.cancel()


async def subscribe(client: aiomqtt.Client, topics: str, qos: int, broker: str) -> None:
    """Subscribe to a filter.

    Raises:
        MqttError: the connection is lost.
        RefusedError: the broker refuses.
    """
    granted = await while_it_stands(client, client.subscribe(topics, qos))
    for code in granted:
        number = code if isinstance(code, int) else code.value
        if number >= REFUSED:
            why = "is the user allowed to read it?" if number == REFUSED else sentence(number)
            raise RefusedError(f"{broker} refuses the subscription to {topics!r}; {why}")
