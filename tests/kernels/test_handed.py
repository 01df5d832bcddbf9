"""A record batch that is handed over as it is comes to the same as its columns, and goes back to its owner."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeflow.errors import EventError
from spikeflow.events import SAMPLES, Batch, Window, raw_columns, sample_batch, spike_batch
from spikeflow.kernels import Group, Network, Projection, Train
from spikeflow.kernels.models.lif import Lif
from spikeflow.kernels.synapses import dense

SIZE = 12


def network(valued: bool = False, double: bool = False, backend: str = "numba") -> Network:
    """Neurons that hear one train through weights that differ."""
    weights = dense(np.random.default_rng(1).uniform(0.1, 1.0, (SIZE, SIZE)))
    trains = [Train("in", SIZE, valued, double=double)]
    return Network(
        [Group("n", Lif(v_th=0.3), SIZE)], trains, [Projection("in", "n", weights)], dt=1e-3, backend=backend
    )


def stepped(net: Network, given: Any) -> list[Any]:
    """What comes of a step, and the state after it."""
    found = net.step(0, 10, {"in": given})["n"]
    return [found.t.tolist(), found.neuron.tolist(), net.read("n", "v").tolist()]


def events(rng: np.random.Generator, count: int, kind: str) -> pa.RecordBatch:
    """As many events of ten ticks."""
    t = np.sort(rng.integers(0, 10, count))
    index = rng.integers(0, SIZE, count).astype(np.uint32)
    order = np.lexsort((index, t))
    value = rng.normal(size=count)
    if kind == "spikes":
        return spike_batch(t[order], index[order])
    if kind == "graded":
        return spike_batch(t[order], index[order], value.astype(np.float32))
    return sample_batch(t[order], index[order], value.astype(np.float32 if kind == "samples" else np.float64))


def masked(record: pa.RecordBatch) -> pa.RecordBatch:
    """The same events, with a bit for each field that says that it is there."""
    bits = pa.py_buffer(np.full(record.num_rows // 8 + 2, 255, np.uint8))
    columns = [
        pa.Array.from_buffers(column.type, len(column), [bits, column.buffers()[1]], offset=column.offset)
        for column in record.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=record.schema)


@given(
    st.integers(0, 1 << 30),
    st.integers(1, 700),
    st.integers(0, 20),
    st.sampled_from(["spikes", "graded", "samples", "double"]),
    st.booleans(),
    st.booleans(),
)
def test_a_record_batch_is_read_as_its_columns_are(
    seed: int, count: int, first: int, kind: str, has_bits: bool, is_valued: bool
) -> None:
    record = events(np.random.default_rng(seed), count + first, kind)
    record = (masked(record) if has_bits else record).slice(first)
    is_valued = is_valued or kind != "spikes"
    one, other = network(is_valued, kind == "double"), network(is_valued)
    assert one.takes_exported
    assert stepped(one, record) == stepped(other, raw_columns(record))


def test_what_was_handed_over_is_given_back() -> None:
    t, index = np.arange(5), np.arange(5, dtype=np.uint32)
    record = spike_batch(t, index)
    stepped(network(), record)
    held = weakref.ref(t)
    del t, record
    gc.collect()
    assert held() is None


def test_an_event_with_an_empty_field_is_refused_and_nothing_is_kept_of_it() -> None:
    whole = events(np.random.default_rng(0), 20, "spikes")
    neuron = whole.column(1).to_pylist()
    neuron[17] = None
    broken = pa.RecordBatch.from_arrays([whole.column(0), pa.array(neuron, pa.uint32())], schema=whole.schema)
    one, other = network(), network()
    with pytest.raises(EventError, match="an event with an empty field"):
        one.step(0, 10, {"in": broken})
    assert stepped(one, broken.slice(0, 17)) == stepped(other, raw_columns(broken.slice(0, 17)))


def test_of_a_step_that_is_refused_nothing_is_kept_of_other_trains() -> None:
    def two() -> Network:
        synapses = [Projection(name, "n", dense(np.full((SIZE, SIZE), 5.0))) for name in ("a", "b")]
        return Network([Group("n", Lif(v_th=0.3), SIZE)], [Train("a", SIZE), Train("b", SIZE)], synapses, dt=1e-3)

    good, later = spike_batch([1, 2], [0, 1]), spike_batch([11, 12], [0, 1])
    broken = pa.RecordBatch.from_arrays([good.column(0), pa.array([0, None], pa.uint32())], schema=good.schema)
    for first in (good, raw_columns(good)):
        one, other = two(), two()
        with pytest.raises(EventError, match="an event with an empty field"):
            one.step(0, 10, {"a": first, "b": broken})
        found, wanted = (net.step(10, 10, {"a": later})["n"] for net in (one, other))
        assert found.t.size
        assert found.t.tolist() == wanted.t.tolist()


def test_columns_of_another_kind_are_refused() -> None:
    graded = events(np.random.default_rng(0), 3, "graded")
    with pytest.raises(EventError, match="whose columns are not those of its stream"):
        network(valued=False).step(0, 10, {"in": graded})
    spikes = events(np.random.default_rng(0), 3, "spikes")
    coded = pa.RecordBatch.from_arrays([spikes.column(0), spikes.column(1).dictionary_encode()], names=["t", "neuron"])
    with pytest.raises(EventError, match="whose columns are not those of its stream"):
        network().step(0, 10, {"in": coded})
    named = pa.RecordBatch.from_arrays([pa.array([0, 1]), pa.array(["a", "b"])], names=["t", "neuron"])
    with pytest.raises(EventError, match="whose columns are not those of its stream"):
        network().step(0, 10, {"in": named})


def test_a_backend_without_machine_code_takes_columns() -> None:
    one = network(backend="numpy")
    assert not one.takes_exported
    with pytest.raises(EventError, match="takes arrays"):
        one.step(0, 10, {"in": events(np.random.default_rng(0), 3, "spikes")})


def test_a_batch_hands_over_what_it_has_already() -> None:
    record = sample_batch([1, 2], [0, 1], np.array([0.5, 1.0], np.float32))
    window = Window(0, 10, 0, 10)
    batch = Batch.of(window, SAMPLES, record)
    assert batch.handed(SAMPLES) is record
    columns = batch.arrays
    assert batch.handed(SAMPLES) is columns
    made = Batch(window, SAMPLES, *columns)
    assert made.handed(SAMPLES) is made.columns


def test_a_batch_of_other_types_hands_over_arrays() -> None:
    record = sample_batch([1, 2], [0, 1], np.array([0.5, 1.0]))
    handed = Batch.of(Window(0, 10, 0, 10), SAMPLES, record).handed(SAMPLES)
    assert isinstance(handed, tuple)
