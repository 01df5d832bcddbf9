"""MQTT: what sources could not read, as messages of a topic for dead letters."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from string import Formatter
from typing import Any, ClassVar, Literal

import orjson
import pyarrow as pa
from pydantic import Field

from spikeflow.errors import Problem, nearest
from spikeflow.events import Batch, Grid, Stream
from spikeflow.node import Inlet, Sink, Source
from spikeflow.nodes.messages import Message
from spikeflow.nodes.mqtt_addresses import MqttUrl, share
from spikeflow.nodes.mqtt_delivery import Publishing
from spikeflow.nodes.mqtt_topics import TopicPattern, can_meet, graph_problems, unfit

_PLACES = ("name", "node", "reason", "topic")
_UNFIT = re.compile(r"[/+#\x00-\x1f\x7f-\x9f]")


class MqttRejects(Publishing, Sink):
    """What a source with `rejects: NAME` could not read, on a topic for dead letters: one message each.

    Each is JSON, `{"t": …, "node": …, "reason": …, "topic": …, "payload": …}`: when it came (whole nanoseconds since
    1970), to which source, why it could not be read, where it was published, and its bytes in Base64. With `format:
    bytes` it has the very bytes, and the rest as user properties of MQTT 5. It never holds a source up: what comes
    faster than the broker takes it is dropped, and counted. A topic that the source itself listens to is refused; where
    only the run shows that a message has been there before, it is dropped and counted as `loop`.
    """

    most_inputs: ClassVar[int | None] = 0
    collects: ClassVar[bool] = True
    opens: ClassVar[bool] = True

    topic: str = Field(
        description="where to; {node} is the name of the source, {name} that of the graph, {reason} why it could not "
        "be read, and {topic} all of the topic where it was published"
    )
    format: Literal["json", "bytes"] = Field(
        "json", description="JSON, or the bytes as they came with user properties (protocol 5)"
    )

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """A topic that cannot be published to, properties that cannot be sent."""
        yield from self.address_problems(self.graph_name)
        yield from self.outbox_problems()
        if self.format == "bytes" and self.outbox is not None:
            yield Problem(("outbox",), "an outbox keeps no user properties", "write format: json")
        if self.format == "bytes" and self.versions[0] != "5":
            found = f"MQTT {self.versions[0]} has no user properties for the reason, the topic and the time"
            yield Problem(("format",), found, "write protocol: 5, or format: json")
        try:
            parts = list(Formatter().parse(self.topic))
        except ValueError:
            yield Problem(("topic",), f"{self.topic!r} has a brace without its other half", "write {node}")
            return
        for _, place, form, conversion in parts:
            if form or conversion:
                yield Problem(("topic",), f"{{{place}}} has a format in {self.topic!r}", f"write {{{place}}} alone")
            elif place is not None and place not in _PLACES:
                yield Problem(("topic",), f"unknown placeholder {{{place}}}", nearest(place, _PLACES))
        if any("{topic}" in level and level != "{topic}" for level in self.topic.split("/")):
            yield Problem(("topic",), f"{{topic}} is part of a level in {self.topic!r}", "write dead/{topic}")
        if self.topic == "{topic}":
            yield Problem(
                ("topic",), "the topic is the one where it was published", "put a level before it: dead/{topic}"
            )
        yield from graph_problems(self.topic, self.graph_name, ("topic",))
        if unfit("".join(text + "x" * (place is not None) for text, place, _, _ in parts)):
            hint = "a topic without + and #; they are for listening"
            yield Problem(("topic",), f"nothing can be published to {self.topic!r}", hint)

    @property
    def needs_5(self) -> bool:
        """Whether something is asked for that MQTT 3.1.1 does not have."""
        return super().needs_5 or self.format == "bytes"

    def brings_back(self, node: str, source: Source, heard: Source) -> bool:
        """Whether a source listens on the same broker to a topic that it publishes to."""
        brokers, pattern = getattr(heard, "url", ()), getattr(heard, "topic", None)
        if not isinstance(pattern, TopicPattern) or not all(isinstance(url, MqttUrl) for url in brokers):
            return False
        from_where = getattr(source, "topic", None)
        levels: list[str | None] = []
        for level in self.topic.replace("{node}", node).replace("{name}", self.graph_name).split("/"):
            if level == "{topic}":
                levels += from_where.levels if isinstance(from_where, TopicPattern) else "#"
            else:
                levels.append(None if "{" in level else level)
        return share(self.url, brokers) and can_meet(levels, pattern.levels)

    def start(self, size: int) -> None:
        """Nothing has been published."""
        self._own: dict[str, re.Pattern[str]] = {}
        self._told: set[str] = set()

    async def consume(self, inlet: Inlet) -> None:
        """Publish until all sources have ended."""
        await self.deliver(self.context, inlet, self._letters)

    def _letters(self, batch: Batch) -> Iterator[Message]:
        """The messages about some rows."""
        columns = [batch.record.column(0).cast(pa.int64()), *batch.record.columns[1:]]
        for t_ns, node, reason, topic, payload in zip(*(column.to_pylist() for column in columns), strict=True):
            known = {"node": node, "name": self.context.graph, "reason": _UNFIT.sub("_", reason), "topic": topic}
            to = self.topic.format(**known)
            if self._is_own(node, topic):
                self._drop("loop", f"{topic!r} could not be read, and is a topic where this is said; it is not said")
            elif why := unfit(to):
                self._drop("topic", f"nothing can be published to {to[:80]!r}: the topic {why}")
            elif self.format == "bytes":
                properties = [("t", str(t_ns)), ("node", node), ("reason", reason), ("topic", topic)]
                yield Message(to, payload, 1, properties)
            else:
                said = {"t": t_ns, "node": node, "reason": reason, "topic": topic}
                yield Message(to, orjson.dumps({**said, "payload": b64encode(payload).decode()}), 1)

    def _is_own(self, node: str, topic: str) -> bool:
        """Whether what was published to a topic may have come from here, by a way that nobody could see beforehand."""
        own = self._own.get(node)
        if own is None:
            known: dict[str, Any] = {"node": node, "name": self.context.graph}
            text = "".join(
                re.escape(text) + ("" if place is None else re.escape(known[place]) if place in known else _ANY[place])
                for text, place, _, _ in Formatter().parse(self.topic)
            )
            own = self._own[node] = re.compile(text, re.DOTALL)
        return own.fullmatch(topic) is not None

    def _drop(self, reason: str, said: str) -> None:
        counters = self.context.counters
        counters.processed -= 1  # each is counted as processed when the next ones are asked for
        counters.drop(reason)
        if reason not in self._told:
            self._told.add(reason)
            self.context.log("warning", said)


_ANY = {"reason": "[^/]*", "topic": ".*"}
