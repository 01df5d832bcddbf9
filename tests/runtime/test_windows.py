"""Sources' windows: arrival and payload time, and an account of every event."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spikeflow
from spikeflow.errors import NodeError
from spikeflow.events import Grid, sample_batch
from spikeflow.node import Outlet
from spikeflow.runtime.engine import Engine, Options, Report
from spikeflow.testing import VirtualClock, run_node, run_virtually
from tests.runtime.nodes import SECOND, Collect, Ramp, Relay, Scripted, collected_by, graph

START = 1_700_000_000 * SECOND
Row = tuple[float, int, float]


def play(
    script: Sequence[tuple[float, int, float, float | None]],
    *,
    live: type[Scripted] = Scripted,
    relay: type[Relay] = Relay,
    until: float | None = None,
    **source: Any,
) -> tuple[list[Row], dict[str, Any], Report]:
    """What comes out of a scripted source, its figures, and the report."""
    nodes: dict[str, Any] = {
        "live": {"source": live, "script": script, "until": until, **source},
        "relay": {"encoder": relay, "input": "live"},
        "out": {"sink": Collect, "input": "relay"},
    }
    spec = spikeflow.load(graph(nodes))
    clock = VirtualClock(START)
    report = run_virtually(Engine(spec, Options(clock=clock, capacity=1 if relay is Slow else 16)).run(), clock)
    found = report.nodes["live"]
    lost = sum(found.get("rejected", {}).values()) + sum(found.get("dropped", {}).values())
    assert found["accepted"] == found["processed"] + lost
    assert found["buffered"] == 0
    return collected_by(spec).get("relay", []), found, report


class Slow(Relay):
    """Fails on its first window and restarts, so that its inlet is full for a tenth of a second."""

    on_error: str = "restart"  # type: ignore[assignment]

    def start(self, size: int) -> None:
        self._failed = False

    def encode(self, samples: Any) -> Any:
        if not self._failed:
            self._failed = True
            raise OSError("not yet")
        return samples


class Afterwards(Scripted):
    """Hears what comes once the loop has seen to its timers, as from a socket."""

    async def produce(self, outlet: Outlet) -> None:
        origin = self.context.grid.origin_ns
        for at, channel, value, t in self.script:
            await self.context.clock.sleep_until(origin + int(at * 1_000_000))
            for _ in range(10):
                await asyncio.sleep(0)
            await outlet.push(channel, value, None if t is None else origin + int(t * 1_000_000))


class Standing(Relay):
    """Stands still for four tenths of a second, and the whole process with it."""

    def start(self, size: int) -> None:
        self._stood = False

    def encode(self, samples: Any) -> Any:
        if samples.num_rows and not self._stood:
            self._stood = True
            clock: Any = self.context.clock
            clock.jump(clock.now_ns() + 4 * SECOND // 10)
        return samples


PAYLOAD = {"by": "payload", "lateness": "20 ms", "idle_after": "200 ms"}


def test_events_are_stamped_on_arrival_and_keep_their_order() -> None:
    rows, found, _ = play([(1, 2, 1.0, None), (1, 0, 2.0, None), (12.25, 1, 3.0, 999.0)])
    assert rows == [(1.0, 0, 2.0), (1.0, 2, 1.0), (12.25, 1, 3.0)]
    assert found["windows"] == 2


class Mixed(Scripted):
    """Pushes events one by one, in lists, and in arrays, all at the same instant."""

    async def produce(self, outlet: Outlet) -> None:
        await outlet.push(0, 1.0)
        await outlet.push_all([0, 0], [2.0, 3.0])
        await outlet.push_all(np.zeros(2, np.uint32), np.array([4.0, 5.0]))
        await outlet.push_all([0], [6.0])
        await outlet.send(sample_batch([0], [0], [7.0]))
        await outlet.push(0, 8.0)


def test_events_of_one_instant_keep_their_order_however_they_are_pushed() -> None:
    rows, _, _ = play([], live=Mixed, until=20)
    assert [value for _, _, value in rows] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]


def test_by_payload_order_is_restored_within_lateness() -> None:
    rows, found, _ = play([(15, 0, 1.0, 14), (16, 1, 2.0, 3), (17, 0, 3.0, 9)], time=PAYLOAD)
    assert rows == [(3.0, 1, 2.0), (9.0, 0, 3.0), (14.0, 0, 1.0)]
    assert "dropped" not in found


def test_a_late_event_is_dropped_and_counted() -> None:
    rows, found, _ = play([(40, 0, 1.0, 40), (75, 0, 2.0, 75), (76, 0, 3.0, 5)], time=PAYLOAD)
    assert rows == [(40.0, 0, 1.0), (75.0, 0, 2.0)]
    assert found["dropped"] == {"late": 1}


def test_a_late_event_is_moved_to_the_first_open_tick_where_the_rule_says_so() -> None:
    rows, found, _ = play([(40, 0, 1.0, 40), (75, 0, 2.0, 75), (76, 0, 3.0, 5)], time={**PAYLOAD, "late": "clamp"})
    assert rows == [(40.0, 0, 1.0), (50.0, 0, 3.0), (75.0, 0, 2.0)]
    assert found["noted"] == {"clamped": 1}


def test_late_events_of_a_channel_that_are_moved_to_one_tick_are_no_duplicates() -> None:
    script = [(40, 0, 1.0, 40), (75, 0, 2.0, 75), (76, 0, 3.0, 5), (77, 0, 4.0, 6), (78, 0, 3.0, 5)]
    rows, found, _ = play(script, time={**PAYLOAD, "late": "clamp"})
    assert rows == [(40.0, 0, 1.0), (50.0, 0, 3.0), (50.0, 0, 4.0), (75.0, 0, 2.0)]
    assert (found["noted"], found["dropped"]) == ({"clamped": 2}, {"duplicate": 1})  # the last one has come before


def test_the_same_channel_and_time_twice_is_a_duplicate() -> None:
    rows, found, _ = play([(5, 0, 1.0, 4), (6, 0, 2.0, 4), (7, 1, 3.0, 4)], time=PAYLOAD)
    assert rows == [(4.0, 0, 1.0), (4.0, 1, 3.0)]
    assert found["dropped"] == {"duplicate": 1}


def test_stamps_far_ahead_or_before_the_origin_are_rejected() -> None:
    day = 24 * 3600 * 1000.0
    rows, found, _ = play(
        [(5, 0, 1.0, 10_006), (6, 0, 2.0, -0.5), (7, 0, 3.0, 400 * day), (8, 0, 4.0, 9_999)], time=PAYLOAD
    )
    assert rows == [(9999.0, 0, 4.0)]
    assert found["rejected"] == {"future": 2, "before_origin": 1}


def test_a_stamp_of_another_unit_is_told_as_such(caplog: pytest.LogCaptureFixture) -> None:
    milliseconds_read_as_seconds = START / 1e9 * 1000 * 1000.0
    play([(5, 0, 1.0, milliseconds_read_as_seconds)], time=PAYLOAD)
    assert "is its unit right?" in caplog.text


def test_a_reason_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    play([(float(k), 9, 1.0, None) for k in range(0, 130_000, 100)])
    lines = [record.getMessage() for record in caplog.records if "rejected: index" in record.getMessage()]
    assert len(lines) == 3
    assert "599 more in the last minute" in lines[1]


def test_an_index_past_the_size_is_rejected() -> None:
    rows, found, _ = play([(5, 4, 1.0, None), (6, 3, 2.0, None)])
    assert rows == [(6.0, 3, 2.0)]
    assert found["rejected"] == {"index": 1}


def test_a_window_waits_for_the_slowest_key_and_no_longer_than_idle_after() -> None:
    script = [(5.0, 0, 1.0, 5.0), (6.0, 1, 1.0, 6.0)] + [(float(t), 0, 2.0, float(t)) for t in range(10, 400, 10)]
    script.append((395.0, 1, 3.0, 250.0))
    rows, found, _ = play(script, time=PAYLOAD)
    assert "dropped" in found  # channel 1 was idle for more than 200 ms, so its event at 250 ms came too late
    assert found["dropped"] == {"late": 1}
    assert len(rows) == len(script) - 1


def test_who_could_not_be_heard_while_the_graph_was_full_is_not_idle() -> None:
    script = [(float(k), 0, 1.0, float(k)) for k in range(200)]
    rows, found, _ = play(script, relay=Slow, buffer=15, time={**PAYLOAD, "idle_after": "50 ms"})
    assert "dropped" not in found
    assert len(rows) == 200 - 10  # the window that failed


def test_who_could_not_be_heard_while_the_process_stood_still_is_not_idle() -> None:
    script = [(25.0 * k, 0, 1.0, 25.0 * k) for k in range(40)]  # windows are looked at in between
    rows, found, _ = play(script, live=Afterwards, relay=Standing, time=PAYLOAD)
    assert "dropped" not in found
    assert len(rows) == 40


def test_when_all_keys_are_idle_the_clock_closes_windows() -> None:
    _, found, _ = play([(5, 0, 1.0, 5)], until=1000, time=PAYLOAD)
    assert found["windows"] >= 95


def test_a_full_buffer_of_open_windows_forces_the_oldest_one_closed() -> None:
    script = [(2.0, 1, 0.0, 1.0)] + [(3.0 + k / 100, 0, float(k), 3.0 + k) for k in range(150)]
    rows, found, _ = play(script, time={**PAYLOAD, "idle_after": "10 s"}, buffer=50)
    assert found["noted"]["forced"] >= 1
    assert len(rows) == 151


def test_a_full_buffer_blocks_its_source_and_loses_nothing() -> None:
    rows, found, _ = play([(float(k), 0, 1.0, None) for k in range(200)], relay=Slow, buffer=15)
    assert len(rows) == 200 - 10  # the window that failed
    assert found["processed"] == 200


def test_a_full_buffer_drops_the_oldest_where_the_rule_says_so() -> None:
    rows, found, _ = play(
        [(float(k), 0, float(k), None) for k in range(200)], relay=Slow, buffer=15, overflow="drop_oldest"
    )
    assert found["dropped"]["overflow"] > 50
    assert rows[-1][2] == 199.0


def test_a_full_buffer_fails_where_the_rule_says_so() -> None:
    with pytest.raises(NodeError, match="the buffer of 15 events is full"):
        play([(float(k), 0, float(k), None) for k in range(200)], relay=Slow, buffer=15, overflow="fail")


stamps = st.tuples(
    st.floats(0, 300).map(lambda t: round(t, 3)), st.integers(0, 5), st.floats(-50, 400).map(lambda t: round(t, 3))
)


@given(
    events=st.lists(stamps, max_size=60),
    late=st.sampled_from(["drop", "clamp"]),
    lateness=st.sampled_from(["0 ms", "1 ms", "35 ms"]),
    buffer=st.sampled_from([1, 4, 100]),
    overflow=st.sampled_from(["block", "drop_oldest"]),
)
def test_every_event_is_accounted_for_whatever_its_stamp(
    events: list[tuple[float, int, float]], late: str, lateness: str, buffer: int, overflow: str
) -> None:
    script = [(at, channel, float(k), t) for k, (at, channel, t) in enumerate(sorted(events))]
    rules = {"by": "payload", "lateness": lateness, "idle_after": "100 ms", "late": late, "ahead": "50 ms"}
    rows, found, _ = play(script, time=rules, buffer=buffer, overflow=overflow)
    assert found["accepted"] == len(events)
    assert found["processed"] == len(rows)
    assert rows == sorted(rows, key=lambda row: (row[0], row[1]))


class Chunks(Ramp):
    """A ramp in few chunks that may last less than it sends, or not end by itself."""

    chunk: int = 500
    lasts_ms: int | None = None

    @property
    def finite(self) -> bool:
        return self.lasts_ms is not None

    def length_ns(self) -> int | None:
        return None if self.lasts_ms is None else self.lasts_ms * 1_000_000


@pytest.mark.parametrize("window", [1, 7, 10, 100])
def test_a_timed_source_ends_at_its_length_though_it_has_more_to_send(window: int) -> None:
    ran = run_node(Chunks(ticks=200, lasts_ms=33), grid=Grid(0, 1_000_000, window))
    assert (ran.ticks, len(ran.rows())) == (33, 33)
    assert ran.counters.dropped == {"after_end": 167}


@pytest.mark.parametrize("window", [1, 7, 10, 100])
def test_a_timed_source_that_is_stopped_ends_with_the_last_event_that_was_due(window: int) -> None:
    ran = run_node(Chunks(ticks=1000), grid=Grid(0, 1_000_000, window), seconds=0.35)
    assert 350 <= ran.ticks == len(ran.rows()) <= 350 + window
    assert ran.counters.dropped["stopped"] == ran.counters.accepted - ran.ticks
