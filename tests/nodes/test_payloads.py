"""What holds for every format: it reads what it writes, and of any other bytes it says why not."""

from __future__ import annotations

import gzip
import importlib
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import spikeflow.nodes.payloads
from spikeflow.catalog import class_at
from spikeflow.errors import GraphError, ParameterError, PayloadError
from spikeflow.nodes import wanted
from spikeflow.nodes.compression import Compression, compressed, uncompressed
from spikeflow.nodes.payload import Envelope, Events, Format, Reading, TimeProperty
from spikeflow.nodes.payloads import formats
from spikeflow.nodes.payloads.json import Json
from spikeflow.nodes.payloads.raw import Raw
from spikeflow.nodes.sources.mqtt import Mqtt
from spikeflow.spec import load
from tests.nodes.payload_checks import KINDS, cases, events, events_of, hold, refused, said

GOOD = [pytest.param(kind, *case, id=f"{kind}-{n}") for kind in KINDS for n, case in enumerate(cases(kind).good)]
MALFORMED = [
    pytest.param(kind, *case, id=f"{kind}-{n}") for kind in KINDS for n, case in enumerate(cases(kind).malformed)
]
ROUND_TRIPS = [
    pytest.param(payload, id=f"{kind}-{n}") for kind in KINDS for n, payload in enumerate(cases(kind).round_trips)
]


def test_every_format_has_its_file_and_its_test() -> None:
    folder = Path(spikeflow.nodes.payloads.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} - {"__init__"} == set(KINDS)
    assert all(cases(kind).good and len(cases(kind).malformed) >= 5 for kind in KINDS)
    assert all(cases(kind).round_trips for kind in KINDS if formats()[kind].writes)


@pytest.mark.parametrize(("kind", "payload", "data"), GOOD)
def test_a_good_message_is_read(kind: str, payload: Format, data: bytes) -> None:
    assert len(said(payload, data, topic=cases(kind).topic)) > 0


@pytest.mark.parametrize(("kind", "payload", "data", "reason"), MALFORMED)
def test_what_cannot_be_read_is_refused_with_its_reason(kind: str, payload: Format, data: bytes, reason: str) -> None:
    assert refused(payload, data, topic=cases(kind).topic) == reason


@pytest.mark.parametrize(("kind", "payload", "data"), GOOD)
def test_a_message_that_is_cut_short_anywhere_is_read_or_refused(kind: str, payload: Format, data: bytes) -> None:
    for length in range(0, len(data), max(1, len(data) // 64)):
        hold(payload, data[:length], Envelope(cases(kind).topic))


@pytest.mark.parametrize("payload", ROUND_TRIPS)
@settings(deadline=None, max_examples=60)
@given(written=events())
def test_what_a_format_writes_it_reads(payload: Format, written: Events) -> None:
    if not payload.holds_many:
        written = Events("rate", "samples", written.t_ns[:1], written.index[:1], written.values[:1], single=True)
    reading = payload.decode(payload.encode(written), Envelope("plant/press"))
    assert reading.rejected == {}
    np.testing.assert_array_equal(np.array(reading.value, np.float32), written.values)
    if payload.says_time:
        assert reading.t_ns is not None and [int(t) for t in reading.t_ns] == written.t_ns.tolist()
    if payload.holds_many:
        names = [str(element[0]) for element in events_of(reading)]
        assert [name.removeprefix("rate:") for name in names] == [str(index) for index in written.index.tolist()]


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
@given(choice=st.data())
def test_any_bytes_give_numbers_or_a_reason(kind: str, choice: st.DataObject) -> None:
    of = cases(kind)
    payload, data = choice.draw(st.sampled_from([*of.good, *((p, d) for p, d, _ in of.malformed if len(d) < 10_000)]))
    changed = bytearray(data)
    for _ in range(choice.draw(st.integers(0, 4))):
        place = choice.draw(st.integers(0, len(changed)))
        cut = choice.draw(st.integers(0, 4))
        changed[place : place + cut] = choice.draw(st.binary(max_size=6))
    memory: dict[str, Any] = {}
    hold(payload, data, Envelope(of.topic, memory=memory))
    hold(payload, bytes(changed), Envelope(of.topic, timed=choice.draw(st.booleans()), memory=memory))


@given(data=st.binary(max_size=64))
@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=60)
def test_noise_gives_numbers_or_a_reason(kind: str, data: bytes) -> None:
    for payload, _ in cases(kind).good:
        hold(payload, data, Envelope(cases(kind).topic))


# Sizes.

BOMB = b"0" * 100_000_000


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_message_is_unpacked_and_packed(compression: Any) -> None:
    payload = Json(value="$.v", compression=compression)
    written = Events("x", "samples", np.array([1]), np.array([0], np.uint32), np.array([2.5], np.float32), single=True)
    assert payload.encode(written) != payload.write(written)
    assert said(payload, payload.encode(written)) == [(None, 2.5)]


@pytest.mark.parametrize(
    ("compression", "bomb"),
    [("gzip", gzip.compress(BOMB, mtime=0)), ("zstd", zstandard.compress(BOMB))],
)
def test_a_bomb_is_refused_before_it_takes_memory(compression: Any, bomb: bytes) -> None:
    payload = Raw(compression=compression)
    tracemalloc.start()
    before = pa.total_allocated_bytes()
    try:
        assert refused(payload, bomb) == "too large"
        assert tracemalloc.get_traced_memory()[1] < 4 * payload.max_size
        assert pa.total_allocated_bytes() - before < 4 * payload.max_size
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("compression", "data", "reason"),
    [
        ("gzip", b"", "not gzip"),
        ("gzip", b"12.5", "not gzip"),
        ("gzip", gzip.compress(b"12.5", mtime=0)[:-1], "not gzip"),
        ("gzip", gzip.compress(b"12.5", mtime=0)[:-8] + b"\0" * 8, "not gzip"),
        ("gzip", gzip.compress(b"12.5", mtime=0) + b"more", "not gzip"),
        ("zstd", b"", "not zstd"),
        ("zstd", b"12.5", "not zstd"),
        ("zstd", zstandard.compress(b"12.5")[:-1], "not zstd"),
    ],
)
def test_what_cannot_be_unpacked_is_refused(compression: Any, data: bytes, reason: str) -> None:
    assert refused(Raw(compression=compression), data) == reason


