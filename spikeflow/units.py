"""Values with units: "10 ms" to seconds or whole nanoseconds, "40 Hz" to hertz, and back."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from math import isfinite, nan, ulp
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationInfo, WithJsonSchema

from spikeflow.errors import ParameterError

_EXPONENT = {"ns": -9, "us": -6, "µs": -6, "μs": -6, "ms": -3, "s": 0}
_FACTOR = {"min": 60, "h": 3600, "d": 86400}
_LONGEST = Decimal(9_223_372_036)  # seconds whose nanoseconds still fit into 64 bits
_LAST_BITS, _HALF = 4, Decimal("0.49")
"""By how many of its last bits, and by how much of a nanosecond, a product such as 9 * 1e-3 may be off."""
_SLACK = 1e-2
"""Nanoseconds by which a float may miss a whole one: 9 · 1e-3 is 0.009000000000000001."""
_HERTZ = {"mHz": -3, "Hz": 0, "kHz": 3, "MHz": 6}
_QUANTITY = re.compile(r"\s*([-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([A-Za-zµμ/]*)\s*")

TIME_UNITS = ("ns", "us", "ms", "s", "min", "h")


def _split(text: str, what: str) -> tuple[Decimal, str]:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ParameterError(f"{text!r} is not {what}", f"write a number and a unit, such as {_example(what)}")
    try:
        return Decimal(match[1]), match[2]
    except InvalidOperation:
        raise ParameterError(f"{text!r} is not {what}", f"write {_example(what)}") from None


def _example(what: str) -> str:
    return "40 Hz" if "frequency" in what else "100 MB" if "size" in what else "10 ms"


def _decimal_seconds(text: str) -> Decimal:
    number, unit = _split(text, "a time")
    if number and abs(number.adjusted()) > 30:
        raise ParameterError(f"{text!r} is out of range", "a time lasts from 1 ns to 290 years")
    if unit in _EXPONENT or unit in _FACTOR:
        seconds = number.scaleb(_EXPONENT[unit]) if unit in _EXPONENT else number * _FACTOR[unit]
        if abs(seconds) > _LONGEST:
            raise ParameterError(f"{text!r} is out of range", "a time lasts from 1 ns to 290 years")
        return seconds
    if not unit:
        raise ParameterError(f"{text!r} has no unit", f"write '{text.strip()} ms' or '{text.strip()} s'")
    raise ParameterError(f"{text!r} has the unit {unit!r}", f"a time takes {', '.join(TIME_UNITS)}")


def parse_seconds(text: str) -> float:
    """Seconds of a text such as ``"10 ms"``.

    Raises:
        ParameterError: no unit, an unknown one, or no number.
    """
    return float(_decimal_seconds(text))


def parse_ns(text: str) -> int:
    """Whole nanoseconds of a text such as ``"10 ms"``; a fraction of a nanosecond is an error."""
    exact = _decimal_seconds(text).scaleb(9)
    if exact != exact.to_integral_value():
        raise ParameterError(f"{text!r} is not a whole number of nanoseconds", "write a multiple of 1 ns")
    return int(exact)


def parse_hertz(text: str) -> float:
    """Hertz of a text such as ``"40 Hz"``."""
    number, unit = _split(text, "a frequency")
    if unit not in _HERTZ:
        found = f"{text!r} has no unit" if not unit else f"{text!r} has the unit {unit!r}"
        raise ParameterError(found, f"a frequency takes {', '.join(_HERTZ)}, such as '{number} Hz'")
    if number and abs(number.adjusted()) > 30:
        raise ParameterError(f"{text!r} is out of range", f"write {_example('a frequency')}")
    return float(number.scaleb(_HERTZ[unit]))


def _bare(value: Any, info: ValidationInfo, what: str, example: str) -> None:
    """Refuse a number without a unit where the value comes from a graph file; zero needs none."""
    if isinstance(value, bool):
        raise ParameterError(f"{value!r} is not {what}", f"write a number and a unit, such as {example}")
    if isinstance(value, float) and not isfinite(value) and (info.context or {}).get("units") == "required":
        raise ParameterError(f"{value} is not {what}", f"write a number and a unit, such as {example}")
    if isinstance(value, int | float) and value != 0 and (info.context or {}).get("units") == "required":
        unit = example.split()[1]
        raise ParameterError(f"{value} has no unit", f"write '{value} {unit}'")


def _to_seconds(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str):
        return parse_seconds(value)
    _bare(value, info, "a time", "10 ms")
    return float(value) if isinstance(value, int) else value


def _to_ns(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str):
        return parse_ns(value)
    _bare(value, info, "a time", "10 ms")
    if isinstance(value, float):
        exact = Decimal(repr(value)).scaleb(9)
        whole = exact.to_integral_value()
        if abs(exact - whole) > min(_LAST_BITS * Decimal(ulp(value)).scaleb(9), _HALF):
            raise ParameterError(f"{value!r} s is not a whole number of nanoseconds", "write a multiple of 1 ns")
        return int(whole)
    return value


def _to_hertz(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str):
        return parse_hertz(value)
    _bare(value, info, "a frequency", "40 Hz")
    return float(value) if isinstance(value, int) else value


_TIME_SCHEMA = {"type": "string", "examples": ["10 ms"], "description": "a time with its unit: ns, us, ms, s, min, h"}
_HERTZ_SCHEMA = {"type": "string", "examples": ["40 Hz"], "description": "a frequency with its unit: mHz, Hz, kHz, MHz"}

Seconds = Annotated[float, BeforeValidator(_to_seconds), WithJsonSchema(_TIME_SCHEMA)]
"""A duration in seconds; from a graph file with its unit, from Python a number of seconds."""

Nanoseconds = Annotated[int, BeforeValidator(_to_ns), WithJsonSchema(_TIME_SCHEMA)]
"""A duration in whole nanoseconds; from a graph file with its unit, from Python an integer of nanoseconds."""

_BYTES = {"B": 1, "kB": 1000, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_BYTES_SCHEMA = {"type": "string", "examples": ["100 MB"], "description": "a size with its unit: B, kB, MB, GB, MiB …"}


def parse_bytes(text: str) -> int:
    """Bytes of a text such as ``"100 MB"``."""
    number, unit = _split(text, "a size")
    if unit not in _BYTES:
        found = f"{text!r} has no unit" if not unit else f"{text!r} has the unit {unit!r}"
        raise ParameterError(found, f"a size takes {', '.join(_BYTES)}, such as '{number} MB'")
    exact = number * _BYTES[unit] if not number or abs(number.adjusted()) <= 30 else Decimal("NaN")
    if not exact.is_finite() or exact != exact.to_integral_value() or not 0 <= exact < 1 << 63:
        raise ParameterError(f"{text!r} is no whole number of bytes", "write a size such as '100 MB'")
    return int(exact)


def _to_bytes(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str):
        return parse_bytes(value)
    _bare(value, info, "a size", "100 MB")
    return value


Bytes = Annotated[int, BeforeValidator(_to_bytes), WithJsonSchema(_BYTES_SCHEMA)]
"""A size in bytes; from a graph file with its unit, from Python an integer of bytes."""

Hertz = Annotated[float, BeforeValidator(_to_hertz), WithJsonSchema(_HERTZ_SCHEMA)]
"""A frequency in hertz; from a graph file with its unit, from Python a number."""


def format_ns(nanoseconds: int) -> str:
    """The shortest exact text of a duration: ``10_000_000`` gives ``"10 ms"``."""
    for unit, exponent in (("s", 9), ("ms", 6), ("us", 3)):
        if nanoseconds % 10**exponent == 0:
            return f"{nanoseconds // 10**exponent} {unit}"
    return f"{nanoseconds} ns"


def format_seconds(seconds: float) -> str:
    """A duration for people: ``0.01`` gives ``"10 ms"``."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if abs(seconds) >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def bare_seconds(time: Any, what: str) -> float:
    """Seconds of a number, from Python.

    Raises:
        ParameterError: no number, or none that is finite.
    """
    try:
        seconds = nan if isinstance(time, bool) else float(time)
    except (TypeError, ValueError, OverflowError):
        seconds = nan
    if not abs(seconds) <= float(_LONGEST):
        raise ParameterError(f"{what} of {time}", "give seconds, or a text such as '1 ms'")
    return seconds


def whole_ns(time: Any, what: str) -> int:
    """Nanoseconds of a length of time, from Python: of seconds, or of a text such as ``"1 ms"``.

    Raises:
        ParameterError: no length of time, none above zero, or no whole number of nanoseconds.
    """
    if isinstance(time, str):
        found = parse_ns(time)
    else:
        exact = bare_seconds(time, what) * 1e9
        found = round(exact)
        if not abs(exact - found) < _SLACK:
            raise ParameterError(f"{what} of {time} s, which is not a whole number of nanoseconds", "round it")
    if found <= 0:
        raise ParameterError(f"{what} of {time}", "give seconds above 0, or a text such as '1 ms'")
    return found


def round_number(least: float) -> int:
    """The smallest of 1, 2, 5, 10, 20, … that is not below `least`: a step that people can count in."""
    power = 1
    while True:
        for step in (1, 2, 5):
            if step * power >= least:
                return step * power
        power *= 10
