"""Arrays in, rows out: a decoder in a graph of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spikeflow.events import Grid, Stream, build
from spikeflow.node import Decoder
from spikeflow.testing import run_node

GRID = Grid(5_000_000_000, 1_000_000, 10)


def answers(
    node: Decoder, values: npt.NDArray[Any], *, grid: Grid = GRID, absent: float = np.nan, **more: Any
) -> tuple[list[int], npt.NDArray[np.float64]]:
    """The ticks at which a decoder answers, and [answers, channels] what it says on an array [ticks, size].

    Booleans are spikes, whole numbers valued ones, floats samples; NaN is none. The run lasts one tick longer.
    """
    kind = values.dtype.kind
    fill = ~np.isnan(values) if kind == "f" else values != 0
    tick, index = np.nonzero(fill)
    stream = Stream(
        "x", "samples" if kind == "f" else "spikes", values.shape[1], kind in "iu", double=values.dtype == np.float64
    )
    given = None if kind == "b" else values[tick, index]
    record = build(stream.plain, grid.origin_ns + tick * grid.dt_ns, index.astype(np.uint32), given)
    ran = run_node(node, (stream, record), ticks=len(values) + 1, grid=grid, **more)
    rows = ran.rows()
    ticks = sorted({tick for tick, _, _ in rows})
    found = np.full((len(ticks), ran.streams[""].size), absent)
    for at, channel, value in rows:
        found[ticks.index(at), channel] = value
    return ticks, found


def spikes(ticks: int, size: int, *at: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """[ticks, size] with a spike at each (tick, neuron)."""
    found = np.zeros((ticks, size), np.bool_)
    for tick, neuron in at:
        found[tick, neuron] = True
    return found
