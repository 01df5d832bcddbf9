"""Neurons that encode: when they begin, and what they share with nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv as pacsv
import pytest

import spikeflow
from spikeflow.events import Grid, Stream, sample_batch
from spikeflow.nodes.encoders.constant_current_lif import ConstantCurrentLif
from spikeflow.nodes.encoders.lif_adex_current import LifAdexCurrent
from spikeflow.nodes.encoders.lif_current import LifCurrent
from spikeflow.nodes.encoders.lif_ex_current import LifExCurrent
from spikeflow.nodes.encoders.spike_latency_lif import SpikeLatencyLif
from spikeflow.testing import run_node

GRID = Grid(5_000_000_000, 1_000_000, 10)
ENCODERS = [
    lambda **keys: ConstantCurrentLif(v_leak=0.9, **keys),
    lambda **keys: ConstantCurrentLif(compatibility="jaxsnn", v_th=0.6, **keys),
    lambda **keys: LifCurrent(v_leak=-0.3, **keys),
    lambda **keys: LifExCurrent(v_leak=0.8, **keys),
    lambda **keys: LifAdexCurrent(v_leak=0.3, **keys),
    lambda **keys: SpikeLatencyLif(v_leak=0.3, **keys),
]


def fed(rows: list[tuple[int, int, float]], size: int) -> Any:
    """A stream of samples (tick, channel, value)."""
    tick, channel, value = (np.array(column) for column in zip(*sorted(rows), strict=True))
    t_ns = GRID.origin_ns + tick * GRID.dt_ns + 400
    return Stream("x", "samples", size), sample_batch(t_ns, channel, value.astype(np.float32))


@pytest.mark.parametrize("make", ENCODERS)
@pytest.mark.parametrize("window", [1, 10, 90])
def test_a_channel_does_as_if_it_were_alone_and_its_first_sample_at_the_origin(make: Any, window: int) -> None:
    grid = Grid(GRID.origin_ns, GRID.dt_ns, window)
    begins = [3, 0, 17, 3, 41]
    rows = [(tick, channel, 2.5) for channel, tick in enumerate(begins)]
    rows += [(tick + 20, channel, 1.7) for channel, tick in enumerate(begins)]
    ran = run_node(make(), fed(rows, 6), ticks=90, grid=grid)
    alone = run_node(make(), fed([(0, 0, 2.5), (20, 0, 1.7)], 1), ticks=90, grid=grid).rows()
    assert alone
    for channel, tick in enumerate(begins):
        own = [(at - tick, value) for at, neuron, value in ran.rows() if neuron == channel]
        assert own == [(at, value) for at, _, value in alone if at + tick < 90]
    assert 5 not in {neuron for _, neuron, _ in ran.rows()}


@pytest.mark.parametrize("make", ENCODERS)
def test_a_frame_begins_from_the_initial_state(make: Any) -> None:
    ran = run_node(make(frame="25 ms"), fed([(0, 0, 2.5), (7, 0, 9.0), (25, 0, 2.5)], 1), ticks=100, grid=GRID)
    frames = [[(tick % 25, value) for tick, _, value in ran.rows() if tick // 25 == frame] for frame in range(4)]
    assert frames[0] and frames[0] == frames[1] == frames[2] == frames[3]


def test_the_first_spike_is_the_only_one_and_comes_again_with_the_next_frame() -> None:
    rows = [(0, 0, 2.0), (0, 1, 4.0), (30, 0, 9.0)]
    assert run_node(SpikeLatencyLif(), fed(rows, 2), ticks=60, grid=GRID).rows() == [(2, 1, 1.0), (6, 0, 1.0)]
    framed = run_node(SpikeLatencyLif(frame="30 ms"), fed(rows, 2), ticks=60, grid=GRID).rows()
    assert framed == [(2, 1, 1.0), (6, 0, 1.0), (31, 0, 1.0), (32, 1, 1.0)]


def test_half_a_spike_where_the_potential_is_the_threshold() -> None:
    rows = [(0, 0, 1.0), (0, 1, 1.5), (0, 2, 0.5)]
    node = LifCurrent(compatibility="jaxsnn", tau_mem="1 ms", v_th=1.0, allow_unstable=True)
    assert run_node(node, fed(rows, 3), ticks=1, grid=GRID).rows() == [(0, 0, 0.5), (0, 1, 1.0)]


def test_samples_that_are_not_finite_are_noted_and_a_channel_waits_for_one_that_is() -> None:
    rows = [(0, 0, np.nan), (1, 0, np.inf), (5, 0, 9.0), (6, 0, np.nan)]
    ran = run_node(LifCurrent(), fed(rows, 1), ticks=10, grid=GRID)
    assert [tick for tick, _, _ in ran.rows()] == [6, 8]
    assert ran.counters.noted == {"not finite": 3}


@pytest.mark.parametrize("make", ENCODERS)
def test_parameters_are_held_to_the_model(make: Any) -> None:
    found = [str(one) for one in make(tau_mem="0.4 ms").check([Stream("x", "samples", 5)], GRID)]
    assert found == ["400 us is unstable: dt / tau_mem is 2.5, above 2 — take a shorter dt, or allow_unstable: true"]
    [one] = make(tau_mem="0.4 ms", allow_unstable=True).check([Stream("x", "samples", 5)], GRID)
    assert one.warning


GRAPH = """
spikeflow: 1
time: {{dt: 1 ms, window: {window} ms}}
nodes:
  x: {{source: file, path: x.csv, size: 2, length: 120 ms}}
  beat: {{source: file, path: beat.csv, size: 1, length: 120 ms}}
  neurons: {{encoder: {kind}, input: x, frame: 20 ms, forget: {{on: beat}}}}
  out: {{sink: file, input: neurons, path: out.csv}}
