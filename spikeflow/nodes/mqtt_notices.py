"""MQTT: what a node says of itself: that it is there, that it goes, and, by the broker, that it is gone."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from string import Formatter
from typing import Annotated, Any, Literal, NamedTuple

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, field_validator

from spikeflow.errors import ParameterError, nearest
from spikeflow.node import Context
from spikeflow.units import Seconds

_PLACES = ("host", "name", "node")


def _notice_topic(value: Any) -> Any:
    """A topic with `{host}`, `{name}` and `{node}`."""
    if not isinstance(value, str):
        return value
    try:
        places = [place for _, place, _, _ in Formatter().parse(value) if place is not None]
    except ValueError:
        raise ParameterError(f"{value!r} has a brace without its other half", "write {node}") from None
    for place in places:
        if place not in _PLACES:
            raise ParameterError(f"unknown placeholder {{{place}}}", nearest(place, _PLACES))
    if not value or any(sign in value for sign in "+#\0"):
        hint = "a topic without + and #; they are for listening"
        raise ParameterError(f"nothing can be published to {value!r}", hint)
    return value


NoticeTopic = Annotated[str, BeforeValidator(_notice_topic)]


class Said(NamedTuple):
    """A message as it is published."""

    topic: str
    data: bytes
    qos: int
    retain: bool


class Notice(BaseModel):
    """One message: where to, and what."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topic: NoticeTopic = Field(description="where to; {host}, {name} of the graph and {node} are filled in")
    payload: JsonValue = Field("", description="a text, or anything else, which becomes JSON")
    qos: Literal[0, 1, 2] = Field(1, description="0: at most once; 1: at least once; 2: exactly once")
    retain: bool = Field(False, description="the broker gives it to whoever subscribes later")

    def message(self, context: Context) -> Said:
        """The message of a node."""
        data = self.payload.encode() if isinstance(self.payload, str) else orjson.dumps(self.payload)
        return Said(filled(self.topic, context), data, self.qos, self.retain)


class Health(BaseModel):
    """A retained JSON message about a node and its connection, now and then."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topic: NoticeTopic = Field(description="where to; {host}, {name} of the graph and {node} are filled in")
    every: Seconds = Field(10.0, description="how often")

    @field_validator("every")
    @classmethod
    def _often(cls, found: float) -> float:
        if found < 0.1:
            raise ParameterError(f"every is {found:g} s", "at least 100 ms")
        return found

    def message(self, context: Context, facts: dict[str, Any]) -> Said:
        """The message with these facts."""
        head = {"graph": context.graph, "node": context.name, "host": socket.gethostname()}
        return Said(filled(self.topic, context), orjson.dumps(head | facts, default=str), 1, True)

    def gone(self, context: Context) -> Said:
        """The message that there is nothing more to hear of the node."""
        return self.message(context, {"state": "offline"})


def filled(topic: str, context: Context) -> str:
    """A topic with what stands in braces filled in."""
    return topic.format(host=socket.gethostname(), name=context.graph, node=context.name)


class Notices:
    """What a connection says at its beginning, at its end, and where it breaks.

    Attributes:
        will: what the broker says for the node once it is gone without a word.
        births: what is said once the connection can be used.
        closings: what is said before it ends in good order.
    """

    def __init__(self, will: Said | None = None, births: Iterable[Said] = (), closings: Iterable[Said] = ()) -> None:
        self.will, self.births, self.closings = will, tuple(births), tuple(closings)


__all__ = ["Health", "Notice", "NoticeTopic", "Notices", "Said", "filled"]
