"""One spike a frame."""

from __future__ import annotations

import numpy as np
import pytest

from spikeflow.events import Grid, Stream, sample_batch
from spikeflow.nodes.encoders.spatio_temporal import SpatioTemporal, ticks_after
from spikeflow.testing import run_node
from tests.nodes.conftest import Examples

GRID = Grid(5_000_000_000, 1_000_000, 10)
EXAMPLES: Examples = [
    (lambda _: SpatioTemporal(frame="20 ms", t_late="15 ms"), {}),
    (lambda _: SpatioTemporal(frame="7 ms", t_late="20 ms"), {"values": (0.0, 1.0)}),
    (lambda _: SpatioTemporal(frame="150 ms", t_late="100 ms"), {"values": (0.0, 1.0)}),
]


def test_the_larger_the_value_the_later_the_spike_and_each_comes_in_its_frame() -> None:
    values = np.full((40, 5), np.nan)
    values[0] = [0.0, 0.25, 1.0, 7.0, -1.0]
    values[5, 0] = 0.5  # for the next frame
    ran = run_node(SpatioTemporal(frame="20 ms", t_late="16 ms"), values, grid=GRID)
    first = [(0, 0), (0, 4), (4, 1), (16, 2), (19, 3)]
    second = [(20, 4), (24, 1), (28, 0), (36, 2), (39, 3)]
    assert [row[:2] for row in ran.rows()] == first + second


def test_halves_go_to_the_even_tick_in_float32() -> None:
    assert ticks_after(np.array([0.5, 1.5, 2.5, 1e38, -1e38]), 1.0, 1.0, 10).tolist() == [0, 2, 2, 9, 0]
    value = np.array([0.0245])
    assert ticks_after(value, 0.03, 0.001, 40).tolist() == [1]


@pytest.mark.parametrize("fields", [{"frame": "20 ms"}, {"t_late": "20 ms"}, {"frame": "0 ms", "t_late": "1 ms"}])
def test_a_frame_and_the_time_of_one_are_needed(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"frame|t_late"):
        SpatioTemporal(**fields)


def test_nothing_comes_before_a_value() -> None:
    record = sample_batch([GRID.time(1)], [0], np.array([0.0], np.float32))
    ran = run_node(
        SpatioTemporal(frame="20 ms", t_late="16 ms"), (Stream("x", "samples", 1), record), ticks=50, grid=GRID
    )
    assert [row[:2] for row in ran.rows()] == [(20, 0), (40, 0)]
