"""Payloads: the bytes of a message as numbers with names and times."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal, Self, TypeAlias, cast

import orjson
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from spikeflow.errors import ParameterError, PayloadError

Element: TypeAlias = int | str | None
"""Which number of a message: its place in an array, its key in an object, None where it is the only one."""

_LARGEST = 3.4028234663852886e38
_TIME_UNITS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1000, "ns": 1}
_EARLIEST_NS, _LATEST_NS = -(2**63), 2**63 - 1
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\['([^']*)'\]")
_ISO = re.compile(r"(\d{4}-?\d\d-?\d\d[T ]\d\d:?\d\d(?::?\d\d)?)(?:[.,](\d+))?\s*(Z|[-+]\d\d(?::?\d\d)?)?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=256)
def parse_path(text: str) -> tuple[str | int, ...]:
    """The keys and indices of a path such as ``$.acc``, ``$.a.b[0]`` or ``$['a key']``.

    Raises:
        ParameterError: not such a path.
    """
    steps: list[str | int] = []
    at = 1
    while text.startswith("$") and at < len(text):
        step = _STEP.match(text, at)
        if step is None:
            break
        key, index, quoted = step.groups()
        steps.append(int(index) if index is not None else key if key is not None else quoted)
        at = step.end()
    if at != len(text) or not text.startswith("$"):
        raise ParameterError(f"{text!r} is not a path", "write '$' for the whole, '$.acc', or '$.a.b[0]'")
    return tuple(steps)


class Payload(BaseModel):
    """How the numbers of a message are found.

    A number is one event; an array gives one event a channel, in order, and an object of numbers one a channel, by
    name. With `channel`, or a `time` that is an array too, arrays hold events one after the other.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["json", "raw", "csv"] = Field("json", description="`raw` is one number as text")
    value: str | int | list[int] | None = Field(
        None, description="the numbers: a path such as `$.acc`, or columns of CSV counted from 0; all of it if not said"
    )
    channel: str | int | None = Field(None, description="the channels or neurons of the numbers: a path or a column")
    time: str | int | None = Field(None, description="when it was: a path or a column")
    time_unit: Literal["s", "ms", "us", "ns", "iso"] | None = Field(
        None, description="unit of a time that counts from 1970; `iso` is a text such as 2024-05-01T12:00:00Z"
    )

    @field_validator("value", "channel", "time", mode="before")
    @classmethod
    def _column(cls, found: Any) -> Any:
        # variables are texts; a path begins with $
        return int(found) if isinstance(found, str) and found.isdecimal() else found

    @field_validator("value", "channel", "time")
    @classmethod
    def _readable(cls, found: Any) -> Any:
        if isinstance(found, str):
            parse_path(found)
        elif any(column < 0 for column in ([found] if isinstance(found, int) else found or [])):
            raise ParameterError(f"{found!r} is no column", "columns count from 0")
        return found

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.time is None) != (self.time_unit is None):
            missing = "time_unit" if self.time_unit is None else "time"
            hint = "write 'time_unit: ms' or whichever it is" if missing == "time_unit" else "say where the time is"
            raise ParameterError(f"{missing!r} is missing", hint)
        wanted: tuple[type, ...] = {"json": (str,), "csv": (int, list), "raw": ()}[self.format]
        for name in ("value", "channel", "time"):
            found = getattr(self, name)
            if found is not None and not isinstance(found, wanted):
                what = {"json": "a path, such as '$.acc'", "csv": "a column, such as 0", "raw": "nothing"}[self.format]
                raise ParameterError(f"{name!r} is {found!r}", f"with format {self.format!r} it is {what}")
        return self


