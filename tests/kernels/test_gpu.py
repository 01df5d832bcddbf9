"""Networks and graphs on a GPU that is there: `pytest -m gpu`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikeflow.errors import ParameterError
from spikeflow.kernels import Events, Group, Network, Projection, Train, cupy_backend
from spikeflow.kernels import synapses as build
from spikeflow.kernels.models.lif import Lif
from tests.runtime.random_graphs import collected

from . import catalogue
from .cuda_networks import (
    DT,
    TICKS,
    anything,
    differences,
    drive,
    everything,
    lone,
    outcome,
    overflowing,
    within,
)

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(cupy_backend.missing() is not None, reason=f"nothing to launch on: {cupy_backend.missing()}"),
]


@pytest.mark.parametrize("window", [TICKS, 10, 1])
def test_a_network_has_the_bits_of_the_reference(window: int) -> None:
    assert differences(outcome(everything("cuda"), window=window), outcome(everything("numpy"))) == []


@pytest.mark.parametrize("threads", [32, 64, 256, 512])
def test_any_grid_has_the_bits_of_the_reference(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    monkeypatch.setattr(cupy_backend, "MOST_THREADS", threads)
    monkeypatch.setattr(cupy_backend, "THREADS", threads)
    for of in (everything, lone):
        assert differences(outcome(of("cuda"), window=20), outcome(of("numpy"))) == []


@pytest.mark.parametrize("seed", range(30))
def test_random_networks_have_the_bits_of_the_reference(seed: int) -> None:
    expected = outcome(anything(seed, "numpy"), ticks=60)
    assert differences(outcome(anything(seed, "cuda"), ticks=60, window=seed % 9 + 1), expected) == []


@pytest.mark.parametrize("tolerance", catalogue.by_tolerance())
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_every_model_has_the_bits_of_the_reference(precision: Any, tolerance: float | None) -> None:
    chosen = catalogue.by_tolerance()[tolerance]
    expected = catalogue.run(chosen, "numpy", precision)
    found = catalogue.run(chosen, "cuda", precision, window=11)
    assert catalogue.differences(found, expected, precision, tolerance) == []


def test_a_window_that_overflows_goes_on_where_it_stopped() -> None:
    expected = outcome(overflowing("numpy"), ticks=30)
    assert differences(outcome(overflowing("cuda"), ticks=30), expected) == []


def test_a_state_goes_to_the_device_and_back() -> None:
    first, second = everything("numpy"), everything("cuda")
    arriving = drive(first)
    outcome(first, arriving, ticks=22)
    second.load(first.save())
    rest = within(first, arriving, 22, TICKS)
    first.step(22, TICKS - 22, rest)
    second.step(22, TICKS - 22, rest)
    saved = second.save()
    assert all(np.array_equal(value, saved[name]) for name, value in first.save().items())


def test_a_million_neurons_over_the_whole_device_have_the_bits_of_the_reference() -> None:
    """Every multiprocessor has blocks, which wait for each other four times a tick in each of 200 ticks."""
    size, rng = 1_000_000, np.random.default_rng(1)
    tau = rng.uniform(5e-3, 20e-3, size)
    ring = build.sparse(size, size, np.arange(size), (np.arange(size) * 7 + 1) % size, rng.normal(3, 1, size), 1)
    one = build.one_to_one(np.full(size, 12.0))
    tick, index = np.repeat(np.arange(200), 50), np.sort(rng.integers(0, size, (200, 50))).ravel().astype(np.uint32)
    found = []
    for backend in ("auto", "cuda"):
        net = Network(
            [Group("a", Lif(v_leak=0.9, tau_mem=tau), size)], [Train("x", size)],
            [Projection("x", "a", one), Projection("a", "a", ring)], dt=DT, backend=backend,
        )  # fmt: skip
        found.append(net.step(0, 200, {"x": Events(tick, index)})["a"])
    assert found[0].neuron.size > 10_000
    np.testing.assert_array_equal(found[0].t, found[1].t)
    np.testing.assert_array_equal(found[0].neuron, found[1].neuron)


def test_a_graph_gives_the_events_of_the_reference() -> None:
    nodes = {
        "hum": {"source": "synthetic", "signal": "poisson", "size": 100, "rate": "60 Hz", "length": "500 ms"},
        "first": {"neuron": "lif", "size": 5000, "inputs": [{"from": "hum", "weights": {"normal": {"mean": 0.3}}}]},
        "second": {
            "neuron": "lif", "size": 3000,
            "inputs": [
                {"from": "first", "connect": {"probability": 0.1}, "weights": {"normal": {"mean": 0.01, "std": 0.01}}},
                {"from": "second", "connect": {"probability": 0.1}, "weights": -0.01},
            ],
        },
    }  # fmt: skip
    reference = collected(nodes, window="10 ms", backend="numba")
    assert len(reference["second"]) > 100
    for window in ("1 ms", "10 ms", "100 ms"):
        assert collected(nodes, window=window, backend="cuda") == reference


def test_more_than_fits_is_said_in_one_sentence() -> None:
    import cupy

    free, _ = cupy.cuda.Device(0).mem_info
    taken = cupy.cuda.alloc(free - (64 << 20))
    with pytest.raises(ParameterError, match="more for neurons and synapses on cuda:0, which has"):
        Network([Group("a", Lif(), 30_000_000)], [], [], dt=DT, backend="cuda")
    del taken
