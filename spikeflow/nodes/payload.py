"""Payloads: the bytes of a message as events, and events as the bytes of a message, whatever their format."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from spikeflow.errors import ParameterError, PayloadError, Problem, said
from spikeflow.events import Indices, Kind, Stream, Times, Values
from spikeflow.nodes.compression import NEEDS, Compression, compressed, uncompressed
from spikeflow.nodes.mqtt_topics import TopicPattern
from spikeflow.nodes.payload_times import NOTHING, Stamp, TimeUnit, short, stamp_of, zone_of
from spikeflow.nodes.wanted import wanted

Element: TypeAlias = int | str | None
"""Which number of a message: its place in an array, its key in an object, None where it is the only one."""

Each: TypeAlias = Literal["event", "window", "change"]
"""What a message is made of: one event, the events of a window, or one event that differs from the one before."""

LARGEST = math.nextafter(2.0**128 - 2.0**103, 0.0)
"""The largest number that is finite in float32 once it is rounded: texts of the largest one are a little above it."""
_BROKEN = (ValueError, LookupError, TypeError, ArithmeticError, EOFError, RecursionError)
"""What bytes that are not what they should be make a format raise that does not look closely."""


_NONE: Mapping[str, int] = {}  # most messages have none: not made for each
_NO_DETAILS: Mapping[str, str] = {}


@dataclass(slots=True)
class Envelope:
    """What is known of a message beside its bytes.

    Attributes:
        topic: where it was published.
        now_ns: when it came (ns since 1970).
        timed: whether its times are wanted; without, nothing is said of them.
        properties: the user properties of MQTT 5, names and values in order.
        memory: what the format keeps from message to message; part of the node's state.
    """

    topic: str = ""
    now_ns: int = 0
    timed: bool = True
    properties: Sequence[tuple[str, str]] = ()
    memory: dict[str, Any] = field(default_factory=dict)


class Reading:
    """What a message says: events that can be used, and how many cannot, by reason, with the first one's detail.

    Attributes:
        element: [n] which number of the message each one is; None where all are of the only one.
        value: [n] the numbers.
        t_ns: [n] when each was (ns since 1970); None where the message does not say, or was not asked.
        rejected: reason to count.
        noted: what else is worth counting, and to be told, to count.
        details: reason, or what was noted, to what the first of them was.
        answers: messages to be published: topic and bytes.
    """

    __slots__ = ("answers", "details", "element", "noted", "rejected", "t_ns", "value")

    def __init__(
        self,
        element: Sequence[Element] | Indices | None = None,
        value: list[float] | Values = (),  # type: ignore[assignment]
        t_ns: list[int] | Times | None = None,
    ) -> None:
        self.element, self.value, self.t_ns = element, value, t_ns
        self.rejected, self.noted, self.details = _NONE, _NONE, _NO_DETAILS
        self.answers: Sequence[tuple[str, bytes]] = ()

    def reject(self, reason: str, detail: str, count: int = 1) -> None:
        """Count events that cannot be used."""
        self.rejected = {**self.rejected, reason: self.rejected.get(reason, 0) + count}
        self.details = {reason: detail, **self.details}

    def note(self, what: str, detail: str, count: int = 1) -> None:
        """Count something that is no event."""
        self.noted = {**self.noted, what: self.noted.get(what, 0) + count}
        self.details = {what: detail, **self.details}


def reading_of(rows: Iterable[tuple[Any, Any, Any]], stamp: Stamp | None) -> Reading:
    """Events one by one, each used or counted.

    Args:
        rows: element, value and time of each, as the message says them.
        stamp: what reads a time; None where times are not wanted.
    """
    element: list[Element] = []
    value: list[float] = []
    t_ns: list[int] = []
    reading = Reading(element, value, None if stamp is None else t_ns)
    for which, number, time in rows:
        try:
            known, found = element_of(which), number_of(number)
            if stamp is not None:
                t_ns.append(stamp(time))
        except PayloadError as error:
            reading.reject(error.reason, error.detail)
        else:
            element.append(known)
            value.append(found)
    return reading


def number_of(value: Any) -> float:
    """A number that a sample can hold.

    Raises:
        PayloadError: it is no number, or not finite in float32.
    """
    if not isinstance(value, int | float | Decimal):
        raise PayloadError("no value" if value is None or value is NOTHING else "not a number", short(value))
    try:
        number = float(value)
    except (OverflowError, ValueError):  # too large, or a decimal that signals
        number = math.inf
    if not abs(number) <= LARGEST:
        raise PayloadError("not finite", short(value))
    return number


def few_numbers_of(values: list[Any]) -> list[float] | None:
    """Numbers one by one; None where one needs a closer look."""
    for value in values:
        kind = type(value)
        if (kind is not float and kind is not int) or not -LARGEST <= value <= LARGEST:
            return None
    return list(map(float, values))


def numbers_of(values: list[Any]) -> Values | None:
    """[n] numbers at once; None where one needs a closer look."""
    try:
        found = np.array(values)
    except (ValueError, OverflowError, RecursionError):
        return None
    if found.ndim != 1 or found.dtype.kind not in "iuf" or not found.size:
        return None
    doubles: Values = found.astype(np.float64, copy=False)
    return doubles if bool((np.abs(doubles) <= LARGEST).all()) else None


def element_of(value: Any) -> Element:
    """A channel, or the name of one.

    Raises:
        PayloadError: it is neither.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**32 or value != int(value):
        raise PayloadError("no channel", short(value))
    return int(value)


