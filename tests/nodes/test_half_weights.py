"""`precision: float16` of a projection in a graph file: what check says, and what the run makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikeflow
from spikeflow.errors import GraphError
from spikeflow.kernels import backends
from tests.runtime.random_graphs import collected

BACKENDS = [name for name in backends() if name in ("numpy", "numba")]


def nodes(size: int = 40, **projection: Any) -> dict[str, Any]:
    return {
        "x": {"source": "synthetic", "signal": "poisson", "size": size, "rate": "80 Hz", "length": "200 ms"},
        "n": {"neuron": "lif", "size": size, "inputs": [{"from": "x", "precision": "float16", **projection}]},
    }


def said(size: int = 40, **projection: Any) -> list[str]:
    """Every error and warning of the input."""
    try:
        found = spikeflow.load({"nodes": nodes(size, **projection)}).warnings
    except GraphError as error:
        return [line for line in str(error).splitlines() if line]
    return [f"{one.found} — {one.hint}" for one in found if "listens" not in one.found]


def test_a_weight_beyond_its_range_is_refused_with_the_count() -> None:
    (found,) = said(weights=70_000.0)
    assert "1600 of 1600 weights beyond float16, which ends at 65504; the farthest is 70000" in found
    assert found.endswith("— leave precision out, or scale the weights")
    assert said(weights=65_519.0) == []  # rounded to 65504


def test_weights_that_become_zero_are_counted_in_a_warning() -> None:
    assert said(weights=-1e-8) == [
        "1600 of 1600 weights so near to zero that float16 has them as 0: they are nearer than 3e-08 — "
        "leave precision out, or scale the weights"
    ]
    assert said(weights=0.0) == said(weights=1e-7) == []


def test_all_of_a_file_is_looked_at(tmp_path: Path) -> None:
    stored = np.ones((400, 400))
    stored[399, 398:] = 1e6, -2e6
    np.save(tmp_path / "w.npy", stored)
    (found,) = said(400, weights=str(tmp_path / "w.npy"))
    assert "2 of 160000 weights beyond float16, which ends at 65504; the farthest is -2e+06" in found


def test_of_many_weights_the_first_are_looked_at_and_the_run_looks_at_the_rest() -> None:
    (found,) = said(1000, weights={"normal": {"mean": 0.0, "std": 2e-8}})
    count = int(found.partition(" ")[0])
    assert 80_000 < count < 95_000 and found.startswith(f"{count} of the first 100000 weights so near to zero")
    spec = {**nodes(1000, weights={"uniform": {"low": 0, "high": 65_519.99}}), "out": {"sink": "console", "input": "n"}}
    assert spikeflow.load({"nodes": spec})


def test_a_projection_that_learns_is_refused() -> None:
    (found,) = said(learn="stdp", weights=0.5)
    assert "weights in float16 that learn" in found and found.endswith("— leave precision out")


def test_another_precision_is_an_error() -> None:
    (found,) = said(precision="float8")
    assert "float16" in found


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_run_spikes_as_with_the_same_weights_rounded(backend: str, precision: str, tmp_path: Path) -> None:
    drawn = np.random.default_rng(2).normal(0.1, 0.2, (40, 40))
    np.save(tmp_path / "w.npy", drawn)
    np.save(tmp_path / "rounded.npy", drawn.astype(np.float16).astype(np.float64))
    runs = []
    for projection in ({"weights": "w.npy"}, {"weights": "rounded.npy", "precision": None}):
        projection["weights"] = str(tmp_path / str(projection["weights"]))
        graph = nodes(**projection)
        graph["n"]["precision"] = precision
        runs.append(collected(graph, window="10 ms", backend=backend))
    assert len(runs[0]["n"]) > 50
    assert runs[0] == runs[1]
