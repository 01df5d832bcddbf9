"""Alarms."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spikeflow
from spikeflow.events import Stream, columns, sample_batch
from spikeflow.nodes.decoders.alarm import Alarm
from spikeflow.testing import run_node
from tests.nodes.conftest import Examples
from tests.nodes.decoders.arrays import GRID

SAMPLES = {"inputs": [Stream("", "samples", 5)], "events": 400}


def made(fields: dict[str, Any], _: Path) -> Alarm:
    return Alarm.model_validate({"threshold": 0.3, **fields})


EXAMPLES: Examples = [
    (partial(made, fields), SAMPLES)
    for fields in (
        {},
        {"hysteresis": 0.5},
        {"when": "below", "lasting": "5 ms"},
        {"hysteresis": 0.2, "lasting": "3300 us", "hold_off": "20500 us"},
        {"hold_off": "31 ms"},
    )
] + [(partial(made, {"lasting": "25 ms", "hold_off": "31 ms"}), {**SAMPLES, "events": 40})]


def alarms(values: list[float], *, ticks: int | None = None, **fields: Any) -> list[tuple[int, float]]:
    """(tick, 1 or 0) of one channel that is sampled once a tick; NaN is no sample."""
    array = np.array(values, np.float32)[:, None]
    fields = {"threshold": 1.0, **fields}
    ran = run_node(Alarm.model_validate(fields), array, ticks=ticks or len(values), grid=GRID)
    return [(tick, value) for tick, _, value in ran.rows()]


NAN = float("nan")


def test_an_alarm_begins_and_ends_once() -> None:
    assert alarms([0, 1, 2, 1, 0.99, 0, 3]) == [(1, 1), (4, 0), (6, 1)]


def test_with_hysteresis_it_ends_further_down() -> None:
    assert alarms([0, 1, 0.8, 0.5, 0.9, 0.4, 0.9], hysteresis=0.5) == [(1, 1), (5, 0)]


def test_it_may_watch_for_values_below() -> None:
    assert alarms([2, 1, 1.5, 1.6, 0], when="below", hysteresis=0.5) == [(1, 1), (3, 0), (4, 1)]


def test_a_value_must_last_where_that_is_asked() -> None:
    assert alarms([0, 1, 1, 0, 1, 1, 1, 1, 0], lasting="3 ms") == [(7, 1), (8, 0)]


def test_a_sample_holds_until_the_next_one_so_an_alarm_may_begin_between_them() -> None:
    assert alarms([0, 1, NAN, NAN], ticks=30, lasting="22 ms") == [(23, 1)]


def test_after_an_alarm_there_is_none_until_the_hold_off_is_over() -> None:
    assert alarms([1, 0, 1, 0, 1, 1, 1, 1, 1, 0], hold_off="5 ms") == [(0, 1), (1, 0), (6, 1), (9, 0)]


def test_samples_that_are_not_finite_count_as_none_and_are_noted() -> None:
    record = sample_batch(GRID.time(0) + np.arange(4), [0] * 4, np.array([1, NAN, -np.inf, 1], np.float32))
    ran = run_node(Alarm(threshold=1.0), (Stream("x", "samples", 1), record), grid=GRID)
    assert ran.rows() == [(0, 0, 1.0)]
    assert ran.counters.noted == {"not finite": 2}


def test_a_peak_within_a_tick_is_seen_at_its_own_time() -> None:
    t_ns = GRID.time(3) + np.array([100, 200, 300])
    record = sample_batch(t_ns, [0] * 3, np.array([0.0, 5.0, 0.0], np.float32))
    ran = run_node(Alarm(threshold=1.0), (Stream("x", "samples", 1), record), grid=GRID)
    found_t, _, value = columns(ran.events)
    assert found_t.tolist() == t_ns[1:].tolist()
    assert value.tolist() == [1.0, 0.0]


class Plain:
    """The rules, sample by sample and nanosecond by nanosecond."""

    def __init__(self, node: Alarm, end: int) -> None:
        self.node, self.end = node, end

    def rows(self, samples: list[tuple[int, float]]) -> list[tuple[int, float]]:
        node, found = self.node, []
        past, since, on, free = False, 0, False, -(10**18)
        for t, value in [*samples, (self.end, NAN)]:
            if past and not on:
                begins = max(since + node.lasting, free)
                if begins < t or (begins == t and t < self.end):
                    found.append((begins, 1.0))
                    on = True
            if value >= node.threshold and not past:
                past, since = True, t
            elif past and value < node.threshold - node.hysteresis:
                past = False
                if on:
                    found.append((t, 0.0))
                    on, free = False, t + node.hold_off
        return found


@given(
    samples=st.lists(st.tuples(st.integers(0, 59), st.integers(0, 2), st.integers(0, 4)), max_size=60),
    threshold=st.integers(1, 4),
    hysteresis=st.integers(0, 2),
    lasting=st.integers(0, 12),
    hold_off=st.integers(0, 12),
)
def test_channels_follow_the_rules_each_for_itself(
    samples: list[tuple[int, int, int]], threshold: int, hysteresis: int, lasting: int, hold_off: int
) -> None:
    node = Alarm(threshold=threshold, hysteresis=hysteresis, lasting=lasting * 1_000_000, hold_off=hold_off * 1_000_000)
    samples = sorted(samples, key=lambda row: row[:2])
    at, channel, value = (np.array([row[k] for row in samples], np.int64) for k in range(3))
    record = sample_batch(at * 1_000_000 + GRID.origin_ns, channel, value.astype(np.float32))
    ran = run_node(node, (Stream("x", "samples", 3), record), ticks=60, grid=GRID)
    for one in range(3):
        own = [(int(t) * 1_000_000, float(v)) for t, c, v in samples if c == one]
        expected = [(t // 1_000_000, v) for t, v in Plain(node, 60_000_000).rows(own)]
        assert [(t, v) for t, c, v in ran.rows() if c == one] == expected


GRAPH = """
spikeflow: 1
nodes:
  spikes: {source: synthetic, signal: poisson, rate: 300 Hz, length: 500 ms}
  rate: {decoder: rate, input: spikes, over: 50 ms, every: 10 ms}
  alarm: {decoder: alarm, input: rate, threshold: 300, hysteresis: 40, lasting: 20 ms}
  out: {sink: file, input: [rate, alarm], path: all}
"""


def test_behind_a_rate_it_watches_a_population(tmp_path: Path) -> None:
    (tmp_path / "graph.yaml").write_text(GRAPH)
    report = spikeflow.run_blocking(spikeflow.load(tmp_path / "graph.yaml"))
    assert report.ended == "ended"
    assert report.nodes["alarm"]["events_out"] > 0


@pytest.mark.parametrize(
    "fields", [{}, {"threshold": NAN}, {"threshold": 1, "hysteresis": -1}, {"threshold": 1, "lasting": -1}]
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"threshold|hysteresis|lasting"):
        Alarm.model_validate(fields)
