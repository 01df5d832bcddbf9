"""Taps: what they put together is what has passed, in either form."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from spikeflow.events import Batch, Grid, Stream, Window, raw_columns
from spikeflow.runtime.channel import Fan
from spikeflow.runtime.taps import OutletTap, ticks_of

GRID = Grid(1_700_000_000_000_000_000, 1_000_000, 10)
STREAM = Stream("hidden", "spikes", 100)
WINDOWS = st.lists(st.lists(st.tuples(st.integers(0, 9_999_999), st.integers(0, 99)), max_size=40), max_size=12)
"""Of each window, the times of its spikes (ns from its start) and their neurons."""


def _told(windows: list[list[tuple[int, int]]], indices: list[int] | None, form: str) -> list[tuple[int, int]]:
    """Ticks and neurons of all that a tap tells; the last window is cut to seven ticks."""
    fan = Fan(STREAM)
    engine: Any = SimpleNamespace(wired=SimpleNamespace(fans={"hidden": fan}), grid=GRID)
    tap = OutletTap(engine, "hidden", indices, 0.05, by_tick=form == "ticks")
    tap.begin(lambda delay: None)
    schema = STREAM.schema(GRID)
    found: list[tuple[int, int]] = []
    for number, spikes in enumerate(windows):
        window = Window.at(GRID, 10 * number, 7 if number == len(windows) - 1 else 10)
        kept = sorted((t, n) for t, n in spikes if t < window.ticks * 1_000_000)
        t_ns = window.start_ns + np.array([t for t, _ in kept], np.int64)
        fan.offer(Batch(window, schema, t_ns, np.array([n for _, n in kept], np.uint32), None))
        if number % 4 == 3:
            found += _taken(tap)
    return found + _taken(tap)


def _taken(tap: OutletTap) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    while (message := tap.take()) is not None:
        facts, raw = message
        if facts["kind"] == "ticks":
            assert not facts["count"] or len(raw[0]) == facts["end"] - facts["first"]
            tick, neuron = ticks_of(facts, b"".join(part.tobytes() for part in raw))
        else:
            if not len(raw):
                continue
            t_ns, neuron, _ = raw_columns(pa.ipc.read_record_batch(pa.py_buffer(raw), tap.schema))
            tick = (t_ns - GRID.origin_ns) // GRID.dt_ns
        assert facts["count"] == len(tick)
        found += zip(tick.tolist(), neuron.tolist(), strict=True)
    return found


@given(WINDOWS, st.sampled_from([None, [3, 5, 40]]))
def test_both_forms_tell_the_same_spikes(windows: list[list[tuple[int, int]]], indices: list[int] | None) -> None:
    arrow, ticks = (_told(windows, indices, form) for form in ("arrow", "ticks"))
    assert ticks == arrow
    last = len(windows) - 1
    assert sorted(arrow) == sorted(
        (10 * k + t // 1_000_000, n)
        for k, spikes in enumerate(windows)
        for t, n in spikes
        if (indices is None or n in indices) and (k < last or t < 7_000_000)
    )
