"""Protocol Buffers."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from spikeflow.errors import ParameterError, PayloadError, Problem, instead, nearest, shown, why
from spikeflow.events import Stream
from spikeflow.nodes.paths import GraphPath
from spikeflow.nodes.payload import Each, TimeProperty, start_of
from spikeflow.nodes.payload_trees import EACH, Steps, TreeFormat, parse_path, path_text
from spikeflow.nodes.wanted import wanted

_TIMESTAMP = "google.protobuf.Timestamp"
_NUMBER_TYPES = frozenset((1, 2, 3, 4, 5, 6, 7, 8, 13, 14, 15, 16, 17, 18))


class Protobuf(TreeFormat):
    """Protocol Buffers; the paths of `json` go by the names of fields: `$.acceleration.x`, `$.samples[*].v`.

    `descriptor` is the file that `protoc --descriptor_set_out=FILE --include_imports` writes. A field that can be
    absent and is counts as no value; others are 0 where they are not sent. Repeated fields are arrays.
    """

    needs: ClassVar[str | None] = "google.protobuf"

    descriptor: GraphPath = Field(description="the file with a descriptor set; relative ones count from the graph file")
    message: str = Field(min_length=1, description="the full name of the message, such as plant.Reading")

    @cached_property
    def _class(self) -> Any:
        """The class of the message.

        Raises:
            ParameterError: the file cannot be read, or has no such message.
        """
        path = self.descriptor
        descriptors = wanted("google.protobuf.descriptor_pb2", "formats")
        pools = wanted("google.protobuf.descriptor_pool", "formats")
        factory = wanted("google.protobuf.message_factory", "formats")
        if not path.is_file():
            raise ParameterError(f"no file {shown(path)}", instead(path, (".desc", ".pb", ".bin", ".binpb")))
        found, pool = descriptors.FileDescriptorSet(), pools.DescriptorPool()
        try:
            found.ParseFromString(path.read_bytes())
            for file in found.file:
                pool.Add(file)
            names = [_full(file.package, one.name) for file in found.file for one in file.message_type]
        except OSError as error:
            raise ParameterError(f"{shown(path)} cannot be read: {why(error)}", "check the path") from None
        except (TypeError, ValueError, _decode_error()) as error:
            hint = "write it with protoc --descriptor_set_out=FILE --include_imports"
            raise ParameterError(f"{shown(path)} is no descriptor set: {why(error)}"[:200], hint) from None
        try:
            return factory.GetMessageClass(pool.FindMessageTypeByName(self.message))
        except KeyError:
            found_not = f"no message {self.message!r} in {shown(path)}"
            raise ParameterError(found_not, nearest(self.message, names)) from None
        except TypeError as error:
            hint = "write it with protoc --include_imports"
            raise ParameterError(f"{shown(path)} lacks what it imports: {why(error)}"[:200], hint) from None

    def problems(self) -> Iterable[Problem]:
        """A file that cannot be read, a message that is not in it, a path that leads nowhere."""
        for problem in super().problems():
            yield problem
            if problem.path == ("format",):
                return
        try:
            top = self._class.DESCRIPTOR
        except ParameterError as error:
            place = "message" if "no message" in error.found else "descriptor"
            yield Problem((place,), error.found, error.hint)
            return
        for key in ("value", "channel", "time"):
            path = getattr(self, key)
            if isinstance(path, str) and (lost := _led(top, path, key)) is not None:
                yield lost

    def write_problems(self, stream: Stream, each: Each) -> Iterable[Problem]:
        """No path for the value."""
        yield from super().write_problems(stream, each)
        if each == "window" and any(
            path is not None and not _array_at(self._class.DESCRIPTOR, parse_path(path))
            for path in (self.value, self.channel, self.time)
            if not isinstance(path, TimeProperty)
        ):
            yield Problem(("value",), "the paths lead to one number, and a window may have more", "write each: event")
        if self.value is None and self.channel is None:
            yield Problem(("value",), "which field is the value is not said", "write value: $.acc, or whichever it is")

    def unpack(self, data: bytes) -> Any:
        """The message."""
        message = self._class()
        try:
            message.ParseFromString(data)
        except (_decode_error(), RecursionError, ValueError):
            raise PayloadError("not protobuf", start_of(data)) from None
        return message

    def find(self, root: Any, steps: Steps, reason: str) -> Any:
        """What is at a path; repeated fields as lists."""
        if not steps and root is not None:  # all of it: the numbers of a flat message
            fields = root.DESCRIPTOR.fields
            return {f.name: getattr(root, f.name) for f in fields if f.type in _NUMBER_TYPES and not _repeated(f)}
        for place, step in enumerate(steps):
            if not isinstance(step, str | int):
                return [self._found(one, steps[place + 1 :]) if place + 1 < len(steps) else one for one in root]
            if isinstance(step, int):
                if step >= len(root):
                    raise PayloadError(reason, f"nothing at {path_text(steps)}")
                root = root[step]
            else:
                field = root.DESCRIPTOR.fields_by_name[step]
                if field.has_presence and not root.HasField(step):
                    raise PayloadError(reason, f"nothing at {path_text(steps)}")
                root = getattr(root, step)
        if hasattr(root, "append"):
            return list(root)
        return _Instant(root) if getattr(root, "DESCRIPTOR", None) is not None else root

    def pack(self, tree: Any) -> bytes:
        """The bytes of a message with the fields of a tree."""
        message = self._class()
        _fill(message, tree)
        packed: bytes = message.SerializeToString()
        return packed


class _Instant:
    """A message in the place of a time: `google.protobuf.Timestamp`."""

    def __init__(self, message: Any) -> None:
        self._message = message

    def __repr__(self) -> str:
        return f"a {self._message.DESCRIPTOR.full_name}"

    def to_unix_nano(self) -> int:
        """Nanoseconds since 1970."""
        return int(self._message.seconds) * 1_000_000_000 + int(self._message.nanos)


def _decode_error() -> type[Exception]:
    found: type[Exception] = wanted("google.protobuf.message", "formats").DecodeError
    return found


def _full(package: str, name: str) -> str:
    return f"{package}.{name}" if package else name


def _repeated(field: Any) -> bool:
    found = getattr(field, "is_repeated", None)
    return bool(field.label == field.LABEL_REPEATED if found is None else found)


def _array_at(descriptor: Any, steps: Steps) -> bool:
    """Whether a path has room for several numbers."""
    field: Any = None
    for step in steps:
        if step is EACH:
            return True
        if isinstance(step, str):
            field = descriptor.fields_by_name[step]
            descriptor = field.message_type
    return field is not None and not isinstance(steps[-1], int) and _repeated(field)


def _led(descriptor: Any, path: str, key: str) -> Problem | None:
    """Why a path does not lead to numbers in a message; None where it does."""
    field: Any = None
    open_array = False
    for step in parse_path(path):
        if isinstance(step, str):
            if open_array or descriptor is None:
                return Problem((key,), f"{path} goes on below {field.name}", "write [0] or [*] behind an array")
            field = descriptor.fields_by_name.get(step)
            if field is None:
                names = [one.name for one in descriptor.fields]
                return Problem((key,), f"no field {step!r} in {descriptor.full_name}", nearest(step, names))
            descriptor, open_array = field.message_type, _repeated(field)
            if open_array and descriptor is not None and descriptor.GetOptions().map_entry:
                return Problem((key,), f"{field.name} is a map", "send numbers in fields of their own")
        elif not open_array:
            return Problem((key,), f"{path}: what stands before [{step}] is no array", "leave it out")
        else:
            open_array = False
    if field is None:
        return None
    if descriptor is not None and key == "time" and descriptor.full_name == _TIMESTAMP:
        return None
    if descriptor is not None or not (field.type in _NUMBER_TYPES or key != "value"):
        return Problem((key,), f"{path} is no number", "name a field that is one")
    return None


def _fill(message: Any, tree: Any) -> None:
    """Set the fields of a message.

    Raises:
        PayloadError: a number that its field cannot hold.
    """
    for name, value in tree.items():
        field = message.DESCRIPTOR.fields_by_name[name]
        given = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        if _repeated(field):
            for one in given if isinstance(given, list) else [given]:
                if field.message_type is not None:
                    _fill(getattr(message, name).add(), one)
                else:
                    getattr(message, name).append(_as(field, one))
        elif field.message_type is not None and field.message_type.full_name == _TIMESTAMP:
            getattr(message, name).FromNanoseconds(given)
        elif field.message_type is not None:
            _fill(getattr(message, name), given)
        else:
            setattr(message, name, _as(field, given))


def _as(field: Any, value: Any) -> Any:
    """A value in the type of its field."""
    whole = field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_INT64, field.CPPTYPE_UINT32, field.CPPTYPE_UINT64)
    try:
        if field.cpp_type == field.CPPTYPE_STRING:
            return str(value)
        return round(value) if whole else value
    except (TypeError, ValueError, OverflowError):
        raise PayloadError("does not fit", f"{value!r} into {field.name}") from None
