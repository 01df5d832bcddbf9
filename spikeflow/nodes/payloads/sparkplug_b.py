"""Sparkplug B."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from spikeflow.errors import PayloadError, Problem
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
_CONTROL = ("Node Control/", "Device Control/")


class SparkplugB(Format):
    """Sparkplug B: the metrics of births and data, a channel each by name.

    An alias gets the name and the type that the birth gave it; data whose birth was not heard are rejected as
    `unknown alias`, until the node is born again. Signed numbers, booleans and arrays of numbers (`name[0]`) are read;
    texts, data sets and templates are rejected. Deaths and commands hold no events. Listen to all of a node, such as
    `spBv1.0/plant/+/press/#`. It is only read: an edge node has a session of its own.
    """

    needs: ClassVar[str | None] = "google.protobuf"
    writes: ClassVar[bool] = False
    own_times: ClassVar[bool] = True

    metrics: list[str] | None = Field(None, description="names of the metrics to take; all but controls if not said")

    def problems(self) -> Iterable[Problem]:
        """A time that is said twice."""
        yield from super().problems()
        if self.time is not None or self.time_unit is not None:
            key = "time" if self.time is not None else "time_unit"
            yield Problem((key,), "Sparkplug says its times itself", "leave it out")

    def read(self, data: bytes, envelope: Envelope) -> Reading:
        """The metrics of a birth or of data."""
        levels = envelope.topic.split("/")
        if levels[0] != "spBv1.0" or not 4 <= len(levels) <= 5:
            raise PayloadError("wrong topic", f"{envelope.topic[:60]!r} is not spBv1.0/group/NDATA/node/device")
        _, group, kind, node, *device = levels
        born = envelope.memory.setdefault(f"{group}/{node}", {})
        if kind in ("NDEATH", "NBIRTH"):
            born.clear()  # a node that is born anew gives its aliases anew, and its devices are born after it
        if kind not in ("NBIRTH", "DBIRTH", "NDATA", "DDATA"):
            return Reading()
        payload = payload_class()()
        try:
            payload.ParseFromString(data)
        except (wanted("google.protobuf.message", "formats").DecodeError, RecursionError, ValueError):
            raise PayloadError("not sparkplug", start_of(data)) from None
        if kind in ("NBIRTH", "DBIRTH"):
            _remember(payload, born, device, envelope.memory)
        stamp, unknown = stamp_of("ms") if envelope.timed else None, Reading()
        reading = reading_of(self._rows(payload, born, "/".join(device), unknown), stamp)
        for reason, count in unknown.rejected.items():
            reading.reject(reason, unknown.details[reason], count)
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
                born[f"#{metric.alias}"] = [metric.name, metric.datatype]


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
