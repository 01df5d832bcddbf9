"""Frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spikeflow
from spikeflow.events import GRADED_SPIKES, Grid, Stream, columns, empty, sample_batch, spike_batch
from spikeflow.nodes.blocks import FramedEncoder
from spikeflow.testing import check_node, difference, run_node

GRID = Grid(5_000_000_000, 1_000_000, 10)


class Marks(FramedEncoder):
    """A spike a tick for every channel that holds something: its value says which, and how old the frame is."""

    valued: ClassVar[bool] = True

    def start(self, size: int) -> None:
        self.begin_frames(size)

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        found = [part for part in self._found(samples) if len(part[0])]
        if not found:
            return empty(GRADED_SPIKES)
        tick, channel, value = (np.concatenate(column) for column in zip(*found, strict=True))
        grid = self.context.grid
        return spike_batch(grid.origin_ns + tick * grid.dt_ns, channel, value.astype(np.float32))

    def _found(self, samples: pa.RecordBatch) -> Iterator[tuple[npt.NDArray[Any], ...]]:
        for part, value in self.latched(samples):
            tick, channel = np.nonzero(np.tile(~np.isnan(value), (part.high - part.low, 1)))
            yield part.low + tick, channel, value[channel] * 100 + part.low + tick - part.first


def fed(rows: list[tuple[int, int, float]], grid: Grid = GRID) -> pa.RecordBatch:
    """Samples of (tick, channel, value)."""
    tick, channel, value = (np.array(column) for column in zip(*sorted(rows), strict=True))
    return sample_batch(grid.origin_ns + tick * grid.dt_ns + 300, channel, value.astype(np.float32))


def test_the_value_held_at_the_first_tick_of_a_frame_is_that_of_the_frame() -> None:
    stream = Stream("x", "samples", 2)
    record = fed([(1, 0, 7.0), (4, 0, 1.0), (4, 0, 2.0), (5, 0, 9.0), (9, 1, np.nan)])
    ran = run_node(Marks(frame="4 ms"), (stream, record), ticks=10, grid=GRID)
    assert ran.rows() == [(4, 0, 200.0), (5, 0, 201.0), (6, 0, 202.0), (7, 0, 203.0), (8, 0, 900.0), (9, 0, 901.0)]
    assert ran.counters.noted == {"not finite": 1}


@pytest.mark.parametrize("frame", ["3 ms", "7 ms", "10 ms", "200 ms"])
def test_frames_keep_the_rules_of_nodes(frame: str) -> None:
    check_node(lambda: Marks(frame=frame))


GRAPH = """
spikeflow: 1
time: {{dt: 1 ms, window: {window} ms}}
nodes:
  x: {{source: file, path: {folder}/x.csv, size: 1, length: 40 ms}}
  beat: {{source: file, path: {folder}/beat.csv, size: 1, length: 40 ms}}
  marks:
    encoder: "tests.nodes.test_blocks:Marks"
    input: x
    frame: 5 ms
    forget: {forget}
  out: {{sink: file, input: marks, path: {folder}/out.arrows}}
"""


def ran(folder: Path, window: int, forget: str, beats: list[int]) -> list[tuple[int, float]]:
    """(tick, value) of a graph that frames `x`, which is 3 at tick 2 and 4 at tick 13."""
    ms = 1_000_000
    (folder / "x.csv").write_text(f"t,channel,value\n{2 * ms},0,3\n{13 * ms},0,4\n")
    (folder / "beat.csv").write_text("t,neuron\n" + "".join(f"{beat * ms},0\n" for beat in beats))
    (folder / "graph.yaml").write_text(GRAPH.format(window=window, folder=folder, forget=forget))
    spikeflow.run_blocking(spikeflow.load(folder / "graph.yaml"))
    with pa.ipc.open_stream(folder / "out.arrows") as reader:
        batches = list(reader)
    rows = [columns(batch) for batch in batches]
    origin = int(batches[0].schema.metadata[b"origin"]) if batches else 0
    return [
        ((int(t) - origin) // ms, float(value))
        for t_ns, _, values in rows
        for t, value in zip(t_ns, values, strict=True)
    ]


@pytest.mark.parametrize("window", [1, 7, 10, 40])
def test_another_node_begins_frames_and_silence_follows_each(window: int, tmp_path: Path) -> None:
    found = ran(tmp_path, window, "{on: beat}", [0, 4, 13, 15, 38])
    expected = [(4 + k, 300.0 + k) for k in range(5)] + [(13, 400.0), (14, 401.0)]
    assert found == expected + [(15 + k, 400.0 + k) for k in range(5)] + [(38, 400.0), (39, 401.0)]


@pytest.mark.parametrize("window", [1, 7, 40])
def test_frames_come_at_multiples_of_a_longer_time(window: int, tmp_path: Path) -> None:
    found = ran(tmp_path, window, "{every: 15 ms}", [0])
    assert found == [(15 + k, 400.0 + k) for k in range(5)] + [(30 + k, 400.0 + k) for k in range(5)]


def test_a_frame_is_whole_ticks() -> None:
    [problem] = Marks(frame="2500 us").check([Stream("x", "samples", 1)], GRID)
    assert str(problem) == "frame is 2500 us, which is not a multiple of dt, 1 ms — write 2 ms"


@given(
    frame=st.integers(1, 12),
    window=st.integers(1, 30),
    rows=st.lists(
        st.tuples(st.integers(0, 39), st.integers(0, 2), st.sampled_from([0.5, -1.0, float("nan"), float("inf"), 2.0])),
        min_size=1,
        max_size=30,
    ),
)
def test_frames_do_not_depend_on_windows(frame: int, window: int, rows: list[tuple[int, int, float]]) -> None:
    stream, record = Stream("x", "samples", 3), fed(rows)
    one, other = (
        run_node(
            Marks(frame=f"{frame} ms"), (stream, record), ticks=40, grid=Grid(GRID.origin_ns, 1_000_000, ticks)
        ).events
        for ticks in (40, window)
    )
    assert difference(one, other) is None
