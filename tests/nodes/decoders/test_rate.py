"""Rate."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from spikeflow.events import Grid, Stream, spike_batch
from spikeflow.nodes.decoders.rate import Rate
from spikeflow.testing import run_node
from tests.nodes.conftest import Examples

GRID = Grid(5_000_000_000, 1_000_000, 10)
TWO = Stream("x", "spikes", 2)
TIMES = [("100 ms", None), ("30 ms", "10 ms"), ("25 ms", "10 ms"), ("5 ms", "13 ms"), ("7 ms", "1 ms")]


def made(over: str, every: str | None, per: str, _: Path) -> Rate:
    return Rate.model_validate({"over": over, "every": every, "per": per})


EXAMPLES: Examples = [
    (partial(made, over, every, per), {"inputs": [Stream("", "spikes", 5, valued=True)]})
    for over, every in TIMES
    for per in ("neuron", "population")
] + [(partial(made, "100 ms", None, "neuron"), {"inputs": [TWO]})]


def rates(spikes: list[tuple[int, int]], ticks: int, **fields: Any) -> list[tuple[int, int, float]]:
    """(tick, channel, rate) from (tick, neuron)."""
    t_ns = [GRID.time(tick) for tick, _ in spikes]
    record = spike_batch(np.array(t_ns, np.int64), np.array([n for _, n in spikes], np.uint32))
    return run_node(Rate(**fields), (TWO, record), ticks=ticks, grid=GRID).rows()


def test_a_rate_is_given_at_each_multiple_of_its_time_and_holds_the_spikes_before_it() -> None:
    spikes = [(0, 0), (99, 0), (100, 1), (150, 1), (199, 1)]
    assert rates(spikes, 201, over="100 ms") == [(100, 0, 20.0), (100, 1, 0.0), (200, 0, 0.0), (200, 1, 30.0)]


def test_a_sliding_rate_looks_back_over_its_whole_time() -> None:
    found = rates([(5, 0), (25, 0)], 51, over="30 ms", every="10 ms")
    assert [(tick, round(rate * 0.03)) for tick, channel, rate in found if channel == 0] == [
        (10, 1), (20, 1), (30, 2), (40, 1), (50, 1)
    ]  # fmt: skip


def test_a_step_longer_than_the_time_leaves_out_what_lies_between() -> None:
    assert [r for _, c, r in rates([(5, 0), (15, 0)], 41, over="10 ms", every="20 ms") if c == 0] == [100.0, 0.0]


def test_the_mean_over_a_population_is_one_channel() -> None:
    assert rates([(0, 0), (1, 0), (2, 1)], 101, over="100 ms", per="population") == [(100, 0, 15.0)]


def test_valued_spikes_count_by_their_value() -> None:
    stream = Stream("x", "spikes", 1, valued=True)
    record = spike_batch([GRID.time(1), GRID.time(2)], [0, 0], np.array([2.5, -0.5], np.float32))
    assert run_node(Rate(over="10 ms"), (stream, record), ticks=11, grid=GRID).rows() == [(10, 0, 200.0)]


def test_times_that_are_not_whole_ticks_are_named_at_check() -> None:
    problems = list(Rate(over="1500 us", every="10 ms").check([TWO], GRID))
    assert [str(problem) for problem in problems] == [
        "over is 1500 us, which is not a multiple of dt, 1 ms — write 2 ms"
    ]
