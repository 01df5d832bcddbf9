"""Arrow: the events of a graph, as it has them itself."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from spikeflow.errors import EventError, PayloadError, Problem
from spikeflow.events import GRADED_SPIKES, SAMPLES, SAMPLES64, SPIKES, build, raw_columns
from spikeflow.nodes.payload import LARGEST, Envelope, Events, Format, Reading, start_of

_SCHEMAS = {"samples": (SAMPLES, SAMPLES64), "spikes": (SPIKES,), "graded spikes": (GRADED_SPIKES,)}
_HEADER, _COMPRESSION = 2, 3
"""Which field of its table holds the header of a message, and the compression of a record batch."""


class Arrow(Format):
    """An Arrow IPC stream with the columns of spikeflow's own events, so that a graph may feed a graph.

    `t: timestamp[ns, UTC]`, then `neuron: uint32` and perhaps `value: float32`, or `channel: uint32` and `value:
    float32` or `float64`. Buffers that are packed inside the stream are rejected: `compression` packs the whole.
    """

    own_times: ClassVar[bool] = True

    holds: Literal["samples", "spikes", "graded spikes"] = Field(
        "samples",
        description="the columns: `channel` and `value`, `neuron`, or `neuron` and `value`",
    )

    @property
    def valued(self) -> bool:
        """Whether spikes read with it carry a value."""
        return self.holds == "graded spikes"

    def problems(self) -> Iterable[Problem]:
        """A time that is said twice."""
        yield from super().problems()
        if self.time is not None or self.time_unit is not None:
            key = "time" if self.time is not None else "time_unit"
            yield Problem((key,), "the events of an Arrow stream have their times", "leave it out")

    def read(self, data: bytes, envelope: Envelope) -> Reading:
        """The events of all record batches."""
        try:
            parts = [raw_columns(batch) for batch in self._batches(data)]
        except EventError:
            raise PayloadError("no value", "an event with an empty field") from None
        except (pa.ArrowException, OSError, struct.error, UnicodeDecodeError) as error:
            raise PayloadError("not arrow", str(error).partition("\n")[0][:100]) from None
        if not parts:
            raise PayloadError("no value", "it has no events")
        t_ns, index, found = parts[0]
        if len(parts) > 1:
            t_ns, index = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
            found = None if found is None else np.concatenate([part[2] for part in parts])
        value = np.ones(len(index), np.float32) if found is None else found
        times = t_ns if envelope.timed else None
        finite = np.isfinite(value) if value.dtype == np.float32 else np.abs(value) <= LARGEST
        if finite.all():
            return Reading(index, value, times)
        reading = Reading(index[finite], value[finite], None if times is None else times[finite])
        reading.reject("not finite", "among the values", int(len(value) - finite.sum()))
        return reading

    def _batches(self, data: bytes) -> Iterator[pa.RecordBatch]:
        """The record batches with events in a stream, each looked at before anything trusts it."""
        messages = pa.ipc.MessageReader.open_stream(data)
        first = next(messages, None)
        if first is None or first.type != "schema":  # Arrow takes whatever comes first for a schema
            raise PayloadError("not arrow", start_of(data))
        schema = pa.ipc.read_schema(first)
        if not any(schema.equals(wanted) for wanted in _SCHEMAS[self.holds]):  # whatever its metadata say
            columns = ", ".join(_SCHEMAS[self.holds][0].names)
            raise PayloadError("wrong columns", f"{len(schema)} of them, not the {columns} of {self.holds}")
        for message in messages:
            if message.type != "record batch":
                raise PayloadError("not arrow", f"a {message.type} where record batches should be"[:100])
            if _is_packed(message.metadata):
                # what it says of its own size would be believed before it is unpacked
                raise PayloadError("not arrow", "its buffers are packed; write it without, and use 'compression'")
            batch = pa.ipc.read_record_batch(message, schema)
            batch.validate(full=True)
            if batch.num_rows:
                yield batch

    def write(self, events: Events) -> bytes:
        """A stream of one record batch."""
        schema = GRADED_SPIKES if events.value is not None else SPIKES
        if events.kind == "samples":
            schema = SAMPLES64 if events.values.dtype == np.float64 else SAMPLES
        schema = schema.with_metadata({"stream": events.stream})
        out = pa.BufferOutputStream()
        with pa.ipc.new_stream(out, schema) as writer:
            writer.write_batch(build(schema, events.t_ns, events.index, events.value))
        written: bytes = out.getvalue().to_pybytes()
        return written


def _is_packed(metadata: Any) -> bool:
    """Whether a message, whose metadata Arrow has verified, holds a record batch with packed buffers."""
    data = memoryview(metadata)
    (root,) = struct.unpack_from("<I", data)
    header = _field(data, root, _HEADER)
    if header is None:
        return False
    (offset,) = struct.unpack_from("<I", data, header)
    return _field(data, header + offset, _COMPRESSION) is not None


def _field(data: memoryview, table: int, number: int) -> int | None:
    """Where a field of a table lies; None where the table does not have it (FlatBuffers)."""
    (back,) = struct.unpack_from("<i", data, table)
    size, _ = struct.unpack_from("<HH", data, table - back)
    if 4 + 2 * number >= size:
        return None
    (offset,) = struct.unpack_from("<H", data, table - back + 4 + 2 * number)
    return table + offset if offset else None
