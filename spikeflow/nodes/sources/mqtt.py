"""MQTT: samples or spikes from the messages of a broker."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal

import aiomqtt
import numpy as np
from pydantic import Field, field_validator

from spikeflow.errors import ParameterError, PayloadError, Problem
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
    keys each key and element together make a channel (`pump[0]`, `pump.x`). After a lost connection the source comes
    back by itself; what the broker did not keep meanwhile is lost (`client_id` and `qos: 1` make it keep).
    """

    gives: ClassVar[tuple[Kind, ...]] = ("samples", "spikes")
    opens: ClassVar[bool] = True

    topic: Topic = Field(description="what to listen to; {name} takes one level as a key, + any level, # all the rest")
    channels: int | list[str] = Field(
        description="how many channels or neurons there can be, or the keys of all of them"
    )
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
        return {"": Stream("", self.kind, self.size_out(inputs), valued)}

    def start(self, size: int) -> None:
        """No key has been heard, unless a list fixes them."""
        self.keys: list[str] = list(self.channels) if isinstance(self.channels, list) else []
        self._refused: set[str] = set()

    def channel_names(self) -> list[str]:
        """The keys of the channels so far, in their order."""
        return list(self.keys)

    async def produce(self, outlet: Outlet) -> None:
        """Subscribe, and push what the messages say, for as long as the run lasts."""
        context = self.context
        channels = ChannelMap(context.outlet.size, self.keys, fixed=isinstance(self.channels, list))
        self.keys = channels.keys
        link = self.link(context, self.qos)
        inbox = Inbox()

        async def listen(client: aiomqtt.Client) -> None:
            await subscribe(client, self.topic.filter, self.qos, str(self.url))
            link.stands()
            outlet.opened()
            await inbox.each(client, lambda message: self._take(message, channels, outlet))

        try:
            await link.keep(listen, queue_type=lambda maxsize: inbox)
        finally:
            if left := len(inbox.messages):
                context.counters.accepted += left
                context.counters.drop("stopped", left)

    async def _take(self, message: aiomqtt.Message, channels: ChannelMap, outlet: Outlet) -> None:
        """Push the events of one message."""
        topic = message.topic.value
        key = self.topic.key(topic)
        if key is None:
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
        places = [self._channel(key, element, channels) for element in reading.element]
        if None in places:
            self._refuse(key, reading, places, outlet)
            if not reading.value:
                return
        if len(reading.value) == 1:
            assert places[0] is not None
            await outlet.push(places[0], reading.value[0], reading.t_ns[0])
        elif reading.value:
            now = outlet.now_ns()
            t_ns = [now if t is None else t for t in reading.t_ns]
            await outlet.send(self._batch(t_ns, [place for place in places if place is not None], reading.value))

    def _channel(self, key: str, element: Element, channels: ChannelMap) -> int | None:
        """The channel of an element under a topic's key; None where there is none left."""
        if self.topic.names:
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
        if name not in self._refused and len(self._refused) < _NAMED_AT_MOST:
            self._refused.add(name)
            self.context.log("warning", f"no channel is left for {name}; there are {self.context.outlet.size}")
        kept = [row for row, place in enumerate(places) if place is not None]
        reading.value, reading.t_ns = [reading.value[row] for row in kept], [reading.t_ns[row] for row in kept]
        places[:] = [places[row] for row in kept]

    def _batch(self, t_ns: list[int], places: list[int], values: list[float]) -> Any:
        columns = sort(np.array(t_ns, np.int64), np.array(places, np.uint32), np.array(values, np.float32))
        if self.kind == "samples":
            return sample_batch(*columns[:2], columns[2] if columns[2] is not None else ())
        return spike_batch(*columns[:2], columns[2] if self.context.outlet.valued else None)
