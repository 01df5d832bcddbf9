"""Poisson spikes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikeflow.events import Grid, Stream, columns, sample_batch
from spikeflow.nodes.encoders.poisson import Poisson
from spikeflow.testing import difference, run_node
from tests.nodes.conftest import Examples
from tests.nodes.encoders import golden

GRID = Grid(5_000_000_000, 1_000_000, 10)
EXAMPLES: Examples = [
    (lambda _: Poisson(f_max="300 Hz", frame="25 ms"), {"values": (0.0, 1.0)}),
    (lambda _: Poisson(f_max="300 Hz"), {"values": (0.0, 1.0)}),
    (lambda _: Poisson(f_max="30 Hz"), {"values": (0.0, 1.0), "size": 3000, "events": 9000, "ticks": 130}),
]


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
    found = columns(run_node(Poisson(f_max=f_max), (stream, constant(value, grid)), ticks=ticks, grid=grid).events)[1]
    mean = np.bincount(found, minlength=len(value)) / ticks
    p = arrays["expected_probability"]
    assert (np.abs(mean - p) <= 4.0 * np.sqrt(p * (1.0 - p) / ticks)).all()


def test_a_channel_is_silent_before_its_first_sample_and_holds_a_value_until_the_next() -> None:
    stream = Stream("x", "samples", 2)
    t_ns = [GRID.time(3) + 999_999, GRID.time(7), GRID.time(7) + 1]
    record = sample_batch(t_ns, [1, 1, 1], np.array([1.0, 1.0, 0.0], np.float32))
    ran = run_node(Poisson(f_max="1 kHz"), (stream, record), ticks=20, grid=GRID)
    assert [row[:2] for row in ran.rows()] == [(3, 1), (4, 1), (5, 1), (6, 1)]


def test_values_past_the_ends_spike_always_or_never() -> None:
    stream = Stream("x", "samples", 4, double=True)
    values = constant(np.array([-1.0, 2.0, 1e308, np.nan]))
    found = columns(run_node(Poisson(f_max="1 kHz"), (stream, values), ticks=50, grid=GRID).events)[1]
    assert np.bincount(found, minlength=4).tolist() == [0, 50, 50, 0]


def test_the_seed_and_the_name_decide_which_ticks_spike() -> None:
    stream = Stream("x", "samples", 3)
    record = constant(np.full(3, 0.5, np.float32))

    def spikes(**bound: Any) -> Any:
        return run_node(Poisson(f_max="1 kHz"), (stream, record), ticks=100, grid=GRID, **bound).events

    assert difference(spikes(seed=1), spikes(seed=1)) is None
    assert difference(spikes(seed=1), spikes(seed=2)) is not None
    assert difference(spikes(name="a"), spikes(name="b")) is not None
