"""Spikes and states of the released package, on every backend."""

from __future__ import annotations

import numpy as np
import pytest

from spikeflow.kernels import backends
from tests.kernels.golden import Case, cases


@pytest.mark.parametrize("backend", [name for name in backends() if name in ("numpy", "numba")])
@pytest.mark.parametrize(("file", "name"), cases())
def test_spikes_are_exact_and_states_within_their_tolerance(file: str, name: str, backend: str) -> None:
    case = Case(file, name)
    ticks = len(case["input"])
    result = case.network(backend).step(0, ticks, {"x": case.events()})["n"]
    size = case["init_v"].size
    if case.get("z") is not None:
        spikes = np.zeros((ticks, size), np.uint8)
        spikes[result.t, result.neuron] = 1
        np.testing.assert_array_equal(spikes, case["z"])
        assert spikes.any()
    tolerance = 1e-12 if case.precision == "float64" else 2e-5
    for variable, (t, neuron, value) in result.recorded.items():
        expected = case["out" if variable == "v" and case.get("v") is None else variable]
        assert value.dtype == case.precision
        assert (np.diff(t * size + neuron) == 1).all()
        np.testing.assert_allclose(value.reshape(ticks, size), expected, rtol=0, atol=tolerance)


def test_one_spike_too_few_in_the_input_is_noticed() -> None:
    case = Case("lif", "rec_default_f64")
    events = case.events()
    short = type(events)(events.t[1:], events.neuron[1:], None)
    result = case.network("numpy").step(0, len(case["input"]), {"x": short})["n"]
    spikes = np.zeros_like(case["z"])
    spikes[result.t, result.neuron] = 1
    assert (spikes != case["z"]).any()