@given(data=st.binary(max_size=700), says_size=st.booleans())
def test_whatever_was_packed_comes_back_unless_it_is_too_much(data: bytes, says_size: bool) -> None:
    packed = zstandard.ZstdCompressor(write_content_size=says_size).compress(data)
    assert uncompressed(packed, "zstd", 700) == data
    assert uncompressed(compressed(data, "gzip") * 2, "gzip", 1400) == data * 2
    if data:
        kinds: tuple[Compression, ...] = ("gzip", "zstd")
        for compression in kinds:
            with pytest.raises(PayloadError, match="too large"):
                uncompressed(compressed(data, compression), compression, len(data) - 1)
        with pytest.raises(PayloadError):
            uncompressed(packed[:-1], "zstd", 700)


@given(data=st.binary(max_size=60) | st.binary(max_size=40).map(lambda rest: b"\x28\xb5\x2f\xfd" + rest))
def test_any_bytes_are_unpacked_or_refused(data: bytes) -> None:
    kinds: tuple[Compression, ...] = ("gzip", "zstd")
    for compression in kinds:
        try:
            assert len(uncompressed(data, compression, 1000)) <= 1000
        except PayloadError as error:
            assert error.reason in ("not gzip", "not zstd", "too large")


def test_what_cannot_be_unpacked_leaves_nothing_behind() -> None:
    broken = [zstandard.compress(b"12.5" * 9)[:-1], b"not zstd", gzip.compress(b"12.5")[:-1]]

    def flood() -> int:
        for number in range(3000):
            refused(Raw(compression="gzip" if number % 3 == 2 else "zstd"), broken[number % 3])
        held: int = psutil.Process().memory_info().rss
        return held

    first = flood()
    assert flood() - first < 3_000_000


def test_members_of_gzip_make_one_message() -> None:
    assert said(Raw(compression="gzip"), gzip.compress(b"1") + gzip.compress(b"2")) == [(None, 12.0)]


def test_a_message_longer_than_max_size_is_not_even_looked_at() -> None:
    assert refused(Json(max_size=10), b"[1,2,3,4,5]") == "too large"
    assert len(said(Json(max_size=11), b"[1,2,3,4,5]")) == 5


# Times that are user properties.


def test_a_user_property_says_when_it_was_whatever_the_format() -> None:
    clock = TimeProperty(property="ts")
    sent = {"properties": [("unit", "mm/s"), ("ts", "1714564803250")]}
    for payload, data in ((Raw(time=clock, time_unit="ms"), b"1"), (Json(time=clock, time_unit="ms"), b"1")):
        assert said(payload, data, **sent) == [(None, 1.0, 1_714_564_803_250_000_000)]
        assert said(payload, data, timed=False) == [(None, 1.0)]
        assert refused(payload, data) == "no time"
        assert refused(payload, data, properties=[("ts", "soon")]) == "no time"
        assert refused(payload, data, properties=[("ts", "9" * 90)]) == "future"
    assert said(Json(time=clock, time_unit="iso"), b"[1,2]", properties=[("ts", "2024-05-01T12:00:03Z")]) == [
        (0, 1.0, 1_714_564_803_000_000_000),
        (1, 2.0, 1_714_564_803_000_000_000),
    ]


# Formats by name.

GRAPH = """
spikeflow: 1
nodes:
  in: {source: mqtt, url: embedded, topic: x, channels: 2, payload: %s}
  out: {sink: mqtt, input: in, url: embedded, topic: y, payload: %s}
"""
OWN = '''
from spikeflow.nodes.payload import Format, Reading

class Nibbles(Format):
    """Two numbers a byte."""

    most: int = 15

    def read(self, data, envelope):
        halves = [min(half, self.most) for byte in data for half in (byte >> 4, byte & 15)]
        return Reading(list(range(len(halves))), [float(half) for half in halves])

class Nothing(Format):
    """Reads nothing."""
'''


