"""A sink takes a batch in its sender's turn or in one of its own, and nobody can tell from what it gets."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

import spikeflow
from spikeflow.errors import EventError, NodeError
from spikeflow.node import Inlet, Outlet, Sink
from spikeflow.runtime import sinks
from spikeflow.runtime.engine import Engine, Options
from tests.runtime.nodes import MS, Collect, Ramp, Relay, collected_by, graph

NEVER = 1 << 62
log: list[Any] = []


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sink that waits takes its batch in the sender's turn, however long it takes and however close they come."""
    monkeypatch.setattr(sinks, "APART_NS", -1)
    monkeypatch.setattr(sinks, "QUICK_NS", NEVER)
    log.clear()


class Told(Ramp):
    """A ramp that notes when it has sent a window."""

    async def produce(self, outlet: Outlet) -> None:
        for tick in range(self.ticks):
            await outlet.push(0, tick, tick * MS)
            await outlet.advance((tick + 1) * MS)
            log.append("sent")


class Noting(Collect):
    """Notes what it gets, and whose task it is in."""

    async def consume(self, inlet: Inlet) -> None:
        async for batch in inlet:
            task = asyncio.current_task()
            log.append((batch.column("value").to_pylist(), task and task.get_name()))


def straight(sink: type[Sink], ticks: int = 3) -> spikeflow.GraphSpec:
    """A ramp, one relay, one sink."""
    nodes = {
        "in": {"source": Told, "ticks": ticks},
        "a": {"encoder": Relay, "input": "in"},
        "out": {"sink": sink, "input": "a"},
    }
    return spikeflow.load(graph(nodes, time={"dt": "1 ms", "window": "1 ms"}))


@pytest.mark.usefixtures("at_once")
def test_a_sink_takes_its_batch_where_it_is_sent_and_as_itself() -> None:
    asyncio.run(Engine(straight(Noting)).run())
    taken = [([float(k)], "out") for k in range(3)]
    assert log[:6] == [taken[0], "sent", taken[1], "sent", taken[2], "sent"]


def test_a_sink_that_gets_batches_close_together_takes_them_in_a_turn_of_its_own(
    monkeypatch: pytest.MonkeyPatch, at_once: None
) -> None:
    monkeypatch.setattr(sinks, "APART_NS", NEVER)
    asyncio.run(Engine(straight(Noting)).run())
    assert log[:3] == ["sent", "sent", "sent"]
    assert [taken for taken, _ in log[3:]] == [[0.0], [1.0], [2.0]]


class Busy(Noting):
    """Works for longer than is quick on every batch."""

    async def consume(self, inlet: Inlet) -> None:
        async for batch in inlet:
            log.append(batch.column("value").to_pylist())
            began = time.perf_counter_ns()
            while time.perf_counter_ns() - began < 2000:
                pass


def test_a_sink_that_is_not_quick_lets_the_others_run_first(monkeypatch: pytest.MonkeyPatch, at_once: None) -> None:
    monkeypatch.setattr(sinks, "QUICK_NS", 1000)
    asyncio.run(Engine(straight(Busy)).run())
    assert log[:5] == [[0.0], "sent", "sent", "sent", [1.0]]


class Failing(Collect):
    """Fails in the turn of whoever has sent."""

    async def consume(self, inlet: Inlet) -> None:
        async for batch in inlet:
            if batch.column("value").to_pylist() == [1.0]:
                raise EventError("told to fail")
            log.append("taken")


@pytest.mark.usefixtures("at_once")
def test_what_a_sink_raises_in_its_sender_s_turn_is_its_own_failure() -> None:
    with pytest.raises(NodeError) as caught:
        asyncio.run(Engine(straight(Failing)).run())
    assert caught.value.node == "out"
    assert "told to fail" in str(caught.value)


@pytest.mark.parametrize(("rule", "kept"), [("skip", [0, 2, 3, 4]), ("restart", [0, 2, 3, 4])])
@pytest.mark.usefixtures("at_once")
def test_a_sink_that_fails_goes_on_as_its_rule_says(rule: str, kept: list[float]) -> None:
    nodes = {
        "in": {"source": Told, "ticks": 5},
        "out": {"sink": Collect, "input": "in", "fails_at": 1.0, "on_error": rule},
    }
    spec = spikeflow.load(graph(nodes, time={"dt": "1 ms", "window": "1 ms"}))
    report = asyncio.run(Engine(spec).run())
    assert [value for _, _, value in collected_by(spec)["in"]] == kept
    assert report.nodes["out"]["processed"] == 4
    assert report.nodes["out"]["dropped"] == {"failed": 1}


class Leaving(Collect):
    """Returns after its first batch."""

    async def consume(self, inlet: Inlet) -> None:
        async for _ in inlet:
            return


@pytest.mark.usefixtures("at_once")
def test_what_comes_after_a_sink_has_returned_is_counted() -> None:
    report = asyncio.run(Engine(straight(Leaving, 5)).run())
    out = report.nodes["out"]
    assert out["accepted"] == out["processed"] + out["dropped"]["sink_ended"] == 5


class Odd(Collect):
    """Takes every batch in a task of its own, with a timeout around it."""

    async def consume(self, inlet: Inlet) -> None:
        while True:
            try:
                async with asyncio.timeout(10):
                    batch = await asyncio.create_task(inlet.take())
            except StopAsyncIteration:
                return
            log.append(batch.record.column("value").to_pylist())


@pytest.mark.usefixtures("at_once")
def test_a_sink_may_take_its_batches_in_other_tasks() -> None:
    asyncio.run(Engine(straight(Odd)).run())
    assert [item for item in log if item != "sent"] == [[0.0], [1.0], [2.0]]


@pytest.mark.parametrize("apart", [-1, sinks.APART_NS, NEVER])
@pytest.mark.parametrize("capacity", [1, 16])
def test_a_sink_of_streams_that_end_one_after_the_other_gets_each_in_its_turn(
    apart: int, capacity: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "APART_NS", apart)
    ticks = {"a": 5, "b": 30, "c": 44}
    nodes: dict[str, Any] = {name: {"source": Ramp, "ticks": count, "chunk": 3} for name, count in ticks.items()}
    nodes["slow"] = {"encoder": Relay, "input": "a"}
    nodes["out"] = {"sink": Collect, "inputs": ["b", "slow", "c"]}
    spec = spikeflow.load(graph(nodes, time={"dt": "1 ms", "window": "1 ms"}))
    report = asyncio.run(Engine(spec, Options(capacity=capacity)).run())
    rows = collected_by(spec)
    got = {name: [(t, value) for t, _, value in rows[name]] for name in ("slow", "b", "c")}
    assert got == {name: [(k, k) for k in range(ticks[of])] for name, of in (("slow", "a"), ("b", "b"), ("c", "c"))}
    assert report.nodes["out"]["processed"] == sum(ticks.values())


def test_the_turns_of_a_sink_are_those_of_the_event_loop_where_it_has_to_wait() -> None:
    class Waiting(Collect):
        async def consume(self, inlet: Inlet) -> None:
            self.seen = []
            async for batch in inlet:
                await asyncio.sleep(0)
                self.seen += batch.column("value").to_pylist()

    spec = straight(Waiting, 50)
    asyncio.run(Engine(spec, Options(capacity=2)).run())
    node: Any = spec.nodes["out"].node
    assert node.seen == list(range(50))
