"""Rate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeflow.events import Stream
from spikeflow.nodes.encoders.rate import Rate
from spikeflow.testing import GRID, run_node
from tests.nodes.conftest import Examples
from tests.nodes.encoders.round_trip import recorded, streams

EXAMPLES: Examples = [
    (lambda _: Rate(f_max=300.0), {}),
    (lambda _: Rate(f_max=5000.0), {"size": 300, "events": 900, "values": (0, 1)}),
    (lambda _: Rate(f_max=1e300), {"events": 30}),
]


def spikes(values: list[Any], **fields: Any) -> list[tuple[int, float]]:
    """(tick, count) of one channel."""
    return [(tick, n) for tick, _, n in run_node(Rate(**fields), np.array(values, float)[:, None], grid=GRID).rows()]


def test_spikes_are_even_and_as_many_as_the_value_says() -> None:
    assert spikes([1.0] + [np.nan] * 39, f_max=100.0) == [(9, 1.0), (19, 1.0), (29, 1.0), (39, 1.0)]
    assert sum(n for _, n in spikes([0.37] + [np.nan] * 9999, f_max=100.0)) == 370


def test_several_spikes_may_fall_into_a_tick() -> None:
    assert spikes([1.0, np.nan, 0.1, np.nan], f_max=2500.0) == [(0, 2.0), (1, 3.0)]
    assert spikes([1e308], f_max=1000.0) == [(0, 2.0**23)]


def test_what_is_not_above_zero_adds_nothing() -> None:
    assert spikes([-5.0, np.nan, 0.0, np.nan, 1.0], f_max=1000.0) == [(4, 1.0)]


@given(samples=streams, f_max=st.floats(1, 1e4))
def test_the_spikes_so_far_are_the_integral_so_far(samples: list[Any], f_max: float) -> None:
    record = recorded([(step, value if abs(value) <= 10.0 else float("nan")) for step, value in samples])
    ran = run_node(Rate(f_max=f_max), (Stream("x", "samples", 3, double=True), record), grid=GRID)
    total: dict[int, float] = {}
    for _, neuron, count in ran.rows():
        assert count >= 1 and count == int(count)
        total[neuron] = total.get(neuron, 0.0) + count
    t_ns, channel, value = (record.column(k).to_numpy() for k in range(3))
    tick = (t_ns.astype(np.int64) - GRID.origin_ns) // GRID.dt_ns
    for own in range(3):
        use = (channel == own) & np.isfinite(value)
        ends = np.append(tick[use], tick[-1] + 1)
        integral = (np.diff(ends) * np.maximum(value[use], 0.0)).sum() * 1e-3 * f_max
        assert total.get(own, 0.0) == pytest.approx(np.floor(integral), abs=1.0)
