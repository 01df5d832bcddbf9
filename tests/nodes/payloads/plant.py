"""The messages of a plant, in the schema that `tests/data/plant.desc` holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

DESCRIPTOR = Path(__file__).parents[2] / "data" / "plant.desc"

_DOUBLE, _FLOAT, _UINT32, _UINT64, _STRING, _INT64, _MESSAGE = 1, 2, 13, 4, 9, 3, 11
_FIELDS = {
    "Sample": [("value", _FLOAT, 1, ""), ("channel", _UINT32, 1, ""), ("t", _INT64, 1, "")],
    "Reading": [
        ("machine", _STRING, 1, ""),
        ("acceleration", _FLOAT, 3, ""),
        ("temperature", _DOUBLE, 4, ""),
        ("speed", _DOUBLE, 1, ""),
        ("ts", _UINT64, 1, ""),
        ("at", _MESSAGE, 1, ".google.protobuf.Timestamp"),
        ("best", _MESSAGE, 1, ".plant.Sample"),
        ("samples", _MESSAGE, 3, ".plant.Sample"),
    ],
}


def descriptor_set() -> bytes:
    """What `protoc --descriptor_set_out --include_imports` would write; a label of 4 stands for `optional`."""
    files = descriptor_pb2.FileDescriptorSet()
    timestamp_pb2.DESCRIPTOR.CopyToProto(files.file.add())
    file = files.file.add(name="plant.proto", package="plant", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for number, (field, kind, label, of) in enumerate(fields, start=1):
            one = message.field.add(name=field, number=number, type=kind, label=1 if label == 4 else label)
            if of:
                one.type_name = of
            if label == 4:
                one.proto3_optional, one.oneof_index = True, 0
                message.oneof_decl.add(name=f"_{field}")
    written: bytes = files.SerializeToString()
    return written


def message(name: str) -> Any:
    """A message of the plant."""
    files, pool = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set()), descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
