"""Signed Poisson spikes."""

from __future__ import annotations

import numpy as np

from spikeflow.events import Grid, Stream, sample_batch
from spikeflow.nodes.encoders.signed_poisson import SignedPoisson
from spikeflow.testing import run_node
from tests.nodes.conftest import Examples

GRID = Grid(5_000_000_000, 1_000_000, 10)
EXAMPLES: Examples = [
    (lambda _: SignedPoisson(f_max="300 Hz"), {}),
    (lambda _: SignedPoisson(f_max="1 kHz", frame="30 ms"), {}),
]


def test_spikes_carry_the_sign_of_the_value_and_zero_gives_none() -> None:
    stream = Stream("x", "samples", 5)
    value = np.array([-2.0, -0.0, 0.0, 1.0, np.nan], np.float32)
    record = sample_batch(np.full(5, GRID.time(2)), np.arange(5), value)
    ran = run_node(SignedPoisson(f_max="1 kHz"), (stream, record), ticks=12, grid=GRID)
    assert ran.rows() == [row for tick in range(2, 12) for row in ((tick, 0, -1.0), (tick, 3, 1.0))]


def test_a_frame_keeps_the_value_that_it_began_with() -> None:
    stream = Stream("x", "samples", 1)
    record = sample_batch([GRID.time(3), GRID.time(5), GRID.time(9)], [0, 0, 0], np.array([1, -1, 0], np.float32))
    ran = run_node(SignedPoisson(f_max="1 kHz", frame="4 ms"), (stream, record), ticks=20, grid=GRID)
    assert ran.rows() == [(tick, 0, 1.0) for tick in range(4, 8)] + [(tick, 0, -1.0) for tick in range(8, 12)]
