"""MQTT: events as JSON messages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from string import Formatter
from typing import Any, ClassVar, Literal

import aiomqtt
import numpy as np
import orjson
import pyarrow as pa
from pydantic import Field

from spikeflow.errors import Problem, nearest
from spikeflow.events import Batch, Grid, Stream, raw_columns
from spikeflow.node import Inlet, Sink
from spikeflow.nodes.mqtt_client import Connected
from spikeflow.nodes.mqtt_session import before_loss

_PLACES = ("name", "stream")


class Mqtt(Connected, Sink):
    """One JSON message for each window in which there was something.

    `{"stream": "rate", "t": […], "channel": […], "value": […]}`: arrays of equal length; `neuron` instead of `channel`
    for spikes, and no `value` where they have none. `t` is in whole nanoseconds since 1970, or as texts (`t: iso`);
    programs that hold numbers in 53 bits, such as JavaScript, round the former to 256 ns. With `qos: 1` nothing is
    lost while the broker is away: the sink waits, and the graph with it, and a message may come twice. With `qos: 0`
    what was under way is lost.
    """

    opens: ClassVar[bool] = True
    hears_silence: ClassVar[bool] = False

    topic: str = Field(description="where to; {stream} is the name of the input, {name} that of the graph")
    qos: Literal[0, 1, 2] = Field(1, description="0: at most once; 1: at least once; 2: exactly once")
    retain: bool = Field(False, description="the broker gives the last message to whoever subscribes later")
    t: Literal["ns", "iso"] = Field("ns", description="times as whole nanoseconds since 1970, or as texts")

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """A topic that cannot be published to."""
        yield from self.address_problems()
        try:
            places = [place for _, place, _, _ in Formatter().parse(self.topic) if place is not None]
        except ValueError:
            yield Problem(("topic",), f"{self.topic!r} has a brace without its other half", "write {stream}")
            return
        for place in places:
            if place not in _PLACES:
                yield Problem(("topic",), f"unknown placeholder {{{place}}}", nearest(place, _PLACES))
        if not self.topic or any(sign in self.topic for sign in "+#\0"):
            hint = "a topic without + and #; they are for listening"
            yield Problem(("topic",), f"nothing can be published to {self.topic!r}", hint)

    async def consume(self, inlet: Inlet) -> None:
        """Publish until all inputs have ended."""
        context = self.context
        link = self.link(context, self.qos)
        topics = {s.name: self.topic.format(stream=s.name, name=context.graph) for s in inlet.streams}
        unsent: list[tuple[str, bytes]] = []
        taking: list[asyncio.Task[Batch]] = []  # outlives a lost connection, so that no batch is lost with it

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
                    record = batch.record
                    stream = record.schema.metadata[b"stream"].decode()
                    unsent.append((topics[stream], encode(record, stream, self.t)))
                topic, payload = unsent[0]
                sending = asyncio.create_task(client.publish(topic, payload, self.qos, self.retain))
                try:
                    await before_loss(sending, client)
                finally:
                    sending.cancel()
                sending.result()
                unsent.clear()
                context.counters.note("messages")

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
