"""Checkpoints: a run that goes on from one gives what the whole run gives after it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

import spikeflow
from spikeflow.errors import ParameterError
from spikeflow.runtime.checkpoint import Checkpoint, window_end
from spikeflow.runtime.engine import Engine, Options
from spikeflow.testing import VirtualClock, run_virtually
from tests.runtime.nodes import Collect, Ramp, Summing, collected_by, graph
from tests.runtime.random_graphs import Streams, graphs

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def play(nodes: dict[str, Any], **options: Any) -> Streams:
    everything = {**nodes, "out": {"sink": Collect, "input": list(nodes)}}
    spec = spikeflow.load(graph(everything, seed=3))
    spikeflow.run_blocking(spec, **options)
    rows: Streams = collected_by(spec)
    return rows


@pytest.mark.timeout(300)
@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=CHECKS)
@given(nodes=graphs(), windows=st.integers(1, 4))
def test_a_resumed_run_gives_the_rest_of_the_whole_one(nodes: dict[str, Any], windows: int) -> None:
    point = Checkpoint(tick=windows * 10)
    whole = play(nodes, checkpoint=point)
    assume(set("+".join(point.states).split("+")) >= set(nodes))  # a node that has ended before has no state there
    rest = play(nodes, resume=point)
    for name, rows in whole.items():
        left = [row for row in rows if row[0] >= point.tick]
        assert rest.get(name, []) == left, name  # a stream without a row is not among the collected ones


def test_a_checkpoint_holds_the_state_at_a_window_s_end() -> None:
    nodes = {"ramp": {"source": Ramp, "ticks": 50}, "sum": {"encoder": Summing, "input": "ramp"}}
    point = Checkpoint(tick=20)
    play(nodes, checkpoint=point)
    assert point.states["sum"] == {"total": float(sum(range(20)))}
    assert play(nodes, resume=point)["sum"][0] == (20.0, 0, float(sum(range(21))))


def test_a_resumed_run_counts_only_its_own_events() -> None:
    nodes = {"ramp": {"source": Ramp, "ticks": 50}, "out": {"sink": Collect, "input": "ramp"}}
    point = Checkpoint(tick=20)
    spec = spikeflow.load(graph(nodes))
    run_virtually(Engine(spec, Options(clock=VirtualClock(), checkpoint=point)).run())
    report = run_virtually(Engine(spec, Options(clock=VirtualClock(), resume=point)).run())
    ramp = report.nodes["ramp"]
    assert ramp["accepted"] == ramp["processed"] == 30


def test_a_checkpoint_of_another_graph_is_refused() -> None:
    nodes = {"ramp": {"source": Ramp, "ticks": 50}, "sum": {"encoder": Summing, "input": "ramp"}}
    point = Checkpoint(tick=20)
    play(nodes, checkpoint=point)
    with pytest.raises(ParameterError, match="no state of 'other' — valid: ramp, sum"):
        play({"ramp": nodes["ramp"], "other": {"encoder": Summing, "input": "ramp"}}, resume=point)
    with pytest.raises(ParameterError, match="a checkpoint at tick 25"):
        play(nodes, checkpoint=Checkpoint(tick=25))


def test_a_checkpoint_falls_on_a_window_s_end() -> None:
    assert window_end(0.025, 1_000_000, 10) == 30
    assert window_end(0.030, 1_000_000, 10) == 30
