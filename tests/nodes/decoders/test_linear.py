"""Linear readouts."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import spikeflow
from spikeflow.events import Stream, columns, sample_batch
from spikeflow.nodes.decoders.linear import Linear
from spikeflow.testing import run_node
from tests.nodes.conftest import Examples
from tests.nodes.decoders.arrays import GRID, answers

W = np.array([[0.5, -1.0, 2.0, 0.25, 0.1], [1.0, 1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0, -3.0]])
COUNTED = {"inputs": [Stream("", "spikes", 5, valued=True)]}
HELD = {"inputs": [Stream("", "samples", 5, double=True)], "events": 200}


def made(fields: dict[str, Any], folder: Path) -> Linear:
    np.save(folder / "w.npy", W)
    np.savez(folder / "both.npz", w=W[:1], b=[2.0])
    return Linear.model_validate(fields, context={"folder": folder})


EXAMPLES: Examples = [
    (partial(made, {"weights": "w.npy", "frame": "13 ms"}), COUNTED),
    (partial(made, {"weights": "w.npy", "bias": [1, 2, 3], "over": "30 ms", "every": "7 ms"}), COUNTED),
    (partial(made, {"weights": "both.npz#w", "bias": "both.npz#b", "frame": "1 ms"}), COUNTED),
    (partial(made, {"weights": "w.npy", "bias": 0.5}), HELD),
    (partial(made, {"weights": "both.npz#w"}), {**HELD, "inputs": [Stream("", "samples", 5)]}),
]


@given(
    counts=arrays.arrays(np.int8, st.tuples(st.integers(1, 6), st.just(5)), elements=st.integers(-3, 3)),
    bias=st.floats(-5, 5),
)
def test_on_spikes_it_weighs_how_often_each_neuron_spiked(counts: np.ndarray[Any, Any], bias: float) -> None:
    array = np.zeros((len(counts) * 4, 5), np.int8)
    array[1::4], array[2::4] = counts, 1
    ticks, found = answers(Linear(weights=W, bias=bias, frame="4 ms"), array)
    assert ticks == list(range(4, len(array) + 1, 4))
    assert np.allclose(found, (counts + 1.0) @ W.T + bias, rtol=1e-6, atol=1e-5)


def test_on_samples_it_weighs_what_each_channel_holds() -> None:
    values = np.full((8, 5), np.nan, np.float32)
    values[2, 0], values[5, 1], values[5, 4] = 2.0, -1.0, 3.0
    ticks, found = answers(Linear(weights=W, bias=[0.0, 1.0, 0.0]), values)
    assert ticks == [2, 5]
    assert found == pytest.approx(np.array([[1.0, 3.0, 0.0], [2.3, 5.0, -9.0]]))


def test_samples_in_double_precision_stay_so() -> None:
    record = sample_batch([GRID.origin_ns], [0], np.array([np.pi]))
    ran = run_node(Linear(weights=np.array([[1.0]])), (Stream("x", "samples", 1, double=True), record), grid=GRID)
    assert columns(ran.events)[2].tolist() == [np.pi]


def test_weights_come_from_files_as_those_of_populations_do(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", W)
    scipy.sparse.save_npz(tmp_path / "sparse.npz", scipy.sparse.csr_array(W))
    np.savez(tmp_path / "both.npz", w=W, b=[1.0, 2.0, 3.0])
    array = np.eye(5, dtype=bool)
    for weights in ("w.npy", "sparse.npz", "both.npz#w"):
        fields = {"weights": weights, "bias": "both.npz#b", "frame": "1 ms"}
        found = answers(Linear.model_validate(fields, context={"folder": tmp_path}), array)[1]
        assert np.array_equal(found, (W.T + np.arange(1.0, 4.0)).astype(np.float32))


FIVE = Stream("x", "spikes", 5)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"weights": W.T}, "weights of shape [5, 3] for 5 inputs"),
        ({"weights": np.ones((5, 2))}, "weights of shape [5, 2] for 5 inputs: they fit transposed"),
        ({"weights": [1.0, 2.0]}, "weights of shape [2]"),
        ({"weights": W, "bias": [1.0]}, "a bias of shape [1] for 3 outputs"),
        ({"weights": "none.npy"}, "there is no file"),
        ({"weights": W, "bias": "none.npy"}, "there is no file"),
    ],
)
def test_what_does_not_fit_is_said_at_check(fields: dict[str, Any], says: str, tmp_path: Path) -> None:
    node = Linear.model_validate({"frame": "10 ms", **fields}, context={"folder": tmp_path})
    [problem] = node.check([FIVE], GRID)
    assert str(problem).startswith(says) or (says in str(problem) and "weights" in fields)
    assert problem.path == (("bias",) if "bias" in fields else ("weights",))


@pytest.mark.parametrize("weights", ["w.txt", "words", [[1], [2, 3]], [["a"]], [[float("nan")]], True])
def test_weights_are_finite_numbers(weights: Any) -> None:
    with pytest.raises(ValueError, match=r"file of numbers|lengths|list"):
        Linear(weights=weights, frame="1 ms")


GRAPH = """
spikeflow: 1
nodes:
  spikes: {source: synthetic, signal: poisson, size: 5, rate: 200 Hz, length: 101 ms}
  read: {decoder: linear, input: spikes, weights: FILE, frame: 20 ms}
  out: {sink: file, input: [spikes, read], path: all}
"""


def test_in_a_graph_its_files_count_from_the_graph_s_folder_and_its_faults_have_a_place(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", W)
    (tmp_path / "graph.yaml").write_text(GRAPH.replace("FILE", "w.npy"))
    report = spikeflow.run_blocking(spikeflow.load(tmp_path / "graph.yaml"))
    assert report.nodes["out"]["processed"] > 15
    (tmp_path / "graph.yaml").write_text(GRAPH.replace("FILE", "v.npy"))
    with pytest.raises(spikeflow.GraphError, match=r"graph.yaml:5:\d+: node \"read\": there is no file .*did you mean"):
        spikeflow.load(tmp_path / "graph.yaml")
