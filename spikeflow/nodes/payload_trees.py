"""Payloads that are trees of objects and arrays: paths say where the numbers are."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable
from functools import cached_property, lru_cache
from typing import Annotated, Any, Final, Self, TypeAlias

import numpy as np
from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from spikeflow.errors import ParameterError, PayloadError, Problem
from spikeflow.events import Stream
from spikeflow.nodes.payload import (
    LARGEST,
    Each,
    Envelope,
    Events,
    Format,
    Reading,
    TimeProperty,
    elements_of,
    few_numbers_of,
    number_of,
    numbers_of,
    reading_of,
)
from spikeflow.nodes.payload_times import LATEST_NS, Stamp, said_in, stamps
from spikeflow.units import Nanoseconds


class _Each:
    def __repr__(self) -> str:
        return "[*]"


EACH: Final = _Each()
"""The step of a path that takes every element of an array."""

Steps: TypeAlias = tuple[str | int | _Each, ...]

_FEW: Final = 16
"""Numbers of an array that are done sooner one by one than as an array of NumPy, which takes 10 µs for itself."""

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d{1,9})\]|\['([^']*)'\]|\[(\*)\]")


@lru_cache(maxsize=256)
def parse_path(text: str) -> Steps:
    """The keys and indices of a path such as ``$.acc``, ``$.a.b[0]``, ``$['a key']`` or ``$.samples[*].v``.

    Raises:
        ParameterError: not such a path.
    """
    steps: list[str | int | _Each] = []
    at = 1
    while text.startswith("$") and at < len(text):
        step = _STEP.match(text, at)
        if step is None:
            break
        key, index, quoted, each = step.groups()
        steps.append(EACH if each else int(index) if index is not None else key if key is not None else quoted)
        at = step.end()
    if at != len(text) or not text.startswith("$"):
        raise ParameterError(f"{text!r} is not a path", "write '$' for the whole, '$.acc', or '$.a.b[0]'")
    if steps.count(EACH) > 1:
        raise ParameterError(f"{text!r} has [*] twice", "one array of samples can be gone through")
    return tuple(steps)


def _readable(text: str) -> str:
    parse_path(text)
    return text


PathText = Annotated[
    str, AfterValidator(_readable), WithJsonSchema({"type": "string", "examples": ["$.acc", "$.samples[*].v"]})
]
"""Where something is in a tree."""


class TreeFormat(Format):
    """A format whose messages are trees.

    Paths say where in them the numbers, their channels and their times are; what that means, and what is written, the
    class of JSON says for all of them.
    """

    value: PathText | None = Field(None, description="the numbers: a path such as `$.acc`; all of it if not said")
    channel: PathText | None = Field(None, description="the channels or neurons of the numbers: a path")
    time: PathText | TimeProperty | None = Field(  # type: ignore[assignment]
        None, description="when it was: a path, or {property: name} for a user property of MQTT 5"
    )
    every: Annotated[Nanoseconds, Field(gt=0)] | None = Field(
        None, description="an array holds samples of one channel, so far apart"
    )

    @model_validator(mode="after")
    def _every_has_a_time(self) -> Self:
        if self.every is not None and (self.time is None or self.channel is not None):
            found = "'every' without 'time'" if self.time is None else "both 'every' and 'channel'"
            raise ParameterError(found, "samples that are so far apart have a first one: say where its time is")
        return self

    @property
    def valued(self) -> bool:
        """Whether spikes read with it carry a value."""
        return self.value is not None or self.channel is None

    @abstractmethod
    def unpack(self, data: bytes) -> Any:
        """The tree in the bytes.

        Raises:
            PayloadError: there is none.
        """

    @abstractmethod
    def pack(self, tree: Any) -> bytes:
        """The bytes of a tree, in which there may be arrays of NumPy."""

    def find(self, root: Any, steps: Steps, reason: str) -> Any:
        """What is at a path.

        Raises:
            PayloadError: nothing, for this reason.
        """
        if len(steps) == 1 and type(root) is dict and (found := root.get(steps[0])) is not None:
            return found  # as most paths are: a key of the whole
        try:
            for place, step in enumerate(steps):
                if step is EACH:
                    if type(root) is not list:
                        raise LookupError
                    return [self._found(one, steps[place + 1 :]) for one in root]
                kind = type(root)
                if kind is not dict and (kind is not list or type(step) is not int):
                    raise LookupError
                root = root[step]
        except LookupError:
            raise PayloadError(reason, f"nothing at {path_text(steps)}") from None
        if root is None:
            raise PayloadError(reason, f"null at {path_text(steps)}")
        return root

    def _found(self, root: Any, steps: Steps) -> Any:
        try:
            return self.find(root, steps, "")
        except PayloadError:
            return None

    @cached_property
    def _value_steps(self) -> Steps:
        return parse_path(self.value or "$")

    @cached_property
    def _channel_steps(self) -> Steps | None:
        return None if self.channel is None else parse_path(self.channel)

    @cached_property
    def _time_steps(self) -> Steps:
        return parse_path(self.time) if isinstance(self.time, str) else ()

    def read(self, data: bytes, envelope: Envelope) -> Reading:
        """The events in a tree."""
        root = self.unpack(data)
        stamp = self._stamp if envelope.timed else None
        time = None if stamp is None else self.find(root, self._time_steps, "no time")
        if self._channel_steps is not None:
            channel = self.find(root, self._channel_steps, "no channel")
            value: Any = 1.0 if self.value is None else self.find(root, self._value_steps, "no value")
            return self._rows(channel, value, time, stamp)
        value = self.find(root, self._value_steps, "no value")
        kind = type(value)
        if kind is float or kind is int:
            # the commonest message
            number = value if kind is float and -LARGEST <= value <= LARGEST else number_of(value)
            return Reading(None, [number], None if stamp is None else [stamp(time)])
        if kind is list and self.every is not None:
            return self._train(value, time, stamp)
        if kind is list and type(time) is list:
            return self._rows(None, value, time, stamp)
        if kind is dict or kind is list:
            if not value:
                raise PayloadError("no value", "it is empty")
            t_ns = None if stamp is None else stamp(time)
            count = len(value)
            if kind is list and count <= _FEW and (plain := few_numbers_of(value)) is not None:
                return Reading(range(count), plain, None if t_ns is None else [t_ns] * count)
            if kind is list and (numbers := numbers_of(value)) is not None:
                times = None if t_ns is None else np.full(count, t_ns, np.int64)
                return Reading(np.arange(count, dtype=np.uint32), numbers, times)
            rows = value.items() if kind is dict else enumerate(value)
            return _all_at(reading_of(((name, number, None) for name, number in rows), None), t_ns)
        return Reading(None, [number_of(value)], None if stamp is None else [stamp(time)])

    def _train(self, value: list[Any], time: Any, stamp: Stamp | None) -> Reading:
        """Samples of one channel at equal distances."""
        first = 0 if stamp is None else stamp(time)
        assert self.every is not None
        if first + len(value) * self.every > LATEST_NS:
            raise PayloadError("future", "the last of the samples is after the year 2262; is the unit right?")
        t_ns = first + np.arange(len(value), dtype=np.int64) * self.every
        if not value:
            raise PayloadError("no value", "it is empty")
        numbers = numbers_of(value)
        if numbers is not None:
            return Reading(None, numbers, None if stamp is None else t_ns)
        rows = ((None, number, int(t)) for number, t in zip(value, t_ns, strict=True))
        return reading_of(rows, None if stamp is None else int)

    def _rows(self, channel: Any, value: Any, time: Any, stamp: Stamp | None) -> Reading:
        """Arrays of equal length hold events one after the other; what is no array holds for all of them."""
        lengths = {len(column) for column in (channel, value, time) if type(column) is list}
        if len(lengths) > 1:
            raise PayloadError("lengths differ", " and ".join(map(str, sorted(lengths))))
        count = lengths.pop() if lengths else 1
        if count == 0:
            raise PayloadError("no value", "it is empty")
        columns = [column if type(column) is list else [column] * count for column in (channel, value, time)]
        if count > 8:  # fewer are done sooner one by one
            numbers, t_ns = numbers_of(columns[1]), None
            if stamp is not None and self.time_unit is not None:
                t_ns = stamps(columns[2], self.time_unit)
            element = None if channel is None else elements_of(columns[0])
            if numbers is not None and (element is not None or channel is None) and (stamp is None or t_ns is not None):
                return Reading(element, numbers, t_ns)
        return reading_of(zip(*columns, strict=True), stamp)

    # The way back.

    def write_problems(self, stream: Stream, each: Each) -> Iterable[Problem]:
        """Samples at equal distances."""
        yield from super().write_problems(stream, each)
        if self.every is not None:
            yield Problem(("every",), "it is for reading", "leave it out; each event is written with its time")

    def write(self, events: Events) -> bytes:
        """A tree with the events at the paths; without paths, a whole account of them."""
        unit = self.time_unit or "ns"
        if self.value is None and self.channel is None and not isinstance(self.time, str):
            tree: Any = {"stream": events.stream}
            parts: list[tuple[Steps, Any]] = [(("t",), self._times(events, unit)), ((events.word,), events.index)]
            if events.value is not None:
                parts.append((("value",), events.value))
        else:
            tree = None
            parts = []
            if isinstance(self.time, str):
                parts.append((self._time_steps, self._times(events, unit)))
            if self._channel_steps is not None:
                parts.append((self._channel_steps, events.index))
            if self.value is not None or self.channel is None:
                parts.append((self._value_steps, events.values))
        for steps, column in parts:
            tree = put(tree, steps, column if not events.single else column[0], column)
        return self.pack(tree)

    def _times(self, events: Events, unit: Any) -> Any:
        return events.t_ns if unit == "ns" else said_in(events.t_ns, unit, self.time_zone)


def _all_at(reading: Reading, t_ns: int | None) -> Reading:
    if t_ns is not None:
        reading.t_ns = [t_ns] * len(reading.value)
    return reading


def path_text(steps: Steps) -> str:
    """A path as one writes it."""
    return "$" + "".join(f".{s}" if isinstance(s, str) else f"[{s}]" if isinstance(s, int) else "[*]" for s in steps)


def put(tree: Any, steps: Steps, value: Any, column: Any) -> Any:
    """The tree with something at a path: `value`, or behind a `[*]` an element of `column` in each object."""
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if isinstance(step, str):
        found = tree if isinstance(tree, dict) else {}
        found[step] = put(found.get(step), rest, value, column)
        return found
    places: list[Any] = tree if isinstance(tree, list) else []
    if isinstance(step, int):
        places += [None] * (step + 1 - len(places))
        places[step] = put(places[step], rest, value, column)
        return places
    places += [None] * (len(column) - len(places))
    return [put(one, rest, entry, column) for one, entry in zip(places, column, strict=True)]


def plain(value: Any) -> Any:
    """Numbers and arrays of NumPy as those of Python, for packers that do not know them."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__}")


__all__ = ["EACH", "PathText", "Steps", "TreeFormat", "parse_path", "path_text", "plain", "put"]
