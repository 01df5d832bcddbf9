"""Arrow: what a graph sends a graph takes, and nothing else is believed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spikeflow.events import GRADED_SPIKES, SAMPLES, SAMPLES64, SPIKES, sample_batch, spike_batch
from spikeflow.nodes.payload import Envelope, Events
from spikeflow.nodes.payloads.arrow import Arrow
from tests.nodes.payload_checks import Cases, events_of, refused, said


def stream(*batches: pa.RecordBatch, schema: pa.Schema | None = None, **options: Any) -> bytes:
    """A stream of record batches."""
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, schema or batches[0].schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return bytes(out.getvalue())


def column(schema: pa.Schema, **columns: list[Any]) -> bytes:
    return stream(pa.RecordBatch.from_pydict(columns, schema=schema))


TWO = sample_batch([1, 2], [0, 3], np.array([0.5, -1], np.float32))
SPIKED = Arrow(holds="spikes")
GRADED = Arrow(holds="graded spikes")
PACKED = [stream(sample_batch([1] * 500, [0] * 500, np.zeros(500)), compression=codec) for codec in ("lz4", "zstd")]

CASES = Cases(
    good=[
        (Arrow(), stream(TWO)),
        (Arrow(), stream(TWO, TWO)),
        (Arrow(), stream(sample_batch([1], [0], np.array([0.5])))),
        (SPIKED, stream(spike_batch([1, 2], [7, 9]))),
        (GRADED, stream(spike_batch([1], [7], [2.0]))),
    ],
    malformed=[
        (Arrow(), b"", "not arrow"),
        (Arrow(), b"\xff\xff\xff\xff\0\0\0\0", "not arrow"),
        (Arrow(), b"\xff\xff\xff\xff\xff\xff\xff\x7f", "not arrow"),
        (Arrow(), b"ARROW1\0\0", "not arrow"),
        (Arrow(), stream(TWO)[:-40], "not arrow"),
        (Arrow(), stream(schema=SAMPLES), "no value"),
        (Arrow(), stream(schema=pa.schema([("x", pa.int8())])), "wrong columns"),
        (Arrow(), stream(spike_batch([1], [7])), "wrong columns"),
        (SPIKED, stream(TWO), "wrong columns"),
        (SPIKED, stream(spike_batch([1], [7], [1.0])), "wrong columns"),
        (Arrow(), column(SAMPLES, t=[1], channel=[None], value=[1.0]), "no value"),
        (Arrow(), column(SAMPLES, t=[1], channel=[1], value=[float("nan")]), "not finite"),
        (Arrow(), column(SAMPLES64, t=[1], channel=[1], value=[1e300]), "not finite"),
        (Arrow(), PACKED[0], "not arrow"),
        (Arrow(), PACKED[1], "not arrow"),
    ],
    round_trips=[Arrow(), Arrow(compression="zstd")],
)


def test_spikes_and_samples_come_back_as_they_were() -> None:
    assert said(Arrow(), stream(TWO, TWO)) == [(0, 0.5, 1), (3, -1.0, 2)] * 2
    assert said(SPIKED, stream(spike_batch([1, 2], [7, 9]))) == [(7, 1.0, 1), (9, 1.0, 2)]
    assert said(GRADED, stream(spike_batch([1], [7], [2.0])), timed=False) == [(7, 2.0)]


@pytest.mark.parametrize(("value", "schema"), [(None, SPIKES), (np.array([2.0], np.float32), GRADED_SPIKES)])
def test_spikes_are_written_with_the_columns_of_spikes(value: Any, schema: pa.Schema) -> None:
    data = Arrow().write(Events("hidden", "spikes", np.array([5]), np.array([7], np.uint32), value))
    table = pa.ipc.open_stream(data).read_all()
    assert table.schema.equals(schema) and table.schema.metadata == {b"stream": b"hidden"}


def test_a_value_that_is_not_finite_leaves_the_others_alone() -> None:
    reading = Arrow().decode(column(SAMPLES, t=[1, 2], channel=[1, 2], value=[float("inf"), 1.0]), Envelope())
    assert (events_of(reading), reading.rejected) == ([(2, 1.0, 2)], {"not finite": 1})


def test_packed_buffers_are_refused_before_they_are_unpacked() -> None:
    # the eight bytes before a packed buffer say how long it will be; these say 4 GiB, and are never believed
    lying = PACKED[1].replace((4000).to_bytes(8, "little"), (2**32).to_bytes(8, "little"))
    assert lying != PACKED[1]
    assert refused(Arrow(), lying) == "not arrow"
