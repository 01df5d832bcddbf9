"""JSON, and what all trees have in common."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spikeflow.errors import ParameterError
from spikeflow.nodes.payload import Envelope
from spikeflow.nodes.payload_trees import parse_path
from spikeflow.nodes.payloads.json import Json
from tests.nodes.payload_checks import Cases, events_of, said

TIMED = Json(value="$.v", time="$.t", time_unit="s")
ISO = Json(value="$.v", time="$.t", time_unit="iso")
EVENTS = Json(value="$.v", channel="$.c", time="$.t", time_unit="ns")
SAMPLES = Json(value="$.samples[*].v", time="$.samples[*].t", time_unit="ms")
TRAIN = Json(value="$.v", time="$.t", time_unit="ms", every=500_000)

CASES = Cases(
    good=[
        (Json(), b"2.5"),
        (Json(), b'{"x": 1, "y": [2.5, 3], "z": 4}'.replace(b"[2.5, 3]", b"2")),
        (Json(value="$.a.b[1]"), b'{"a": {"b": [7, [1, 2]]}}'),
        (TIMED, b'{"v": 1, "t": 1714564803.25}'),
        (ISO, b'{"v": [1, 2], "t": "2024-05-01T12:00:03+02:00"}'),
        (EVENTS, b'{"t": [1, 2, 2], "c": [4, 0, 4], "v": [0.5, 1.5, 2.5]}'),
        (SAMPLES, b'{"samples": [{"t": 1, "v": 2}, {"t": 2, "v": 3}]}'),
        (TRAIN, b'{"v": [1, 2, 3], "t": 1714564803250}'),
    ],
    malformed=[
        (Json(), b"", "not json"),
        (Json(), b"{", "not json"),
        (Json(), b"\xff\xfe", "not json"),
        (Json(), b"[" * 100_000, "not json"),
        (Json(), b"NaN" + b"[" * 100_000, "not json"),
        (Json(), b'{"a":' * 5000 + b"1" + b"}" * 5000, "not json"),
        (Json(value="$.a"), b'{"b": 1}', "no value"),
        (Json(value="$.a"), b'{"a": null}', "no value"),
        (Json(value="$.a"), b"[1]", "no value"),
        (Json(value="$[1]"), b"[1]", "no value"),
        (Json(value="$[0]"), b'{"0": 1}', "no value"),
        (Json(), b"[]", "no value"),
        (Json(), b'"12"', "not a number"),
        (Json(), b'["12", {}, [1]]', "not a number"),
        (Json(), b"NaN", "not finite"),
        (Json(), b"[NaN, Infinity, -Infinity]", "not finite"),
        (Json(), b"1e999", "not finite"),
        (Json(), b"1e300", "not finite"),
        (Json(), b"1" + b"0" * 400, "not finite"),
        (TIMED, b'{"t": true, "v": 1}', "no time"),
        (TIMED, b'{"v": 1}', "no time"),
        (TIMED, b'{"v": 1, "t": {}}', "no time"),
        (TIMED, b'{"v": 1, "t": "1e99999999"}', "future"),
        (TIMED, b'{"v": 1, "t": "nan"}', "no time"),
        (TIMED, b'{"v": 1, "t": 1714564803250}', "future"),
        (TIMED, b'{"v": 1, "t": -1714564803250}', "before_origin"),
        (TIMED, b'{"v": 1, "t": 1e308}', "future"),
        (TIMED, b'{"v": [1, 2], "t": [1]}', "lengths differ"),
        (TIMED, b'{"v": [], "t": []}', "no value"),
        (ISO, b'{"v": 1, "t": "yesterday"}', "no time"),
        (ISO, b'{"v": 1, "t": "2024-13-01T00:00:00"}', "no time"),
        (ISO, b'{"v": 1, "t": "0001-01-01T00:00:00"}', "before_origin"),
        (ISO, b'{"v": 1, "t": 5}', "no time"),
        (EVENTS, b'{"v": [1, 2], "c": [0], "t": 1}', "lengths differ"),
        (EVENTS, b'{"v": 1, "c": -1, "t": 1}', "no channel"),
        (EVENTS, b'{"v": 1, "c": 4294967296, "t": 1}', "no channel"),
        (EVENTS, b'{"v": 1, "c": 0.5, "t": 1}', "no channel"),
        (SAMPLES, b'{"samples": 3}', "no time"),
        (SAMPLES, b'{"samples": [3, null]}', "no value"),
        (TRAIN, b'{"v": [1, 2], "t": 9223372036854}', "future"),
        (TRAIN, b'{"v": [], "t": 1}', "no value"),
    ],
    round_trips=[
        Json(value="$.value", channel="$.channel", time="$.t", time_unit="ns"),
        Json(value="$.a.values", channel="$.a.which", time="$.when", time_unit="iso"),
        Json(value="$.v", channel="$.c", time="$.t", time_unit="iso", time_zone="Europe/Berlin"),
        Json(value="$.xs[*].v", channel="$.xs[*].c", time="$.xs[*].t", time_unit="ns", compression="gzip"),
    ],
)


def read(data: Any, **fields: Any) -> list[tuple[Any, ...]]:
    return said(Json(**fields), json.dumps(data).encode())


def test_a_number_is_one_event_an_array_or_object_one_a_channel() -> None:
    assert read(2.5) == [(None, 2.5)]
    assert read({"acc": 2}, value="$.acc") == [(None, 2.0)]
    assert read({"a": {"b": [7, [1, 2]]}}, value="$.a.b[1]") == [(0, 1.0), (1, 2.0)]
    assert read({"x": 1, "y": 2.5}) == [("x", 1.0), ("y", 2.5)]
    assert read({"a key": True}, value="$['a key']") == [(None, 1.0)]


@given(
    st.lists(st.one_of(st.floats(-3e38, 3e38), st.integers(-(2**60), 2**60), st.booleans()), min_size=1, max_size=40)
)
def test_an_array_of_any_length_gives_each_number_to_its_channel(numbers: list[Any]) -> None:
    wanted = [(channel, float(number)) for channel, number in enumerate(numbers)]
    assert read({"v": numbers}, value="$.v") == wanted
    timed = {"value": "$.v", "time": "$.t", "time_unit": "ms"}
    assert read({"v": numbers, "t": 7}, **timed) == [(*event, 7_000_000) for event in wanted]


@pytest.mark.parametrize("length", [3, 30])
@pytest.mark.parametrize(("bad", "reason"), [(None, "no value"), ("x", "not a number"), (1e39, "not finite")])
def test_a_bad_number_of_an_array_of_any_length_is_counted_alone(length: int, bad: Any, reason: str) -> None:
    numbers: list[Any] = list(range(length))
    numbers[1] = bad
    reading = Json(value="$.v").decode(json.dumps({"v": numbers}).encode(), Envelope())
    assert [value for _, value, *_ in events_of(reading)] == [0.0, *map(float, range(2, length))]
    assert reading.rejected == {reason: 1}


def test_arrays_with_channels_hold_events_one_after_the_other() -> None:
    message: dict[str, list[Any]] = {"t": [1, 2, 2], "channel": [4, 0, 4], "value": [0.5, 1.5, 2.5]}
    paths = {"value": "$.value", "channel": "$.channel", "time": "$.t", "time_unit": "ns"}
    assert read(message, **paths) == [(4, 0.5, 1), (0, 1.5, 2), (4, 2.5, 2)]
    many = {key: column * 20 for key, column in message.items()}
    assert read(many, **paths) == [(4, 0.5, 1), (0, 1.5, 2), (4, 2.5, 2)] * 20
    assert read({"neuron": [3, 9]}, channel="$.neuron") == [(3, 1.0), (9, 1.0)]
    assert read({"who": "left", "v": 3}, channel="$.who", value="$.v") == [("left", 3.0)]


def test_an_array_of_times_makes_an_array_of_numbers_one_channel() -> None:
    fields = {"value": "$.v", "time": "$.t", "time_unit": "ms"}
    assert read({"v": [1, 2], "t": [10, 11]}, **fields) == [(None, 1.0, 10_000_000), (None, 2.0, 11_000_000)]


def test_a_star_gathers_what_the_objects_of_an_array_hold() -> None:
    message = {"unit": "g", "samples": [{"t": 1, "v": [5, 6]}, {"t": 2, "v": [7, 8]}, {"t": 3}]}
    fields = {"value": "$.samples[*].v[1]", "time": "$.samples[*].t", "time_unit": "ms"}
    reading = Json(**fields).decode(json.dumps(message).encode(), Envelope())
    assert events_of(reading) == [(None, 6.0, 1_000_000), (None, 8.0, 2_000_000)]
    assert reading.rejected == {"no value": 1}
    assert read([{"n": "x", "v": 1}, {"n": "y", "v": 2}], value="$[*].v", channel="$[*].n") == [("x", 1.0), ("y", 2.0)]


def test_a_train_of_samples_begins_at_its_time() -> None:
    message = {"v": [1, 2, 3], "t": 7}
    assert said(TRAIN, json.dumps(message).encode()) == [
        (None, 1.0, 7_000_000),
        (None, 2.0, 7_500_000),
        (None, 3.0, 8_000_000),
    ]
    reading = TRAIN.decode(b'{"v": [1, null, 3], "t": 7}', Envelope())
    assert (events_of(reading), reading.rejected) == ([(None, 1.0, 7_000_000), (None, 3.0, 8_000_000)], {"no value": 1})


@pytest.mark.parametrize(
    ("time", "unit", "t_ns"),
    [
        (1_714_564_803, "s", 1_714_564_803_000_000_000),
        (1_714_564_803.25, "s", 1_714_564_803_250_000_000),
        (1_714_564_803.123456789, "s", 1_714_564_803_123_456_700),
        ("1714564803.123456789", "s", 1_714_564_803_123_456_789),
        (1_714_564_803_250, "ms", 1_714_564_803_250_000_000),
        (" 1714564803250 ", "ms", 1_714_564_803_250_000_000),
        (1_714_564_803_250_001, "us", 1_714_564_803_250_001_000),
        (1_714_564_803_250_000_001, "ns", 1_714_564_803_250_000_001),
        ("2024-05-01T12:00:03.250000001Z", "iso", 1_714_564_803_250_000_001),
        ("2024-05-01 14:00:03.25+02:00", "iso", 1_714_564_803_250_000_000),
        ("2024-05-01T12:00:03", "iso", 1_714_564_803_000_000_000),
        ("20240501T063003-0530", "iso", 1_714_564_803_000_000_000),
    ],
)
def test_a_time_is_read_in_its_unit(time: Any, unit: Any, t_ns: int) -> None:
    message = json.dumps({"v": 1, "t": time}).encode()
    payload = Json(value="$.v", time="$.t", time_unit=unit)
    assert said(payload, message) == [(None, 1.0, t_ns)]
    assert said(payload, message, timed=False) == [(None, 1.0)]


def test_a_zone_is_for_texts_that_say_none() -> None:
    payload = Json(value="$.v", time="$.t", time_unit="iso", time_zone="Europe/Berlin")
    for text in ("2024-05-01T14:00:03", "2024-05-01T12:00:03Z", "2024-05-01T08:00:03-04:00"):
        assert said(payload, json.dumps({"v": 1, "t": text}).encode()) == [(None, 1.0, 1_714_564_803_000_000_000)]


def test_one_bad_number_leaves_the_others_of_its_message_alone() -> None:
    reading = Json().decode(b'[1, NaN, null, "x", 5]', Envelope())
    assert events_of(reading) == [(0, 1.0), (4, 5.0)]
    assert reading.rejected == {"not finite": 1, "no value": 1, "not a number": 1}


def test_of_a_key_that_is_there_twice_the_last_one_counts() -> None:
    assert said(Json(value="$.v"), b'{"v": 1, "v": 2}') == [(None, 2.0)]


@pytest.mark.parametrize("path", ["", "acc", "$acc", "$.", "$.a.", "$[a]", "$[-1]", "$.a[0", "$..a", "$[*].a[*]"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ParameterError, match=r"is not a path|twice"):
        parse_path(path)
    with pytest.raises(ValidationError):
        Json(value=path)
