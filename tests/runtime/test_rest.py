"""A graph at rest: windows without events pass it together, and all else is as it would be."""

from __future__ import annotations

from typing import Any, ClassVar

import spikeflow
from spikeflow.events import columns
from spikeflow.node import Encoder, Inlet, Sink
from spikeflow.runtime.engine import Engine, Options, Report
from spikeflow.testing import VirtualClock, run_virtually
from tests.runtime.nodes import MS, SECOND, Relay, Scripted, graph

START = 1_700_000_000 * SECOND
SCRIPT = [(12.3, 0, 1.0, None), (13.4, 0, 3.0, None), (1503.0, 0, 4.0, None)]


class Clock(VirtualClock):
    """Counts how often it had to wake somebody."""

    jumps = 0

    def jump(self, t_ns: int) -> None:
        self.jumps += 1
        super().jump(t_ns)


class Heard(Sink):
    """Notes what came, and when (ms from the origin); silence is nothing to it."""

    hears_silence: ClassVar[bool] = False

    def start(self, size: int) -> None:
        self._got: list[tuple[float, list[int], list[float]]] = []

    async def consume(self, inlet: Inlet) -> None:
        context = self.context
        while True:
            try:
                batch = await inlet.take()
            except StopAsyncIteration:
                return
            if batch.count:
                t_ns, index, _ = columns(batch.record)
                assert context.clock.now_ns() == batch.window.end_ns
                at = (context.clock.now_ns() - context.grid.origin_ns) / MS
                self._got.append((at, index.tolist(), ((t_ns - context.grid.origin_ns) / MS).tolist()))


def play(looked_at: bool, passes: type[Encoder] | None = None) -> tuple[Report, int, list[Any]]:
    """The report, how often the clock woke somebody, and what each sink got."""
    nodes: dict[str, Any] = {
        "live": {"source": Scripted, "script": SCRIPT, "until": 9000.0},
        "edges": {"encoder": "level_crossing", "input": "live", "threshold": 0.5},
        "hidden": {"neuron": "lif", "size": 4, "inputs": [{"from": "edges", "weights": 20.0, "connect": "all"}]},
        "rate": {"decoder": "rate", "input": "hidden", "over": "400 ms"},
        "out": {"sink": Heard, "input": "hidden"},
        "rates": {"sink": Heard, "input": "rate"},
    }
    if passes is not None:
        nodes["more"] = {"encoder": passes, "input": "live"}
    spec = spikeflow.load(graph(nodes))
    clock = Clock(START)
    engine = Engine(spec, Options(clock=clock))
    if looked_at:
        engine.watch("live", lambda batch: None)
    report = run_virtually(engine.run(), clock)
    return report, clock.jumps, [vars(spec.nodes[name].node)["_got"] for name in ("out", "rates")]


def test_what_comes_out_of_a_graph_that_rests_comes_at_the_same_time_as_ever() -> None:
    rested, looked = play(False), play(True)
    assert rested[2] == looked[2]
    assert [at for at, _, _ in rested[2][1]] == [410.0 + 400.0 * k for k in range(22)]
    assert 20.0 in [at for at, _, _ in rested[2][0]] and 1510.0 in [at for at, _, _ in rested[2][0]]


def test_every_window_is_counted_whether_or_not_the_graph_rests() -> None:
    rested, looked = (play(look)[0].nodes for look in (False, True))
    keys = ("windows", "events_in", "events_out", "accepted", "processed", "dropped")
    for name, figures in rested.items():
        assert [figures.get(k) for k in keys] == [looked[name].get(k) for k in keys], name
    assert {figures["windows"] for figures in rested.values()} == {900}


def test_a_graph_at_rest_is_woken_ten_times_a_second_and_not_at_every_window() -> None:
    rested, looked = play(False)[1], play(True)[1]
    assert looked > 900
    assert rested < 300  # a neuron takes most of a second to come to rest


def test_a_node_that_does_not_say_that_it_rests_gets_every_window_at_its_time() -> None:
    assert play(False, Relay)[1] > 900
