"""Constant current into LIF."""

from __future__ import annotations

import numpy as np
import pytest

from spikeflow.events import Grid, Stream, columns, sample_batch
from spikeflow.nodes.encoders.constant_current_lif import ConstantCurrentLif
from spikeflow.testing import run_node
from tests.nodes.conftest import Examples
from tests.nodes.encoders import golden

GRID = Grid(5_000_000_000, 1_000_000, 10)
CASES = golden.cases("constant_current_")
EXAMPLES: Examples = [
    (lambda _: ConstantCurrentLif(), {"values": (0.0, 4.0)}),
    (lambda _: ConstantCurrentLif(v_leak=0.3), {"values": (0.0, 4.0)}),
    (lambda _: ConstantCurrentLif(compatibility="jaxsnn", v_th=0.6), {"values": (0.0, 4.0)}),
    (lambda _: ConstantCurrentLif(v_leak=0.3, precision="float64", frame="25 ms"), {"values": (0.0, 4.0)}),
]


def encoder(case: str) -> tuple[ConstantCurrentLif, Grid, bool]:
    said = CASES[case][1]
    known = said["params"]
    double = said["dtype"] == "f64"
    node = ConstantCurrentLif(
        tau_mem=1.0 / known["tau_mem_inv"],
        v_leak=known["v_leak"],
        v_th=known["v_th"],
        v_reset=known["v_reset"],
        precision="float64" if double else "float32",
    )
    return node, Grid(0, round(said["dt"] * 1e9), 10), double


@pytest.mark.parametrize("case", sorted(CASES))
@pytest.mark.parametrize("late", [0, 13])
def test_spikes_are_those_of_norse_from_the_first_sample_on(case: str, late: int) -> None:
    node, grid, double = encoder(case)
    value, spikes = CASES[case][0]["input"], CASES[case][0]["z"]
    stream = Stream("x", "samples", len(value), double=double)
    samples = value if double else value.astype(np.float32)
    record = sample_batch(np.full(len(value), grid.time(late)), np.arange(len(value)), samples)
    t_ns, neuron, _ = columns(run_node(node, (stream, record), ticks=len(spikes) + late, grid=grid).events)
    found = np.zeros_like(spikes)
    found[grid.ticks(t_ns) - late, neuron] = 1
    assert np.array_equal(found, spikes)


def test_the_cases_hold_enough_spikes_to_mean_something() -> None:
    assert len(CASES) == 4
    assert all(arrays["z"].sum() > 1000 for arrays, _ in CASES.values())


def test_a_threshold_that_needs_no_sample_is_named_at_check() -> None:
    stream = Stream("x", "samples", 5)
    assert [str(p) for p in ConstantCurrentLif(v_th=0.0).check([stream], GRID)] == [
        "v_th is 0 — above 0: v starts there"
    ]
    wrong = ConstantCurrentLif(v_th=np.ones(3))
    assert [str(p) for p in wrong.check([stream], GRID)] == [
        "3 values for 5 neurons — give one value, or one per neuron"
    ]
