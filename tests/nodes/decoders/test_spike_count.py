"""Spike counts."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv as pa_csv
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spikeflow
from spikeflow.events import Stream
from spikeflow.nodes.decoders.spike_count import SpikeCount
from tests.nodes.conftest import Examples
from tests.nodes.decoders import golden
from tests.nodes.decoders.arrays import GRID, answers, spikes

SUMS = golden.cases("sum_")


def made(frame: str, cumulative: bool, per: str, _: Path) -> SpikeCount:
    return SpikeCount.model_validate({"frame": frame, "cumulative": cumulative, "per": per})


EXAMPLES: Examples = [
    (partial(made, frame, cumulative, per), {"inputs": [Stream("", "spikes", 5, valued=True)]})
    for frame in ("1 ms", "13 ms", "100 ms")
    for cumulative, per in ((False, "neuron"), (True, "neuron"), (True, "population"))
]


def summed(case: str) -> np.ndarray[Any, Any]:
    """What graphs of their own make of a case."""
    ticks = golden.TICKS
    found, _ = SUMS[case]
    if case == "sum_dim0":
        return answers(SpikeCount(frame=ticks * GRID.dt_ns), found.reshape(ticks, -1))[1].reshape(found.shape[1:])
    node = SpikeCount(frame=GRID.dt_ns, per="population")
    lanes = np.moveaxis(found, 2 if case == "sum_dim1" else 1, 0)  # what is not summed: each in a run of its own
    return np.stack([answers(node.model_copy(), lane)[1][:, 0] for lane in lanes], axis=1)


@pytest.mark.parametrize("case", sorted(SUMS))
def test_sums_are_those_of_norse(case: str) -> None:
    assert np.array_equal(summed(case), SUMS[case][1])


def test_a_count_is_given_at_the_end_of_its_frame_and_holds_the_spikes_in_it() -> None:
    ticks, found = answers(SpikeCount(frame="10 ms"), spikes(25, 2, (0, 0), (9, 0), (10, 1), (24, 0)))
    assert ticks == [10, 20]
    assert found.tolist() == [[2, 0], [0, 1]]


def test_a_cumulative_count_goes_on() -> None:
    found = answers(SpikeCount(frame="10 ms", cumulative=True), spikes(30, 2, (0, 0), (9, 0), (10, 1), (24, 0)))[1]
    assert found.tolist() == [[2, 0], [2, 1], [3, 1]]


def test_valued_spikes_count_by_their_value() -> None:
    values = np.zeros((10, 2), np.int8)
    values[3], values[4] = (3, -1), (-1, 0)
    assert answers(SpikeCount(frame="10 ms"), values)[1].tolist() == [[2, -1]]
    assert answers(SpikeCount(frame="10 ms", per="population"), values)[1].tolist() == [[1]]


@given(
    values=st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=1, max_size=60),
    frame=st.integers(1, 20),
)
def test_the_counts_of_frames_are_sums_over_their_ticks(values: list[list[int]], frame: int) -> None:
    array = np.array(values)
    whole = len(array) // frame
    ticks, found = answers(SpikeCount(frame=frame * GRID.dt_ns), array)
    expected = array[: whole * frame].reshape(whole, frame, 3).sum(axis=1)
    assert ticks == [frame * (k + 1) for k in range(whole)]
    assert np.array_equal(found, expected)
    running = answers(SpikeCount(frame=frame * GRID.dt_ns, cumulative=True), array)[1]
    assert np.array_equal(running, expected.cumsum(axis=0))


def test_a_frame_that_is_not_whole_ticks_is_named_at_check() -> None:
    assert [str(problem) for problem in SpikeCount(frame="1500 us").check([Stream("x", "spikes", 2)], GRID)] == [
        "frame is 1500 us, which is not a multiple of dt, 1 ms — write 2 ms"
    ]


GRAPH = """
spikeflow: 1
time: {{dt: 1 ms, window: {window}}}
nodes:
  spikes: {{source: file, path: spikes.csv, size: 2, length: 61 ms}}
  cue: {{source: file, path: cue.csv, size: 1, length: 61 ms}}
  count: {{decoder: spike_count, input: spikes, frame: 20 ms, forget: {{on: cue}}}}
  out: {{sink: file, input: count, path: "out-{window}.csv"}}
"""


@pytest.mark.parametrize("window", ["1 ms", "7 ms", "10 ms", "100 ms"])
def test_a_frame_begins_anew_where_another_node_says_so(window: str, tmp_path: Path) -> None:
    (tmp_path / "spikes.csv").write_text("t,neuron\n" + "".join(f"{tick}000000,{tick % 2}\n" for tick in range(60)))
    (tmp_path / "cue.csv").write_text("t,neuron\n5000000,0\n25000000,0\n32000000,0\n")
    (tmp_path / "graph.yaml").write_text(GRAPH.format(window=window))
    spikeflow.run_blocking(spikeflow.load(tmp_path / "graph.yaml"))
    # from 5 to 25, whose answer is due as the next frame begins; 25 to 32 is cut short; 32 to 52 is whole
    with pa_csv.open_csv(tmp_path / f"out-{window}.csv") as file:
        rows = file.read_all().to_pydict()
    ticks = [t.microsecond // 1000 for t in rows["t"]]
    assert list(zip(ticks, rows["channel"], rows["value"], strict=True)) == [
        (25, 0, 10), (25, 1, 10), (52, 0, 10), (52, 1, 10)
    ]  # fmt: skip
