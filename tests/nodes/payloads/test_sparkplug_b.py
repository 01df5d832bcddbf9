"""Sparkplug B: births give names and types to aliases, data use them."""

from __future__ import annotations

from typing import Any

import pytest

from spikeflow.nodes.payload import Envelope
from spikeflow.nodes.payloads.sparkplug_b import SparkplugB, payload_class
from tests.nodes.payload_checks import Cases, events_of, refused, said

NOW_MS = 1_714_564_803_250
NOW = NOW_MS * 1_000_000


def sent(*metrics: dict[str, Any], timestamp: int | None = NOW_MS) -> bytes:
    """A payload as an edge node sends it."""
    payload = payload_class()()
    if timestamp is not None:
        payload.timestamp = timestamp
    for metric in metrics:
        payload.metrics.add(**metric)
    data: bytes = payload.SerializeToString()
    return data


SPEED: dict[str, Any] = {"name": "speed", "alias": 1, "datatype": 9, "float_value": 2.5}
BIRTH = sent(
    {"name": "bdSeq", "datatype": 4, "long_value": 0},
    {"name": "Node Control/Rebirth", "datatype": 11, "boolean_value": False},
    SPEED,
    {"name": "level", "alias": 2, "datatype": 1, "int_value": 254},
)

CASES = Cases(
    good=[
        (SparkplugB(), BIRTH),
        (SparkplugB(metrics=["speed"]), BIRTH),
        (SparkplugB(), sent({"name": "x", "datatype": 30, "bytes_value": b"\0\0\x80\x3f" * 3})),
    ],
    malformed=[
        (SparkplugB(), b"\xff", "not sparkplug"),
        (SparkplugB(), BIRTH[:-1], "not sparkplug"),
        (SparkplugB(), b"\x12\xff\xff\xff\xff\x0f", "not sparkplug"),
        (SparkplugB(), sent({"alias": 9, "float_value": 1}), "unknown alias"),
        (SparkplugB(), sent({"float_value": 1}), "no channel"),
        (SparkplugB(), b"\x12\x08\x0a\x01\xff\x65\0\0\x80\x3f", "no channel"),
        (SparkplugB(), sent({"name": "x" * 2000, "float_value": 1}), "no channel"),
        (SparkplugB(), sent({"name": "x", "is_null": True}), "no value"),
        (SparkplugB(), sent({"name": "x"}), "no value"),
        (SparkplugB(), sent({"name": "x", "datatype": 12, "string_value": "on"}), "not a number"),
        (SparkplugB(), sent({"name": "x", "datatype": 13, "long_value": 5}), "not a number"),
        (SparkplugB(), sent({"name": "x", "float_value": float("inf")}), "not finite"),
        (SparkplugB(), sent({"name": "x", "float_value": 1}, timestamp=None), "no time"),
        (SparkplugB(), sent({"name": "x", "float_value": 1}, timestamp=2**64 - 1), "future"),
        (SparkplugB(), sent({"name": "x", "datatype": 24, "bytes_value": b"abc"}), "no value"),
    ],
    topic="spBv1.0/plant/NBIRTH/press",
)


def test_data_have_the_names_and_types_of_their_birth() -> None:
    memory: dict[str, Any] = {}
    birth = said(SparkplugB(), BIRTH, topic="spBv1.0/plant/NBIRTH/press", memory=memory)
    assert birth == [("speed", 2.5, NOW), ("level", -2.0, NOW)]
    data = sent({"alias": 2, "int_value": 255, "timestamp": NOW_MS + 1}, {"alias": 1, "float_value": 3})
    read = said(SparkplugB(), data, topic="spBv1.0/plant/NDATA/press", memory=memory)
    assert read == [("level", -1.0, NOW + 1_000_000), ("speed", 3.0, NOW)]
    assert said(SparkplugB(), data, topic="spBv1.0/plant/NDATA/press", memory=memory, timed=False) == [
        ("level", -1.0),
        ("speed", 3.0),
    ]


