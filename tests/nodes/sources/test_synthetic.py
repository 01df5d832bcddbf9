"""Synthetic signals."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from spikeflow.events import Grid, columns, ordered
from spikeflow.nodes.sources.synthetic import Synthetic
from tests.nodes.conftest import Examples, KeepingOutlet, bind_source

GRID = Grid(0, 1_000_000, 10)
EXAMPLES: Examples = [
    (lambda _, signal=signal: Synthetic(signal=signal, channels=3, rate="333 Hz", length="213 ms"), {})
    for signal in ("noise", "poisson", "sine", "pulse")
] + [(lambda _: Synthetic(signal="poisson", size=3, rate="333 Hz"), {"seconds": 0.35})]


async def produced(grid: Grid = GRID, seed: int = 0, **fields: Any) -> KeepingOutlet:
    node = Synthetic(**fields)
    outlet = bind_source(node, grid, seed=seed)
    await node.produce(outlet)
    return outlet


async def test_a_sine_is_sampled_at_multiples_of_its_period() -> None:
    outlet = await produced(signal="sine", rate="4 Hz", length="1 s", amplitude=2.0, offset=1.0)
    assert [t for t, _, _ in outlet.events] == [0, 250_000_000, 500_000_000, 750_000_000]
    assert [value for _, _, value in outlet.events] == pytest.approx([1.0, 3.0, 1.0, -1.0], abs=1e-6)


async def test_each_channel_is_ahead_of_the_one_before_by_the_phase() -> None:
    outlet = await produced(signal="sine", channels=2, rate="4 Hz", length="250 ms", phase=0.25)
    assert outlet.events == [(0, 0, 0.0), (0, 1, 1.0)]


async def test_a_pulse_lasts_its_part_of_the_period() -> None:
    outlet = await produced(signal="pulse", rate="10 Hz", frequency="1 Hz", duty=0.3, length="1 s")
    assert [value for _, _, value in outlet.events] == [1.0] * 3 + [0.0] * 7


async def test_poisson_spikes_come_at_the_rate_that_is_said() -> None:
    outlet = await produced(signal="poisson", size=200, rate="50 Hz", length="5 s")
    count = len(outlet.events)
    assert abs(count - 50_000) < 5 * np.sqrt(50_000)
    assert all(t % GRID.dt_ns == 0 for t, _, _ in outlet.events)


@pytest.mark.parametrize("signal", ["noise", "poisson", "sine", "pulse"])
async def test_a_signal_is_a_function_of_the_seed_and_the_time_alone(signal: str) -> None:
    fields: dict[str, Any] = {"signal": signal, "channels": 7, "rate": "333 Hz", "length": "700 ms"}
    first = await produced(**fields)
    other_windows = await produced(Grid(0, 1_000_000, 7), **fields)
    assert first.events == other_windows.events
    assert all(ordered(*columns(batch)[:2]) for batch in first.batches)
    other_seed = await produced(seed=1, **fields)
    assert (first.events == other_seed.events) == (signal in ("sine", "pulse"))


async def test_a_long_signal_comes_in_parts_of_bounded_size_that_end_with_windows() -> None:
    outlet = await produced(signal="noise", channels=100, rate="1 kHz", length="10 s")
    assert max(batch.num_rows for batch in outlet.batches) <= 1 << 16
    assert sum(batch.num_rows for batch in outlet.batches) == 1_000_000
    assert all(t % GRID.window_ns == 0 for t in outlet.advanced)
    assert outlet.advanced[-1] == 10_000_000_000


async def test_a_source_without_an_end_counts_from_the_origin_of_the_run() -> None:
    node = Synthetic(signal="sine", rate="10 Hz")
    outlet = bind_source(node, Grid(77_000_000_000, 1_000_000, 10))
    produce = node.produce(outlet)
    outlet.advance = _stop  # type: ignore[method-assign]
    with pytest.raises(StopError):
        await produce
    assert outlet.events[0][0] == 77_000_000_000
    assert not node.finite and node.origin_ns() is None


class StopError(Exception):
    pass


async def _stop(t_ns: int) -> None:
    raise StopError


def test_what_does_nothing_or_does_not_fit_is_named_at_check() -> None:
    found = [str(p) for p in Synthetic(signal="poisson", rate="2 kHz", amplitude=2.0, length="1500 us").check((), GRID)]
    assert found == [
        "length is 1500 us, which is not a multiple of dt, 1 ms — write 2 ms",
        "a rate of 2000 Hz is more than one spike a tick — a neuron spikes at most at 1000 Hz here",
        "'amplitude' does nothing for the signal 'poisson' — it uses channels, length, rate",
    ]


def test_channels_and_size_are_one_thing() -> None:
    with pytest.raises(ValidationError, match="keep one of them"):
        Synthetic(signal="sine", channels=1, size=2)
    assert Synthetic(signal="poisson", size=3).outlets(())[""].size == 3


async def test_others_run_between_the_parts_of_a_large_population_to_which_nobody_listens() -> None:
    """Else a run that is slower than the clock would not answer who looks on, and would not stop."""
    node = Synthetic(signal="poisson", size=50_000, rate="1 Hz", length="100 ms")
    outlet = bind_source(node, GRID)
    produced = asyncio.create_task(node.produce(outlet))
    turns = 0
    while not produced.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns >= 10
