"""Binary records of a fixed layout."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import cached_property
from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema

from spikeflow.errors import ParameterError, PayloadError, Problem
from spikeflow.events import Stream
from spikeflow.nodes.payload import Each, Envelope, Events, Reading, number_of
from spikeflow.nodes.payload_rows import RowFormat

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
        return self.read_rows(record.iter_unpack(data), envelope)

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