def checked(folder: Path, source: str, sink: str = "{}") -> list[str]:
    """What is wrong with a graph, without the places."""
    (folder / "graph.yaml").write_text(GRAPH % (source, sink))
    try:
        load(folder / "graph.yaml")
    except GraphError as error:
        return [str(finding).partition(": ")[2] for finding in error.findings]
    return []


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        ("{format: jsn}", "unknown format 'jsn' — did you mean 'json'?"),
        ("{format: csv, valu: 1}", "unknown key 'valu' — did you mean 'value'?"),
        (
            "{format: raw, value: $.a}",
            "unknown key 'value' — valid: compression, format, max_size, time, time_unit, time_zone",
        ),
        ("{time: {propery: ts}, time_unit: s}", "unknown key 'propery' — did you mean 'property'?"),
        ("{value: 1}", "value: 1 — must be text; put it in quotes"),
        ("{format: struct}", "'layout' is missing — add it: the fields of a record with its byte order, such as `<Qf`"),
        ("{time: $.t}", "'time_unit' is missing — write 'time_unit: ms' or whichever it is"),
        ("{time_unit: ms}", "'time' is missing — say where the time is"),
        ("{time: $.t, time_unit: iso, time_zone: Mars}", "unknown time zone 'Mars' — "),
        ("{time: $.t, time_unit: ms, time_zone: UTC}", "the zone 'UTC' does nothing — only with 'time_unit: iso'"),
        ("{every: 1 ms}", "'every' without 'time' — "),
        ("3", "a payload that is 3 — write {format: json, value: $.acc}"),
        ("{format: 'own:Nothing'}", "Nothing is no format — write the method read"),
        ("{format: 'own:Reading'}", "Reading is no format — derive it from Format"),
        ("{format: 'own:Nibles'}", "own has no 'Nibles' — did you mean 'Nibbles'?"),
        ("{format: 'own:Nibbles', mosst: 3}", "unknown key 'mosst' — did you mean 'most'?"),
    ],
)
def test_keys_that_a_format_does_not_have_are_named_with_their_place(tmp_path: Path, payload: str, found: str) -> None:
    (tmp_path / "own.py").write_text(OWN)
    said_first, *_ = checked(tmp_path, payload)
    assert said_first.partition(": ")[2].startswith(f'"in": {found}') or said_first.startswith(f'node "in": {found}'), (
        said_first
    )


def test_a_format_of_ones_own_is_named_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    assert checked(tmp_path, "{format: 'own:Nibbles', most: 9}", "{format: csv}") == []
    cls: Any = class_at("own:Nibbles", tmp_path)
    node = Mqtt.model_validate({"url": "embedded", "topic": "x", "channels": 2, "payload": {"format": cls}})
    assert said(node.payload, b"\x21") == [(0, 2.0), (1, 1.0)]
    node = Mqtt(url="embedded", topic="x", channels=2, payload=cls(most=1))
    assert said(node.payload, b"\x21") == [(0, 1.0), (1, 1.0)]


class _Careless(Format):
    """Trusts what it reads."""

    def read(self, data: bytes, envelope: Envelope) -> Reading:
        return Reading(None, [float(data.decode().split(":")[1])])


def test_a_format_that_does_not_look_closely_is_no_way_to_stop_a_run() -> None:
    assert said(_Careless(), b"v:3") == [(None, 3.0)]
    assert refused(_Careless(), b"v") == refused(_Careless(), b"\xff") == refused(_Careless(), b"v:x") == "unreadable"


def test_a_missing_package_is_one_error_with_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def gone(name: str, *more: Any) -> Any:
        if name == "msgpack":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return there(name, *more)

    there = importlib.import_module
    wanted.wanted.cache_clear()
    monkeypatch.setattr("importlib.import_module", gone)
    try:
        (found,) = checked(tmp_path, "{format: msgpack}")
    finally:
        wanted.wanted.cache_clear()
    assert found.endswith(
        "the package 'msgpack' is not installed: No module named 'msgpack' — pip install 'spikeflow[formats]'"
    )


@pytest.mark.parametrize(
    ("sink", "found"),
    [
        ("{format: sparkplug_b}", "SparkplugB cannot be published"),
        ("{format: raw}", "a message holds one number, and a window may have more — write each: event"),
        ("{time: $.t, time_unit: ms, every: 1 ms}", "it is for reading"),
        ("{format: struct, layout: <Qff, time: 0, time_unit: ns}", "which column is the value is not said"),
    ],
)
def test_what_cannot_be_published_is_named_at_check(tmp_path: Path, sink: str, found: str) -> None:
    assert any(found in one for one in checked(tmp_path, "{}", sink))


def test_a_format_without_a_way_back_says_so() -> None:
    one = Events("x", "samples", np.array([1]), np.array([0], np.uint32), np.array([1], np.float32))
    with pytest.raises(ParameterError, match="cannot be written"):
        _Careless().encode(one)


@given(number=st.integers())
def test_numbers_of_any_length_are_shown_shortly(number: int) -> None:
    try:
        said(Json(), str(number).encode())
    except PayloadError as error:
        assert error.reason == "not finite" and len(str(error)) < 100
