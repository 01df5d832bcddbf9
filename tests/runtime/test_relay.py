"""Light nodes step where their batch is sent: nothing is lost, and nobody else's failure or fullness is theirs."""

from __future__ import annotations

import asyncio
from typing import Any

import pyarrow as pa
import pytest

import spikeflow
from spikeflow.errors import EventError, NodeError
from spikeflow.node import Inlet, Sink
from spikeflow.runtime.engine import Engine, Options
from spikeflow.runtime.relay import DEEPEST
from spikeflow.runtime.stepping import StepStage
from tests.runtime.nodes import Collect, Ramp, Relay, collected_by, graph


def chain(hops: int, ticks: int, sink: type[Sink] = Collect, **last: Any) -> spikeflow.GraphSpec:
    """A ramp through as many relays."""
    nodes: dict[str, Any] = {"n0": {"source": Ramp, "ticks": ticks}}
    nodes |= {f"n{k + 1}": {"encoder": Relay, "input": f"n{k}"} for k in range(hops)}
    nodes[f"n{hops}"] |= last
    nodes["out"] = {"sink": sink, "input": f"n{hops}"}
    return spikeflow.load(graph(nodes))


def ramp(spec: spikeflow.GraphSpec, hops: int) -> list[float]:
    return [value for _, _, value in collected_by(spec)[f"n{hops}"]]


def test_a_chain_of_light_nodes_needs_no_queue() -> None:
    spec = chain(3, 1000)
    engine = Engine(spec, Options(capacity=1000))
    asyncio.run(engine.run())
    assert ramp(spec, 3) == list(range(1000))
    assert engine.wired is not None
    stages = [stage for stage in engine.wired.stages if isinstance(stage, StepStage)]
    assert [stage.depth for stage in stages] == [1, 2, 3]
    assert [stage.entries[0].channel.fullest for stage in stages[1:]] == [0, 0]


def test_a_chain_longer_than_any_stack_passes_every_window() -> None:
    hops = 20 * DEEPEST
    spec = chain(hops, 200)
    asyncio.run(Engine(spec).run())
    assert ramp(spec, hops) == list(range(200))


class Slow(Collect):
    """Lets the others run many times before it takes a batch."""

    async def consume(self, inlet: Inlet) -> None:
        self.seen = []
        async for batch in inlet:
            for _ in range(20):
                await asyncio.sleep(0)
            self.seen += batch.column("value").to_pylist()


@pytest.mark.parametrize("capacity", [1, 2, 16])
def test_a_slow_sink_gets_every_window_in_order(capacity: int) -> None:
    spec = chain(3, 500, Slow)
    report = asyncio.run(Engine(spec, Options(capacity=capacity)).run())
    sink: Any = spec.nodes["out"].node
    assert sink.seen == list(range(500))
    assert report.nodes["n0"]["accepted"] == report.nodes["out"]["processed"] == 500
    assert report.abandoned == 0


class Failing(Relay):
    """Fails at its third window."""

    def start(self, size: int) -> None:
        self.windows = 0

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        self.windows += 1
        if self.windows == 3:
            raise EventError("enough")
        return samples


class Leaving(Relay):
    """Ends the process, or so it thinks."""

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        raise SystemExit


def test_what_a_node_raises_in_its_sender_s_task_is_its_own_failure() -> None:
    spec = chain(3, 100, encoder=Leaving)
    with pytest.raises(NodeError) as caught:
        asyncio.run(Engine(spec).run())
    assert str(caught.value) == 'node "n3": SystemExit'


def test_a_failure_is_that_of_the_node_that_failed() -> None:
    nodes = {
        "in": {"source": Ramp, "ticks": 100},
        "a": {"encoder": Relay, "input": "in"},
        "b": {"encoder": Failing, "input": "a"},
        "c": {"encoder": Relay, "input": "b"},
        "out": {"sink": Collect, "input": "c"},
    }
    engine = Engine(spikeflow.load(graph(nodes)))
    with pytest.raises(NodeError) as caught:
        asyncio.run(engine.run())
    assert caught.value.node == "b"
    assert isinstance(caught.value.__cause__, EventError)
    assert engine.snapshot()["b"]["errors"] == 1
    assert engine.snapshot()["a"].get("errors") is None
