"""Short-term plasticity and the exponential filter against what the released package gave."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spikeflow.kernels import Events, Group, Network, NeuronModel, Projection, Train, backends
from spikeflow.kernels.models.exp_filter import ExpFilter
from spikeflow.kernels.models.tsodyks_makram import TsodyksMakram
from spikeflow.kernels.synapses import Synapses, dense, one_to_one

from .golden import DATA

BACKENDS = [name for name in backends() if name in ("numpy", "numba")]


def stored(file: str) -> tuple[dict[str, np.ndarray], dict[str, dict[str, object]]]:
    with np.load(DATA / f"{file}.npz") as arrays:
        return dict(arrays), json.loads(str(arrays["meta"]))["cases"]


def network(model: NeuronModel, size: int, synapses: Synapses, dt: float, backend: str, valued: bool) -> Network:
    record = {name: (np.arange(size), 1) for name in model.state}
    groups = [Group("n", model, size, "float64", record=record)]
    return Network(
        groups, [Train("x", synapses.pre_size, valued)], [Projection("x", "n", synapses)], dt=dt, backend=backend
    )


def events(x: np.ndarray, valued: bool) -> Events:
    tick, index = np.nonzero(x)
    return Events(tick, index.astype(np.uint32), x[tick, index].astype(np.float64) if valued else None)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", ["default_f64", "depressing_dt0.5ms_f64", "facilitating_f64"])
def test_each_spike_carries_what_the_reference_transmits(case: str, backend: str) -> None:
    arrays, cases = stored("tsodyks_makram")
    about = cases[case]
    given: dict[str, float] = about["params"]  # type: ignore[assignment]
    model = TsodyksMakram(tau_f=1 / given["tau_f_inv"], tau_d=1 / given["tau_d_inv"], U=given["U"])
    x, out = arrays[f"{case}/input"], arrays[f"{case}/out"]
    ticks, size = x.shape
    net = network(model, size, one_to_one(np.ones(size)), float(about["dt"]), backend, valued=False)  # type: ignore[arg-type]
    result = net.step(0, ticks, {"x": events(x, valued=False)})["n"]
    tick, neuron = np.nonzero(x)
    assert np.array_equal(result.t, tick) and np.array_equal(result.neuron, neuron)
    assert result.value is not None
    np.testing.assert_allclose(result.value, out[tick, neuron], rtol=0, atol=1e-7)  # values of spikes are float32
    for name in ("u", "x", "sent"):
        expected = arrays[f"{case}/{'out' if name == 'sent' else name}"]
        np.testing.assert_allclose(result.recorded[name][2].reshape(ticks, size), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("case", "tau"), [("default", 1 / 1000.0), ("slow", 1 / 50.0)])
def test_the_exponential_filter_gives_the_filtered_sums(case: str, tau: float, backend: str) -> None:
    arrays, _ = stored("exp_filter")
    x, weight, out = (arrays[f"{case}/{name}"].astype(np.float64) for name in ("input", "weight", "out"))
    net = network(ExpFilter(tau_filter=tau), 4, dense(np.ascontiguousarray(weight.T)), 1e-3, backend, valued=True)
    found = net.step(0, len(x), {"x": events(x, valued=True)})["n"].recorded["y"][2]
    np.testing.assert_allclose(found.reshape(out.shape), out, rtol=3e-6, atol=2e-6)  # what is stored is float32
