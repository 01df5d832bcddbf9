"""Segments: windows as slices of memory that is written once."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spikeflow
from spikeflow.events import (
    GRADED_SPIKES,
    SAMPLES64,
    SPIKES,
    Batch,
    Grid,
    Indices,
    Stream,
    Times,
    Values,
    Window,
    build,
)
from spikeflow.segments import Segments

GRID = Grid(0, 1000, 1)


def events(number: int, count: int, schema: pa.Schema) -> tuple[Times, Indices, Values | None]:
    index = np.arange(count, dtype=np.uint32) + number
    value = index * 0.1 if len(schema) == 3 else None
    return np.full(count, 1000 * number, np.int64), index, value


def window(number: int) -> Window:
    return Window.at(GRID, number, 1)


@pytest.mark.parametrize("schema", [SPIKES, GRADED_SPIKES, SAMPLES64], ids=["spikes", "graded", "float64"])
@given(counts=st.lists(st.integers(1, 24), min_size=1, max_size=30), look=st.randoms(use_true_random=False))
def test_every_window_reads_as_if_built_alone_however_late_somebody_looks(
    schema: pa.Schema, counts: list[int], look: random.Random
) -> None:
    segments = Segments(schema, rows=64)
    batches = [segments.batch(window(k), *events(k, count, schema)) for k, count in enumerate(counts)]
    places = list(range(len(batches)))
    look.shuffle(places)
    for k in places:
        t_ns, index, value = events(k, counts[k], schema)
        wanted = build(schema, t_ns, index, value)
        batch = batches[k]
        assert (batch.window, batch.count) == (window(k), counts[k])
        for column, found in zip(wanted.columns, batch.arrays, strict=False):
            assert pa.array(found, column.type).equals(column)
        assert (batch.arrays[2] is None) == (value is None)
        assert batch.record.equals(wanted, check_metadata=True)
        alone = Segments(schema, rows=64).batch(window(k), t_ns, index, value).record
        assert batch.record.serialize().equals(alone.serialize())  # what Arrow fills up with tells of no other window


def test_a_large_window_has_memory_of_its_own() -> None:
    segments = Segments(SPIKES, rows=64)
    small, large = (segments.batch(window(k), *events(k, count, SPIKES)) for k, count in enumerate((3, 17)))
    assert large.record.equals(build(SPIKES, *events(1, 17, SPIKES)), check_metadata=True)
    assert large.record.get_total_buffer_size() == large.record.nbytes
    assert small.record.get_total_buffer_size() > small.record.nbytes


def test_windows_share_the_memory_of_their_segment_with_their_record_batches() -> None:
    segments = Segments(SPIKES)
    first, second = (segments.batch(window(k), *events(k, 4, SPIKES)) for k in range(2))
    buffers = [batch.record.column(1).buffers()[1].address for batch in (first, second)]
    assert buffers[0] == buffers[1]
    assert np.shares_memory(first.arrays[1], first.record.column(1).to_numpy())


def test_a_renamed_window_has_the_same_events_and_the_other_streams_metadata() -> None:
    one, other = (Stream(name, "spikes", 50).schema(GRID) for name in ("one", "other"))
    batch = Segments(one, rows=8).batch(window(3), *events(3, 5, one))
    renamed = batch.named(other)
    assert isinstance(renamed, Batch)
    assert batch.named(one) is batch
    assert renamed.record.schema.equals(other, check_metadata=True)
    assert batch.record_as(other).schema.equals(other, check_metadata=True)
    assert renamed.record.column(1).to_pylist() == batch.record.column(1).to_pylist() == [3, 4, 5, 6, 7]
    assert batch.record.schema.equals(one, check_metadata=True)


def test_a_part_of_a_window_can_be_cut_out() -> None:
    segments = Segments(SPIKES, rows=8)
    batch = segments.batch(Window.at(GRID, 0, 4), np.array([0, 1000, 1000, 3000]), np.array([4, 1, 2, 0], np.uint32))
    assert batch.cut(Window.at(GRID, 1, 2)).record.column(1).to_pylist() == [1, 2]


async def test_a_tapped_batch_is_a_copy_without_its_neighbours() -> None:
    nodes = {
        "input": {"source": "synthetic", "signal": "poisson", "size": 20, "rate": "500 Hz", "length": "1 s"},
        "cells": {"neuron": "lif", "size": 20, "inputs": [{"from": "input", "connect": "one_to_one", "weights": 20.0}]},
    }
    async with spikeflow.start({"name": "kept", "nodes": nodes}) as run:
        batches = [batch async for batch in run.tap("cells")]
    assert sum(batch.num_rows for batch in batches) > 100
    for batch in batches:
        assert batch.get_total_buffer_size() == batch.nbytes
