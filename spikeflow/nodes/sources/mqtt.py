"""MQTT: samples or spikes from the messages of a broker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Literal

import aiomqtt
import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from spikeflow.errors import ParameterError, PayloadError, Problem, nearest
from spikeflow.events import Grid, Kind, Stream
from spikeflow.node import ChannelMap, Outlet, Rejecting, Source
from spikeflow.nodes.mqtt_client import Connected
from spikeflow.nodes.mqtt_limit import MOSQUITTO_INFLIGHT, V5_INFLIGHT, Limit
from spikeflow.nodes.mqtt_properties import user_properties
from spikeflow.nodes.mqtt_reader import AROUND, Message
from spikeflow.nodes.mqtt_receipts import Receipt
from spikeflow.nodes.mqtt_session import Inbox, subscribe
from spikeflow.nodes.mqtt_topics import Topic
from spikeflow.nodes.mqtt_versions import Version
from spikeflow.nodes.once_a_minute import OnceAMinute
from spikeflow.nodes.payload import Element, Envelope, Reading, TimeProperty
from spikeflow.nodes.payloads import Payload, default

_NAMED_AT_MOST = 100
_MOST_TOPICS = 10_000
_MOST_MESSAGES, _MOST_EVENTS = 1000, 10_000
"""What is taken before others get a turn."""
_BETTER = {
    ("3.1.1", False): ", or leave 'protocol' out",
    ("3.1.1", True): "; one with MQTT 5 sends as many as it is asked for",
    ("5", False): "",
    ("5", True): "",
}
"""What else lifts the limit, by the version that is spoken, and whether that was left to the broker."""


class Mqtt(Connected, Rejecting, Source):
    """The numbers in the messages of a topic, one event each.

    Levels written as `{name}` make keys, and so do the names in an object of numbers; a key gets the next channel that
    is free, or the one that a fixed list names. Elements of an array are channels by their place; under topics with
    keys each key and element together make a channel (`pump[0]`, `pump.x`). With `replicate: machine` each value of
    `{machine}` gets the next of `copies` copies of everything downstream, with `channels` of its own; which of them the
    other keys get is the same in all copies. After a lost connection the source comes back by itself; what the broker
    did not keep meanwhile is lost (`client_id` and `qos: 1` make it keep). With `qos: 1`
    or `2` a message is acknowledged when its window has gone through the graph; one that comes twice is counted.
    """

    gives: ClassVar[tuple[Kind, ...]] = ("samples", "spikes")
    opens: ClassVar[bool] = True

    topic: Topic = Field(description="what to listen to; {name} takes one level as a key, + any level, # all the rest")
    channels: int | list[str] = Field(
        description="how many channels or neurons there can be (in each copy), or the keys of all of them"
    )
    replicate: str | None = Field(
        None, description="the name in the topic for each key of which there is one of everything downstream"
    )
    copies: int | None = Field(None, ge=1, description="with `replicate`: how many keys there can be")
    kind: Literal["samples", "spikes"] = Field("samples", description="what the messages hold")
    payload: Payload = Field(default_factory=default, description="how a message is read: a format and its keys")
    qos: Literal[0, 1, 2] = Field(0, description="0: at most once; 1: at least once; 2: exactly once")
    ack: Literal["window", "arrival"] = Field(
        "window", description="acknowledge a message when its window has gone through the graph, or as it comes"
    )
    retained: Literal["accept", "ignore"] = Field(
        "accept", description="what the broker has kept from before: take it as it comes, or drop it, counted"
    )
    inflight: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="messages that the broker sends ahead of their acknowledgement, 0 for any number; "
        "20 with 3.1.1 (mosquitto's max_inflight_messages), and what MQTT 5 is asked for (65535)",
    )

    @field_validator("channels")
    @classmethod
    def _some(cls, found: int | list[str]) -> int | list[str]:
        if isinstance(found, list) and len(set(found)) < len(found):
            raise ParameterError(f"{sorted({k for k in found if found.count(k) > 1})} is there twice", "name it once")
        if not found or (isinstance(found, int) and found < 1):
            raise ParameterError(f"channels is {found!r}", "at least 1")
        return found

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """Times that are wanted and not found, or found and not wanted."""
        yield from self.address_problems(self.graph_name)
        if self.replicate is not None and self.replicate not in self.topic.names:
            hint = nearest(self.replicate, self.topic.names) if self.topic.names else "write plant/{machine}/vibration"
            yield Problem(("replicate",), f"no {{{self.replicate}}} in the topic {self.topic.text!r}", hint)
        if self.replicate is not None and self.copies is None:
            hint = "say how many at most: copies: 100"
            yield Problem(("replicate",), f"no number of copies for the keys of {{{self.replicate}}}", hint)
        if self.replicate is None and self.copies is not None:
            hint = "say which name in the topic they are for: replicate: machine"
            yield Problem(("copies",), f"{self.copies} copies of nothing", hint)
        for problem in (*self.payload.read_problems(), *self.payload.listen_problems(self.topic)):
            yield replace(problem, path=("payload", *problem.path))
        if isinstance(self.payload.time, TimeProperty) and self.versions[0] != "5":
            found = f"the property {self.payload.time.property!r} cannot come with MQTT {self.versions[0]}"
            yield Problem(("payload", "time"), found, "write protocol: 5")
        if self.time.by == "payload" and not self.payload.says_time:
            hint = "say where: payload: {time: $.ts, time_unit: ms}"
            yield Problem(("payload",), "time is by payload, and the payload says no time", hint)
        if self.time.by == "arrival" and self.payload.time is not None:
            hint = "write time: {by: payload} where it shall count"
            yield Problem(
                ("payload", "time"), "the payload's time does nothing, time is by arrival", hint, warning=True
            )

    @property
    def follows(self) -> bool:
        """Whether messages wait for their windows to be acknowledged."""
        return self.qos > 0 and self.ack == "window"

    @property
    def needs_5(self) -> bool:
        """Whether something is asked for that MQTT 3.1.1 does not have."""
        return super().needs_5 or isinstance(self.payload.time, TimeProperty)

    def most_unacknowledged(self, version: Version) -> int:
        """Messages that the broker may have under way; 0 for any number."""
        if not self.follows:
            return 0
        if version == "5":  # which has no way to ask for any number, and asks for the most of all
            return self.inflight or V5_INFLIGHT
        return MOSQUITTO_INFLIGHT if self.inflight is None else self.inflight

    def see_to(self) -> str | None:
        """What the broker is to be set to, so that it neither holds the source up nor loses what it keeps for it."""
        wanted = []
        if self.follows and self.versions[0] != "5" and self.inflight is None:
            wanted.append(
                f"max_inflight_messages 0 with 'inflight: 0' here, or a broker with MQTT 5 (else {MOSQUITTO_INFLIGHT} "
                "messages a window are the most)"
            )
        if self.qos:
            wanted.append("max_queued_messages 0 or large enough for what comes while the source is slow or away")
        if self.qos and self.client_id is not None:
            wanted.append("persistence true, so that what it keeps outlives it")
        return f"see to the broker's {'; '.join(wanted)}" if wanted else None

    def size_out(self, inputs: Sequence[Stream]) -> int:
        """How many channels there can be."""
        return len(self.channels) if isinstance(self.channels, list) else self.channels

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """Samples, or spikes; those have values where the payload says where."""
        valued = self.kind == "spikes" and self.payload.valued
        one = Stream("", self.kind, self.size_out(inputs), valued)
        return {"": one.times(self.copies or 1, self.replicate or "")}

    def start(self, size: int) -> None:
        """No key has been heard, unless a list fixes them."""
        self.keys: list[str] = list(self.channels) if isinstance(self.channels, list) else []
        self.heard: dict[str, Any] = {}
        """What the format of the payload keeps of the messages so far."""

    def channel_names(self) -> list[str]:
        """The keys of the channels (of each copy) so far, in their order."""
        return list(self.keys)

    async def produce(self, outlet: Outlet) -> None:
        """Subscribe, and push what the messages say, for as long as the run lasts."""
        context = self.context
        channels = ChannelMap(context.outlet.one.size, self.keys, fixed=isinstance(self.channels, list))
        copies = context.names(context.outlet)
        self.keys = channels.keys
        link = self.link(context, self.qos, self.most_unacknowledged("5"))
        inbox = Inbox(largest=self.payload.max_size + AROUND)
        taker = _Taker(self, channels, copies, inbox, outlet)
        link.facts = taker.facts
        if self.first_connect == "wait":
            outlet.opened()

        async def listen(client: aiomqtt.Client) -> None:
            await subscribe(client, self.topic.filter, self.qos, str(link.url))
            await link.stands(client)
            if link.reconnects and not inbox.resumed and self.keeps(self.qos):
                context.counters.note("session_lost")
                lost = "what it kept while the node was away is lost"
                context.log("warning", f"{link.url} has no session of {self.client_id} any more; {lost}")
            outlet.opened()
            taker.connected(client, link.version)
            try:
                await inbox.each(client, taker)
            except asyncio.CancelledError:
                inbox.close()
                await outlet.settle()  # in a run that drains: what it has taken is acknowledged before it leaves
                if self.qos:
                    await inbox.heard()
                raise

        try:
            await link.keep(listen, inbox)
        finally:
            if left := len(inbox.messages):
                context.counters.accepted += left
                context.counters.drop("stopped", left)


class _Rows:
    """Events of one message or several, and what there is to say to the broker of those that brought some."""

    __slots__ = ("arrays", "ends", "index", "over", "receipts", "t_ns", "value")

    def __init__(self) -> None:
        self.index: list[int] = []
        self.value: list[float] = []
        self.t_ns: list[int | None] = []
        self.ends: list[int] = []
        """Where each message ends."""
        self.arrays: tuple[npt.NDArray[Any], npt.NDArray[Any]] | None = None
        """Indices and values of a message that came as arrays, and alone."""
        self.receipts: list[Receipt] = []
        self.over: list[Receipt] = []
        """Of messages that brought none: they need not wait for any window."""


class _Taker:
    """Makes events of messages, and sees to it that each is acknowledged once, when all of it has been handed on."""

    def __init__(self, node: Mqtt, channels: ChannelMap, copies: ChannelMap, inbox: Inbox, outlet: Outlet) -> None:
        self._node, self._channels, self._copies, self._inbox, self._outlet = node, channels, copies, inbox, outlet
        self._counters, self._log, self._clock = node.context.counters, node.context.log, node.context.clock
        self._decode = node.payload.decode
        self._by_payload = node.time.by == "payload"
        self._envelope = Envelope(timed=self._by_payload, memory=node.heard)
        self._of_properties = self._by_payload and isinstance(node.payload.time, TimeProperty)
        self._by_name = len(node.topic.names) > (node.replicate is not None)
        self._one_by_one = self._by_payload and node.follows
        self._collect = node.context.collect
        self._ignores = node.retained == "ignore"
        self._named: set[str] = set()
        self._keys: dict[str, tuple[str, str | None]] = {}
        self._warn = OnceAMinute(node.context)
        self._last_ns: int | None = None
        self._client: aiomqtt.Client | None = None
        self._limit = Limit(node.context, self._warn, 0, True, "")

    async def take(self) -> None:
        """Push the events of the next messages: of all that are there where they go into one window, else of one."""
        inbox, receipts = self._inbox, self._inbox.receipts
        rows = _Rows()
        self._last_ns, ignores = self._clock.now_ns(), self._ignores
        for _ in range(1 if self._one_by_one else min(len(inbox.messages), _MOST_MESSAGES)):
            message = inbox.pop()
            receipt = None
            if message.qos:
                receipt = receipts.take(message)
                if receipt is None:
                    self._counters.accepted += 1
                    self._counters.drop("duplicate")
                    continue
                if message.again:
                    self._counters.note("redelivered")
            before = len(rows.index)
            if message.retained and ignores:
                self._counters.accepted += 1
                self._counters.drop("retained")
            else:
                self._read(message, rows)
                if self._by_payload:
                    rows.ends.append(len(rows.index))
            if receipt is not None:
                (rows.receipts if len(rows.index) > before or rows.arrays else rows.over).append(receipt)
            if rows.arrays or len(rows.index) >= _MOST_EVENTS:
                break
        if rows.over:
            receipts.done(rows.over)
        if not rows.index and rows.arrays is None:
            return
        try:  # one call, which takes all before it waits: none of them is acknowledged and not taken
            if rows.arrays:
                await self._outlet.push_all(*rows.arrays)
            else:
                t_ns = rows.t_ns if self._by_payload else None
                await self._outlet.push_all(rows.index, rows.value, t_ns, rows.ends)
        finally:
            if rows.receipts and self._node.follows:
                self._outlet.when_handed_on(partial(receipts.done, rows.receipts))
            elif rows.receipts:
                receipts.done(rows.receipts)

    def facts(self) -> dict[str, Any]:
        """How long ago the last message came (s), and how many wait to be acknowledged."""
        age = None if self._last_ns is None else round((self._clock.now_ns() - self._last_ns) / 1e9, 3)
        return {"last_message_s": {self._node.topic.text: age}, "in_flight": self._inbox.receipts.waiting}

    def connected(self, client: aiomqtt.Client, version: Version) -> None:
        """A connection stands."""
        node = self._node
        self._client = client
        self._limit = Limit(
            node.context,
            self._warn,
            node.most_unacknowledged(version),
            node.inflight is not None or version == "5",
            "raise max_inflight_messages of the broker and 'inflight' here" + _BETTER[version, node.protocol is None],
        )

    def patience_s(self) -> float | None:
        """How long to wait for news before `relieve` is called; None where news come by themselves."""
        return self._limit.patience_s(self._inbox.receipts.waiting, self._outlet.awaited if self._by_payload else None)

    async def relieve(self) -> None:
        """Let the oldest window go, so that its messages are acknowledged and others can come."""
        self._limit.say("windows close before their time")
        await self._outlet.force()

    def _read(self, message: Message, rows: _Rows) -> None:
        """Add the events of one message; what is wrong with it is counted."""
        topic = message.topic
        if message.too_large:
            self._reject(message, "too large", f"{message.too_large} bytes")
            return
        found = self._keys.get(topic) or self._keys_of(topic)
        if found is None:
            self._reject(message, "topic", f"{topic} is none that was asked for")
            return
        key, copied = found
        envelope = self._envelope
        envelope.topic, envelope.now_ns = topic, self._clock.now_ns()
        if self._of_properties:
            envelope.properties = user_properties(message.properties)
        try:
            reading = self._decode(message.payload, envelope)
        except PayloadError as error:
            self._reject(message, error.reason, f"on {topic}: {error.detail}")
            return
        if reading.details:
            for reason, count in reading.rejected.items():
                self._reject(message, reason, f"on {topic}: {reading.details[reason]}", count)
            for reason, count in reading.noted.items():
                self._counters.note(reason, count)
                self._warn(reason, f"{reason}: on {topic}: {reading.details[reason]}")
        for answer in reading.answers:
            self._answer(*answer)
        if not len(reading.value):
            return
        places = self._places(message, key, reading)
        if copied is not None and len(places):
            copy = self._copies.channel(copied)
            if copy is None:
                self._reject(message, "copies", f"no copy is left for {copied}", len(places))
                self._name_once(f"no copy is left for {copied}; there are {self._copies.size}")
                return
            first = copy * self._channels.size
            places = places + first if isinstance(places, np.ndarray) else [first + place for place in places]
        value, t_ns = reading.value, reading.t_ns
        alone = not self._by_payload and not rows.index  # else they go the way of those before them
        if alone and isinstance(places, np.ndarray) and isinstance(value, np.ndarray):
            rows.arrays = places, value
            return
        rows.index += places.tolist() if isinstance(places, np.ndarray) else places
        rows.value += value.tolist() if isinstance(value, np.ndarray) else value
        if not self._by_payload:
            return
        if t_ns is None:
            rows.t_ns += [None] * len(places)
        else:
            rows.t_ns += t_ns.tolist() if isinstance(t_ns, np.ndarray) else t_ns

    def _places(self, message: Message, key: str, reading: Reading) -> list[int] | npt.NDArray[Any]:
        """The channels of the events of a message; events that have none are counted, and taken out of it."""
        element, count = reading.element, len(reading.value)
        found: list[int | None]
        if element is None:
            place = self._channel(key, None)
            if place is not None:
                return [place] * count
            found = [None] * count
        elif isinstance(element, range) and not self._by_name and count <= self._channels.size:
            return list(element)
        elif not isinstance(element, np.ndarray):
            found = [self._channel(key, one) for one in element]
        elif not self._by_name and int(element.max()) < self._channels.size:
            return element
        else:
            distinct, back = np.unique(element, return_inverse=True)
            known = [self._channel(key, one) for one in distinct.tolist()]
            found = [known[row] for row in back.tolist()]
        if None in found:
            self._refuse(message, key, reading, found)
        return [place for place in found if place is not None]

    def _keys_of(self, topic: str) -> tuple[str, str | None] | None:
        """The keys in a topic, joined, and the one that there is a copy for; None where it was not asked for."""
        node = self._node
        keys = node.topic.keys(topic)
        if keys is None:
            return None
        copied = None if node.replicate is None else keys.pop(node.topic.names.index(node.replicate))
        if len(self._keys) >= _MOST_TOPICS:
            self._keys.clear()
        found = self._keys[topic] = "/".join(keys), copied
        return found

    def _answer(self, topic: str, data: bytes) -> None:
        """Publish what a format has to say; nobody waits for it."""
        if self._client is not None:
            self._counters.note("answered")
            self._client._client.publish(topic, data)

    def _reject(self, message: Message, reason: str, detail: str, count: int = 1) -> None:
        self._outlet.reject(reason, count, detail)
        if self._collect is not None:
            self._collect(reason, message.topic, self._clock.now_ns(), message.payload)

    def _channel(self, key: str, element: Element) -> int | None:
        """The channel of an element under a topic's key; None where there is none left."""
        channels = self._channels
        if self._by_name:
            name = key if element is None else f"{key}[{element}]" if isinstance(element, int) else f"{key}.{element}"
            return channels.channel(name)
        if isinstance(element, str):
            return channels.channel(element)
        place = element or 0
        return place if place < channels.size else None

    def _refuse(self, message: Message, key: str, reading: Reading, places: list[int | None]) -> None:
        """Count the events that have no channel, name their keys once, and take them out."""
        lost = [row for row, place in enumerate(places) if place is None]
        first = None if reading.element is None else reading.element[lost[0]]
        element = int(first) if isinstance(first, np.integer) else first
        name = f"{key}: {element!r}" if element is not None and key else key or repr(element)
        self._reject(message, "channels", f"no channel is left for {name}", len(lost))
        self._name_once(f"no channel is left for {name}; there are {self._channels.size}")
        kept = [row for row, place in enumerate(places) if place is not None]
        reading.value = [float(reading.value[row]) for row in kept]
        reading.t_ns = None if reading.t_ns is None else [int(reading.t_ns[row]) for row in kept]

    def _name_once(self, what: str) -> None:
        if what not in self._named and len(self._named) < _NAMED_AT_MOST:
            self._named.add(what)
            self._log("warning", what)
