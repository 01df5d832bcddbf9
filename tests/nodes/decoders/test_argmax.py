"""Argmax."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spikeflow
from spikeflow.events import Stream, columns
from spikeflow.nodes.decoders.argmax import Argmax
from spikeflow.testing import run_node
from tests.nodes.conftest import Examples
from tests.nodes.decoders.arrays import GRID, answers, spikes

THREE = Stream("x", "spikes", 3)
COUNTED = {"inputs": [Stream("", "spikes", 5, valued=True)]}
HELD = {"inputs": [Stream("", "samples", 5)], "events": 200}


def made(fields: dict[str, Any], _: Path) -> Argmax:
    return Argmax.model_validate(fields)


EXAMPLES: Examples = [
    (partial(made, {"frame": "13 ms"}), COUNTED),
    (partial(made, {"frame": "100 ms", "margin": 1.0, "changes": True}), COUNTED),
    (partial(made, {"over": "30 ms", "every": "7 ms", "hysteresis": 2.0}), COUNTED),
    (partial(made, {"over": "7 ms", "every": "10 ms"}), COUNTED),
    (partial(made, {}), HELD),
    (partial(made, {"hysteresis": 0.5, "margin": 0.2, "changes": True}), HELD),
]


def decisions(array: np.ndarray[Any, Any], **fields: Any) -> list[tuple[int, list[float | None]]]:
    """(tick, [class, margin, latency])."""
    return [
        (tick, [None if np.isnan(one) else round(one, 6) for one in line.tolist()])
        for tick, line in zip(*answers(Argmax.model_validate(fields), array), strict=True)
    ]


def counts(*frames: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Counted spikes at the first tick of frames of 10 ticks."""
    array = np.zeros((10 * len(frames), len(frames[0])), np.int8)
    array[::10] = frames
    return array


def classes(*frames: tuple[int, ...], **fields: Any) -> list[float | None]:
    return [row[0] for _, row in decisions(counts(*frames), frame="10 ms", **fields)]


def test_a_decision_carries_its_margin_and_its_latency() -> None:
    found = decisions(spikes(20, 3, (0, 0), (2, 2), (3, 2), (12, 1)), frame="10 ms")
    assert found == [(10, [2, 1, 0.008]), (20, [1, 1, 0.008])]


def test_the_lowest_of_equal_ones_wins_unless_there_is_a_margin() -> None:
    assert classes((0, 2, 2)) == [1]
    assert classes((0, 2, 2), (0, 3, 2), margin=1.0) == [-1, 1]


def test_there_is_no_winner_where_nothing_came() -> None:
    assert decisions(spikes(10, 3), frame="10 ms") == [(10, [-1, None, None])]


def test_what_leads_by_too_little_wins_nothing_and_says_by_how_much_it_leads() -> None:
    assert decisions(counts((3, 2)), frame="10 ms", margin=2.0) == [(10, [-1, 1, None])]


def test_a_winner_stays_until_another_one_leads_it_by_the_hysteresis() -> None:
    frames = ((3, 0), (2, 3), (2, 4), (4, 3), (0, 0), (5, 3))
    assert classes(*frames, hysteresis=2.0) == [0, 0, 1, 1, 1, 0]
    assert classes(*frames) == [0, 1, 1, 0, -1, 0]
    assert classes((3, 0), (3, 6), (6, 6), hysteresis=2.0, margin=4.0) == [-1, -1, -1]
    assert decisions(counts((3, 0), (2, 3)), frame="10 ms", hysteresis=2.0)[1] == (20, [0, -1, 0.01])


def test_only_changes_may_be_given() -> None:
    found = decisions(counts((3, 0), (3, 0), (0, 0), (0, 1), (0, 5)), frame="10 ms", changes=True)
    assert [(tick, row[0]) for tick, row in found] == [(10, 0), (30, -1), (40, 1)]


def test_a_sliding_time_counts_what_is_in_it() -> None:
    array = spikes(40, 2, (3, 0), (14, 1), (15, 1))
    found = decisions(array, over="20 ms", every="10 ms")
    assert found == [(10, [0, 1, 0.007]), (20, [1, 1, 0.006]), (30, [1, 2, 0.016]), (40, [-1, None, None])]


def test_samples_are_compared_at_each_tick_that_has_some() -> None:
    values = np.full((10, 3), np.nan, np.float32)
    values[2] = (0.5, 0.25, 0.0)
    values[5, 2] = 1.0
    values[7, 0] = 0.75
    found = decisions(values)
    assert found == [(2, [0, 0.25, 0]), (5, [2, 0.5, 0]), (7, [2, 0.25, 0.002])]