def elements_of(values: list[Any]) -> Indices | None:
    """[n] channels at once; None where one needs a closer look."""
    try:
        found = np.array(values)
    except (ValueError, OverflowError, RecursionError):
        return None
    if found.ndim != 1 or found.dtype.kind not in "iu" or not found.size:
        return None
    if int(found.min()) < 0 or int(found.max()) >= 2**32:
        return None
    return found.astype(np.uint32)


def start_of(data: bytes) -> str:
    """The first bytes of a message, for people."""
    return "it is empty" if not data else f"{data[:40]!r}" + ("…" if len(data) > 40 else "")


def text_of(data: bytes) -> str:
    """The text of a message.

    Raises:
        PayloadError: it is no UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise PayloadError("not text", start_of(data)) from None


class TimeProperty(BaseModel):
    """A time that is a user property of the message, which MQTT 5 has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    property: str = Field(min_length=1, description="the name of the user property that holds the time")


@dataclass(slots=True)
class Events:
    """What a message is made of.

    Attributes:
        stream: the name of the stream.
        kind: spikes or samples.
        t_ns: [n] times (ns since 1970), ascending.
        index: [n] neurons or channels.
        value: [n] values; None where spikes carry none.
        single: one event, so that a format may say it without arrays.
    """

    stream: str
    kind: Kind
    t_ns: Times
    index: Indices
    value: Values | None
    single: bool = False

    @property
    def word(self) -> str:
        """What an index is of."""
        return "neuron" if self.kind == "spikes" else "channel"

    @property
    def values(self) -> Values:
        """[n] values; plain spikes have the value 1."""
        return np.ones(len(self.index), np.float32) if self.value is None else self.value


