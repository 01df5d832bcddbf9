"""From samples to spikes and back."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from spikeflow.events import Grid, Stream, columns, sample_batch
from spikeflow.nodes.decoders.reconstruct import Reconstruct
from spikeflow.nodes.inverse import Invertible
from spikeflow.testing import run_node

GRID = Grid(5_000_000_000, 1_000_000, 10)
CHANNELS = 3
STREAM = Stream("x", "samples", CHANNELS, double=True)

_ordinary = st.floats(-10, 10)
_any = st.floats(-1e9, 1e9)
_odd = st.sampled_from([float("nan"), float("inf"), float("-inf"), 0.0, -0.0, 1e300, -1e300, 5e-324])
_steps = st.tuples(st.sampled_from([0, 0, 1, 333_333, 1_000_000, 12_345_678]), st.integers(0, CHANNELS - 1))
streams = st.lists(st.tuples(_steps, st.one_of(_ordinary, _ordinary, _any, _odd)), min_size=1, max_size=60)
"""Samples as ((ns since the one before, channel), value): with gaps, repeats, jumps, NaN and infinities."""


def recorded(samples: list[Any]) -> pa.RecordBatch:
    """The samples of `streams` in the order of a stream."""
    t_ns = GRID.origin_ns + np.cumsum([step[0] for step, _ in samples])
    channel = np.array([step[1] for step, _ in samples], np.uint32)
    value = np.array([value for _, value in samples])
    order = np.lexsort((channel, t_ns))
    return sample_batch(t_ns[order], channel[order], value[order])


class Pair(NamedTuple):
    """A value that was rebuilt, and the last sample that it may stand for."""

    tick: int
    channel: int
    rebuilt: float
    sample: float
    first: float


def pairs(
    encoder: Invertible, record: pa.RecordBatch, *, furthest: float = np.inf, first: float | None = None
) -> list[Pair]:
    """What `reconstruct` gives after an encoder, with the last usable sample of the tick and the channel's first one.

    Args:
        encoder: the encoder.
        record: its samples.
        furthest: samples further than this from zero are not usable.
        first: the first sample, as `reconstruct` is told.
    """
    spikes = run_node(encoder, (STREAM, record), grid=GRID)
    stream = spikes.streams[""]
    node = Reconstruct(of=encoder, first=first, precision="float64")
    ran = run_node(node, (stream, spikes.events), grid=GRID)
    t_ns, channel, value = columns(record)
    newest: dict[tuple[int, int], float] = {}
    begun: dict[int, float] = {}
    for tick, where, x in zip(GRID.ticks(t_ns).tolist(), channel.tolist(), value.tolist(), strict=True):
        if np.isfinite(x) and abs(x) <= furthest:
            newest[tick, where] = x
            begun.setdefault(where, x)
    found = ran.rows()
    assert len({row[:2] for row in found}) == len(found)
    return [Pair(tick, where, rebuilt, newest[tick, where], begun[where]) for tick, where, rebuilt in found]
