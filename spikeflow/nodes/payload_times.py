"""Times in messages: numbers and texts as nanoseconds since 1970, and back."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np
import numpy.typing as npt

from spikeflow.errors import ParameterError, PayloadError, nearest
from spikeflow.events import Times

TimeUnit: TypeAlias = Literal["s", "ms", "us", "ns", "iso"]
Stamp: TypeAlias = Callable[[Any], int]
"""What makes nanoseconds since 1970 of a time as a message says it."""

FACTORS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1000, "ns": 1}
EARLIEST_NS, LATEST_NS = -(2**63), 2**63 - 1
_ISO = re.compile(r"(\d{4}-?\d\d-?\d\d[T ]\d\d:?\d\d(?::?\d\d)?)(?:[.,](\d+))?\s*(Z|[-+]\d\d(?::?\d\d)?)?", re.ASCII)
_WHOLE = re.compile(r"[-+]?\d{1,30}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_TEXT = 100


def short(value: Any) -> str:
    """A value of a message, for people: cut short, whatever it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "…"


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


NOTHING: Final = _Nothing()
"""What stands for a value that a message does not have."""


def zone_of(name: str) -> ZoneInfo:
    """A time zone by its name.

    Raises:
        ParameterError: there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ParameterError(f"unknown time zone {name!r}", nearest(name, available_timezones())) from None


@lru_cache(maxsize=32)
def stamp_of(unit: TimeUnit, zone: str | None = None) -> Stamp:
    """What reads a time in a unit; `zone` is for texts that say none, else they are UTC."""
    if unit == "iso":
        return _iso_stamp(None if zone is None else zone_of(zone))
    factor = FACTORS[unit]

    def stamp(time: Any) -> int:
        kind = type(time)
        if kind is int:
            return _in_range(time * factor, time)
        if kind is str:
            time = _number_in(time)
        elif kind is not float and kind is not Decimal:
            return _own_time(time)
        if not (time.is_finite() if isinstance(time, Decimal) else math.isfinite(time)):
            raise PayloadError("no time", short(time))
        if not -1e30 < time < 1e30:  # the exact product would have as many digits as somebody likes
            return _in_range(LATEST_NS + 1 if time > 0 else EARLIEST_NS - 1, time)
        # the decimals as they were written: a float of seconds since 1970 is only good to 0.2 µs
        exact = time if isinstance(time, int | Decimal) else Decimal(repr(time))
        return _in_range(round(exact * factor), time)

    return stamp


def stamps(times: npt.ArrayLike, unit: TimeUnit) -> Times | None:
    """[n] nanoseconds of whole numbers in a unit, all at once; None where one needs a closer look."""
    if unit == "iso":
        return None
    try:
        found = np.asarray(times)
    except (ValueError, OverflowError):
        return None
    factor = FACTORS[unit]
    if found.dtype.kind not in "iu" or found.ndim != 1 or not found.size:
        return None
    limit = LATEST_NS // factor
    if int(found.min()) < -limit or int(found.max()) > limit:
        return None
    scaled: Times = found.astype(np.int64) * factor
    return scaled


def _number_in(text: str) -> int | Decimal:
    """A number that is written as text, exactly."""
    text = text.strip()
    if _WHOLE.fullmatch(text):
        return int(text)
    try:
        if len(text) <= _LONGEST_TEXT and "_" not in text:
            return Decimal(text)
    except InvalidOperation:
        pass
    raise PayloadError("no time", short(text))


def _own_time(time: Any) -> int:
    """A time that the format knows as such: it has its unit with it."""
    if isinstance(time, datetime):
        if time.tzinfo is None:
            raise PayloadError("no time", short(time))
        try:
            return _in_range((time - _EPOCH) // timedelta(microseconds=1) * 1000, time)
        except OverflowError:
            raise PayloadError("no time", short(time)) from None
    nanoseconds = getattr(time, "to_unix_nano", None)  # MessagePack's
    if nanoseconds is not None:
        return _in_range(int(nanoseconds()), time)
    raise PayloadError("no time", short(time))


def _in_range(t_ns: int, time: Any) -> int:
    if t_ns > LATEST_NS:
        raise PayloadError("future", f"the time {short(time)} is after the year 2262; is its unit right?")
    if t_ns < EARLIEST_NS:
        raise PayloadError("before_origin", f"the time {short(time)} is before the year 1677; is its unit right?")
    return t_ns


def _iso_stamp(zone: ZoneInfo | None) -> Stamp:
    def stamp(time: Any) -> int:
        if not isinstance(time, str):
            return _own_time(time)
        match = _ISO.fullmatch(time.strip()) if len(time) <= _LONGEST_TEXT else None
        if match is None:
            raise PayloadError("no time", short(time))
        whole, fraction, said = match.groups()
        ahead = 0
        try:
            found = datetime.fromisoformat(whole)
            if said is None and zone is not None:
                found = found.replace(tzinfo=zone).astimezone(UTC)
        except (ValueError, OverflowError):
            raise PayloadError("no time", short(time)) from None
        if said and said != "Z":
            digits = said[1:].replace(":", "").ljust(4, "0")
            ahead = (int(digits[:2]) * 60 + int(digits[2:])) * (-1 if said[0] == "-" else 1)
        seconds = (found.replace(tzinfo=UTC) - _EPOCH) // timedelta(seconds=1) - ahead * 60
        return _in_range(seconds * 1_000_000_000 + int((fraction or "0")[:9].ljust(9, "0")), time)

    return stamp


def said_in(t_ns: Times, unit: TimeUnit, zone: str | None = None) -> list[Any]:
    """[n] times as a message says them in a unit: whole numbers where they are whole, else with decimals, or texts."""
    if unit == "ns":
        return list(t_ns.tolist())
    if unit != "iso":
        factor = FACTORS[unit]
        return [t // factor if t % factor == 0 else float(Decimal(t) / factor) for t in t_ns.tolist()]
    if zone is None:
        texts: list[Any] = np.char.add(np.datetime_as_string(t_ns.astype("datetime64[ns]")), "Z").tolist()
        return texts
    place = zone_of(zone)
    found: list[Any] = []
    for t in t_ns.tolist():
        local = (_EPOCH + timedelta(seconds=t // 1_000_000_000)).astimezone(place).isoformat()
        # with the offset: an hour that comes twice is two hours
        found.append(f"{local[:19]}.{t % 1_000_000_000:09d}{local[19:]}")
    return found


__all__ = [
    "EARLIEST_NS",
    "FACTORS",
    "LATEST_NS",
    "NOTHING",
    "Stamp",
    "TimeUnit",
    "said_in",
    "short",
    "stamp_of",
    "stamps",
    "zone_of",
]
