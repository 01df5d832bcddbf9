"""Resample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeflow.events import Grid, Stream, columns, sample_batch
from spikeflow.nodes.encoders.resample import Resample
from spikeflow.testing import run_node
from tests.nodes.conftest import Examples
from tests.nodes.encoders.round_trip import recorded, streams

GRID = Grid(5_000_000_000, 1_000_000, 10)
ONE = Stream("x", "samples", 1)
EXAMPLES: Examples = [
    (lambda _: Resample(), {"events": 60}),
    (lambda _: Resample(every=7_000_000), {}),
    (lambda _: Resample(by="mean"), {"events": 200}),
    (lambda _: Resample(every=13_000_000, by="mean"), {"inputs": [Stream("", "samples", 5, double=True)]}),
    (lambda _: Resample(by="line"), {}),
    (lambda _: Resample(every=7_000_000, by="line"), {"events": 60}),
    (lambda _: Resample(every=3_000_000, by="line"), {"size": 4000, "events": 6000, "cuts": (10, 100)}),
]


def resampled(samples: list[tuple[float, float]], ticks: int, **fields: Any) -> list[tuple[int, float]]:
    """(tick, value) from (ms, value) of one channel."""
    t_ns = [GRID.origin_ns + round(ms * 1e6) for ms, _ in samples]
    record = sample_batch(t_ns, np.zeros(len(t_ns), np.uint32), np.array([x for _, x in samples], np.float32))
    ran = run_node(Resample(**fields), (ONE, record), ticks=ticks, grid=GRID)
    assert (columns(ran.events)[0] - GRID.origin_ns).tolist() == [row[0] * 1_000_000 for row in ran.rows()]
    return [(tick, value) for tick, _, value in ran.rows()]


def test_the_last_value_holds_from_its_own_tick_on() -> None:
    assert resampled([(1.5, 1.0), (1.7, 2.0), (4.0, 3.0)], 6) == [(1, 2.0), (2, 2.0), (3, 2.0), (4, 3.0), (5, 3.0)]
    assert resampled([(1.5, 1.0), (4.9, 3.0)], 7, every=2_000_000) == [(2, 1.0), (4, 3.0), (6, 3.0)]


def test_a_mean_is_over_the_samples_since_the_last_output() -> None:
    samples = [(0.5, 1.0), (0.6, 3.0), (1.0, 4.0), (2.9, 8.0), (3.0, 1.0)]
    assert resampled(samples, 9, every=2_000_000, by="mean") == [(0, 2.0), (2, 6.0), (4, 1.0), (6, 1.0), (8, 1.0)]


def test_a_line_is_late_by_one_step_and_runs_between_samples() -> None:
    samples = [(0.0, 0.0), (2.5, 5.0), (4.0, 2.0)]
    #  at tick 2 the value at 0 ms; at 4 the one at 2 ms; at 6 the one at 4 ms, after which nothing came
    assert resampled(samples, 9, every=2_000_000, by="line") == [(2, 0.0), (4, 4.0), (6, 2.0), (8, 2.0)]


@given(samples=streams, every=st.integers(1, 5), by=st.sampled_from(["last", "mean", "line"]))
def test_outputs_are_what_a_look_at_all_samples_gives(samples: list[Any], every: int, by: Any) -> None:
    record = recorded([(step, value if abs(value) < 1e3 else float("nan")) for step, value in samples])
    use = np.isfinite(columns(record)[2])
    t_ns, channel, value = (column[use] for column in columns(record))
    ticks = (int(t_ns[-1]) - GRID.origin_ns) // GRID.dt_ns + 8 if len(t_ns) else 8
    node = Resample(every=every * 1_000_000, by=by)
    ran = run_node(node, (Stream("x", "samples", 3, double=True), record), ticks=ticks, grid=GRID)
    found = {row[:2]: row[2] for row in ran.rows()}
    count, step = 0, every * 1_000_000
    for c in range(3):
        t, x = t_ns[channel == c] - GRID.origin_ns, value[channel == c]
        for tick in range(0, ticks, every):
            now = tick * 1_000_000
            if by == "line":
                k, after = int(np.searchsorted(t, now - step, "right")), int(np.searchsorted(t, now, "right"))
                if not k:
                    continue
                expected = x[k - 1]
                if after > k:
                    expected += (x[k] - x[k - 1]) * (now - step - t[k - 1]) / (t[k] - t[k - 1])
            else:
                k = int(np.searchsorted(t, now + 999_999, "right"))
                if not k:
                    continue
                expected = x[k - 1]
                if by == "mean":
                    bins = -(-(t // 1_000_000) // every)
                    expected = x[:k][bins[:k] == bins[k - 1]].mean()
            count += 1
            assert found[tick, c] == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert len(found) == count


def test_a_step_that_is_not_whole_ticks_is_named_at_check() -> None:
    [problem] = Resample(every=1_500_000).check([ONE], GRID)
    assert str(problem) == "every is 1500 us, which is not a multiple of dt, 1 ms — write 2 ms"
