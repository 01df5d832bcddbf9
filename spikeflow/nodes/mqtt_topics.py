"""MQTT: which topics a pattern matches, and what of them makes a key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Annotated, Any, TypeAlias
from unicodedata import category

from pydantic import BeforeValidator, WithJsonSchema

from spikeflow.errors import ParameterError, Problem

_LONGEST = 65_535  # bytes of a topic

Levels: TypeAlias = Sequence[str | None]
"""The levels of a pattern: a text, None for any one level, `#` for any number of them."""


@dataclass(frozen=True, slots=True)
class TopicPattern:
    """A pattern of topics: ``{name}`` takes one level as a key, ``+`` any level, ``#`` all the rest.

    Attributes:
        text: as it was written.
        filter: as a broker knows it.
        names: of the keys, in order.
    """

    text: str
    filter: str
    names: tuple[str, ...]
    _levels: tuple[str | None, ...]
    _places: tuple[int, ...]

    @property
    def levels(self) -> Levels:
        """What it matches, level by level."""
        return self._levels

    def key(self, topic: str) -> str | None:
        """As `keys`, joined by slashes."""
        found = self.keys(topic)
        return None if found is None else "/".join(found)

    def keys(self, topic: str) -> list[str] | None:
        """The levels of `topic` that the names take; None where the pattern does not match."""
        levels, wanted = topic.split("/"), self._levels
        if wanted[-1] == "#":
            wanted = wanted[:-1]
            if len(levels) < len(wanted):
                return None
        elif len(levels) != len(wanted):
            return None
        for level, want in zip(levels, wanted, strict=False):
            if want is not None and want != level:
                return None
        return [levels[place] for place in self._places]


def can_meet(one: Levels, other: Levels) -> bool:
    """Whether there is a topic that two patterns match; unlike in MQTT, `#` may stand anywhere."""
    for system, wild in ((one, other), (other, one)):  # wildcards do not match topics such as $SYS/…
        if system and (system[0] or "").startswith("$") and wild and wild[0] in (None, "#"):
            return False
    return _can_meet(one, other)


def _can_meet(one: Levels, other: Levels) -> bool:
    if not one and not other:
        return True
    for some, rest in ((one, other), (other, one)):
        if some and some[0] == "#":
            return _can_meet(some[1:], rest) or (bool(rest) and _can_meet(some, rest[1:]))
    if not one or not other:
        return False
    return (one[0] is None or other[0] is None or one[0] == other[0]) and _can_meet(one[1:], other[1:])


def parse_topic(text: Any) -> Any:
    """The pattern of a text such as ``plant/{machine}/vibration``.

    Raises:
        ParameterError: an empty pattern, a wildcard or name that is not a whole level, a name twice, a group without a
            topic, more bytes than a broker takes.
    """
    if not isinstance(text, str):
        return text
    if not text or "\0" in text:
        raise ParameterError(f"{text!r} is not a topic", "write levels, such as plant/{machine}/vibration")
    if len(text.encode(errors="replace")) > _LONGEST:
        raise ParameterError(f"a topic of {len(text)} characters", f"brokers take up to {_LONGEST} bytes")
    shared = text.split("/")[:2] if text.startswith("$share/") else []
    levels = text.split("/")[len(shared) :]
    if shared and (not shared[-1] or set(shared[-1]) & set("+#{") or levels in ([], [""])):
        found = f"{text!r} does not share a topic in a group"  # a broker may take it, and never send anything
        raise ParameterError(found, "write $share/GROUP/TOPIC, such as $share/watch/plant/{machine}/vibration")
    names: list[str] = []
    wanted: list[str | None] = []
    places: list[int] = []
    for place, level in enumerate(levels):
        if level.startswith("{") and level.endswith("}") and level[1:-1].isidentifier():
            if level[1:-1] in names:
                raise ParameterError(f"{level} is there twice in {text!r}", "give each level a name of its own")
            names.append(level[1:-1])
            places.append(place)
            wanted.append(None)
        elif level == "#" and place == len(levels) - 1:
            wanted.append("#")
        elif level == "+":
            wanted.append(None)
        elif any(sign in level for sign in "{}+#"):
            hint = "{name}, + and # take whole levels, and # is the last one"
            raise ParameterError(f"the level {level!r} of {text!r} is not clear", hint)
        else:
            wanted.append(level)
    plain = ["+" if level.startswith("{") else level for level in levels]
    return TopicPattern(text, "/".join([*shared, *plain]), tuple(names), tuple(wanted), tuple(places))


Topic = Annotated[
    TopicPattern,
    BeforeValidator(parse_topic),
    WithJsonSchema({"type": "string", "examples": ["plant/{machine}/vibration"]}),
]


def graph_problems(topic: str, graph: str, path: tuple[str | int, ...]) -> Iterator[Problem]:
    """A graph whose name cannot stand for `{name}` in a topic: brokers would take it for a wildcard."""
    if any(place == "name" for _, place, _, _ in Formatter().parse(topic)) and (why := unfit(graph)):
        found = f"{{name}} in {topic!r} is that of the graph, {graph!r}, which {why}"
        yield Problem(path, found, "give the graph another 'name', or write the level out")


def unfit(topic: str) -> str | None:
    """Why brokers do not take messages under a topic; many close the connection on one, again and again."""
    if not topic:
        return "is empty"
    if any(sign in topic for sign in "+#"):
        return "holds a wildcard"
    if not topic.isprintable() and any(_forbidden(sign) for sign in topic):
        return "holds a sign that is no text"
    if len(topic) > _LONGEST // 4 and len(topic.encode()) > _LONGEST:
        return f"is longer than {_LONGEST} bytes"
    return None


def _forbidden(sign: str) -> bool:
    """Whether a sign is a control character, half of one, or none at all."""
    code = ord(sign)
    return category(sign) in ("Cc", "Cs") or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
