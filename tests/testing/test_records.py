"""Events for tests."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from spikeflow.events import Stream, columns, sample_batch, spike_batch
from spikeflow.testing import GRID, difference, random_events


def test_the_first_difference_is_told() -> None:
    one = spike_batch([0, 1_000_000, 2_500_000], [1, 2, 3])
    assert difference(one, one) is None
    assert difference(one, spike_batch([0, 1_000_000, 2_500_000], [1, 2, 4])) == (
        "event 2 is (tick 2 + 500000 ns, neuron 4) instead of (tick 2 + 500000 ns, neuron 3)"
    )
    assert difference(one, one.slice(0, 1)) == "event 1 is missing: (tick 1, neuron 2)"
    values = np.array([np.nan, 0.0], np.float32)
    nans = sample_batch([0, 1], [0, 0], values)
    assert difference(nans, nans) is None
    assert difference(nans, sample_batch([0, 1], [0, 0], -values)) is not None
    assert difference(nans, sample_batch([0, 1], [0, 0], values.astype(float))) == (
        "values are float64 instead of float32"
    )


def test_random_events_are_the_same_for_a_seed_and_leave_ticks_empty() -> None:
    stream = Stream("x", "samples", 4)
    one = random_events(stream, GRID, 200, 500)
    assert difference(one, random_events(stream, GRID, 200, 500)) is None
    assert difference(one, random_events(stream, GRID, 200, 500, seed=1)) is not None
    assert 50 < len(np.unique(GRID.ticks(columns(one)[0]))) < 120


def test_the_package_needs_no_test_framework() -> None:
    program = "import sys, spikeflow.testing; print([m for m in ('pytest', 'hypothesis', 'numba') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "[]\n"
