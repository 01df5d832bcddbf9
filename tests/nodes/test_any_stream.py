"""Encoders on any stream: with gaps, repeats, and values that are no numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikeflow.catalog import kinds
from spikeflow.events import Grid, Stream, build
from spikeflow.testing import difference, run_node
from tests.nodes.test_conformance import examples

ORIGIN_NS, DT_NS, TICKS, SIZE = 5_000_000_000, 1_000_000, 60, 5
EXAMPLES = [(kind, number) for kind in kinds("encoder") for number in range(len(examples("encoder", kind)))]
VALUES = st.sampled_from([0.0, 0.25, 1.0, 2.0, 3.0, -1.5, float("nan"), float("inf"), float("-inf")])
ROWS = st.lists(
    st.tuples(st.integers(0, TICKS - 1), st.sampled_from([0, 1, DT_NS - 1]), st.integers(0, SIZE - 1), VALUES),
    max_size=40,
)


@pytest.mark.parametrize(("kind", "number"), EXAMPLES)
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, window=st.integers(1, TICKS))
def test_events_and_what_is_noted_do_not_depend_on_windows(
    kind: str, number: int, tmp_path: Path, rows: list[tuple[int, int, int, float]], window: int
) -> None:
    make = examples("encoder", kind)[number][0]
    taken: Any = type(make(tmp_path)).takes[0]
    stream = Stream("x", taken, SIZE, valued=taken == "spikes")
    rows = sorted(rows, key=lambda row: row[:3])
    tick, late, index, value = (np.array([row[k] for row in rows]) for k in range(4))
    late = late if taken == "samples" else late * 0
    t_ns = ORIGIN_NS + tick * DT_NS + late
    order = np.lexsort((index, t_ns))
    record = build(stream.plain, t_ns[order].astype(np.int64), index[order].astype(np.uint32), value[order])
    grids = [Grid(ORIGIN_NS, DT_NS, ticks) for ticks in (TICKS, window)]
    one, other = (run_node(make(tmp_path), (stream, record), ticks=TICKS, grid=grid) for grid in grids)
    assert difference(one.events, other.events) is None
    assert one.counters.noted == other.counters.noted
