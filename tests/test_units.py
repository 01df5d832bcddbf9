"""Values with units."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from spikeflow.errors import ParameterError
from spikeflow.units import (
    Hertz,
    Nanoseconds,
    Seconds,
    format_ns,
    format_seconds,
    parse_bytes,
    parse_hertz,
    parse_ns,
    parse_seconds,
    round_number,
)


class Values(BaseModel):
    """One field of each dimension."""

    seconds: Seconds = 0.0
    whole: Nanoseconds = 0
    hertz: Hertz = 1.0
    above: Annotated[Nanoseconds, Field(gt=0)] = 1


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("10 ms", 10_000_000),
        ("10ms", 10_000_000),
        (" 50  us ", 50_000),
        ("50 µs", 50_000),
        ("50 μs", 50_000),
        ("1 ns", 1),
        ("0.5 s", 500_000_000),
        (".5 s", 500_000_000),
        ("1e3 us", 1_000_000),
        ("1_000 us", 1_000_000),
        ("2 min", 120_000_000_000),
        ("1 h", 3_600_000_000_000),
        ("1 d", 86_400_000_000_000),
        ("-5 ms", -5_000_000),
        ("0.1 s", 100_000_000),
    ],
)
def test_a_time_is_whole_nanoseconds(text: str, ns: int) -> None:
    assert parse_ns(text) == ns


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10", "'10' has no unit — write '10 ms' or '10 s'"),
        ("10 parsecs", "'10 parsecs' has the unit 'parsecs' — a time takes ns, us, ms, s, min, h"),
        ("10 MS", "'10 MS' has the unit 'MS' — a time takes ns, us, ms, s, min, h"),
        ("soon", "'soon' is not a time — write a number and a unit, such as 10 ms"),
        ("", "'' is not a time — write a number and a unit, such as 10 ms"),
        ("1.2.3 s", "'1.2.3 s' is not a time — write a number and a unit, such as 10 ms"),
        ("nan s", "'nan s' is not a time — write a number and a unit, such as 10 ms"),
        ("1e999999999 s", "'1e999999999 s' is out of range — a time lasts from 1 ns to 290 years"),
        ("400000 d", "'400000 d' is out of range — a time lasts from 1 ns to 290 years"),
        ("1.5 ns", "'1.5 ns' is not a whole number of nanoseconds — write a multiple of 1 ns"),
    ],
)
def test_what_is_no_time_is_refused(text: str, said: str) -> None:
    with pytest.raises(ParameterError) as caught:
        parse_ns(text)
    assert str(caught.value) == said


@pytest.mark.parametrize(("text", "hertz"), [("40 Hz", 40.0), ("2.5kHz", 2500.0), ("1 MHz", 1e6), ("5 mHz", 0.005)])
def test_a_frequency_is_hertz(text: str, hertz: float) -> None:
    assert parse_hertz(text) == hertz


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("40", "'40' has no unit — a frequency takes mHz, Hz, kHz, MHz, such as '40 Hz'"),
        ("40 ms", "'40 ms' has the unit 'ms' — a frequency takes mHz, Hz, kHz, MHz, such as '40 Hz'"),
        ("1e99 Hz", "'1e99 Hz' is out of range — write 40 Hz"),
        ("often", "'often' is not a frequency — write a number and a unit, such as 40 Hz"),
    ],
)
def test_what_is_no_frequency_is_refused(text: str, said: str) -> None:
    with pytest.raises(ParameterError) as caught:
        parse_hertz(text)
    assert str(caught.value) == said


@given(st.integers(-(10**18), 10**18))
def test_a_duration_reads_back_as_it_was_written(ns: int) -> None:
    assert parse_ns(format_ns(ns)) == ns


@given(st.decimals(-(10**6), 10**6, places=4), st.sampled_from(["us", "ms", "s", "min"]))
def test_seconds_and_nanoseconds_agree(number: Decimal, unit: str) -> None:
    text = f"{number} {unit}"
    assert parse_seconds(text) == pytest.approx(float(number) * parse_seconds(f"1 {unit}"), rel=1e-12)


def test_python_gives_seconds_as_numbers_and_a_graph_file_with_a_unit() -> None:
    assert Values(seconds=0.01, whole=5, hertz=40).seconds == 0.01
    assert Values.model_validate({"whole": 0.001}).whole == 1_000_000
    found = Values.model_validate(
        {"seconds": "10 ms", "whole": "1 us", "hertz": "40 Hz"}, context={"units": "required"}
    )
    assert (found.seconds, found.whole, found.hertz) == (0.01, 1000, 40.0)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("seconds", 10, "10 has no unit — write '10 ms'"),
        ("whole", 2.5, "2.5 has no unit — write '2.5 ms'"),
        ("hertz", 40, "40 has no unit — write '40 Hz'"),
        ("seconds", True, "True is not a time — write a number and a unit, such as 10 ms"),
    ],
)
def test_a_bare_number_in_a_graph_file_is_refused(field: str, value: Any, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Values.model_validate({field: value}, context={"units": "required"})
    assert str(caught.value.errors()[0]["ctx"]["error"]) == said


def test_zero_needs_no_unit_and_bounds_hold() -> None:
    assert Values.model_validate({"seconds": 0, "whole": 0}, context={"units": "required"}).whole == 0
    with pytest.raises(ValidationError, match="greater than 0"):
        Values.model_validate({"above": "0 ms"})


@pytest.mark.parametrize("seconds", [1.5e-9, 9e-3 + 1e-13, 1e3 + 3e-10])
def test_a_fraction_of_a_nanosecond_is_refused_from_python_too(seconds: float) -> None:
    with pytest.raises(ValidationError, match="not a whole number of nanoseconds"):
        Values.model_validate({"whole": seconds})


@pytest.mark.parametrize(
    ("seconds", "ns"), [(9 * 1e-3, 9_000_000), (0.1 + 0.2, 300_000_000), (1.1 + 2.2, 3_300_000_000)]
)
def test_the_last_bit_of_a_product_is_no_fraction_of_a_nanosecond(seconds: float, ns: int) -> None:
    assert repr(seconds) != repr(ns / 1e9)
    assert Values.model_validate({"whole": seconds}).whole == ns


@pytest.mark.parametrize(
    ("ns", "text"), [(10_000_000, "10 ms"), (1_500_000, "1500 us"), (7, "7 ns"), (2_000_000_000, "2 s"), (0, "0 s")]
)
def test_a_duration_is_written_exactly(ns: int, text: str) -> None:
    assert format_ns(ns) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.01, "10 ms"), (1.5, "1.5 s"), (2e-6, "2 us"), (3e-8, "30 ns")])
def test_a_duration_is_written_for_people(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("text", "size"), [("1000 B", 1000), ("1.5 kB", 1500), ("100 MB", 10**8), ("2 KiB", 2048), ("1GiB", 1 << 30)]
)
def test_a_size_is_whole_bytes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["100", "1.0001 kB", "3 Mb", "-1 B", "much", "1e40 GB", "nan B"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ParameterError):
        parse_bytes(text)


@pytest.mark.parametrize(("least", "found"), [(0.1, 1), (1, 1), (1.2, 2), (3, 5), (51, 100), (11.2, 20)])
def test_a_step_is_a_number_that_people_can_count_in(least: float, found: int) -> None:
    assert round_number(least) == found
