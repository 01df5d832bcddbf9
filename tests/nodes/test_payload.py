"""Payloads."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from spikeflow.errors import ParameterError, PayloadError
from spikeflow.nodes.payload import Payload, decode, parse_path


def said(data: Any, **fields: Any) -> list[tuple[Any, float]]:
    """(element, value) of a message."""
    reading = decode(data if isinstance(data, bytes) else json.dumps(data).encode(), Payload(**fields))
    return list(zip(reading.element, reading.value, strict=True))


def test_a_number_is_one_event_an_array_or_object_one_a_channel() -> None:
    assert said(2.5) == [(None, 2.5)]
    assert said({"acc": 2}, value="$.acc") == [(None, 2.0)]
    assert said({"a": {"b": [7, [1, 2]]}}, value="$.a.b[1]") == [(0, 1.0), (1, 2.0)]
    assert said({"x": 1, "y": 2.5}) == [("x", 1.0), ("y", 2.5)]
    assert said({"a key": True}, value="$['a key']") == [(None, 1.0)]


def test_raw_text_is_one_number() -> None:
    assert said(b" -12.5e-1\n", format="raw") == [(None, -1.25)]


def test_csv_gives_a_channel_a_column_and_several_lines_are_rows() -> None:
    assert said(b"1,2\n3, 4\n", format="csv") == [(0, 1.0), (1, 2.0), (0, 3.0), (1, 4.0)]
    assert said(b"9,1,2", format="csv", value=[2, 1]) == [(0, 2.0), (1, 1.0)]
    assert said(b"9,1,2", format="csv", value=1) == [(None, 1.0)]
    assert said(b"7,0.5\n3,1.5", format="csv", channel=0, value=1) == [(7, 0.5), (3, 1.5)]


def test_arrays_with_channels_hold_events_one_after_the_other() -> None:
    message = {"t": [1, 2, 2], "channel": [4, 0, 4], "value": [0.5, 1.5, 2.5]}
    fields = {"value": "$.value", "channel": "$.channel", "time": "$.t", "time_unit": "ns"}
    reading = decode(json.dumps(message).encode(), Payload(**fields))
    assert (reading.element, reading.value, reading.t_ns) == ([4, 0, 4], [0.5, 1.5, 2.5], [1, 2, 2])
    assert said({"neuron": [3, 9]}, channel="$.neuron") == [(3, 1.0), (9, 1.0)]
    assert said({"who": "left", "v": 3}, channel="$.who", value="$.v") == [("left", 3.0)]


def test_an_array_of_times_makes_an_array_of_numbers_one_channel() -> None:
    fields: dict[str, Any] = {"value": "$.v", "time": "$.t", "time_unit": "ms"}
    reading = decode(b'{"v": [1, 2], "t": [10, 11]}', Payload(**fields))
    assert (reading.element, reading.t_ns) == ([None, None], [10_000_000, 11_000_000])


@pytest.mark.parametrize(
    ("time", "unit", "t_ns"),
    [
        (1_714_564_803, "s", 1_714_564_803_000_000_000),
        (1_714_564_803.25, "s", 1_714_564_803_250_000_000),
        (1_714_564_803.123456789, "s", 1_714_564_803_123_456_700),
        (1_714_564_803_250, "ms", 1_714_564_803_250_000_000),
        (1_714_564_803_250_001, "us", 1_714_564_803_250_001_000),
        (1_714_564_803_250_000_001, "ns", 1_714_564_803_250_000_001),
        ("2024-05-01T12:00:03.250000001Z", "iso", 1_714_564_803_250_000_001),
        ("2024-05-01 14:00:03.25+02:00", "iso", 1_714_564_803_250_000_000),
        ("2024-05-01T12:00:03", "iso", 1_714_564_803_000_000_000),
        ("20240501T063003-0530", "iso", 1_714_564_803_000_000_000),
    ],
)
def test_a_time_is_read_in_its_unit(time: Any, unit: str, t_ns: int) -> None:
    message = json.dumps({"v": 1, "t": time}).encode()
    payload = Payload.model_validate({"value": "$.v", "time": "$.t", "time_unit": unit})
    assert decode(message, payload).t_ns == [t_ns]
    assert decode(message, payload, timed=False).t_ns == [None]


@pytest.mark.parametrize(
    ("data", "fields", "reason"),
    [
        (b"", {}, "not json"),
        (b"{", {}, "not json"),
        (b"\xff\xfe", {}, "not json"),
        (b"[" * 100_000, {}, "not json"),
        (b"NaN" + b"[" * 100_000, {}, "not json"),
        (b'{"b": 1}', {"value": "$.a"}, "no value"),
        (b'{"a": null}', {"value": "$.a"}, "no value"),
        (b"[1]", {"value": "$.a"}, "no value"),
        (b"[1]", {"value": "$[1]"}, "no value"),
        (b"[]", {}, "no value"),
        (b'"12"', {}, "not a number"),
        (b"NaN", {}, "not finite"),
        (b"1e999", {}, "not finite"),
        (b"1e300", {}, "not finite"),
        (b"1" + b"0" * 400, {}, "not finite"),
        (b'{"t": true, "v": 1}', {"value": "$.v", "time": "$.t", "time_unit": "s"}, "no time"),
        (b'{"v": 1}', {"value": "$.v", "time": "$.t", "time_unit": "s"}, "no time"),
        (b'{"v": 1, "t": 1714564803250}', {"value": "$.v", "time": "$.t", "time_unit": "s"}, "future"),
        (b'{"v": 1, "t": -1714564803250}', {"value": "$.v", "time": "$.t", "time_unit": "s"}, "before_origin"),
        (b'{"v": 1, "t": "yesterday"}', {"value": "$.v", "time": "$.t", "time_unit": "iso"}, "no time"),
        (b'{"v": 1, "t": "2024-13-01T00:00:00"}', {"value": "$.v", "time": "$.t", "time_unit": "iso"}, "no time"),
        (b'{"v": [1, 2], "c": [0]}', {"value": "$.v", "channel": "$.c"}, "lengths differ"),
        (b"\xff", {"format": "raw"}, "not text"),
        (b"high", {"format": "raw"}, "not a number"),
        (b"1_0", {"format": "raw"}, "not a number"),
        (b"nan", {"format": "raw"}, "not finite"),
        (b" \n", {"format": "csv"}, "no value"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(data: bytes, fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(PayloadError) as error:
        decode(data, Payload(**fields))
    assert error.value.reason == reason
    assert len(str(error.value)) < 200


def test_one_bad_number_leaves_the_others_of_its_message_alone() -> None:
    reading = decode(b'[1, NaN, null, "x", 5]', Payload())
    assert (reading.element, reading.value) == ([0, 4], [1.0, 5.0])
    assert reading.rejected == {"not finite": 1, "no value": 1, "not a number": 1}
    reading = decode(b"1,,inf,x", Payload(format="csv"))
    assert reading.rejected == {"not a number": 2, "not finite": 1}


PAYLOADS = [
    Payload(),
    Payload(value="$.a"),
    Payload(value="$.a[0]", time="$.t", time_unit="s"),
    Payload(value="$.a", time="$.t", time_unit="iso"),
    Payload(value="$.a", channel="$.c", time="$.t", time_unit="ns"),
    Payload(format="raw"),
    Payload(format="csv"),
    Payload(format="csv", value=[1, 2], time=0, time_unit="ms"),
    Payload(format="csv", value=1, channel=2, time=0, time_unit="iso"),
]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("2024-05-01T12:00:03Z"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("atc") | st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(
    data=st.binary()
    | ANYTHING.map(lambda value: json.dumps(value).encode())
    | st.text("0123456789.,-+einfa_\n").map(str.encode),
    payload=st.sampled_from(PAYLOADS),
)
@example(data=b'{"a": 1, "t": "2024-05-01T12:00:03+99:99"}', payload=PAYLOADS[3])
@example(data=b'{"a": 1, "t": "0001-01-01T00:00:00"}', payload=PAYLOADS[3])
@example(data=b'{"a": [1], "t": 1e308}', payload=PAYLOADS[2])
def test_any_bytes_give_finite_numbers_or_a_payload_error(data: bytes, payload: Payload) -> None:
    try:
        reading = decode(data, payload)
    except PayloadError as error:
        assert error.reason
        return
    assert len(reading.element) == len(reading.value) == len(reading.t_ns)
    assert np.isfinite(np.array(reading.value, np.float32)).all()
    assert all(t is None or -(2**63) <= t < 2**63 for t in reading.t_ns)
    assert all(e is None or isinstance(e, str) or 0 <= e < 2**32 for e in reading.element)
    assert len(reading.element) + sum(reading.rejected.values()) > 0


@pytest.mark.parametrize("path", ["", "acc", "$acc", "$.", "$.a.", "$[a]", "$[-1]", "$.a[0", "$..a"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ParameterError, match="is not a path"):
        parse_path(path)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"time": "$.t"}, "'time_unit' is missing"),
        ({"time_unit": "ms"}, "'time' is missing"),
        ({"value": 1}, "with format 'json' it is a path"),
        ({"format": "csv", "value": "$.a"}, "with format 'csv' it is a column"),
        ({"format": "raw", "value": "$.a"}, "with format 'raw' it is nothing"),
        ({"format": "csv", "value": -1}, "columns count from 0"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        Payload(**fields)