def test_a_margin_that_is_not_known_has_no_sample() -> None:
    values = np.full((3, 2), np.nan, np.float32)
    values[1, 1] = -5.0
    assert decisions(values) == [(1, [1, None, 0])]


@given(
    frames=st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=8),
    margin=st.integers(0, 3),
)
def test_it_is_the_argmax_of_the_counts(frames: list[tuple[int, ...]], margin: int) -> None:
    for frame, (_, row) in zip(frames, decisions(counts(*frames), frame="10 ms", margin=float(margin)), strict=True):
        second, most = sorted(frame)[-2:]
        won = any(frame) and most - second >= margin
        assert row[0] == (frame.index(most) if won else -1)
        assert row[1] == (most - second if any(frame) else None)


def test_the_log_says_the_name_of_the_winner_at_most_once_a_second() -> None:
    array = counts((1, 0), (0, 1), *[(0, 0)] * 100, (1, 0))
    node = Argmax(frame="10 ms", labels=["left", "right"])
    ran = run_node(node, array != 0, ticks=len(array) + 1, grid=GRID)
    assert [line for line in ran.log if "ahead" in line[1]] == [
        ("info", "left at 0.010 s, ahead by 1"),
        ("info", "left at 1.030 s, ahead by 1"),
    ]


def test_labels_may_be_lines_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("left\n\nmiddle\nright\n")
    node = Argmax.model_validate({"frame": "10 ms", "labels": "names.txt"}, context={"folder": tmp_path})
    assert list(node.check([THREE], GRID)) == []
    assert [p.found for p in node.check([Stream("x", "spikes", 2)], GRID)] == ["3 labels for 2 neurons"]


@pytest.mark.parametrize(
    ("fields", "stream", "says"),
    [
        ({}, THREE, "spikes are counted over no time — write frame: 100 ms, or over: 100 ms and every: 10 ms"),
        ({"frame": "1500 us"}, THREE, "frame is 1500 us, which is not a multiple of dt, 1 ms — write 2 ms"),
        ({"frame": "10 ms", "over": "20 ms"}, THREE, "both frame and over — keep frame, or write over and every"),
        ({"frame": "10 ms", "every": "5 ms"}, THREE, "both frame and every — keep frame, or write over and every"),
        (
            {"frame": "10 ms"},
            Stream("x", "samples", 3),
            "frame on samples, which are taken as they come — leave it out; `max_membrane` before it takes the largest "
            "of a frame",
        ),
        (
            {"frame": "10 ms"},
            Stream("x", "spikes", 1),
            "one neuron or channel alone, which always wins — give it two or more to choose from",
        ),
        ({"frame": "10 ms", "labels": ["a"]}, THREE, "1 labels for 3 neurons — give one for each"),
    ],
)
def test_what_does_not_fit_is_said_at_check(fields: dict[str, Any], stream: Stream, says: str) -> None:
    assert [str(problem) for problem in Argmax.model_validate(fields).check([stream], GRID)] == [says]


GRAPH = """
spikeflow: 1
nodes:
  spikes: {source: synthetic, signal: poisson, size: 3, rate: 400 Hz, length: 301 ms}
  out:
    neuron: li
    size: 2
    inputs: [{from: spikes, weights: {uniform: {low: -1, high: 1}}}]
  largest: {decoder: max_membrane, input: out, frame: 100 ms}
  decision: {decoder: argmax, input: largest, labels: [left, right]}
  file: {sink: file, input: [out, largest, decision], path: all}
"""


def test_behind_the_largest_membrane_potential_of_a_frame_it_reads_a_network_out(tmp_path: Path) -> None:
    (tmp_path / "graph.yaml").write_text(GRAPH)
    spikeflow.run_blocking(spikeflow.load(tmp_path / "graph.yaml"))
    found = {}
    for name in ("out", "largest", "decision"):
        with pa.ipc.open_file(tmp_path / "all" / f"{name}.arrow") as file:
            found[name] = columns(file.read_all().combine_chunks().to_batches()[0])
    v = found["out"][2][: 2 * 300].reshape(3, 100, 2).max(axis=1)
    assert (found["largest"][0] // GRID.dt_ns).tolist() == [100, 100, 200, 200, 300, 300]
    assert np.array_equal(found["largest"][2].reshape(3, 2), v)
    assert (found["decision"][0] // GRID.dt_ns).tolist() == [100] * 3 + [200] * 3 + [300] * 3
    expected = np.stack([v.argmax(axis=1), np.abs(np.diff(v.astype(np.float64), axis=1)[:, 0]), np.zeros(3)], axis=1)
    assert np.array_equal(found["decision"][2].reshape(3, 3), expected.astype(np.float32))
