"""The engine: ends, drains, failures, forgetting, taps."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

import spikeflow
from spikeflow.errors import ConnectError, EventError, NodeError, ParameterError
from spikeflow.node import Inlet, Outlet, Sink
from spikeflow.nodes.sinks.file import File
from spikeflow.runtime.engine import Engine, Options, Report
from spikeflow.testing import VirtualClock, VirtualLoop, run_virtually
from tests.runtime.nodes import SECOND, Collect, Ramp, Relay, Scripted, Summing, collected_by, graph

START = 1_700_000_000 * SECOND


def run(nodes: dict[str, Any], *, start_ns: int = START, time: dict[str, str] | None = None, **options: Any) -> Report:
    spec = spikeflow.load(graph(nodes, **({"time": time} if time else {})))
    clock = VirtualClock(start_ns)
    return run_virtually(Engine(spec, Options(clock=clock, **options)).run(), clock)


def test_a_finite_graph_runs_to_its_end_and_counts_every_event() -> None:
    nodes = {
        "ramp": {"source": Ramp, "ticks": 53},
        "relay": {"encoder": Relay, "input": "ramp"},
        "out": {"sink": Collect, "input": ["ramp", "relay"]},
    }
    report = run(nodes)
    assert report.ended == "ended"
    assert report.exit_code == 0
    assert report.nodes["ramp"]["accepted"] == report.nodes["ramp"]["processed"] == 53
    assert report.nodes["out"]["processed"] == 106
    assert report.nodes["relay"]["windows"] == 6


@pytest.mark.parametrize("window", ["1 ms", "7 ms", "10 ms", "100 ms"])
@pytest.mark.parametrize("capacity", [1, 16])
def test_what_a_graph_gives_does_not_depend_on_windows_or_capacity(window: str, capacity: int) -> None:
    spec = spikeflow.load(
        graph(
            {
                "short": {"source": Ramp, "ticks": 31},
                "long": {"source": Ramp, "ticks": 53},
                "sum": {"encoder": Summing, "input": "long", "forget": {"every": "20 ms"}},
                "out": {"sink": Collect, "input": ["short", "sum"]},
            },
            time={"window": window},
        )
    )
    run_virtually(Engine(spec, Options(clock=VirtualClock(), capacity=capacity)).run())
    rows = collected_by(spec)
    assert [row[2] for row in rows["short"]] == list(range(31))
    expected, total = [], 0
    for tick in range(53):
        total = tick if tick in (20, 40) else total + tick
        expected.append((float(tick), 0, float(total)))
    assert rows["sum"] == expected


def test_a_node_forgets_before_the_tick_of_another_node_s_event() -> None:
    nodes = {
        "ramp": {"source": Ramp, "ticks": 20},
        "pick": {"encoder": Pick, "input": "ramp"},
        "sum": {"encoder": Summing, "input": "ramp", "forget": {"on": "pick"}},
        "out": {"sink": Collect, "input": "sum"},
    }
    loaded = spikeflow.load(graph(nodes))
    run_virtually(Engine(loaded, Options(clock=VirtualClock())).run())
    sums = [row[2] for row in collected_by(loaded)["sum"]]
    assert sums[12] == sum(range(13))
    assert sums[13] == 13
    assert sums[14] == 27


class Pick(Relay):
    """Passes on the sample of tick 13 only."""

    def encode(self, samples: Any) -> Any:
        return samples.filter(samples.column(2).to_numpy() == 13)


def test_a_failing_node_ends_the_run_and_what_is_unaffected_drains() -> None:
    nodes = {
        "ramp": {"source": Ramp, "ticks": 100},
        "bad": {"encoder": Summing, "input": "ramp", "fails_at": [35]},
        "out": {"sink": Collect, "input": "ramp"},
        "other": {"sink": Collect, "input": "bad"},
    }
    spec = spikeflow.load(graph(nodes))
    with pytest.raises(NodeError, match='node "bad": told to fail'):
        run_virtually(Engine(spec, Options(clock=VirtualClock())).run())
    assert len(collected_by(spec, "other")["bad"]) == 30


def test_a_node_that_skips_gives_an_empty_batch_and_keeps_its_state() -> None:
    nodes = {
        "ramp": {"source": Ramp, "ticks": 40},
        "sum": {"encoder": Summing, "input": "ramp", "fails_at": [15], "on_error": "skip"},
        "out": {"sink": Collect, "input": "sum"},
    }
    spec = spikeflow.load(graph(nodes))
    report = run_virtually(Engine(spec, Options(clock=VirtualClock())).run())
    sums = collected_by(spec)["sum"]
    assert [row[0] for row in sums] == [*range(10), *range(20, 40)]
    assert sums[10][2] == sum(range(10)) + 20
    assert report.nodes["sum"]["missed"] == 1


def test_a_node_that_restarts_waits_and_goes_on_from_the_last_window_s_end() -> None:
    nodes = {
        "ramp": {"source": Ramp, "ticks": 40},
        "sum": {"encoder": Summing, "input": "ramp", "fails_at": [15, 25], "on_error": "restart"},
        "out": {"sink": Collect, "input": "sum"},
    }
    spec = spikeflow.load(graph(nodes))
    clock = VirtualClock()
    report = run_virtually(Engine(spec, Options(clock=clock)).run(), clock)
    assert [row[0] for row in collected_by(spec)["sum"]] == [*range(10), *range(30, 40)]
    assert report.nodes["sum"]["missed"] == report.nodes["sum"]["restarts"] == 2
    assert clock.now_ns() == 300_000_000  # 0.1 s, then 0.2 s


def test_a_sink_that_restarts_loses_the_batch_it_failed_at_and_counts_it() -> None:
    nodes = {
        "ramp": {"source": Ramp, "ticks": 40},
        "out": {"sink": Collect, "input": "ramp", "fails_at": 15, "on_error": "restart"},
    }
    report = run(nodes)
    out = report.nodes["out"]
    assert (out["accepted"], out["processed"], out["dropped"]) == (40, 30, {"failed": 10})


RAISED: dict[str, BaseException] = {
    "exit": SystemExit(),
    "interrupt": KeyboardInterrupt(),
    "cancelled": asyncio.CancelledError(),
    "generator": GeneratorExit(),
    "base": BaseException("b\nand more"),
}
SAID = {
    "exit": "SystemExit",
    "interrupt": "KeyboardInterrupt",
    "cancelled": "CancelledError",
    "generator": "GeneratorExit",
    "base": "BaseException: b",
}


class RaisingSource(Ramp):
    """Raises what it is told to, once it has sent something; goes on when it is begun anew."""

    raises: str

    def start(self, size: int) -> None:
        self._raised = False

    async def produce(self, outlet: Outlet) -> None:
        if self._raised:
            return
        await super().produce(outlet)
        self._raised = True
        raise RAISED[self.raises]


class RaisingEncoder(Relay):
    """Raises what it is told to, at its third window."""

    raises: str

    def start(self, size: int) -> None:
        self._windows = 0

    def encode(self, samples: Any) -> Any:
        self._windows += 1
        if self._windows == 3:
            raise RAISED[self.raises]
        return samples


class RaisingSink(Collect):
    """Raises what it is told to, at its third window."""

    raises: str

    async def consume(self, inlet: Inlet) -> None:
        windows = 0
        async for _ in inlet:
            windows += 1
            if windows == 3:
                raise RAISED[self.raises]


def raising(where: str, raises: str, **more: Any) -> dict[str, Any]:
    """A source, two encoders, of which the first is stepped with care where it has a rule, and a sink; one raises."""
    kinds = {"src": Ramp, "enc": Relay, "out": Collect}
    kinds[where] = {"src": RaisingSource, "enc": RaisingEncoder, "out": RaisingSink}[where]
    nodes = {
        "src": {"source": kinds["src"], "ticks": 100},
        "enc": {"encoder": kinds["enc"], "input": "src"},
        "out": {"sink": kinds["out"], "input": "enc"},
    }
    nodes[where] |= {"raises": raises, **more}
    return nodes


@pytest.mark.parametrize("raises", RAISED)
@pytest.mark.parametrize("where", ["src", "enc", "out"])
def test_whatever_a_node_s_own_code_raises_is_the_failure_of_that_node(where: str, raises: str) -> None:
    with pytest.raises(NodeError) as caught:
        run(raising(where, raises))
    assert str(caught.value) == f'node "{where}": {SAID[raises]}'
    assert (caught.value.node, caught.value.cause) == (where, RAISED[raises])
    assert "report: Report(ended='failed'" in caught.value.__notes__[0]


@pytest.mark.parametrize("raises", RAISED)
@pytest.mark.parametrize(
    ("where", "rule"), [("src", "restart"), ("enc", "skip"), ("enc", "restart"), ("out", "restart")]
)
def test_the_rule_for_failures_holds_for_whatever_a_node_raises(where: str, rule: str, raises: str) -> None:
    report = run(raising(where, raises, on_error=rule))
    assert report.ended == "ended"
    assert report.nodes[where]["errors"] == report.nodes[where].get("restarts", 1) >= 1


class HeavyRaising(RaisingEncoder):
    """Raises in the thread that heavy windows are stepped in."""

    def encode(self, samples: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            raise RAISED[self.raises]
        return samples


@pytest.mark.parametrize("raises", ["exit", "cancelled"])
def test_what_is_raised_in_a_thread_is_the_failure_of_the_node_too(
    raises: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikeflow.runtime.relay.HEAVY_NS", -1)
    monkeypatch.setattr("spikeflow.runtime.stepping.HEAVY_NS", -1)
    monkeypatch.setattr("spikeflow.runtime.stepping.HAND_OVER_NS", -1)
    nodes = {
        "live": {"source": Scripted, "script": [(k, 0, 1.0, None) for k in range(400)]},
        "enc": {"encoder": HeavyRaising, "input": "live", "raises": raises},
        "out": {"sink": Collect, "input": "enc"},
    }
    with pytest.raises(NodeError, match='node "enc"'):
        run(nodes)


class SelfCancelling(Ramp):
    """Cancels the task that it runs in."""

    async def produce(self, outlet: Outlet) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.get_running_loop().create_future()


def test_a_node_that_cancels_its_own_task_has_failed() -> None:
    nodes = {"src": {"source": SelfCancelling, "ticks": 1}, "out": {"sink": Collect, "input": "src"}}
    with pytest.raises(NodeError, match='node "src": CancelledError'):
        run(nodes)


class Unstartable(Relay):
    """Fails before the run begins."""

    def start(self, size: int) -> None:
        raise {"key": KeyError("boo"), "exit": SystemExit(3), "memory": MemoryError("no 8 TB")}[self.how]

    how: str = "key"


@pytest.mark.parametrize(
    ("how", "said"),
    [("key", "KeyError: 'boo'"), ("exit", "SystemExit: 3"), ("memory", "there is not enough memory: no 8 TB")],
)
def test_a_node_that_cannot_start_is_named(how: str, said: str) -> None:
    nodes = {"ramp": {"source": Ramp, "ticks": 3}, "e": {"encoder": Unstartable, "input": "ramp", "how": how}}
    with pytest.raises(NodeError, match=rf'^node "e": {said}$'):
        run(nodes | {"out": {"sink": Collect, "input": "e"}})


class Answers(Relay):
    """Answers with something else than a record batch."""

    answer: str

    def encode(self, samples: Any) -> Any:
        return {"nothing": None, "number": 3, "coroutine": asyncio.sleep(0) if self.answer == "coroutine" else 0}[
            self.answer
        ]


@pytest.mark.parametrize(("answer", "said"), [("nothing", "None"), ("number", "an int"), ("coroutine", "a coroutine")])
def test_an_answer_that_is_no_record_batch_is_told(answer: str, said: str) -> None:
    nodes = {"ramp": {"source": Ramp, "ticks": 3}, "e": {"encoder": Answers, "input": "ramp", "answer": answer}}
    with pytest.raises(NodeError) as caught:
        run(nodes | {"out": {"sink": Collect, "input": "e"}})
    assert str(caught.value) == f'node "e": encode returned {said}; it must return a record batch'


class Pushing(Ramp):
    """Pushes one event on each of these channels."""

    channels: list[int]

    async def produce(self, outlet: Outlet) -> None:
        for tick, channel in enumerate(self.channels):
            await outlet.push(channel, 1.0, tick * 1_000_000)


def test_an_index_that_no_stream_can_have_is_rejected_and_counted() -> None:
    nodes = {
        "src": {"source": Pushing, "ticks": 1, "channels": [0, -1, 1, 2**40, 0]},
        "out": {"sink": Collect, "input": "src"},
    }
    report = run(nodes)
    assert (report.nodes["src"]["accepted"], report.nodes["src"]["rejected"]) == (5, {"index": 3})
    assert report.nodes["out"]["processed"] == 2


def test_a_sink_s_waits_begin_anew_once_it_has_taken_something() -> None:
    nodes = {
        "ramp": {"source": Ramp, "ticks": 60},
        "out": {"sink": EverySecond, "input": "ramp", "on_error": "restart"},
    }
    spec = spikeflow.load(graph(nodes))
    clock = VirtualClock()
    report = run_virtually(Engine(spec, Options(clock=clock)).run(), clock)
    assert report.nodes["out"]["restarts"] == 3
    assert clock.now_ns() == 300_000_000  # three times 0.1 s


class EverySecond(Sink):
    """Takes one window, and fails at the next one."""

    async def consume(self, inlet: Inlet) -> None:
        taken = 0
        async for _ in inlet:
            taken += 1
            if taken == 2:
                raise EventError("told to fail")


def test_what_a_failed_node_left_in_its_queue_is_not_among_the_events_it_took() -> None:
    nodes = {
        "ramp": {"source": Ramp, "ticks": 100, "chunk": 100},
        "other": {"sink": Slow, "input": "ramp"},
        "out": {"sink": RaisingSink, "input": "ramp", "raises": "base"},
    }
    engine = Engine(spikeflow.load(graph(nodes)), Options(clock=VirtualClock()))
    with pytest.raises(NodeError):
        run_virtually(engine.run())
    assert engine.snapshot()["out"]["events_in"] == 30


class Slow(Sink):
    """Takes its time."""

    async def consume(self, inlet: Inlet) -> None:
        async for _ in inlet:
            await asyncio.sleep(0)


class Refuses(Sink):
    """Fails before it takes anything."""

    async def consume(self, inlet: Inlet) -> None:
        raise EventError("told to fail")


class Dumb(Ramp):
    """Fails before it sends anything, the first few times."""

    def start(self, size: int) -> None:
        self._failures = 3

    async def produce(self, outlet: Outlet) -> None:
        if self._failures:
            self._failures -= 1
            raise EventError("told to fail")
        await super().produce(outlet)


def test_a_sink_that_skips_and_never_takes_anything_loses_one_window_a_time(caplog: pytest.LogCaptureFixture) -> None:
    nodes = {
        "ramp": {"source": Ramp, "ticks": 400},
        "out": {"sink": Refuses, "input": "ramp", "on_error": "skip"},
    }
    out = run(nodes).nodes["out"]
    assert (out["accepted"], out["processed"], out["dropped"]) == (400, 0, {"failed": 400})
    assert sum("the window is skipped" in record.getMessage() for record in caplog.records) == 6


def test_a_source_that_fails_is_started_again_with_back_off_whether_it_skips_or_restarts() -> None:
    for rule in ("skip", "restart"):
        nodes = {"ramp": {"source": Dumb, "ticks": 30, "on_error": rule}, "out": {"sink": Collect, "input": "ramp"}}
        report = run(nodes)
        assert report.nodes["out"]["processed"] == 30
        assert report.nodes["ramp"]["restarts"] == 3


def test_a_sink_that_leaves_early_does_not_stop_the_others() -> None:
    nodes = {
        "ramp": {"source": Ramp, "ticks": 40},
        "early": {"sink": Collect, "input": "ramp", "leaves_after": 2},
        "out": {"sink": Collect, "input": "ramp"},
    }
    report = run(nodes, capacity=1)
    assert report.nodes["out"]["processed"] == 40
    early = report.nodes["early"]
    assert (early["processed"], early["dropped"]) == (20, {"sink_ended": 20})


def test_a_live_run_ends_one_tick_past_the_last_event_of_its_source() -> None:
    spec = spikeflow.load(
        graph(
            {
                "live": {"source": Scripted, "script": [(3, 0, 1.0, None), (25.5, 1, 2.0, None)]},
                "out": {"sink": Collect, "input": "live"},
            }
        )
    )
    clock = VirtualClock(START)
    report = run_virtually(Engine(spec, Options(clock=clock)).run(), clock)
    assert collected_by(spec)["live"] == [(3.0, 0, 1.0), (25.5, 1, 2.0)]
    assert report.nodes["live"]["windows"] == 3


def test_a_run_of_a_stated_length_drains_and_exits_0() -> None:
    nodes = {
        "live": {"source": Scripted, "script": [(k * 10 + 5, 0, 1.0, None) for k in range(1000)]},
        "out": {"sink": Collect, "input": "live"},
    }
    report = run(nodes, seconds=1.0)
    assert report.ended == "drained"
    assert report.exit_code == 0
    assert report.nodes["live"]["accepted"] == report.nodes["out"]["processed"] == 100


def test_a_timed_source_in_a_live_graph_keeps_pace_with_the_clock() -> None:
    nodes = {
        "live": {"source": Scripted, "script": [], "until": 30},
        "ramp": {"source": Ramp, "ticks": 500, "start_ns": 5 * SECOND},
        "out": {"sink": Collect, "input": ["live", "ramp"]},
    }
    spec = spikeflow.load(graph(nodes))
    clock = VirtualClock(START)
    run_virtually(Engine(spec, Options(clock=clock)).run(), clock)
    assert collected_by(spec)["ramp"][-1] == (499.0, 0, 499.0)
    assert clock.now_ns() - START == SECOND // 2


def test_speed_paces_a_finite_graph() -> None:
    nodes = {"ramp": {"source": Ramp, "ticks": 1000}, "out": {"sink": Collect, "input": "ramp"}}
    spec = spikeflow.load(graph(nodes))
    clock = VirtualClock(START)
    run_virtually(Engine(spec, Options(clock=clock, speed=10)).run(), clock)
    assert clock.now_ns() - START == SECOND // 10


@pytest.mark.parametrize("ticks", [150, 15])
def test_a_paced_graph_drains_at_once_however_long_its_window_still_lasts(ticks: int) -> None:
    """The source is still at work at the end of the first window, or has ended and waits for that end."""
    nodes = {"ramp": {"source": Ramp, "ticks": ticks, "chunk": 1}, "out": {"sink": Collect, "input": "ramp"}}
    spec = spikeflow.load(graph(nodes, time={"window": "100 ms"}))
    clock = VirtualClock(START)
    report = run_virtually(Engine(spec, Options(clock=clock, speed=0.0005, seconds=1.0)).run(), clock)
    assert clock.now_ns() - START == SECOND
    assert (report.ended, report.exit_code, report.abandoned) == ("drained", 0, 0)
    assert report.nodes["ramp"]["accepted"] == report.nodes["out"]["processed"] + report.nodes["ramp"].get(
        "dropped", {}
    ).get("stopped", 0)


def test_a_source_that_waits_to_be_started_again_does_not_hold_up_the_drain() -> None:
    nodes = {
        "src": {"source": Hopeless, "on_error": "restart"},
        "out": {"sink": Collect, "input": "src"},
    }
    spec = spikeflow.load(graph(nodes))
    clock = VirtualClock(START)
    report = run_virtually(Engine(spec, Options(clock=clock, seconds=20.0)).run(), clock)
    assert clock.now_ns() - START == 20 * SECOND
    assert (report.ended, report.exit_code) == ("drained", 0)


class Hopeless(Scripted):
    """Fails as soon as it is begun."""

    script: list[tuple[float, int, float, float | None]] = []

    async def produce(self, outlet: Outlet) -> None:
        raise EventError("told to fail")


@pytest.mark.parametrize("speed", [0.0, -1.0, 1e-300, float("nan")])
def test_a_speed_that_no_clock_can_keep_is_refused(speed: float) -> None:
    nodes = {"ramp": {"source": Ramp, "ticks": 10}, "out": {"sink": Collect, "input": "ramp"}}
    with pytest.raises(ParameterError, match=r"it is 0\.000001 or more"):
        Engine(spikeflow.load(graph(nodes)), Options(speed=speed))


def test_a_live_source_takes_no_other_speed_than_one() -> None:
    spec = spikeflow.load(
        graph({"live": {"source": Scripted, "script": []}, "out": {"sink": Collect, "input": "live"}})
    )
    with pytest.raises(ParameterError, match="has speed 1"):
        Engine(spec, Options(speed=2))


class Stuck(Sink):
    """Never takes anything."""

    opens = False

    async def consume(self, inlet: Inlet) -> None:
        await asyncio.get_running_loop().create_future()


def test_a_live_run_that_is_behind_catches_up_and_says_so_or_fails_by_choice(caplog: pytest.LogCaptureFixture) -> None:
    nodes = {
        "live": {"source": Scripted, "script": [(k, 0, 1.0, None) for k in range(3000)]},
        "late": {"encoder": Late, "input": "live"},
        "out": {"sink": Collect, "input": "late"},
    }
    assert run(nodes).nodes["out"]["processed"] == 3000
    assert "behind, and catches up" in caplog.text
    with pytest.raises(NodeError, match=r"behind the clock, 2 s allowed"):
        run(nodes, most_behind=2.0)


class Late(Relay):
    """Fails once and waits for ten seconds, as a machine does that was put to sleep."""

    def start(self, size: int) -> None:
        self._slept = False

    def encode(self, samples: Any) -> Any:
        loop = asyncio.get_running_loop()
        if not self._slept and isinstance(loop, VirtualLoop):
            self._slept = True
            loop.clock.jump(loop.clock.now_ns() + 10 * SECOND)
        return samples


class Unconnected(Stuck):
    """Never connects."""

    opens = True


def test_a_graph_that_cannot_drain_is_cut_off_and_says_what_it_abandoned() -> None:
    nodes = {
        "live": {"source": Scripted, "script": [(k, 0, 1.0, None) for k in range(1000)]},
        "out": {"sink": Stuck, "input": "live"},
    }
    report = run(nodes, seconds=0.5, drain_timeout=2.0)
    assert report.exit_code == 4
    accepted = report.nodes["live"]["accepted"]
    assert report.abandoned == accepted > 0


class Deaf(Scripted):
    """Goes on when it is cancelled."""

    script: list[tuple[float, int, float, float | None]] = []

    async def produce(self, outlet: Outlet) -> None:
        while True:
            try:
                await self.context.clock.sleep_until(outlet.now_ns() + SECOND)
                await outlet.push(0, 1.0)
            except asyncio.CancelledError:
                continue


class DeafSink(Sink):
    """Goes on when it is cancelled."""

    async def consume(self, inlet: Inlet) -> None:
        while True:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                continue


@pytest.mark.parametrize("deaf", ["live", "out"])
def test_a_node_that_goes_on_when_it_is_cancelled_does_not_keep_the_run_alive(
    deaf: str, caplog: pytest.LogCaptureFixture
) -> None:
    nodes = {
        "live": {"source": Deaf if deaf == "live" else Hopeless, "on_error": "restart"},
        "out": {"sink": DeafSink if deaf == "out" else Collect, "input": "live"},
    }
    report = run(nodes, seconds=1.0, drain_timeout=2.0)
    assert report.left == (deaf,)
    assert (report.ended, report.exit_code) == ("drained", 4)
    assert f'node "{deaf}": did not drain in 2 s, went on when it was cut off, and is left behind' in caplog.text


def test_a_run_that_is_cancelled_from_outside_cancels_its_nodes_and_ends() -> None:
    spec = spikeflow.load(
        graph({"live": {"source": Scripted, "script": [], "until": 1e6}, "out": {"sink": Stuck, "input": "live"}})
    )

    async def cancelled() -> int:
        task = asyncio.create_task(Engine(spec, Options(clock=VirtualClock(START))).run())
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return len(asyncio.all_tasks())

    assert run_virtually(cancelled(), VirtualClock(START)) == 1


def test_a_graph_with_nothing_to_connect_is_connected_however_short_the_time() -> None:
    nodes = {"ramp": {"source": Ramp, "ticks": 53}, "out": {"sink": Collect, "input": "ramp"}}
    assert run(nodes, connect_timeout=1e-9).ended == "ended"


def test_a_node_that_cannot_connect_in_time_ends_the_run_before_anything_is_processed() -> None:
    nodes = {
        "live": {"source": Scripted, "script": [(k, 0, 1.0, None) for k in range(100)], "until": 10_000},
        "out": {"sink": Unconnected, "input": "live"},
    }
    with pytest.raises(ConnectError, match='"out": not open after 3 s'):
        run(nodes, connect_timeout=3.0)


def test_a_file_that_does_not_open_in_time_is_not_asked_for_its_address(tmp_path: Path) -> None:
    class Stuck(File):
        """A file that never opens, as a pipe that nobody reads."""

        async def consume(self, inlet: Inlet) -> None:
            await asyncio.get_running_loop().create_future()

    nodes = {
        "live": {"source": Scripted, "script": [(k, 0, 1.0, None) for k in range(100)], "until": 10_000},
        "tape": {"sink": Stuck, "input": "live", "path": str(tmp_path / "tape.arrow")},
    }
    with pytest.raises(ConnectError) as caught:
        run(nodes, connect_timeout=3.0)
    hint = "does the disk answer, and does a program read where it is a pipe?"
    assert str(caught.value) == f'node "tape": not open after 3 s — {hint}'
    nodes["out"] = {"sink": Unconnected, "input": "live"}
    with pytest.raises(ConnectError) as caught:
        run(nodes, connect_timeout=3.0)
    address = "is the address right, and does something listen there?"
    assert str(caught.value) == f'node "tape", "out": not open after 3 s — {hint} {address}'


async def test_taps_are_async_iterators_of_record_batches() -> None:
    nodes = {"ramp": {"source": Ramp, "ticks": 53}, "sum": {"encoder": Summing, "input": "ramp"}}
    async with spikeflow.start(graph(nodes)) as run:
        tap = run.tap("sum")
        rows = [batch.num_rows async for batch in tap]
        report = await run.finished()
    assert rows == [10, 10, 10, 10, 10, 3]
    assert report.ended == "ended"


async def test_a_tap_that_is_left_alone_does_not_hold_up_the_end() -> None:
    nodes = {"ramp": {"source": Ramp, "ticks": 5000}, "sum": {"encoder": Summing, "input": "ramp"}}
    async with spikeflow.start(graph(nodes)) as run:
        async for _ in run.tap("sum"):
            break
    assert (await run.finished()).ended == "drained"


async def test_a_failed_run_ends_its_taps_and_raises() -> None:
    nodes = {
        "ramp": {"source": Ramp, "ticks": 100},
        "bad": {"encoder": Summing, "input": "ramp", "fails_at": [35]},
    }
    with pytest.raises(NodeError, match="told to fail"):
        async with spikeflow.start(graph(nodes)) as run:
            assert [batch.num_rows async for batch in run.tap("bad")] == [10, 10, 10]


def test_no_run_leaves_a_thread_or_a_task_behind() -> None:
    before = threading.active_count()
    nodes = {"ramp": {"source": Ramp, "ticks": 53}, "out": {"sink": Collect, "input": "ramp"}}
    spikeflow.run_blocking(graph(nodes))
    assert threading.active_count() == before


def test_the_same_graph_runs_twice_with_the_same_result() -> None:
    spec = spikeflow.load(
        graph(
            {"ramp": {"source": Ramp, "ticks": 53}, "sum": {"encoder": Summing, "input": "ramp"}}
            | {"out": {"sink": Collect, "input": "sum"}}
        )
    )
    first = (spikeflow.run_blocking(spec), collected_by(spec))[1]
    second = (spikeflow.run_blocking(spec), collected_by(spec))[1]
    assert first == second
