"""Poisson spikes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikeflow.events import Grid, Stream, columns, sample_batch
from spikeflow.nodes.encoders.poisson import Poisson
from tests.nodes import conformance
from tests.nodes.encoders import golden

GRID = Grid(5_000_000_000, 1_000_000, 10)


def constant(values: np.ndarray[Any, Any], grid: Grid = GRID) -> Any:
    """One sample a channel, at the origin."""
    return sample_batch(np.full(len(values), grid.origin_ns), np.arange(len(values)), values)


@pytest.mark.parametrize(
    ("case", "f_max"), [("poisson_default", 100.0), ("poisson_f500_dt0.5ms", 500.0), ("poisson_step_default", 1000.0)]
)
def test_spikes_come_with_the_probability_that_norse_expects(case: str, f_max: float) -> None:
    arrays, _ = golden.cases(case)[case]
    grid = Grid(0, 500_000 if "0.5ms" in case else 1_000_000, 1000)
    value = arrays["input"]
    ticks = 40_000
    stream = Stream("x", "samples", len(value), double=True)
    node = conformance.bind(Poisson(f_max=f_max), [stream], grid)
    found = columns(conformance.run(node, constant(value, grid), 0, ticks))[1]
    mean = np.bincount(found, minlength=len(value)) / ticks
    p = arrays["expected_probability"]
    assert (np.abs(mean - p) <= 4.0 * np.sqrt(p * (1.0 - p) / ticks)).all()


def test_a_channel_is_silent_before_its_first_sample_and_holds_a_value_until_the_next() -> None:
    stream = Stream("x", "samples", 2)
    node = conformance.bind(Poisson(f_max="1 kHz"), [stream], GRID)
    t_ns = [GRID.time(3) + 999_999, GRID.time(7), GRID.time(7) + 1]
    record = sample_batch(t_ns, [1, 1, 1], np.array([1.0, 1.0, 0.0], np.float32))
    found, neuron, _ = columns(conformance.run(node, record, 0, 20))
    assert GRID.ticks(found).tolist() == [3, 4, 5, 6]
    assert set(neuron.tolist()) == {1}


def test_values_past_the_ends_spike_always_or_never() -> None:
    stream = Stream("x", "samples", 4, double=True)
    node = conformance.bind(Poisson(f_max="1 kHz"), [stream], GRID)
    found = columns(conformance.run(node, constant(np.array([-1.0, 2.0, 1e308, np.nan])), 0, 50))[1]
    assert np.bincount(found, minlength=4).tolist() == [0, 50, 50, 0]


@pytest.mark.parametrize("size", [3, 3000])
def test_any_cut_into_windows_gives_the_same_spikes(size: int) -> None:
    stream = Stream("x", "samples", size)
    record = conformance.random_events(stream, GRID, 230, 300 * size // 100 + 30, values=(0.0, 1.0))

    def make() -> Poisson:
        return Poisson(f_max="300 Hz")

    assert conformance.differing_cuts(make, stream, record, GRID, 230, seed=4) == []
    assert conformance.state_problems(make, stream, record, GRID, 230, seed=4) == []


def test_the_seed_and_the_name_decide_which_ticks_spike() -> None:
    stream = Stream("x", "samples", 3)
    record = constant(np.full(3, 0.5, np.float32))

    def spikes(**bound: Any) -> Any:
        return conformance.run(conformance.bind(Poisson(f_max="1 kHz"), [stream], GRID, **bound), record, 0, 100)

    assert conformance.same(spikes(seed=1), spikes(seed=1))
    assert not conformance.same(spikes(seed=1), spikes(seed=2))
    assert not conformance.same(spikes(name="a"), spikes(name="b"))
