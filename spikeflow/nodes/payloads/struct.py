"""Binary records of a fixed layout."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field, WithJsonSchema

from spikeflow.errors import ParameterError, PayloadError, Problem
from spikeflow.events import Stream, Times
from spikeflow.nodes.payload import LARGEST, Each, Envelope, Events, Reading, number_of
from spikeflow.nodes.payload_rows import RowFormat
from spikeflow.nodes.payload_times import stamps

_MANY = 8
_CODES = re.compile(r"(\d*)([a-zA-Z?])")
_NUMPY = {"b": "i1", "B": "u1", "h": "i2", "H": "u2", "i": "i4", "I": "u4", "l": "i4", "L": "u4", "q": "i8", "Q": "u8"}
_NUMPY |= {"e": "f2", "f": "f4", "d": "f8"}
_SUCH = "write one as Python's struct has them: '<Qf'"


def _layout(text: str) -> str:
    try:
        made = struct.Struct(text)
        width = len(made.unpack(bytes(made.size))) if 0 < made.size <= 65536 else 0
    except (struct.error, UnicodeEncodeError) as error:
        raise ParameterError(f"{text!r} is no layout: {error}", _SUCH) from None
    if not width or text[0] not in "<>!=":
        why = "does not say its byte order" if made.size and text[0] not in "<>!=" else "holds nothing, or too much"
        raise ParameterError(f"{text!r} {why}", _SUCH)
    return text


class Struct(RowFormat):
    """Binary records of a fixed layout, as Python's `struct` describes them; columns are its fields, counted from 0.

    `layout: <QHf, time: 0, channel: 1, value: 2` is 14 bytes: a 64-bit time, a 16-bit channel and a 32-bit float,
    little-endian. A message holds one record or several. Texts (`8s`) can be channels. What is written has the same
    columns, zero in those of which nothing is said, rounded in those that are whole.
    """

    layout: Annotated[str, AfterValidator(_layout), WithJsonSchema({"type": "string", "examples": ["<Qf"]})] = Field(
        description="the fields of a record with its byte order, such as `<Qf`"
    )

    @cached_property
    def _record(self) -> struct.Struct:
        return struct.Struct(self.layout)

    @cached_property
    def _zero(self) -> tuple[Any, ...]:
        return self._record.unpack(bytes(self._record.size))

    @cached_property
    def _one_value(self) -> int | None:
        """The column of the only number of a record in which nothing else counts."""
        return self.value if isinstance(self.value, int) and self.channel is None and self.time is None else None

    def problems(self) -> Iterable[Problem]:
        """Columns that the layout does not have, or that hold no number."""
        yield from super().problems()
        values = [self.value] if isinstance(self.value, int) else self.value or []
        for key, places in (("value", values), ("channel", [self.channel]), ("time", [self._time_column])):
            for place in places:
                if place is not None and place >= len(self._zero):
                    found = f"no column {place} in {self.layout!r}, which has {len(self._zero)}"
                    yield Problem((key,), found, "columns count from 0")
                elif place is not None and key != "channel" and isinstance(self._zero[place], bytes):
                    yield Problem((key,), f"column {place} of {self.layout!r} is text", "name one that is a number")

    def write_problems(self, stream: Stream, each: Each) -> Iterable[Problem]:
        """No column for the value."""
        yield from super().write_problems(stream, each)
        if self.places(len(self._zero))[2] is None:
            yield Problem(("value",), "which column is the value is not said", "write value: 0, or whichever it is")

    def read(self, data: bytes, envelope: Envelope) -> Reading:
        """The events of all records."""
        record = self._record
        if not data or len(data) % record.size:
            raise PayloadError("wrong size", f"{len(data)} bytes, and a record has {record.size}")
        if self._one_value is not None and len(data) == record.size:
            return Reading(None, [number_of(record.unpack(data)[self._one_value])])
        if len(data) >= _MANY * record.size and (found := self._at_once(data, envelope)) is not None:
            return found
        return self.read_rows(record.iter_unpack(data), envelope)

    def _at_once(self, data: bytes, envelope: Envelope) -> Reading | None:
        """The events of many records without looking at each; None where one needs a closer look."""
        if self._fields is None or (self._stamp is not None and self.time_unit is None):
            return None
        rows = np.frombuffer(data, self._fields)
        places = [self.value] if isinstance(self.value, int) else self.value
        if places is None:
            places = [place for place in range(len(self._zero)) if place not in (self.channel, self._time_column)]
        with np.errstate(invalid="ignore"):  # some bytes are a NaN that signals
            value = np.stack([rows[f"f{place}"].astype(np.float64) for place in places], 1).ravel()
        if not (np.abs(value) <= LARGEST).all():
            return None
        t_ns: Times | None = None
        if self._stamp is not None and envelope.timed:
            column = rows[f"f{self._time_column}"]
            found = stamps(column, self.time_unit) if self.time_unit is not None else None
            if found is None:
                return None
            t_ns = np.repeat(found, len(places))
        if self.channel is not None:
            which = rows[f"f{self.channel}"]
            if which.dtype.kind not in "iu" or int(which.min()) < 0 or int(which.max()) >= 2**32:
                return None
            return Reading(np.repeat(which.astype(np.uint32), len(places)), value, t_ns)
        if isinstance(self.value, int):
            return Reading(None, value, t_ns)
        return Reading(np.tile(np.arange(len(places), dtype=np.uint32), len(rows)), value, t_ns)

    @cached_property
    def _fields(self) -> np.dtype[Any] | None:
        """The record as NumPy has it; None where it holds what is no plain number."""
        order = ">" if self.layout[0] in ">!" else "<" if self.layout[0] == "<" else "="
        names, types, offsets, at = list[str](), list[str](), list[int](), 0
        for count, code in _CODES.findall(self.layout[1:]):
            for _ in range(int(count or 1)):
                if code != "x":
                    if code not in _NUMPY:
                        return None
                    names.append(f"f{len(names)}")
                    types.append(order + _NUMPY[code])
                    offsets.append(at)
                at += struct.calcsize("=" + code)
        return np.dtype({"names": names, "formats": types, "offsets": offsets, "itemsize": self._record.size})

    def channel_of(self, cell: Any) -> Any:
        """A number, or the text of a field of fixed length."""
        return cell.rstrip(b"\0").decode("utf-8", "replace") if isinstance(cell, bytes) else cell

    def write(self, events: Events) -> bytes:
        """A record for each event.

        Raises:
            PayloadError: a number that a field cannot hold.
        """
        zero, records = self._zero, []
        for row in self.rows_of(events, len(zero), None):
            try:
                records.append(self._record.pack(*(_as(cell, kind) for cell, kind in zip(row, zero, strict=True))))
            except (struct.error, OverflowError, ValueError) as error:
                raise PayloadError("does not fit", f"into {self.layout!r}: {error}") from None
        return b"".join(records)


def _as(cell: Any, kind: Any) -> Any:
    """A cell in the type of its field."""
    if cell is None:
        return kind
    if isinstance(kind, bytes):
        return str(cell).encode()
    if isinstance(kind, bool):
        return bool(cell)
    return round(cell) if isinstance(kind, int) else float(cell)
