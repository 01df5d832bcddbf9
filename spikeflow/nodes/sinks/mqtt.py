"""MQTT: events as messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from string import Formatter
from typing import ClassVar

import numpy as np
from pydantic import Field

from spikeflow.copies import named_parts
from spikeflow.errors import Problem, nearest
from spikeflow.events import Batch, Grid, Stream
from spikeflow.node import Inlet, Sink
from spikeflow.nodes.messages import Message, Messages
from spikeflow.nodes.mqtt_delivery import Publishing
from spikeflow.nodes.mqtt_outbox import Sendable
from spikeflow.nodes.mqtt_topics import graph_problems, unfit
from spikeflow.nodes.payload import Each
from spikeflow.nodes.payloads import Payload, default

_PLACES = ("name", "stream", "channel")
_NAMED_AT_MOST = 100


class Mqtt(Publishing, Sink):
    """One message for each window in which there was something, for each event, or for each that is a change.

    Without `payload` that is JSON, `{"stream": "rate", "t": […], "channel": […], "value": […]}`: arrays of equal
    length; `neuron` instead of `channel` for spikes, and no `value` where they have none. `t` is in whole nanoseconds
    since 1970, or as `time_unit` says; programs that hold numbers in 53 bits, such as JavaScript, round the former to
    256 ns. A `{channel}` in the topic parts the messages by channel or neuron. With `qos: 1` nothing is lost while the
    broker is away: the sink waits, and the graph with it, and a message may come twice. With `qos: 0` what was under
    way is lost.

    Downstream of a source with `replicate: machine`, `{machine}` in the topic gives each machine a topic of its own,
    with the channels or neurons as they count within one machine. Events of copies that no machine has come for yet,
    as of a population that fires by itself, are dropped and counted as `unnamed`. So are, as `topic`, those of machines
    whose names leave no topic that brokers take: one that is empty or too long, or holds a wildcard or control sign.
    """

    opens: ClassVar[bool] = True
    hears_silence: ClassVar[bool] = False

    topic: str = Field(
        description="where to; {stream} is the name of the input, {name} that of the graph, {channel} the number of a "
        "channel or neuron, and the key of copies, such as {machine}, the name of each"
    )
    payload: Payload = Field(default_factory=default, description="how a message is written: a format and its keys")
    each: Each = Field(
        "window", description="what a message is: the events of a window, one event, or one whose value has changed"
    )

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """A topic that cannot be published to."""
        yield from self.address_problems(self.graph_name)
        yield from self.outbox_problems()
        try:
            parts = list(Formatter().parse(self.topic))
        except ValueError:
            yield Problem(("topic",), f"{self.topic!r} has a brace without its other half", "write {stream}")
            return
        places = self._places()
        for _, place, form, conversion in parts:
            if form or conversion:
                yield Problem(("topic",), f"{{{place}}} has a format in {self.topic!r}", f"write {{{place}}} alone")
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
        for problem in self.payload.problems():
            yield replace(problem, path=("payload", *problem.path))
        for stream in inputs:
            for problem in self.payload.write_problems(stream, self.each):
                yield replace(problem, path=("payload", *problem.path))
            if self.each == "change" and stream.kind == "spikes" and not stream.valued:
                yield Problem(("each",), f"the spikes of {stream.name!r} have no value that changes", "each: event")
        yield from graph_problems(self.topic, self.graph_name, ("topic",))
        if unfit("".join(text + "x" * (place is not None) for text, place, _, _ in parts)):
            hint = "a topic without + and #; they are for listening"
            yield Problem(("topic",), f"nothing can be published to {self.topic!r}", hint)

    def _places(self) -> set[str]:
        return {place for _, place, _, _ in Formatter().parse(self.topic) if place is not None}

    def start(self, size: int) -> None:
        """Nothing has been published."""
        self.last = {stream.name: np.full(stream.size, np.nan) for stream in self.context.inputs}
        """[size] what each channel was last published with, for `each: change`."""
        self._writers: dict[tuple[str, str | None], Messages] = {}
        self._unfit: dict[tuple[str, str], str | None] = {}

    def _messages(self, batch: Batch, stream: Stream) -> Iterator[Message]:
        """The messages that the events of a window make."""
        context = self.context
        if stream.key not in self._places():
            yield from self._writer(stream, None, 0).of(batch)
            return
        names = context.names(stream).keys
        parts, unnamed = named_parts(batch, stream, stream.one.schema(context.grid), names)
        if unnamed:
            self._drop("unnamed", unnamed)
        for name, part in parts.items():
            if self._fits(stream, name):
                yield from self._writer(stream, name, names.index(name)).of(part)
            else:
                self._drop("topic", part.count)

    def _drop(self, reason: str, count: int) -> None:
        self.context.counters.processed -= count  # they will be counted with their batch
        self.context.counters.drop(reason, count)

    def _fits(self, stream: Stream, name: str) -> bool:
        """Whether brokers take messages under the topics of the copy with a name; says once where they do not."""
        if (stream.name, name) not in self._unfit:
            longest = self.topic.format(**self._known(stream, name), channel=stream.one.size)
            self._unfit[stream.name, name] = why = unfit(longest)
            if why and sum(map(bool, self._unfit.values())) <= _NAMED_AT_MOST:
                said = f"nothing can be published for the {stream.key} {name[:40]!r}: the topic {why}"
                self.context.log("warning", said)
        return self._unfit[stream.name, name] is None

    def _known(self, stream: Stream, name: str | None) -> dict[str, str]:
        """What stands in a topic for the placeholders that are the same for all channels."""
        return {"stream": stream.name, "name": self.context.graph} | ({} if name is None else {stream.key: name})

    def _writer(self, stream: Stream, name: str | None, copy: int) -> Messages:
        """What makes messages of a stream, or of the copy with a name, where each has topics of its own."""
        found = self._writers.get((stream.name, name))
        if found is not None:
            return found
        context, told = self.context, set[str]()
        known = self._known(stream, name)

        def reject(reason: str, count: int, detail: str) -> None:
            context.counters.processed -= count  # they will be counted with their batch
            context.counters.reject(reason, count)
            if reason not in told:
                told.add(reason)
                context.log("warning", f"{stream.name}: {reason}: {detail}")

        last = self.last[stream.name]
        of = stream if name is None else stream.one
        found = self._writers[stream.name, name] = Messages(
            replace(of, name=stream.name),
            self.payload,
            self.each,
            lambda channel: self.topic.format(**known, channel=channel),
            "channel" in self._places(),
            last[copy * of.size : (copy + 1) * of.size],
            reject,
        )
        return found

    async def consume(self, inlet: Inlet) -> None:
        """Publish until all inputs have ended."""
        streams = {stream.name: stream for stream in inlet.streams}

        def messages(batch: Batch) -> Iterable[Sendable]:
            return self._messages(batch, streams[batch.record.schema.metadata[b"stream"].decode()])

        await self.deliver(self.context, inlet, messages)
