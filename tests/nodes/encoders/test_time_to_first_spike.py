"""Time to first spike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import spikeflow
from spikeflow.events import Stream
from spikeflow.nodes.encoders.time_to_first_spike import TimeToFirstSpike
from spikeflow.testing import GRID, run_node
from tests.nodes.conftest import Examples

EXAMPLES: Examples = [
    (lambda _: TimeToFirstSpike(frame="20 ms"), {}),
    (lambda _: TimeToFirstSpike(frame="7 ms", low=-1.0), {"events": 300}),
    (lambda _: TimeToFirstSpike(frame="100 ms", low=-1.0), {"size": 500, "events": 2000}),
]


def test_the_larger_a_value_the_sooner_its_spike() -> None:
    values = np.array([[1.0, 0.5, 0.001, 0.0, -3.0, 7.0, np.nan]])
    ran = run_node(TimeToFirstSpike(frame="11 ms"), values, ticks=11)
    assert [row[:2] for row in ran.rows()] == [(0, 0), (0, 5), (5, 1), (10, 2)]


def test_each_frame_says_what_was_held_when_it_began() -> None:
    values = np.full((20, 1), np.nan)
    values[3], values[12] = 2.0, 4.0
    ran = run_node(TimeToFirstSpike(frame="5 ms", high=4.0), values, ticks=30)
    assert [row[0] for row in ran.rows()] == [5 + 2, 10 + 2, 15, 20, 25]


GRAPH = """
spikeflow: 1
time: {{dt: 1 ms, window: {window} ms}}
nodes:
  x: {{source: file, path: x.csv, size: 1, length: 60 ms}}
  beat: {{source: file, path: beat.csv, size: 1, length: 60 ms}}
  first: {{encoder: time_to_first_spike, input: x, frame: 11 ms, forget: {{on: beat}}}}
  out: {{sink: file, input: first, path: out.csv}}
"""


@pytest.mark.parametrize("window", [1, 10, 60])
def test_a_frame_may_begin_when_another_node_says_so(tmp_path: Path, window: int) -> None:
    (tmp_path / "x.csv").write_text("t,channel,value\n2000000,0,0.5\n31000000,0,1.0\n")
    (tmp_path / "beat.csv").write_text("t,neuron\n4000000,0\n27000000,0\n43000000,0\n")
    (tmp_path / "graph.yaml").write_text(GRAPH.format(window=window))
    assert spikeflow.run_blocking(tmp_path / "graph.yaml").exit_code == 0
    rows = (tmp_path / "out.csv").read_text().splitlines()[1:]
    assert [int(row.split(",")[0].split(".")[1][:3]) for row in rows] == [9, 32, 43]


def test_bounds_and_frames_are_held_at_check() -> None:
    stream = Stream("x", "samples", 1)
    paths = [one.path for one in TimeToFirstSpike(frame=1_500_000, low=1.0).check([stream], GRID)]
    assert paths == [("frame",), ("high",)]
    with pytest.raises(ValueError, match="frame"):
        TimeToFirstSpike.model_validate({})
