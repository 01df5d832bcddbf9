"""Learned weights kept in files, and what becomes of them in another run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse

import spikeflow
from spikeflow.errors import ConnectError, GraphError
from spikeflow.events import Grid, Stream, sample_batch
from spikeflow.nodes.sinks.weights import Weights
from tests.nodes.conftest import Examples, GivingInlet, bind_sink

GRID = Grid(1_700_000_000_000_000_000, 1_000_000, 10)
LEARNED = Stream("hidden.w_x", "samples", 6, shape=(2, 3), synapses=True)
EXAMPLES: Examples = [
    (lambda folder: Weights(path=folder / "w.npz"), {"inputs": [LEARNED]}),
    (lambda folder: Weights(path=folder / "late.npz", at="5 ms"), {"inputs": [LEARNED]}),
]


def said(ticks: list[int], channels: list[int], scale: float = 1.0) -> pa.RecordBatch:
    """The weight of a channel at a tick is channel + tick / 100."""
    t = np.repeat(GRID.origin_ns + np.array(ticks) * GRID.dt_ns, len(channels))
    value = np.concatenate([scale * (np.array(channels) + tick / 100) for tick in ticks])
    return sample_batch(t, np.tile(np.array(channels, np.uint32), len(ticks)), value.astype(np.float32))


async def consumed(node: Weights, record: pa.RecordBatch, ticks: int = 40) -> list[str]:
    """What the node says while it takes these weights."""
    log = bind_sink(node, GRID, (LEARNED,), now_ns=GRID.origin_ns, graph="learning")
    await node.consume(GivingInlet.of(GRID, {LEARNED: (record, ticks)}))
    return [text for _, text in log]


async def test_the_last_weights_are_kept_as_a_matrix_of_post_and_pre(tmp_path: Path) -> None:
    (text,) = await consumed(Weights(path=tmp_path / "new/w.npy"), said([3, 14, 25], list(range(6))))
    assert "are those of 15 ms before the end; `record: {w_x: {every: …}}` sends them more often" in text
    np.testing.assert_allclose(np.load(tmp_path / "new/w.npy"), np.arange(6).reshape(2, 3) + 0.25, rtol=1e-6)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["w.npy"]


@pytest.mark.parametrize(("at", "tick"), [("0 s", 3), ("4 ms", 14), ("14 ms", 14), ("15 ms", 25)])
async def test_the_first_weights_from_a_time_on_are_kept(tmp_path: Path, at: str, tick: int) -> None:
    await consumed(Weights(path=tmp_path / "w.npy", at=at), said([3, 14, 25], list(range(6))))
    assert np.load(tmp_path / "w.npy")[1, 2] == np.float32(5 + tick / 100)


async def test_which_synapses_there_are_is_kept_in_a_sparse_file(tmp_path: Path) -> None:
    await consumed(Weights(path=tmp_path / "w.npz"), said([2], [0, 4, 4, 5]), ticks=3)
    found: Any = scipy.sparse.load_npz(tmp_path / "w.npz")
    assert found.shape == (2, 3)
    assert found.row.tolist() == [0, 1, 1, 1] and found.col.tolist() == [0, 1, 1, 2]


async def test_synapses_that_are_no_matrix_are_kept_in_a_sparse_file_with_a_word(tmp_path: Path) -> None:
    (text,) = await consumed(Weights(path=tmp_path / "w.npy"), said([2], [0, 1, 4, 5]), ticks=3)
    assert text.startswith("4 synapses for 6 pairs of neurons are no matrix; they are in ")
    assert text.endswith("w.npz': let the path end in .npz")
    assert [path.name for path in tmp_path.iterdir()] == ["w.npz"]


async def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "w.npy").mkdir()
    with pytest.raises(ConnectError, match="is a folder"):
        await consumed(Weights(path=tmp_path / "w.npy"), said([2], list(range(6))))


async def test_a_run_that_ends_too_early_says_so_and_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "w.npy").write_bytes(b"old")
    (text,) = await consumed(Weights(path=tmp_path / "w.npy", at="1 s"), said([2], list(range(6))))
    assert text.startswith("no weights came at or after 1 s; ") and text.endswith("w.npy' is not written")
    assert (tmp_path / "w.npy").read_bytes() == b"old"


async def test_a_folder_that_cannot_be_written_is_no_connection(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConnectError, match="cannot be written"):
        await consumed(Weights(path=tmp_path / "file/w.npy"), said([2], list(range(6))))


def test_what_carries_no_weights_and_what_says_no_format_are_refused() -> None:
    problems = list(Weights(path=Path("w.txt")).check([Stream("hidden.v", "samples", 6)], GRID))
    assert [problem.found for problem in problems] == [
        "'w.txt' says no format",
        "'hidden.v' carries no weights [post, pre]",
    ]


def test_neurons_in_rows_are_no_synapses(tmp_path: Path) -> None:
    nodes = {
        "x": {"source": "synthetic", "signal": "poisson", "size": 4, "length": "1 s"},
        "n": {"neuron": "lif", "size": [10, 10], "inputs": [{"from": "x", "weights": 1.0}]},
        "kept": {"sink": "weights", "input": "n.v", "path": str(tmp_path / "w.npz")},
    }
    with pytest.raises(GraphError) as caught:
        spikeflow.load({"nodes": nodes})
    assert str(caught.value) == (
        "node \"kept\": 'n.v' carries no weights [post, pre] — "
        "listen to the port of a projection that learns, such as hidden.w_x"
    )


def test_weights_that_were_recorded_are_kept_from_the_recording(tmp_path: Path) -> None:
    tape = tmp_path / "tape.arrow"
    learned = {"from": "x", "weights": 0.5, "learn": "stdp"}
    first = {
        "x": {"source": "synthetic", "signal": "poisson", "size": 3, "rate": "40 Hz", "length": "1 s"},
        "n": {"neuron": "lif", "size": 2, "inputs": [learned], "record": {"w_x": {"every": "100 ms"}}},
        "kept": {"sink": "weights", "input": "n.w_x", "path": str(tmp_path / "live.npy")},
        "tape": {"sink": "file", "input": "n.w_x", "path": str(tape)},
    }
    spikeflow.run_blocking(spikeflow.load({"nodes": first}))
    again = {
        "w": {"source": "file", "path": str(tape)},
        "kept": {"sink": "weights", "input": "w", "path": str(tmp_path / "again.npy")},
    }
    spikeflow.run_blocking(spikeflow.load({"nodes": again}))
    assert np.load(tmp_path / "again.npy").tobytes() == np.load(tmp_path / "live.npy").tobytes()


def graph(folder: Path, weights: Any, kept: str, at: str, learn: dict[str, Any]) -> spikeflow.GraphSpec:
    hear = {"from": "x", "learn": learn, "connect": {"probability": 0.4}, "weights": weights}
    if isinstance(weights, str):
        del hear["connect"]
    return spikeflow.load(
        {
            "nodes": {
                "x": {"source": "synthetic", "signal": "poisson", "size": 30, "rate": "40 Hz", "length": "1 s"},
                "n": {
                    "neuron": "lif", "size": 20, "inputs": [hear], "record": {"w_x": {"every": "100 ms"}},
                    "initial": {"v": 0.5},
                },
                "kept": {"sink": "weights", "input": "n.w_x", "path": str(folder / kept), "at": at},
            },
        }
    )  # fmt: skip


def test_learned_weights_act_in_another_run_as_they_were_saved(tmp_path: Path) -> None:
    rule = {"stdp": {"eta_plus": 0.2, "eta_minus": 0.1, "w_max": 3, "integrator": "exact"}}
    uniform = {"uniform": {"low": 0.5, "high": 2.0}}
    spikeflow.run_blocking(graph(tmp_path, uniform, "learned.npz", "900 ms", rule))
    learned: Any = scipy.sparse.load_npz(tmp_path / "learned.npz")
    assert 180 < learned.nnz < 300 and np.ptp(learned.data) > 1.0
    again = graph(tmp_path, str(tmp_path / "learned.npz"), "again.npz", "900 ms", rule | {"frozen": True})
    spikeflow.run_blocking(again)
    frozen: Any = scipy.sparse.load_npz(tmp_path / "again.npz")
    assert frozen.row.tolist() == learned.row.tolist() and frozen.col.tolist() == learned.col.tolist()
    assert np.array_equal(frozen.data, learned.data)
