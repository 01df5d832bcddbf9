"""First spikes."""

from __future__ import annotations

import numpy as np
import pytest

from spikeflow.events import Grid, Stream, spike_batch
from spikeflow.nodes.encoders.spike_latency import SpikeLatency
from spikeflow.testing import run_node
from tests.nodes.conftest import Examples

GRID = Grid(5_000_000_000, 1_000_000, 10)
GRADED = Stream("x", "spikes", 5, valued=True)
EXAMPLES: Examples = [
    (lambda _: SpikeLatency(), {}),
    (lambda _: SpikeLatency(frame="13 ms"), {}),
    (lambda _: SpikeLatency(frame="20 ms"), {"inputs": [GRADED]}),
]


@pytest.mark.parametrize(("frame", "ticks"), [(None, [3]), ("5 ms", [3, 7, 12]), ("6 ms", [3, 7, 12]), ("1 s", [3])])
def test_the_first_spike_of_a_frame_is_the_only_one(frame: str | None, ticks: list[int]) -> None:
    spikes = np.zeros((15, 1), bool)
    spikes[[3, 4, 7, 8, 12]] = True
    ran = run_node(SpikeLatency(frame=frame), spikes, grid=GRID)
    assert [tick for tick, _, _ in ran.rows()] == ticks


def test_a_spike_of_zero_or_of_no_number_is_none() -> None:
    t_ns = [GRID.time(tick) for tick in (1, 2, 3, 4)]
    record = spike_batch(t_ns, [2, 2, 2, 2], np.array([0.0, np.nan, -0.5, 1.0], np.float32))
    ran = run_node(SpikeLatency(), (GRADED, record), grid=GRID)
    assert ran.rows() == [(3, 2, 1.0)]
    assert ran.counters.noted == {"not finite": 1}