class Format(BaseModel):
    """How bytes become events and events bytes; the fields are the keys of `payload` beside `format`.

    A format fills in `read`, `write`, or both. What it keeps from message to message goes into the envelope's memory.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ignored_types=(cached_property,))

    writes: ClassVar[bool] = True
    """Whether it can be published."""
    holds_many: ClassVar[bool] = True
    """Whether a message can hold more than one event."""
    needs: ClassVar[str | None] = None
    """The package that reads and writes it, where that is in the extra `formats`."""
    own_times: ClassVar[bool] = False
    """Whether its messages always say when their events were."""

    time: TimeProperty | None = Field(None, description="{property: name}: a user property of MQTT 5 says when it was")
    time_unit: TimeUnit | None = Field(
        None, description="unit of a time that counts from 1970; `iso` is a text such as 2024-05-01T12:00:00Z"
    )
    time_zone: str | None = Field(
        None, description="zone of `iso` texts that say none, such as Europe/Berlin; UTC if not said"
    )
    compression: Compression | None = Field(None, description="what the bytes are packed with")
    max_size: Annotated[int, Field(ge=1, le=2**31 - 1)] = Field(
        1_000_000, description="bytes; longer messages, or longer ones once unpacked, are rejected"
    )

    @model_validator(mode="after")
    def _time_is_whole(self) -> Self:
        if self.time is not None and self.time_unit is None:
            raise ParameterError("'time_unit' is missing", "write 'time_unit: ms' or whichever it is")
        if self.time_zone is not None:
            if self.time_unit != "iso":
                hint = "only with 'time_unit: iso' are there texts without one"
                raise ParameterError(f"the zone {self.time_zone!r} does nothing", hint)
            zone_of(self.time_zone)
        return self

    # What a format says and does.

    @property
    def valued(self) -> bool:
        """Whether spikes read with it carry a value."""
        return True

    def problems(self) -> Iterable[Problem]:
        """What is wrong with the fields; files are opened here."""
        if self.needs is not None:
            yield from self.missing(self.needs)
        if self.compression in NEEDS:
            yield from self.missing(NEEDS[self.compression], "compression")

    def missing(self, package: str, key: str = "format") -> Iterable[Problem]:
        """That a package which a key asks for is not installed, if so."""
        try:
            wanted(package, "formats")
        except ParameterError as error:
            yield Problem((key,), error.found, error.hint)

    def read_problems(self) -> Iterable[Problem]:
        """Why nothing can be read with them; files are opened here."""
        yield from self.problems()
        if self.time is None and self.time_unit is not None and not self.own_times:
            yield Problem(("time_unit",), "'time' is missing", "say where the time is")

    def listen_problems(self, topic: TopicPattern) -> Iterable[Problem]:
        """Why it cannot read, or not well, what comes on the topics of a pattern."""
        return ()

    def write_problems(self, stream: Stream, each: Each) -> Iterable[Problem]:
        """Why the events of a stream cannot be written."""
        if not self.writes:
            yield Problem(("format",), f"{type(self).__name__} cannot be published", "json, senml and arrow can")
        elif not self.holds_many and each == "window":
            yield Problem(("format",), "a message holds one number, and a window may have more", "write each: event")

    @abstractmethod
    def read(self, data: bytes, envelope: Envelope) -> Reading:
        """The events in the bytes of a message.

        Raises:
            PayloadError: nothing of the message can be used; the reason is what it is counted under.
        """

    def write(self, events: Events) -> bytes:
        """The bytes of a message with these events."""
        raise ParameterError(f"{type(self).__name__} cannot be written", "json, senml and arrow can")

    # What all formats share.

    def decode(self, data: bytes, envelope: Envelope) -> Reading:
        """The events in a message as it came: its size held to `max_size`, unpacked, read.

        Raises:
            PayloadError: nothing of the message can be used.
        """
        if len(data) > self.max_size:
            raise PayloadError("too large", f"{len(data)} bytes, and max_size is {self.max_size}")
        if self.compression is not None:
            data = uncompressed(data, self.compression, self.max_size)
        try:
            reading = self.read(data, envelope)
        except PayloadError:
            raise
        except _BROKEN as error:
            raise PayloadError("unreadable", said(error)[:100]) from error
        if envelope.timed and isinstance(self.time, TimeProperty):
            reading.t_ns = [self._property_ns(envelope)] * len(reading.value)
        return reading

    def encode(self, events: Events) -> bytes:
        """The bytes of a message with these events, packed."""
        data = self.write(events)
        return data if self.compression is None else compressed(data, self.compression)

    @property
    def says_time(self) -> bool:
        """Whether a message says when its events were."""
        return self.own_times or self.time is not None

    @cached_property
    def _stamp(self) -> Stamp | None:
        if self.time is None or isinstance(self.time, TimeProperty) or self.time_unit is None:
            return None
        return stamp_of(self.time_unit, self.time_zone)

    def _property_ns(self, envelope: Envelope) -> int:
        assert self.time is not None and self.time_unit is not None
        for name, value in envelope.properties:
            if name == self.time.property:
                return stamp_of(self.time_unit, self.time_zone)(value)
        raise PayloadError("no time", f"no user property {self.time.property!r}")


__all__ = [
    "Each",
    "Element",
    "Envelope",
    "Events",
    "Format",
    "Reading",
    "TimeProperty",
    "element_of",
    "elements_of",
    "few_numbers_of",
    "number_of",
    "numbers_of",
    "reading_of",
    "start_of",
    "text_of",
]