def test_devices_of_a_node_are_born_and_heard_under_it() -> None:
    memory: dict[str, Any] = {}
    said(SparkplugB(), BIRTH, topic="spBv1.0/plant/NBIRTH/press", memory=memory)
    device = sent({"name": "heat", "alias": 7, "datatype": 3, "int_value": 2**32 - 5})
    assert said(SparkplugB(), device, topic="spBv1.0/plant/DBIRTH/press/oven", memory=memory) == [("heat", -5.0, NOW)]
    data = sent({"alias": 7, "int_value": 6}, {"name": "heat", "int_value": 2**32 - 6})
    assert said(SparkplugB(), data, topic="spBv1.0/plant/DDATA/press/oven", memory=memory) == [
        ("heat", 6.0, NOW),
        ("heat", -6.0, NOW),
    ]


@pytest.mark.parametrize("kind", ["NDEATH", "NBIRTH"])
def test_a_node_that_dies_or_is_born_anew_takes_its_aliases_with_it(kind: str) -> None:
    memory: dict[str, Any] = {}
    said(SparkplugB(), BIRTH, topic="spBv1.0/plant/NBIRTH/press", memory=memory)
    SparkplugB().decode(sent(), Envelope(f"spBv1.0/plant/{kind}/press", memory=memory))
    reading = SparkplugB().decode(
        sent({"alias": 1, "float_value": 3}, {"name": "x", "float_value": 1}),
        Envelope("spBv1.0/plant/NDATA/press", memory=memory),
    )
    assert (events_of(reading), reading.rejected) == ([("x", 1.0, NOW)], {"unknown alias": 1})


@pytest.mark.parametrize(
    ("datatype", "field", "given", "value"),
    [
        (1, "int_value", 0x80, -128),
        (2, "int_value", 0xFFFF, -1),
        (3, "int_value", 2**31, -(2**31)),
        (4, "long_value", 2**64 - 1, -1),
        (5, "int_value", 255, 255),
        (8, "long_value", 2**64 - 1, 2**64 - 1),
        (10, "double_value", 0.1, 0.1),
        (11, "boolean_value", True, 1),
    ],
)
def test_numbers_of_every_type_are_read(datatype: int, field: str, given: Any, value: float) -> None:
    data = sent({"name": "x", "datatype": datatype, field: given})
    assert said(SparkplugB(), data, topic="spBv1.0/p/NDATA/n") == [("x", float(value), NOW)]


def test_arrays_are_a_channel_each_element() -> None:
    data = sent({"name": "x", "datatype": 23, "bytes_value": b"\x01\0\xff\xff"})
    assert said(SparkplugB(), data, topic="spBv1.0/p/NDATA/n") == [("x[0]", 1.0, NOW), ("x[1]", -1.0, NOW)]


def test_deaths_and_commands_hold_no_events_and_other_topics_are_refused() -> None:
    for topic in ("spBv1.0/p/NDEATH/n", "spBv1.0/p/DDEATH/n/d", "spBv1.0/p/NCMD/n", "spBv1.0/p/DCMD/n/d"):
        assert said(SparkplugB(), BIRTH, topic=topic) == []
    for topic in ("spBv1.0/STATE/host", "plant/press", "spBv1.0/p/NDATA/n/d/e"):
        assert refused(SparkplugB(), BIRTH, topic=topic) == "wrong topic"


def test_more_metrics_than_anybody_has_are_refused() -> None:
    memory: dict[str, Any] = {}
    many = sent(*({"name": f"m{n}", "alias": n, "float_value": 1} for n in range(60_000)))
    payload = SparkplugB(max_size=10_000_000)
    payload.decode(many, Envelope("spBv1.0/p/NBIRTH/a", memory=memory))
    assert refused(payload, many, topic="spBv1.0/p/NBIRTH/b", memory=memory) == "too many metrics"
    assert sum(map(len, memory.values())) <= 200_000
