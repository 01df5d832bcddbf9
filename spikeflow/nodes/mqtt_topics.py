"""MQTT: which topics a pattern matches, and what of them makes a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from spikeflow.errors import ParameterError


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


def parse_topic(text: Any) -> Any:
    """The pattern of a text such as ``plant/{machine}/vibration``.

    Raises:
        ParameterError: an empty pattern, a wildcard or name that is not a whole level, a name twice.
    """
    if not isinstance(text, str):
        return text
    if not text or "\0" in text:
        raise ParameterError(f"{text!r} is not a topic", "write levels, such as plant/{machine}/vibration")
    shared = text.split("/")[:2] if text.startswith("$share/") else []
    levels = text.split("/")[len(shared) :]
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
