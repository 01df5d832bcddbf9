"""One node of any role run without a graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikeflow.catalog import node_class
from spikeflow.errors import EventError, NodeError, ParameterError
from spikeflow.events import sample_batch
from spikeflow.nodes.decoders.rate import Rate
from spikeflow.nodes.sinks.console import Console
from spikeflow.testing import VirtualClock, run_node
from tests.testing.nodes import Above, Failing, Ticking


def test_an_encoder_runs_on_an_array_of_samples() -> None:
    samples = np.array([[0.2, 0.9], [np.nan, 0.6], [0.7, 0.1]])
    assert run_node(Above(), samples.astype(np.float32)).rows() == [(0, 1, 1.0), (1, 1, 1.0), (2, 0, 1.0)]


def test_an_encoder_runs_on_record_batches_and_for_as_long_as_it_is_told() -> None:
    parts = [sample_batch([5], [0], np.ones(1, np.float32)), sample_batch([30_000_000], [2], np.ones(1, np.float32))]
    ran = run_node(Above(), parts, ticks=55)
    assert ran.rows() == [(0, 0, 1.0), (30, 2, 1.0)]
    assert [batch.window.ticks for batch in ran.windows[""]] == [10, 10, 10, 10, 10, 5]
    assert ran.ticks == 55


def test_a_decoder_runs_on_an_array_of_spikes() -> None:
    spikes = np.zeros((11, 2), bool)
    spikes[3:5, 1] = True
    assert run_node(Rate(over="10 ms"), spikes).rows() == [(10, 0, 0.0), (10, 1, 200.0)]


def test_neurons_run_with_their_own_spikes_and_all_their_ports() -> None:
    inputs = [{"from": "x", "weights": 9.0}, {"from": "node", "weights": -100.0, "connect": "one_to_one"}]
    lif: Any = node_class("neuron", "lif")
    spikes = np.ones((6, 1), bool)
    ran = run_node(lif(size=2, inputs=inputs), spikes, ports=["v", "i"])
    alone = run_node(lif(size=2, inputs=inputs[:1]), spikes)
    assert ran.rows() == alone.rows()[: len(ran.rows())]
    assert 0 < len(ran.rows()) < len(alone.rows())
    v = np.array([value for _, _, value in ran.rows("v")]).reshape(6, 2)
    assert v.min() < -1.0
    assert len(ran.rows("i")) == 12


def test_a_live_source_runs_on_a_clock_that_jumps() -> None:
    ran = run_node(Ticking(), seconds=0.018, clock=VirtualClock(7_000_000_000))
    assert ran.rows() == [(4, 0, 1.0), (8, 0, 2.0), (12, 0, 3.0), (16, 0, 4.0)]
    assert ran.grid.origin_ns == 7_000_000_000
    assert ran.report.ended == "drained"
    with pytest.raises(ParameterError, match="say how long it runs"):
        run_node(Ticking())


def test_a_sink_is_fed_and_its_counters_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    ran = run_node(Console(), np.array([[0.5, 1.5]]), np.array([[True]]))
    assert capsys.readouterr().out.splitlines() == [
        "0.000 s  input0  2 samples: 0=0.5 1=1.5",
        "0.000 s  input1  1 spike: 0",
    ]
    assert (ran.counters.accepted, ran.counters.processed, ran.windows) == (3, 3, {})


def test_what_does_not_fit_is_said() -> None:
    one = np.zeros((3, 1), np.float32)
    with pytest.raises(ParameterError, match="2 streams for Above, which names no inputs — it has at most 1"):
        run_node(Above(), one, one)
    lif: Any = node_class("neuron", "lif")
    with pytest.raises(ParameterError, match="1 streams arrive, the node names 2 inputs"):
        run_node(lif(size=1, inputs=["a", "b"]), one)
    with pytest.raises(ParameterError, match=r"^inputs\.0: "):
        run_node(lif(size=3, inputs=["a"]), one)
    with pytest.raises(EventError, match="out of order"):
        run_node(Above(), sample_batch([5, 3], [0, 0], np.ones(2, np.float32)))
    with pytest.raises(NodeError, match="ZeroDivisionError"):
        run_node(Failing(), one)
