"""Values at the end of what floats hold: they may overflow, but nothing that comes later is lost to them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from spikeflow.catalog import node_class
from spikeflow.events import Stream, columns, spike_batch
from spikeflow.nodes.decoders.population_vector import PopulationVector
from spikeflow.nodes.decoders.reconstruct import Reconstruct
from spikeflow.nodes.encoders.send_on_delta import SendOnDelta
from spikeflow.testing import GRID, run_node

KINDS: list[tuple[str, dict[str, Any]]] = [
    ("normalize", {"over": "20 ms"}),
    ("detrend", {"over": "20 ms"}),
    ("detrend", {"over": "20 ms", "by": "line"}),
    ("filter_bank", {"edges": ["10 Hz", "50 Hz"]}),
    ("filter_bank", {"edges": ["10 Hz", "50 Hz"], "rate": "1 kHz"}),
    ("resample", {"by": "mean", "every": "2 ms"}),
]


@pytest.mark.parametrize(("kind", "fields"), KINDS)
def test_a_sample_that_is_huge_does_not_stay_in_what_a_channel_remembers(kind: str, fields: dict[str, Any]) -> None:
    value = np.sin(np.arange(60.0))[:, None]
    value[10:13] = [[1.7e308], [1.7e308], [-1.7e308]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ran = run_node(node_class("encoder", kind).model_validate(fields), value, ticks=60)
    t_ns, _, found = columns(ran.events)
    late = GRID.ticks(t_ns) > 20
    assert late.sum() > 15
    assert np.isfinite(found[late]).all()
    assert np.abs(found[late]).max() < 10.0


def test_a_spike_whose_value_is_not_finite_does_not_stay_in_what_is_reconstructed() -> None:
    value = np.array([1.0, np.nan, np.inf, 2.0], np.float32)
    given = Stream("x", "spikes", 1, True), spike_batch(GRID.time(0) + np.arange(4) * GRID.dt_ns, [0] * 4, value)
    ran = run_node(Reconstruct(of=SendOnDelta(threshold=0.5)), given, ticks=4)
    assert ran.rows() == [(0, 0, 1.0), (3, 0, 2.0)]
    assert ran.counters.noted == {"not finite": 2}


@pytest.mark.parametrize("period", [None, 360.0])
def test_a_population_vector_whose_sums_overflow_has_no_sample(period: float | None) -> None:
    value = np.array([[1.7e308, 1.7e308], [1.0, 0.0]])
    ran = run_node(PopulationVector(range=(0.0, 90.0), period=period), value, ticks=2)
    assert ran.rows() == [(1, 0, 0.0)]
