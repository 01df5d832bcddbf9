"""Lines on the console."""

from __future__ import annotations

import numpy as np
import pytest

from spikeflow.events import Batch, Grid, Stream, Window, sample_batch, spike_batch
from spikeflow.nodes.sinks.console import Console
from tests.nodes.conftest import Examples, GivingInlet, StillClock, bind_sink

GRID = Grid(5_000_000_000, 1_000_000, 10)
SPIKES = Stream("hidden", "spikes", 100)
RATE = Stream("rate", "samples", 100)
EXAMPLES: Examples = [(lambda _: Console(), {}), (lambda _: Console(rate="1 Hz"), {"inputs": [SPIKES, RATE]})]


def window(number: int) -> Window:
    return Window.at(GRID, number * GRID.window_ticks, GRID.window_ticks)


async def test_a_window_with_events_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    node = Console(events=3)
    bind_sink(node, GRID, [SPIKES, RATE])
    spikes = spike_batch([window(1).start_ns] * 5, [1, 2, 3, 4, 5])
    samples = sample_batch([window(1).start_ns] * 2, [0, 1], np.array([12.5, 0.333333], np.float32))
    batches = [
        Batch.none(window(0), SPIKES.schema(GRID)),
        Batch.of(window(1), SPIKES.schema(GRID), spikes),
        Batch.of(window(1), RATE.schema(GRID), samples),
    ]
    await node.consume(GivingInlet([SPIKES, RATE], batches))
    assert capsys.readouterr().out.splitlines() == [
        "0.010 s  hidden  5 spikes: 1 2 3 …",
        "0.010 s  rate  2 samples: 0=12.5 1=0.3333",
    ]


async def test_lines_come_no_faster_than_the_rate_and_say_what_was_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    node = Console(rate="10 Hz")
    bind_sink(node, GRID, [SPIKES])
    clock = StillClock()
    node.context.clock = clock

    class Paced(GivingInlet):
        async def take(self) -> Batch:
            clock.t_ns += 40_000_000
            return await super().take()

    batches = [
        Batch.of(window(n), SPIKES.schema(GRID), spike_batch([window(n).start_ns], [n])) for n in range(7)
    ]  # fmt: skip
    await node.consume(Paced([SPIKES], batches))
    assert capsys.readouterr().out.splitlines() == [
        "0.000 s  hidden  1 spike: 0",
        "0.030 s  hidden  1 spike: 3  (+2 before)",
        "0.060 s  hidden  1 spike: 6  (+2 before)",
    ]
    assert node.context.counters.noted == {"lines left out": 4}