@dataclass(slots=True)
class Reading:
    """What a message says: events that can be used, and how many cannot, by reason, with the first one's detail."""

    element: list[Element] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    t_ns: list[int | None] = field(default_factory=list)
    rejected: dict[str, int] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)

    def add(self, element: Any, value: Any, time: Any, stamp: Callable[[Any], int] | None) -> None:
        """Add one event, or count why it cannot be used."""
        try:
            known = _element(element)
            number = _number(value)
            t_ns = None if stamp is None else stamp(time)
        except PayloadError as error:
            self.rejected[error.reason] = self.rejected.get(error.reason, 0) + 1
            self.details.setdefault(error.reason, error.detail)
            return
        self.element.append(known)
        self.value.append(number)
        self.t_ns.append(t_ns)


def decode(data: bytes, payload: Payload, *, timed: bool = True) -> Reading:
    """The events in the bytes of a message.

    Args:
        timed: whether times are wanted; without, nothing is said of them.

    Raises:
        PayloadError: nothing of the message can be used; the reason is what it is counted under.
    """
    stamp = _stamp(payload.time_unit) if timed and payload.time_unit is not None else None
    if payload.format == "json":
        return _decode_json(data, payload, stamp)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise PayloadError("not text", _start(data)) from None
    if payload.format == "raw":
        return Reading([None], [_text_number(text)], [None])
    return _decode_csv(text, payload, stamp)


def _decode_json(data: bytes, payload: Payload, stamp: Callable[[Any], int] | None) -> Reading:
    root = _json(data)
    time = _at(root, str(payload.time), "no time") if stamp is not None else None
    if payload.channel is not None:
        channel = _at(root, str(payload.channel), "no channel")
        value: Any = 1.0 if payload.value is None else _at(root, str(payload.value), "no value")
        return _rows(channel, value, time, stamp)
    value = _at(root, str(payload.value or "$"), "no value")
    reading = Reading()
    if isinstance(value, list) and isinstance(time, list):
        return _rows(None, value, time, stamp)
    if isinstance(value, dict | list):
        if not value:
            raise PayloadError("no value", "it is empty")
        for element, number in value.items() if isinstance(value, dict) else enumerate(value):
            reading.add(element, number, time, stamp)
        return reading
    return Reading([None], [_number(value)], [None if stamp is None else stamp(time)])


def _rows(channel: Any, value: Any, time: Any, stamp: Callable[[Any], int] | None) -> Reading:
    """Arrays of equal length hold events one after the other; what is no array holds for all of them."""
    lengths = {len(column) for column in (channel, value, time) if isinstance(column, list)}
    if len(lengths) > 1:
        raise PayloadError("lengths differ", " and ".join(map(str, sorted(lengths))))
    count = lengths.pop() if lengths else 1
    columns = [column if isinstance(column, list) else [column] * count for column in (channel, value, time)]
    reading = Reading()
    for element, number, at in zip(*columns, strict=True):
        reading.add(element, number, at, stamp)
    return reading


def _decode_csv(text: str, payload: Payload, stamp: Callable[[Any], int] | None) -> Reading:
    """One event a number; several lines are several rows."""
    reading = Reading()
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise PayloadError("no value", "it is empty")
    for line in lines:
        cells = [cell.strip() for cell in line.split(",")]
        taken = {payload.time, payload.channel}
        columns = payload.value
        if columns is None:
            columns = [place for place in range(len(cells)) if place not in taken]
        single = isinstance(columns, int)
        for element, place in enumerate([columns] if isinstance(columns, int) else columns):
            channel = _cell(cells, payload.channel) if payload.channel is not None else None if single else element
            time = _cell(cells, payload.time)
            if isinstance(channel, str):
                channel = int(channel) if channel.isascii() and channel.isdigit() else channel or _NOTHING
            if payload.time_unit != "iso" and isinstance(time, str):
                time = _quiet_number(time)
            reading.add(channel, _quiet_number(_cell(cells, place)), time, stamp)
    return reading


_NOTHING = object()


def _cell(cells: Sequence[str], place: Any) -> Any:
    return cells[place] if isinstance(place, int) and place < len(cells) else _NOTHING


def _quiet_number(text: Any) -> Any:
    """The number that a text says; the text itself where it says none."""
    try:
        return _text_number(text) if isinstance(text, str) else text
    except PayloadError:
        return math.nan if isinstance(text, str) and text.strip().lower() in _INFINITE else text


