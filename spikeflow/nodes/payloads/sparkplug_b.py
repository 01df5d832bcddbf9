"""Sparkplug B."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from spikeflow.errors import PayloadError, Problem
from spikeflow.nodes.mqtt_topics import TopicPattern
from spikeflow.nodes.payload import Envelope, Format, Reading, reading_of, start_of
from spikeflow.nodes.payload_times import NOTHING, stamp_of
from spikeflow.nodes.wanted import wanted

_MOST_METRICS = 100_000
_LONGEST_NAME = 1024

_UINT64, _UINT32, _BOOL, _STRING, _BYTES, _FLOAT, _DOUBLE, _MESSAGE = 4, 13, 8, 9, 12, 2, 1, 11
_METRIC = (
    ("name", 1, _STRING), ("alias", 2, _UINT64), ("timestamp", 3, _UINT64), ("datatype", 4, _UINT32),
    ("is_null", 7, _BOOL), ("int_value", 10, _UINT32), ("long_value", 11, _UINT64), ("float_value", 12, _FLOAT),
    ("double_value", 13, _DOUBLE), ("boolean_value", 14, _BOOL), ("string_value", 15, _STRING),
    ("bytes_value", 16, _BYTES),
)  # fmt: skip
"""What is read of a metric in the schema of Eclipse Tahu: names, numbers and types of the fields."""
_VALUES = ("int_value", "long_value", "float_value", "double_value", "boolean_value", "string_value", "bytes_value")
_BITS = {1: 8, 2: 16, 3: 32, 4: 64}
"""Signed types: they come in unsigned fields."""
_ARRAYS = dict(zip(range(22, 32), ("i1", "<i2", "<i4", "<i8", "u1", "<u2", "<u4", "<u8", "<f4", "<f8"), strict=True))
_DATE = 13
_BOOLEAN = 11
_KINDS = ("NBIRTH", "DBIRTH", "NDATA", "DDATA", "NDEATH", "DDEATH")
_NUMBERS = 256
_MOST_NODES = 10_000
_LAST, _SESSION, _ASKED = "seq", "bdSeq", "asked"
"""What is kept of a node beside its names (`device:name`) and its aliases (`#alias`): the number of its last message,
its session, and when it may be asked for a birth again."""
_PATIENCE_NS = 10_000_000_000
_CONTROL = ("Node Control/", "Device Control/")


class SparkplugB(Format):
    """Sparkplug B: the metrics of births and data, a channel each by name.

    An alias gets the name and the type that the birth gave it; data whose birth was not heard are rejected as
    `unknown alias`, until the node is born again. Signed numbers, booleans and arrays of numbers (`name[0]`) are read;
    texts, data sets and templates are rejected. Deaths, commands and states hold no events; a death that belongs to an
    earlier birth (`bdSeq`) is passed over. The messages of a node are numbered: those that are missing are counted as
    `sequence_gap`, and told; with `gap: rebirth` the node is asked to be born again, then and where an alias is
    unknown, at most once in ten seconds. Listen to all of a node, such as `spBv1.0/plant/+/press/#`. It is only read:
    an edge node has a session of its own.
    """

    needs: ClassVar[str | None] = "google.protobuf"
    writes: ClassVar[bool] = False
    own_times: ClassVar[bool] = True

    metrics: list[str] | None = Field(None, description="names of the metrics to take; all but controls if not said")

    gap: Literal["count", "ignore", "rebirth"] = Field(
        "count", description="what messages that are missing do: they are counted, or the node is asked for a new birth"
    )

    def listen_problems(self, topic: TopicPattern) -> Iterable[Problem]:
        """Topics on which only a part of what a node says is heard."""
        if topic.text.startswith("$share/"):
            hint = "listen without $share"
            found = "births go to one member of a shared subscription, and the others miss them"
            yield Problem((), found, hint, warning=True)
        elif self.gap != "ignore" and not _hears_all(topic):
            hint = "listen to spBv1.0/plant/+/press/#, or write gap: ignore"
            found = f"{topic.text!r} is a part of what a node says, and its numbers would seem to have gaps"
            yield Problem(("gap",), found, hint, warning=True)

    def problems(self) -> Iterable[Problem]:
        """A time that is said twice."""
        yield from super().problems()
        if self.time is not None or self.time_unit is not None:
            key = "time" if self.time is not None else "time_unit"
            yield Problem((key,), "Sparkplug says its times itself", "leave it out")

    def read(self, data: bytes, envelope: Envelope) -> Reading:
        """The metrics of a birth or of data."""
        levels = envelope.topic.split("/")
        if levels[0] == "spBv1.0" and levels[1:2] == ["STATE"] and len(levels) == 3:
            return Reading()  # how a host is
        if levels[0] != "spBv1.0" or not 4 <= len(levels) <= 5:
            raise PayloadError("wrong topic", f"{envelope.topic[:60]!r} is not spBv1.0/group/NDATA/node/device")
        _, group, kind, node, *device = levels
        if kind not in _KINDS:
            return Reading()
        name, memory = f"{group}/{node}", envelope.memory
        if name not in memory and len(memory) >= _MOST_NODES:
            raise PayloadError("too many nodes", f"more than {_MOST_NODES} have spoken")
        born = memory.setdefault(name, {})
        payload = payload_class()()
        try:
            payload.ParseFromString(data)
        except (wanted("google.protobuf.message", "formats").DecodeError, RecursionError, ValueError):
            if kind == "NDEATH":  # whatever it says, the node is gone
                _clear(born, _ASKED)
            raise PayloadError("not sparkplug", start_of(data)) from None
        aside = Reading()
        if self.gap != "ignore":
            _count(payload, kind, name, born, aside)
        if kind in ("NDEATH", "DDEATH"):
            _forget(payload, kind, device, born)
            reading = Reading()
        else:
            if kind == "NBIRTH":
                _begin(payload, born)
            if kind in ("NBIRTH", "DBIRTH"):
                _remember(payload, born, device, memory)
            stamp = stamp_of("ms") if envelope.timed else None
            reading = reading_of(self._rows(payload, born, "/".join(device), aside), stamp)
            for reason, count in aside.rejected.items():
                reading.reject(reason, aside.details[reason], count)
        for what, count in aside.noted.items():
            reading.note(what, aside.details[what], count)
        is_lost = "sequence_gap" in aside.noted or "unknown alias" in aside.rejected
        if self.gap == "rebirth" and is_lost and envelope.now_ns >= born.get(_ASKED, 0):
            born[_ASKED] = envelope.now_ns + _PATIENCE_NS
            reading.answers = ((f"spBv1.0/{group}/NCMD/{node}", _rebirth(envelope.now_ns)),)
        return reading

    def _rows(
        self, payload: Any, born: dict[Any, Any], device: str, unknown: Reading
    ) -> Iterator[tuple[Any, Any, Any]]:
        """Name, value and time of every metric; those that nobody knows are counted in `unknown`."""
        common = payload.timestamp if payload.HasField("timestamp") else NOTHING
        for metric in payload.metrics:
            name, datatype = metric.name, metric.datatype
            if not name and metric.HasField("alias"):
                known = born.get(f"#{metric.alias}")
                if known is None:
                    unknown.reject("unknown alias", f"alias {metric.alias}, whose birth was not heard")
                    continue
                name, datatype = known[0], datatype or known[1]
            elif not datatype:
                datatype = born.get(f"{device}:{name}", 0)
            if not isinstance(name, str):  # bytes that are no text come as they are
                yield NOTHING, 0.0, 0
                continue
            if name not in self.metrics if self.metrics is not None else name == "bdSeq" or name.startswith(_CONTROL):
                continue
            time = metric.timestamp if metric.HasField("timestamp") else common
            if not 0 < len(name) <= _LONGEST_NAME:
                yield NOTHING, 0.0, 0
            elif metric.HasField("bytes_value") and datatype in _ARRAYS:
                numbers = _array(metric.bytes_value, _ARRAYS[datatype])
                yield from ((f"{name}[{place}]", number, time) for place, number in enumerate(numbers))
            else:
                yield name, _value(metric, datatype), time


def _count(payload: Any, kind: str, name: str, born: dict[Any, Any], aside: Reading) -> None:
    """Note the messages of a node, and of its devices, that are missing before this one, as far as 256 of them go."""
    if kind == "NDEATH" or not payload.HasField("seq"):
        return
    number, last = payload.seq % _NUMBERS, born.get(_LAST)
    born[_LAST] = number
    if kind == "NBIRTH" or last is None or number == (last + 1) % _NUMBERS:
        return
    if number == last:
        aside.note("sequence_repeated", f"{name} has sent number {number} twice")
        return
    missing = (number - last - 1) % _NUMBERS
    aside.note("sequence_gap", f"{missing} messages of {name} are missing: {number} came after {last}", missing)


def _begin(payload: Any, born: dict[Any, Any]) -> None:
    """A node is born: its aliases are given anew, and its devices are born after it."""
    _clear(born, _LAST, _ASKED)
    session = _session(payload)
    if session is not None:
        born[_SESSION] = session


def _clear(born: dict[Any, Any], *but: str) -> None:
    kept = {key: born[key] for key in but if key in born}
    born.clear()
    born |= kept


def _forget(payload: Any, kind: str, device: list[str], born: dict[Any, Any]) -> None:
    """A node or a device is gone, and its names and aliases with it; not by the death of an earlier session."""
    if kind == "NDEATH":
        if (session := _session(payload)) is None or born.get(_SESSION, session) == session:
            _clear(born, _ASKED)
        return
    own = f"{'/'.join(device)}:"
    for key in [key for key, known in born.items() if key.startswith(own) or (key[0] == "#" and known[2:] == [own])]:
        del born[key]


def _session(payload: Any) -> int | None:
    """Which session of a node a birth begins, or a death ends."""
    for metric in payload.metrics:
        if metric.name == "bdSeq":
            return int(metric.long_value or metric.int_value)
    return None


def _rebirth(now_ns: int) -> bytes:
    """The command to be born again."""
    payload = payload_class()(timestamp=now_ns // 1_000_000)
    payload.metrics.add(name="Node Control/Rebirth", datatype=_BOOLEAN, boolean_value=True)
    data: bytes = payload.SerializeToString()
    return data


def _hears_all(topic: TopicPattern) -> bool:
    """Whether a pattern takes every message of the nodes whose messages it takes."""
    levels = topic.levels
    kinds = levels[2] if len(levels) > 2 and "#" not in levels[:2] else None
    return kinds in (None, "#") and levels[-1] == "#"


def _remember(payload: Any, born: dict[Any, Any], device: list[str], memory: dict[str, Any]) -> None:
    """Keep the names and types that a birth gives.

    Raises:
        PayloadError: more metrics than anybody can have.
    """
    if sum(map(len, memory.values())) + len(memory) + 2 * len(payload.metrics) > 2 * _MOST_METRICS:
        raise PayloadError("too many metrics", f"more than {_MOST_METRICS} were born")
    for metric in payload.metrics:
        if isinstance(metric.name, str) and 0 < len(metric.name) <= _LONGEST_NAME:
            born[f"{'/'.join(device)}:{metric.name}"] = metric.datatype
            if metric.HasField("alias"):
                born[f"#{metric.alias}"] = [metric.name, metric.datatype, f"{'/'.join(device)}:"]


def _value(metric: Any, datatype: int) -> Any:
    """The number of a metric; what else it holds where that is none."""
    if metric.is_null:
        return None
    for field in _VALUES:
        if metric.HasField(field):
            value = getattr(metric, field)
            if datatype == _DATE:
                return "a date"
            bits = _BITS.get(datatype)
            if bits is not None and field in ("int_value", "long_value"):
                half = 1 << (bits - 1)
                return ((value & (2 * half - 1)) ^ half) - half
            return value
    return NOTHING


def _array(data: bytes, kind: str) -> list[Any]:
    width = np.dtype(kind).itemsize
    found: list[Any] = np.frombuffer(data[: len(data) // width * width], kind).tolist()
    return found if len(data) % width == 0 else [*found, NOTHING]


@cache
def payload_class() -> Any:
    """The class of a payload, with what is read of it."""
    file = wanted("google.protobuf.descriptor_pb2", "formats").FileDescriptorProto(
        name="sparkplug_b.proto", package="org.eclipse.tahu.protobuf"
    )
    payload = file.message_type.add(name="Payload")
    payload.field.add(name="timestamp", number=1, type=_UINT64, label=1)
    payload.field.add(
        name="metrics", number=2, type=_MESSAGE, label=3, type_name=".org.eclipse.tahu.protobuf.Payload.Metric"
    )
    payload.field.add(name="seq", number=3, type=_UINT64, label=1)
    metric = payload.nested_type.add(name="Metric")
    for name, number, kind in _METRIC:
        metric.field.add(name=name, number=number, type=kind, label=1)
    pool = wanted("google.protobuf.descriptor_pool", "formats").DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName("org.eclipse.tahu.protobuf.Payload")
    return wanted("google.protobuf.message_factory", "formats").GetMessageClass(found)
