"""MQTT: events as JSON messages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from itertools import islice
from string import Formatter
from typing import Any, ClassVar, Literal

import aiomqtt
import numpy as np
import orjson
import pyarrow as pa
from pydantic import Field

from spikeflow.copies import named_parts
from spikeflow.errors import Problem, nearest
from spikeflow.events import Batch, Grid, Stream, raw_columns
from spikeflow.node import Inlet, Sink
from spikeflow.nodes.mqtt_client import Connected
from spikeflow.nodes.mqtt_session import all_before_loss, before_loss

_PLACES = ("name", "stream")
_AT_ONCE = 500
"""Messages that wait for the broker together. Of few in a row a broker holds the last receipt back for 40 ms; of many
the library counts at each how many wait."""


class Mqtt(Connected, Sink):
    """One JSON message for each window in which there was something.

    `{"stream": "rate", "t": […], "channel": […], "value": […]}`: arrays of equal length; `neuron` instead of `channel`
    for spikes, and no `value` where they have none. `t` is in whole nanoseconds since 1970, or as texts (`t: iso`);
    programs that hold numbers in 53 bits, such as JavaScript, round the former to 256 ns. With `qos: 1` nothing is
    lost while the broker is away: the sink waits, and the graph with it, and a message may come twice. With `qos: 0`
    what was under way is lost.

    Downstream of a source with `replicate: machine`, `{machine}` in the topic gives each machine a topic of its own,
    with the channels or neurons as they count within one machine. Events of copies that no machine has come for yet,
    as of a population that fires by itself, are dropped and counted as `unnamed`.
    """

    opens: ClassVar[bool] = True
    hears_silence: ClassVar[bool] = False

    topic: str = Field(
        description="where to; {stream} is the name of the input, {name} that of the graph, and the key of copies, "
        "such as {machine}, the name of each"
    )
    qos: Literal[0, 1, 2] = Field(1, description="0: at most once; 1: at least once; 2: exactly once")
    retain: bool = Field(False, description="the broker gives the last message to whoever subscribes later")
    t: Literal["ns", "iso"] = Field("ns", description="times as whole nanoseconds since 1970, or as texts")

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """A topic that cannot be published to."""
        yield from self.address_problems()
        try:
            places = self._places()
        except ValueError:
            yield Problem(("topic",), f"{self.topic!r} has a brace without its other half", "write {stream}")
            return
        keys = {stream.key: stream for stream in inputs if stream.key}
        for place in sorted(places):
            without = [stream for stream in inputs if stream.key != place]
            if place in _PLACES and place in keys:
                found = f"{{{place}}} is also the key of the copies of {keys[place].name!r}"
                yield Problem(("topic",), found, "call the key otherwise with 'replicate'")
            elif place not in _PLACES and place not in keys:
                yield Problem(("topic",), f"unknown placeholder {{{place}}}", nearest(place, (*_PLACES, *sorted(keys))))
            elif place not in _PLACES and without:
                found = f"{without[0].name!r} has no {{{place}}}"
                yield Problem(("topic",), found, "publish it by a sink of its own")
        if not self.topic or any(sign in self.topic for sign in "+#\0"):
            hint = "a topic without + and #; they are for listening"
            yield Problem(("topic",), f"nothing can be published to {self.topic!r}", hint)

    def _places(self) -> set[str]:
        return {place for _, place, _, _ in Formatter().parse(self.topic) if place is not None}

    def _messages(self, batch: Batch, stream: Stream) -> list[tuple[str, bytes]]:
        """Topic and payload of each message that the events of a window make."""
        context = self.context
        known = {"stream": stream.name, "name": context.graph}
        if stream.key not in self._places():
            return [(self.topic.format(**known), encode(batch.record, stream.name, self.t))]
        one = stream.one.schema(context.grid)
        parts, unnamed = named_parts(batch, stream, one, context.names(stream).keys)
        if unnamed:
            context.counters.processed -= unnamed  # they will be counted with their batch
            context.counters.drop("unnamed", unnamed)
        return [
            (self.topic.format(**known, **{stream.key: name}), encode(part.record, stream.name, self.t))
            for name, part in parts.items()
        ]

    async def consume(self, inlet: Inlet) -> None:
        """Publish until all inputs have ended."""
        context = self.context
        link = self.link(context, self.qos)
        streams = {stream.name: stream for stream in inlet.streams}
        unsent: dict[int, tuple[str, bytes]] = {}  # of one window
        taking: list[asyncio.Task[Batch]] = []  # outlives a lost connection, so that no batch is lost with it

        async def send(client: aiomqtt.Client, number: int) -> None:
            await client.publish(*unsent[number], self.qos, self.retain)
            del unsent[number]
            context.counters.note("messages")

        async def publish(client: aiomqtt.Client) -> None:
            link.stands()
            inlet.opened()
            while True:
                if not unsent:
                    if not taking:
                        taking.append(asyncio.create_task(inlet.take()))
                    await before_loss(taking[0], client)
                    try:
                        batch = taking.pop().result()
                    except StopAsyncIteration:
                        return
                    if not batch.count:
                        continue
                    stream = batch.record.schema.metadata[b"stream"].decode()
                    unsent.update(enumerate(self._messages(batch, streams[stream])))
                some = [asyncio.create_task(send(client, number)) for number in islice(unsent, _AT_ONCE)]
                await all_before_loss(some, client)

        try:
            await link.keep(publish)
        finally:
            for task in taking:
                task.cancel()


def encode(record: pa.RecordBatch, stream: str, t: Literal["ns", "iso"] = "ns") -> bytes:
    """The events of a record batch as one JSON object with arrays."""
    t_ns, index, value = raw_columns(record)
    times: Any = t_ns
    if t == "iso":
        times = np.char.add(np.datetime_as_string(t_ns.astype("datetime64[ns]")), "Z").tolist()
    message = {"stream": stream, "t": times, record.schema.names[1]: index}
    if value is not None:
        message["value"] = value
    return orjson.dumps(message, option=orjson.OPT_SERIALIZE_NUMPY)