_INFINITE = {sign + word for sign in ("", "+", "-") for word in ("nan", "inf", "infinity")}


def _text_number(text: str) -> float:
    if len(text) > 400 or "_" in text:
        raise PayloadError("not a number", _short(text))
    try:
        return _number(float(text))
    except ValueError as error:
        if isinstance(error, PayloadError):
            raise
        raise PayloadError("not a number", _short(text)) from None


def _json(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if "infinity" in str(error):
            raise PayloadError("not finite", _start(data)) from None
        if b"NaN" not in data and b"Infinity" not in data:
            raise PayloadError("not json", _start(data)) from None
    try:  # JSON has no such words; programs write them all the same, and other numbers of the message are good
        return json.loads(data)
    except (ValueError, RecursionError):
        raise PayloadError("not json", _start(data)) from None


def _at(root: Any, path: str, reason: str) -> Any:
    for step in parse_path(path):
        try:
            if type(root) is not (dict if isinstance(step, str) else list):
                raise LookupError
            root = cast(Any, root)[step]
        except LookupError:
            raise PayloadError(reason, f"nothing at {path}") from None
    if root is None:
        raise PayloadError(reason, f"null at {path}")
    return root


def _number(value: Any) -> float:
    if not isinstance(value, int | float):
        raise PayloadError("no value" if value is None or value is _NOTHING else "not a number", _short(value))
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not abs(number) <= _LARGEST:
        raise PayloadError("not finite", _short(value))
    return number


def _element(value: Any) -> Element:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**32 or value != int(value):
        raise PayloadError("no channel", _short(value))
    return int(value)


@lru_cache(maxsize=8)
def _stamp(unit: str) -> Callable[[Any], int]:
    """What makes nanoseconds since 1970 of a time in a unit."""
    if unit == "iso":
        return _iso_ns
    factor = _TIME_UNITS[unit]

    def stamp(time: Any) -> int:
        if isinstance(time, bool) or not isinstance(time, int | float):
            raise PayloadError("no time", _short(time))
        if isinstance(time, float) and not math.isfinite(time):
            raise PayloadError("no time", _short(time))
        # the decimals as they were written: a float of seconds since 1970 is only good to 0.2 µs
        exact = time * factor if isinstance(time, int) else round(Decimal(repr(time)) * factor)
        return _in_range(exact, time)

    return stamp


def _in_range(t_ns: int, time: Any) -> int:
    if t_ns > _LATEST_NS:
        raise PayloadError("future", f"the time {_short(time)} is after the year 2262; is its unit right?")
    if t_ns < _EARLIEST_NS:
        raise PayloadError("before_origin", f"the time {_short(time)} is before the year 1677; is its unit right?")
    return t_ns


def _iso_ns(time: Any) -> int:
    match = _ISO.fullmatch(time.strip()) if isinstance(time, str) else None
    if match is None:
        raise PayloadError("no time", _short(time))
    whole, fraction, zone = match.groups()
    try:
        found = datetime.fromisoformat(whole)
    except ValueError:
        raise PayloadError("no time", _short(time)) from None
    ahead = 0
    if zone and zone != "Z":
        digits = zone[1:].replace(":", "").ljust(4, "0")
        ahead = (int(digits[:2]) * 60 + int(digits[2:])) * (-1 if zone[0] == "-" else 1)
    seconds = (found.replace(tzinfo=UTC) - _EPOCH) // timedelta(seconds=1) - ahead * 60
    return _in_range(seconds * 1_000_000_000 + int((fraction or "0")[:9].ljust(9, "0")), time)


def _short(value: Any) -> str:
    text = repr(value) if value is not _NOTHING else "nothing"
    return text if len(text) <= 60 else text[:57] + "…"


def _start(data: bytes) -> str:
    """The first bytes of a message, for people."""
    return "it is empty" if not data else f"{data[:40]!r}" + ("…" if len(data) > 40 else "")
