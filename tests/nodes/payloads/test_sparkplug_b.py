"""Sparkplug B: births give names and types to aliases, data use them."""

from __future__ import annotations

from typing import Any

import pytest

from spikeflow.nodes.mqtt_topics import parse_topic
from spikeflow.nodes.payload import Envelope, Reading
from spikeflow.nodes.payloads.sparkplug_b import SparkplugB, payload_class
from tests.nodes.payload_checks import Cases, events_of, refused, said

NOW_MS = 1_714_564_803_250
NOW = NOW_MS * 1_000_000


def sent(*metrics: dict[str, Any], timestamp: int | None = NOW_MS, seq: int | None = None) -> bytes:
    """A payload as an edge node sends it."""
    payload = payload_class()()
    if seq is not None:
        payload.seq = seq
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
    for topic in ("NDEATH/n", "DDEATH/n/d", "NCMD/n", "DCMD/n/d"):
        assert said(SparkplugB(), BIRTH, topic=f"spBv1.0/p/{topic}") == []
    assert said(SparkplugB(), b'{"online": true}', topic="spBv1.0/STATE/host") == []
    for topic in ("plant/press", "spBv1.0/p/NDATA", "spBv1.0/p/NDATA/n/d/e"):
        assert refused(SparkplugB(), BIRTH, topic=topic) == "wrong topic"


class Node:
    """What is read of a node's messages."""

    def __init__(self, **fields: Any) -> None:
        self.payload, self.memory, self.now_ns = SparkplugB(**fields), dict[str, Any](), NOW

    def says(self, kind: str, seq: int | None, *metrics: dict[str, Any], device: str = "") -> Reading:
        """The reading of a message."""
        topic = f"spBv1.0/plant/{kind}/press{device}"
        return self.payload.decode(sent(*metrics, seq=seq), Envelope(topic, self.now_ns, memory=self.memory))


def test_messages_that_are_missing_are_counted() -> None:
    node = Node()
    assert node.says("NDATA", 17).noted == {}  # the first that is heard
    assert [node.says("NBIRTH", 0, SPEED).noted, node.says("DBIRTH", 1, device="/oven").noted] == [{}, {}]
    reading = node.says("DDATA", 5, {"name": "x", "float_value": 1}, device="/oven")
    assert (events_of(reading), reading.noted) == ([("x", 1.0, NOW)], {"sequence_gap": 3})
    assert reading.details == {"sequence_gap": "3 messages of plant/press are missing: 5 came after 1"}
    assert node.says("NDATA", 6).noted == {}
    assert node.says("NDATA", 255).noted == {"sequence_gap": 248}
    assert [node.says("NDATA", number).noted for number in (0, 1)] == [{}, {}]
    assert node.says("DDEATH", 3, device="/oven").noted == {"sequence_gap": 1}
    assert node.says("NDATA", 3).noted == {"sequence_repeated": 1}
    assert node.says("NDATA", None).noted == {}
    assert node.says("NDEATH", None).noted == node.says("NBIRTH", 0).noted == {}
    assert [reading.answers for reading in (reading, node.says("NDATA", 9))] == [(), ()]


def test_gaps_can_be_ignored() -> None:
    node = Node(gap="ignore")
    assert [node.says("NDATA", number).noted for number in (1, 9, 5)] == [{}, {}, {}]


def test_a_node_whose_messages_are_missing_is_asked_to_be_born_again_now_and_then() -> None:
    node = Node(gap="rebirth")
    assert node.says("NDATA", 3, {"name": "x", "float_value": 1}).answers == ()
    ((topic, data),) = node.says("NDATA", 5).answers
    assert topic == "spBv1.0/plant/NCMD/press"
    (metric,) = (command := payload_class().FromString(data)).metrics
    assert (metric.name, metric.datatype, metric.boolean_value) == ("Node Control/Rebirth", 11, True)
    assert command.timestamp == NOW_MS and not command.HasField("seq")
    assert node.says("NDATA", 8).answers == node.says("NDATA", 9, {"alias": 1, "float_value": 1}).answers == ()
    node.now_ns += 10_000_000_000
    assert len(node.says("NDATA", 10, {"alias": 1, "float_value": 1}).answers) == 1
    node.says("NBIRTH", 0, SPEED)
    assert node.says("NDATA", 1, {"alias": 1, "float_value": 1}).answers == ()


def test_a_death_takes_what_its_own_birth_gave_and_no_more() -> None:
    node = Node()
    node.says("NBIRTH", 0, {"name": "bdSeq", "datatype": 4, "long_value": 7}, SPEED)
    node.says("DBIRTH", 1, {"name": "heat", "alias": 2, "datatype": 9, "float_value": 1}, device="/oven")
    node.says("NDEATH", None, {"name": "bdSeq", "datatype": 4, "long_value": 6})  # the will of an earlier connection
    assert node.says("NDATA", 2, {"alias": 1, "float_value": 3}).rejected == {}
    node.says("DDEATH", 3, device="/oven")
    reading = node.says("NDATA", 4, {"alias": 1, "float_value": 3}, {"alias": 2, "float_value": 3})
    assert (events_of(reading), reading.rejected) == ([("speed", 3.0, NOW)], {"unknown alias": 1})
    node.says("NDEATH", None, {"name": "bdSeq", "datatype": 4, "long_value": 7})
    assert node.says("NDATA", 5, {"alias": 1, "float_value": 3}).rejected == {"unknown alias": 1}


@pytest.mark.parametrize(
    ("topic", "part"),
    [
        ("spBv1.0/plant/+/press/#", None),
        ("spBv1.0/{group}/{kind}/{node}/#", None),
        ("#", None),
        ("spBv1.0/plant/DDATA/press/+", "would seem to have gaps"),
        ("spBv1.0/plant/+/press/oven", "would seem to have gaps"),
        ("$share/all/spBv1.0/#", "births go to one member"),
    ],
)
def test_topics_on_which_a_part_is_heard_are_told(topic: str, part: str | None) -> None:
    problems = list(SparkplugB().listen_problems(parse_topic(topic)))
    assert [part is not None and part in problem.found for problem in problems] == [True] * (part is not None)
    assert all(problem.warning for problem in problems)


def test_nodes_without_end_are_refused() -> None:
    memory: dict[str, Any] = {f"plant/{number}": {} for number in range(10_000)}
    assert refused(SparkplugB(), BIRTH, topic="spBv1.0/plant/NDATA/press", memory=memory) == "too many nodes"
    assert len(memory) == 10_000


def test_more_metrics_than_anybody_has_are_refused() -> None:
    memory: dict[str, Any] = {}
    many = sent(*({"name": f"m{n}", "alias": n, "float_value": 1} for n in range(60_000)))
    payload = SparkplugB(max_size=10_000_000)
    payload.decode(many, Envelope("spBv1.0/p/NBIRTH/a", memory=memory))
    assert refused(payload, many, topic="spBv1.0/p/NBIRTH/b", memory=memory) == "too many metrics"
    assert sum(map(len, memory.values())) <= 200_000