"""


@pytest.mark.parametrize("window", [1, 8, 120])
@pytest.mark.parametrize("kind", ["constant_current_lif", "spike_latency_lif", "lif_ex_current"])
def test_another_node_begins_frames(kind: str, window: int, tmp_path: Path) -> None:
    beats = [10, 45, 55, 100]
    (tmp_path / "x.csv").write_text("t,channel,value\n2000000,0,2.5\n50000000,0,-1\n50000000,1,2.5\n")
    (tmp_path / "beat.csv").write_text("t,neuron\n" + "".join(f"{beat}000000,0\n" for beat in beats))
    (tmp_path / "graph.yaml").write_text(GRAPH.format(window=window, kind=kind))
    spikeflow.run_blocking(spikeflow.load(tmp_path / "graph.yaml"))
    table = pacsv.read_csv(tmp_path / "out.csv")
    tick = (table["t"].to_numpy().astype("datetime64[ns]").astype(np.int64) // 1_000_000).tolist()
    block = np.flatnonzero(spikeflow.encode(kind, [2.5], ticks=20)[:, 0]).tolist()
    expected = [(10 + at, 0) for at in block] + [(45 + at, 0) for at in block if at < 10]
    expected += [(55 + at, 1) for at in block] + [(100 + at, 1) for at in block]
    assert list(zip(tick, table["neuron"].to_pylist(), strict=True)) == expected


@pytest.mark.parametrize("make", ENCODERS)
@pytest.mark.parametrize("frame", [None, "25 ms"])
@pytest.mark.parametrize("double", [False, True])
def test_a_current_that_no_state_could_hold_counts_as_none(make: Any, frame: str | None, double: bool) -> None:
    values = np.full((300, 3), np.nan)
    values[0] = 2.5
    expected = run_node(make(frame=frame), values, grid=GRID).rows()
    values[100] = [1e300, -1e300, 1.1e30] if double else [3e38, -3e38, 1.1e30]
    ran = run_node(make(frame=frame), values if double else values.astype(np.float32), grid=GRID)
    assert ran.rows() == expected
    assert ran.counters.noted == {"out of range": 3}


@pytest.mark.parametrize("make", ENCODERS)
@pytest.mark.parametrize("value", [1e30, -1e30])
def test_the_largest_current_is_stood_for_long(make: Any, value: float) -> None:
    assert run_node(make(), np.full((2000, 1), value)).report.exit_code == 0
