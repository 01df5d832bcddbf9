"""MQTT: samples or spikes from the messages of a broker."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal

import aiomqtt
import numpy as np
from pydantic import Field, field_validator

from spikeflow.errors import ParameterError, PayloadError, Problem, nearest
from spikeflow.events import Grid, Kind, Stream, sample_batch, sort, spike_batch
from spikeflow.node import ChannelMap, Outlet, Source
from spikeflow.nodes.mqtt_client import Connected, Topic
from spikeflow.nodes.mqtt_session import Inbox, subscribe
from spikeflow.nodes.payload import Element, Payload, Reading, decode

_NAMED_AT_MOST = 100


class Mqtt(Connected, Source):
    """The numbers in the messages of a topic, one event each.

    Levels written as `{name}` make keys, and so do the names in an object of numbers; a key gets the next channel that
    is free, or the one that a fixed list names. Elements of an array are channels by their place; under topics with
    keys each key and element together make a channel (`pump[0]`, `pump.x`). With `replicate: machine` each value of
    `{machine}` gets the next of `copies` copies of everything downstream, with `channels` of its own; which of them the
    other keys get is the same in all copies. After a lost connection the source comes
    back by itself; what the broker did not keep meanwhile is lost (`client_id` and `qos: 1` make it keep).
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
    payload: Payload = Field(default_factory=Payload, description="how the numbers of a message are found")
    qos: Literal[0, 1, 2] = Field(0, description="0: at most once; 1: at least once; 2: exactly once")

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
        yield from self.address_problems()
        if self.replicate is not None and self.replicate not in self.topic.names:
            hint = nearest(self.replicate, self.topic.names) if self.topic.names else "write plant/{machine}/vibration"
            yield Problem(("replicate",), f"no {{{self.replicate}}} in the topic {self.topic.text!r}", hint)
        if self.replicate is not None and self.copies is None:
            hint = "say how many at most: copies: 100"
            yield Problem(("replicate",), f"no number of copies for the keys of {{{self.replicate}}}", hint)
        if self.replicate is None and self.copies is not None:
            hint = "say which name in the topic they are for: replicate: machine"
            yield Problem(("copies",), f"{self.copies} copies of nothing", hint)
        if self.time.by == "payload" and self.payload.time is None:
            hint = (
                "say where: payload: {time: $.ts, time_unit: ms}" if self.payload.format != "raw" else "use json or csv"
            )
            yield Problem(("payload",), "time is by payload, and the payload says no time", hint)
        if self.time.by == "arrival" and self.payload.time is not None:
            hint = "write time: {by: payload} where it shall count"
            yield Problem(
                ("payload", "time"), "the payload's time does nothing, time is by arrival", hint, warning=True
            )

    def size_out(self, inputs: Sequence[Stream]) -> int:
        """How many channels there can be."""
        return len(self.channels) if isinstance(self.channels, list) else self.channels

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """Samples, or spikes; those have values where the payload says where."""
        valued = self.kind == "spikes" and (self.payload.value is not None or self.payload.channel is None)
        one = Stream("", self.kind, self.size_out(inputs), valued)
        return {"": one.times(self.copies or 1, self.replicate or "")}

    def start(self, size: int) -> None:
        """No key has been heard, unless a list fixes them."""
        self.keys: list[str] = list(self.channels) if isinstance(self.channels, list) else []
        self._refused: set[str] = set()

    def channel_names(self) -> list[str]:
        """The keys of the channels (of each copy) so far, in their order."""
        return list(self.keys)

    async def produce(self, outlet: Outlet) -> None:
        """Subscribe, and push what the messages say, for as long as the run lasts."""
        context = self.context
        channels = ChannelMap(context.outlet.one.size, self.keys, fixed=isinstance(self.channels, list))
        copies = context.names(context.outlet)
        self.keys = channels.keys
        link = self.link(context, self.qos)
        inbox = Inbox()

        async def listen(client: aiomqtt.Client) -> None:
            await subscribe(client, self.topic.filter, self.qos, str(self.url))
            link.stands()
            outlet.opened()
            await inbox.each(client, lambda message: self._take(message, channels, copies, outlet))

        try:
            await link.keep(listen, queue_type=lambda maxsize: inbox)
        finally:
            if left := len(inbox.messages):
                context.counters.accepted += left
                context.counters.drop("stopped", left)

    async def _take(self, message: aiomqtt.Message, channels: ChannelMap, copies: ChannelMap, outlet: Outlet) -> None:
        """Push the events of one message."""
        topic = message.topic.value
        keys = self.topic.keys(topic)
        if keys is None:
            outlet.reject("topic", 1, f"{topic} is none that was asked for")
            return
        by_payload = self.time.by == "payload"
        try:
            data = message.payload if isinstance(message.payload, bytes) else bytes(str(message.payload), "utf-8")
            reading = decode(data, self.payload, timed=by_payload)
        except PayloadError as error:
            outlet.reject(error.reason, 1, f"on {topic}: {error.detail}")
            return
        for reason, count in reading.rejected.items():
            outlet.reject(reason, count, f"on {topic}: {reading.details[reason]}")
        copied = None if self.replicate is None else keys.pop(self.topic.names.index(self.replicate))
        key = "/".join(keys)
        places = [self._channel(key, element, channels) for element in reading.element]
        if None in places:
            self._refuse(key, reading, places, outlet)
            if not reading.value:
                return
        if copied is not None and reading.value:
            copy = copies.channel(copied)
            if copy is None:
                outlet.reject("copies", len(reading.value), f"no copy is left for {copied}")
                self._name_once(f"no copy is left for {copied}; there are {copies.size}")
                return
            places = [copy * channels.size + place for place in places if place is not None]
        if len(reading.value) == 1:
            assert places[0] is not None
            await outlet.push(places[0], reading.value[0], reading.t_ns[0])
        elif reading.value:
            now = outlet.now_ns()
            t_ns = [now if t is None else t for t in reading.t_ns]
            await outlet.send(self._batch(t_ns, [place for place in places if place is not None], reading.value))

    def _channel(self, key: str, element: Element, channels: ChannelMap) -> int | None:
        """The channel of an element under a topic's key; None where there is none left."""
        if len(self.topic.names) > (self.replicate is not None):
            name = key if element is None else f"{key}[{element}]" if isinstance(element, int) else f"{key}.{element}"
            return channels.channel(name)
        if isinstance(element, str):
            return channels.channel(element)
        place = element or 0
        return place if place < channels.size else None

    def _refuse(self, key: str, reading: Reading, places: list[int | None], outlet: Outlet) -> None:
        """Count the events that have no channel, name their keys once, and take them out."""
        lost = [element for element, place in zip(reading.element, places, strict=True) if place is None]
        name = f"{key}: {lost[0]!r}" if lost[0] is not None and key else key or repr(lost[0])
        outlet.reject("channels", len(lost), f"no channel is left for {name}")
        self._name_once(f"no channel is left for {name}; there are {self.context.outlet.one.size}")
        kept = [row for row, place in enumerate(places) if place is not None]
        reading.value, reading.t_ns = [reading.value[row] for row in kept], [reading.t_ns[row] for row in kept]
        places[:] = [places[row] for row in kept]

    def _name_once(self, what: str) -> None:
        if what not in self._refused and len(self._refused) < _NAMED_AT_MOST:
            self._refused.add(what)
            self.context.log("warning", what)

    def _batch(self, t_ns: list[int], places: list[int], values: list[float]) -> Any:
        columns = sort(np.array(t_ns, np.int64), np.array(places, np.uint32), np.array(values, np.float32))
        if self.kind == "samples":
            return sample_batch(*columns[:2], columns[2] if columns[2] is not None else ())
        return spike_batch(*columns[:2], columns[2] if self.context.outlet.valued else None)
