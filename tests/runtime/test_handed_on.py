"""When events have been handed on: every sink behind their source is done with their window, and not before."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

import spikeflow
from spikeflow.errors import NodeError
from spikeflow.events import Kind, Stream, sample_batch
from spikeflow.node import Inlet, Outlet, Sink, Source
from spikeflow.runtime.engine import Engine, Options, Report
from spikeflow.testing import VirtualClock, run_virtually
from tests.runtime.nodes import MS, SECOND, Collect, Relay, collected_by, graph

START = 1_700_000_000 * SECOND
WINDOW = 10

Event = tuple[int, float, float | None]
"""Channel, value, and its own time (ms from the origin)."""


class Wishing(Source):
    """Pushes groups of events at (ms from the origin), and keeps when each group had been handed on (ms)."""

    gives: ClassVar[tuple[Kind, ...]] = ("samples",)
    script: list[tuple[float, list[Event]]]
    until: float
    stays: bool = False
    forces_at: float | None = None

    @property
    def follows(self) -> bool:
        return True

    def size_out(self, inputs: Sequence[Stream]) -> int:
        return 4

    def start(self, size: int) -> None:
        self._handed_on: dict[int, float] = {}
        self._awaited: list[int] = []

    def now(self) -> float:
        return (self.context.clock.now_ns() - self.context.grid.origin_ns) / MS

    async def produce(self, outlet: Outlet) -> None:
        origin, clock = self.context.grid.origin_ns, self.context.clock
        try:
            for number, (at, events) in enumerate(self.script):
                await clock.sleep_until(origin + int(at * MS))
                t_ns = [None if t is None else origin + int(t * MS) for _, _, t in events]
                await outlet.push_all([c for c, _, _ in events], [v for _, v, _ in events], t_ns)
                outlet.when_handed_on(lambda number=number: self._handed_on.update({number: self.now()}))  # type: ignore[misc]
                self._awaited.append(outlet.awaited)
            if self.forces_at is not None:
                await clock.sleep_until(origin + int(self.forces_at * MS))
                await outlet.force()
            await clock.sleep_until(origin + int(self.until * MS))
            if self.stays:
                await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            await outlet.settle()
            raise


class Late(Sink):
    """Takes a while (ms) for each window with something in it."""

    ms: float = 25.0

    async def consume(self, inlet: Inlet) -> None:
        clock = self.context.clock
        async for batch in inlet:
            if batch.num_rows:
                await clock.sleep_until(clock.now_ns() + int(self.ms * MS))


def play(
    script: Sequence[tuple[float, list[Event]]],
    sinks: dict[str, Any] | None = None,
    *,
    until: float = 100.0,
    seconds: float | None = None,
    **source: Any,
) -> tuple[dict[int, float], Wishing, Report]:
    """When each group of a script had been handed on (ms from the origin), the source, and the report."""
    nodes: dict[str, Any] = {
        "live": {"source": Wishing, "script": list(script), "until": until, **source},
        "relay": {"encoder": Relay, "input": "live"},
        **({"out": {"sink": Collect, "input": "relay"}} if sinks is None else sinks),
    }
    spec = spikeflow.load(graph(nodes))
    clock = VirtualClock(START)
    engine = Engine(spec, Options(clock=clock, seconds=seconds))
    report = run_virtually(engine.run(), clock)
    assert engine.wired is not None
    node = engine.wired.nodes["live"]
    assert isinstance(node, Wishing)
    return node._handed_on, node, report


def at(ms: float, *values: float) -> tuple[float, list[Event]]:
    return ms, [(0, value, None) for value in values]


def test_events_are_handed_on_when_their_window_has_gone_through() -> None:
    when, _, report = play([at(3, 1.0), at(4, 2.0, 3.0), at(12, 4.0)])
    assert when == {0: 10.0, 1: 10.0, 2: 20.0}
    assert report.nodes["live"]["processed"] == 4


def test_the_slowest_of_all_sinks_behind_a_source_says_when() -> None:
    sinks = {
        "out": {"sink": Collect, "input": "relay"},
        "late": {"sink": Late, "input": "relay"},
        "direct": {"sink": Late, "ms": 5.0, "input": "live"},
    }
    when, _, _ = play([at(3, 1.0), at(14, 2.0)], sinks)
    assert when == {0: 35.0, 1: 60.0}


def test_sinks_that_hang_on_other_sources_do_not_count() -> None:
    sinks = {
        "out": {"sink": Collect, "input": "relay"},
        "other": {"source": Wishing, "script": [at(3, 1.0)], "until": 100.0},
        "late": {"sink": Late, "input": "other"},
    }
    when, _, _ = play([at(3, 1.0)], sinks)
    assert when == {0: 10.0}


def test_a_sink_with_two_inputs_counts_for_what_it_has_taken_of_each() -> None:
    sinks = {
        "other": {"source": Wishing, "script": [at(3, 1.0), at(33, 1.0)], "until": 40.0},
        "late": {"sink": Late, "input": ["relay", "other"]},
    }
    when, _, _ = play([at(3, 1.0), at(33, 2.0), at(63, 3.0)], sinks)
    assert list(when) == [0, 1, 2]
    assert 35.0 <= when[0] <= 60.0
    assert when[2] >= 95.0


def test_without_a_sink_it_is_enough_that_all_have_taken_it() -> None:
    when, _, _ = play([at(3, 1.0), at(12, 2.0)], {})
    assert when == {0: 10.0, 1: 20.0}


def test_by_payload_each_group_waits_for_its_own_last_window() -> None:
    script: list[tuple[float, list[Event]]] = [
        (1, [(0, 1.0, 1.0)]),
        (2, [(0, 2.0, 55.0)]),
        (3, [(0, 3.0, 2.0), (0, 4.0, 33.0)]),
        (20, [(0, 5.0, 75.0)]),
        (40, [(0, 6.0, 105.0)]),
        (60, [(0, 7.0, 130.0)]),
    ]
    when, node, _ = play(script, time={"by": "payload", "lateness": "60 ms", "idle_after": "10 s"})
    assert [when[number] for number in (0, 2, 1)] == [20.0, 40.0, 60.0]
    assert node._awaited == [1, 2, 3, 3, 3, 3]


def test_what_is_late_or_refused_is_told_at_once() -> None:
    script: list[tuple[float, list[Event]]] = [
        (1, [(0, 1.0, 1.0)]),
        (2, [(0, 2.0, 45.0)]),
        (60, [(0, 3.0, 2.0)]),
        (61, [(9, 3.0, 60.0)]),
        (62, []),
    ]
    when, _, report = play(script, time={"by": "payload"})
    assert (when[2], when[3], when[4]) == (60.0, 61.0, 62.0)
    assert report.nodes["live"]["dropped"] == {"late": 1}
    assert report.nodes["live"]["rejected"] == {"index": 1}


def test_the_oldest_window_with_events_can_be_forced() -> None:
    script: list[tuple[float, list[Event]]] = [(1, [(0, 1.0, 31.0)]), (2, [(0, 2.0, 55.0)])]
    when, _, report = play(
        script, time={"by": "payload", "lateness": "1 s", "idle_after": "10 s"}, until=50, forces_at=20
    )
    assert when[0] == 20.0
    assert when.get(1, 50.0) >= 50.0
    assert report.nodes["live"]["noted"] == {"forced": 1}


def test_where_the_graph_is_behind_nothing_is_forced_but_the_next_window_to_go_is_waited_for() -> None:
    script: list[tuple[float, list[Event]]] = [(1.0, [(0, 1.0, 10.0 * k)]) for k in range(70)]
    sinks = {"late": {"sink": Late, "ms": 40.0, "input": "relay"}}
    rules = {"by": "payload", "lateness": "1 s", "idle_after": "20 ms"}
    when, _, report = play(script, sinks, time=rules, until=1700, forces_at=1600)
    assert "noted" not in report.nodes["live"]
    assert report.nodes["late"]["processed"] == 70
    assert when[0] < 1100.0


def test_nothing_is_forced_where_nothing_is_held() -> None:
    _, _, report = play([], forces_at=20, time={"by": "payload"})
    assert "noted" not in report.nodes["live"]


def test_what_a_sink_failed_on_is_never_handed_on() -> None:
    sinks = {"out": {"sink": Collect, "input": "relay", "fails_at": 2.0}}
    nodes: dict[str, Any] = {
        "live": {"source": Wishing, "script": [at(3, 1.0), at(13, 2.0), at(23, 3.0)], "until": 100.0},
        "relay": {"encoder": Relay, "input": "live"},
        **sinks,
    }
    clock = VirtualClock(START)
    engine = Engine(spikeflow.load(graph(nodes)), Options(clock=clock, drain_timeout=1.0))
    with pytest.raises(NodeError, match="told to fail"):
        run_virtually(engine.run(), clock)
    assert engine.wired is not None
    node: Any = engine.wired.nodes["live"]
    assert node._handed_on == {0: 10.0}


@pytest.mark.parametrize("rule", ["skip", "restart"])
def test_what_a_sink_is_told_to_pass_over_is_handed_on(rule: str) -> None:
    sinks = {"out": {"sink": Collect, "input": "relay", "fails_at": 2.0, "on_error": rule}}
    when, _, report = play([at(3, 1.0), at(13, 2.0), at(23, 3.0)], sinks, until=300.0)
    assert sorted(when) == [0, 1, 2]
    assert report.nodes["out"]["dropped"] == {"failed": 1}


@pytest.mark.parametrize("rules", [{"by": "arrival"}, {"by": "payload", "lateness": "20 s", "idle_after": "30 s"}])
def test_a_run_that_drains_hands_on_all_that_was_pushed(rules: dict[str, Any]) -> None:
    sinks = {"out": {"sink": Collect, "input": "relay"}, "late": {"sink": Late, "input": "relay"}}
    script: list[tuple[float, list[Event]]] = [(float(ms), [(0, float(ms), float(ms))]) for ms in range(90)]
    when, _, report = play(script, sinks, until=91.0, stays=True, seconds=0.095, time=rules)
    assert sorted(when) == list(range(90))
    assert report.nodes["late"]["processed"] == report.nodes["live"]["processed"] == 90
    assert report.exit_code == 0


def test_events_pushed_together_are_those_pushed_one_by_one() -> None:
    class OneByOne(Wishing):
        async def produce(self, outlet: Outlet) -> None:
            origin, clock = self.context.grid.origin_ns, self.context.clock
            for ms, events in self.script:
                await clock.sleep_until(origin + int(ms * MS))
                for channel, value, t in events:
                    await outlet.push(channel, value, None if t is None else origin + int(t * MS))
            await clock.sleep_until(origin + int(self.until * MS))

    rng = np.random.default_rng(3)
    script = [
        (float(ms), [(int(c), float(v), float(t)) for c, v, t in rng.uniform([0, 0, ms - 20], [5, 9, ms + 20], (7, 3))])
        for ms in range(30, 90)
    ]
    for rules in ({"by": "arrival"}, {"by": "payload", "lateness": "50 ms"}):
        found = []
        for kind in (Wishing, OneByOne):
            nodes = {
                "live": {"source": kind, "script": script, "until": 100.0, "time": rules},
                "out": {"sink": Collect, "input": "live"},
            }
            spec = spikeflow.load(graph(nodes))
            clock = VirtualClock(START)
            report = run_virtually(Engine(spec, Options(clock=clock)).run(), clock)
            figures = report.nodes["live"]
            counts = [figures.get(key) for key in ("accepted", "processed", "rejected", "dropped")]
            found.append((collected_by(spec), counts))
        assert found[0] == found[1]


def test_the_same_channel_and_time_in_one_message_are_two_events_and_in_two_messages_a_duplicate() -> None:
    twice: list[Event] = [(0, 1.0, 4.0), (1, 2.0, 4.0), (0, 3.0, 4.0)]
    _, _, report = play([(5, twice), (6, twice), (7, [(0, 4.0, 4.0), (2, 4.0, 4.0)])], time={"by": "payload"})
    assert report.nodes["live"]["dropped"] == {"duplicate": 4}
    assert (report.nodes["live"]["processed"], report.nodes["out"]["processed"]) == (4, 4)


def test_arrays_are_pushed_as_lists_are() -> None:
    class Arrays(Wishing):
        async def produce(self, outlet: Outlet) -> None:
            origin, clock = self.context.grid.origin_ns, self.context.clock
            for ms, events in self.script:
                await clock.sleep_until(origin + int(ms * MS))
                channel, value = zip(*[(c, v) for c, v, _ in events], strict=True)
                await outlet.push_all(np.array(channel, np.uint32), np.array(value, np.float32))
            await clock.sleep_until(origin + int(self.until * MS))

    script: list[tuple[float, list[Event]]] = [
        (3, [(2, 1.0, None), (0, 2.0, None)]),
        (14, [(1, 3.0, None), (9, 4.0, None)]),  # one past the size
        (15, [(3, 5.0, None), (3, 6.0, None)]),
    ]
    found = []
    for kind in (Wishing, Arrays):
        nodes = {
            "live": {"source": kind, "script": script, "until": 50.0},
            "out": {"sink": Collect, "input": "live"},
        }
        spec = spikeflow.load(graph(nodes))
        clock = VirtualClock(START)
        report = run_virtually(Engine(spec, Options(clock=clock)).run(), clock)
        counts = [report.nodes["live"].get(key) for key in ("accepted", "processed", "rejected")]
        found.append((collected_by(spec), counts))
    assert found[0] == found[1]
    assert found[0][1] == [6, 5, {"index": 1}]


class Timed(Wishing):
    """Sends a sample every 4 ms, with times of its own."""

    timed: ClassVar[bool] = True

    @property
    def finite(self) -> bool:
        return True

    def origin_ns(self) -> int | None:
        return START

    async def produce(self, outlet: Outlet) -> None:
        for number in range(10):
            tick = np.array([START + number * 4 * MS])
            await outlet.send(sample_batch(tick, np.zeros(1, np.uint32), np.ones(1, np.float32)))
            outlet.when_handed_on(lambda number=number: self._handed_on.update({number: len(self._handed_on)}))  # type: ignore[misc]


def test_a_source_with_times_of_its_own_hears_in_order() -> None:
    nodes = {"live": {"source": Timed, "script": [], "until": 0.0}, "out": {"sink": Collect, "input": "live"}}
    engine = Engine(spikeflow.load(graph(nodes)), Options(clock=VirtualClock(START)))
    report = asyncio.run(engine.run())
    assert engine.wired is not None
    node: Any = engine.wired.nodes["live"]
    assert node._handed_on == {number: number for number in range(10)}
    assert report.nodes["live"]["processed"] == 10
