"""MQTT: messages on their way to a broker, each counted when it is acknowledged or refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Literal

import aiomqtt
from pydantic import Field

from spikeflow.errors import Problem
from spikeflow.events import Batch
from spikeflow.node import Context, Inlet
from spikeflow.nodes.mqtt_client import Connected
from spikeflow.nodes.mqtt_link import Link
from spikeflow.nodes.mqtt_outbox import Given, Outbox, Sendable, Store, Waiting
from spikeflow.nodes.mqtt_outgoing import Outgoing
from spikeflow.nodes.mqtt_reasons import BREAKS, REFUSED, sentence, short
from spikeflow.nodes.mqtt_session import Inbox
from spikeflow.nodes.once_a_minute import OnceAMinute

_AT_ONCE = 500
"""Messages that wait for the broker together. Of few in a row a broker holds the last receipt back for 40 ms."""
_ALONE, _GIVEN_UP = 2, 5
"""After so many connections in a row that broke at once, and on which nothing was answered, messages go one by one;
after so many a message that goes alone is given up."""
_AT_ONCE_NS = 5_000_000_000
_RETRY_NS = 1_000_000_000


class Publishing(Connected):
    """The fields of every sink that publishes."""

    qos: Literal[0, 1, 2] = Field(1, description="0: at most once; 1: at least once; 2: exactly once")
    retain: bool = Field(False, description="the broker gives the last message to whoever subscribes later")
    outbox: Outbox | None = Field(
        None, description="a file where messages wait while the broker is away; without it the graph waits (qos 1, 2)"
    )
    inflight: int | None = Field(
        None,
        ge=1,
        le=65_535,
        description="messages that are sent ahead of the broker's answers: what the broker takes with MQTT 5; with "
        "3.1.1 100, or 20 with qos 2",
    )

    def outbox_problems(self) -> Iterable[Problem]:
        """What is wrong with the outbox."""
        if self.outbox is not None:
            yield from self.outbox.problems()
            if self.qos == 0:
                found = "an outbox with qos 0, at which a broker acknowledges nothing"
                yield Problem(("outbox",), found, "write qos: 1")

    async def deliver(self, context: Context, inlet: Inlet, messages: Callable[[Batch], Iterable[Sendable]]) -> None:
        """Publish the messages of each batch until all inputs have ended."""
        link = self.link(context, self.qos, under_way=self.inflight)
        if self.first_connect == "wait":
            inlet.opened()
        await Delivery(context, link, messages, self.qos, self.retain, self.outbox).run(inlet)


class Delivery:
    """Brings what a sink takes in to the broker: at once, or by way of an outbox.

    Args:
        messages: the messages of a batch.
        outbox: where messages wait while the broker is away; without one the graph waits.
    """

    def __init__(
        self,
        context: Context,
        link: Link,
        messages: Callable[[Batch], Iterable[Sendable]],
        qos: int,
        retain: bool,
        outbox: Outbox | None = None,
    ) -> None:
        self._context, self._link, self._messages = context, link, messages
        self._qos, self._retain, self._outbox = qos, retain, outbox
        self._store: Store | None = None
        self._outgoing: Outgoing | None = None
        self._warn = OnceAMinute(context)
        self._ended = False
        self._last = 0
        """The last message of the outbox that is under way."""
        self._room = asyncio.Event()
        self._inbox = Inbox(acknowledges=False)
        self._fruitless = 0
        """Connections in a row that broke at once, and on which nothing was answered."""
        link.facts = self._facts

    def _facts(self) -> dict[str, Any]:
        found = {"in_flight": 0 if self._outgoing is None else self._outgoing.under_way}
        return found if self._store is None else found | {"outbox": self._store.count}

    async def run(self, inlet: Inlet) -> None:
        """Deliver until all inputs have ended."""
        if self._outbox is None:
            await self._direct(inlet)
            return
        store = Store(self._outbox)
        async with store.opened() as self._store:
            if store.left:
                self._context.log("info", f"{store.left} messages of an earlier run wait in {self._outbox.path}")
            await self._by_way_of(store, inlet)

    async def _direct(self, inlet: Inlet) -> None:
        unsent: dict[int, Sendable] = {}  # of one window
        taking: list[asyncio.Task[Batch]] = []  # outlives a lost connection, so that no batch is lost with it

        async def publish(client: aiomqtt.Client) -> None:
            outgoing = self._outgoing = Outgoing(client, self._qos, self._retain, self._warn, self._inbox.takes)
            await self._link.stands(client)
            inlet.opened()
            while True:
                if not unsent:
                    if not taking:
                        taking.append(asyncio.create_task(inlet.take()))
                        taking[0].add_done_callback(lambda _: self._wake())
                    await outgoing.until(taking[0].done)
                    try:
                        batch = taking.pop().result()
                    except StopAsyncIteration:
                        return
                    if not batch.count:
                        continue
                    unsent.update(enumerate(self._messages(batch)))
                numbers = list(islice(unsent, self._at_once))
                codes, lost = await self._send(outgoing, [unsent[number] for number in numbers])
                for number, code in zip(numbers, codes, strict=False):
                    self._told(unsent.pop(number), code)
                if lost is not None:
                    raise lost

        try:
            await self._link.keep(publish, self._inbox)
        finally:
            for task in taking:
                task.cancel()

    @property
    def _at_once(self) -> int:
        """How many messages may go together: one where something breaks the connection, so that it is found out."""
        return _AT_ONCE if self._fruitless < _ALONE else 1

    async def _send(
        self, outgoing: Outgoing, messages: Sequence[Sendable]
    ) -> tuple[list[int], aiomqtt.MqttError | None]:
        """What the broker says to the first of some messages, and why it says nothing to the others.

        A message on which the broker closes the connection, as on one that is larger than it takes, would be sent on
        each new one for ever. It is given up where it has gone alone on a connection that was well until then, again
        and again.
        """
        began, is_well = self._context.clock.now_ns(), True
        if self._at_once == 1:
            is_well = await self._inbox.heard()
        codes, lost = await outgoing.send(messages)
        if codes or lost is None:
            self._fruitless = 0
        elif self._context.clock.now_ns() - began < _AT_ONCE_NS and is_well:
            self._fruitless += 1
            if self._fruitless >= _GIVEN_UP and len(messages) == 1:
                self._fruitless = _ALONE
                return [BREAKS], lost
        return codes, lost

    def _wake(self) -> None:
        if self._outgoing is not None:
            self._outgoing.news.set()

    def _told(self, message: Sendable, code: int, own: bool = True) -> None:
        """Count a message by what the broker says to it."""
        counters = self._context.counters
        if code < REFUSED:
            counters.note("messages")
            return
        self._warn(short(code), f"{sentence(code)}: {message.topic!r} is refused")
        if own:
            counters.processed -= message.events  # they are counted with their batch
            counters.reject(short(code), message.events)
        else:
            counters.note("refused_of_earlier_run")

    # By way of an outbox.

    async def _by_way_of(self, store: Store, inlet: Inlet) -> None:
        """Take in whatever comes, and send it when there is a broker."""
        opened = asyncio.Event()

        def open_now() -> None:
            inlet.opened()
            opened.set()

        async def empty(client: aiomqtt.Client) -> None:
            outgoing = self._outgoing = Outgoing(client, self._qos, self._retain, self._warn, self._inbox.takes)
            self._last = 0
            await self._link.stands(client)
            open_now()
            await self._empty(store, outgoing)

        async def fill() -> None:
            await opened.wait()
            await self._fill(store, inlet)

        if not self._link.fails:
            open_now()
        sending, filling = asyncio.create_task(self._link.keep(empty, self._inbox)), asyncio.create_task(fill())
        try:
            await asyncio.wait((sending, filling), return_when=asyncio.FIRST_COMPLETED)
            if filling.done():
                filling.result()
                hopeless = asyncio.create_task(self._link.hopeless.wait())
                await asyncio.wait((sending, hopeless), return_when=asyncio.FIRST_COMPLETED)  # the rest waits for a run
                hopeless.cancel()
            if sending.done():
                sending.result()
        finally:
            for task in (sending, filling):
                task.cancel()
            await asyncio.gather(sending, filling, return_exceptions=True)
            if store.count:
                self._context.counters.note("left_in_outbox", store.count)
                self._context.log("info", f"{store.count} messages stay in {store.spec.path} for the next run")

    async def _fill(self, store: Store, inlet: Inlet) -> None:
        while True:
            try:
                batch = await inlet.take()
            except StopAsyncIteration:
                self._ended = True
                self._wake()
                return
            if not batch.count:
                continue
            messages = list(self._messages(batch))
            if store.spec.overflow == "block":
                for message in messages:
                    while not store.has_room(message):
                        self._room.clear()
                        await self._room.wait()
                    while (given := await store.put((message,))).messages:
                        self._warn("disk", f"{_unwritten(store, given)}; the graph waits")
                        await self._context.clock.sleep_until(self._context.clock.now_ns() + _RETRY_NS)
                    self._wake()
                continue
            given = await store.put(messages, self._last)
            self._wake()
            if given.messages:
                counters = self._context.counters
                counters.processed -= given.events  # they are counted with their batch
                counters.drop("outbox_failed" if given.why else "outbox_full", given.events)
                if given.earlier:
                    counters.note("dropped_of_earlier_run", given.earlier)
                if given.why:
                    self._warn("disk", f"{_unwritten(store, given)}; messages are dropped, and counted")
                    continue
                which = "oldest" if store.spec.overflow == "drop_oldest" else "newest"
                self._warn(
                    "outbox", f"the outbox {store.spec.path} is full: the {which} messages are dropped, and counted"
                )

    async def _empty(self, store: Store, outgoing: Outgoing) -> None:
        while True:
            some: list[Waiting] = await store.first(self._at_once)
            if not some:
                if self._ended:
                    return
                await outgoing.until(lambda: store.count > 0 or self._ended)
                continue
            self._last = some[-1].id
            codes, lost = await self._send(outgoing, some)
            await store.remove(some[: len(codes)])
            for message, code in zip(some, codes, strict=False):
                self._told(message, code, store.is_own(message))
            self._room.set()
            if lost is not None:
                raise lost


def _unwritten(store: Store, given: Given) -> str:
    return f"nothing can be written to the outbox {store.spec.path}: {given.why}"
