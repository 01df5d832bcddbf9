"""Copies: each of many machines in one graph gives exactly what it gives alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from pydantic import Field

import spikeflow
from spikeflow.catalog import kinds, node_class
from spikeflow.errors import GraphError
from spikeflow.events import SPIKES, Batch, Grid, Stream, columns, empty, sample_batch, spike_batch
from spikeflow.kernels import backends
from spikeflow.node import Decoder, Encoder
from spikeflow.nodes.encoders.clip import Clip
from spikeflow.nodes.encoders.scale import Scale
from spikeflow.nodes.stepped import BACKEND
from spikeflow.runtime.engine import Engine, Options, Report, fast_loop
from spikeflow.spec import GraphSpec
from spikeflow.testing import run_node
from spikeflow.units import Nanoseconds

MS = 1_000_000
TICKS, CHANNELS = 300, 3
Row = tuple[int, int, float]
Machine = list[Row]
"""What a machine measures: (tick, channel, value)."""


class EveryThird(Encoder):
    """A spike at every third sample, whichever channel it is on: an encoder that knows nothing of copies."""

    def start(self, size: int) -> None:
        self.seen = 0

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        t_ns, channel, _ = columns(samples)
        third = (np.arange(len(t_ns)) + self.seen) % 3 == 2
        self.seen = (self.seen + len(t_ns)) % 3
        return spike_batch(t_ns[third], channel[third]) if third.any() else empty(SPIKES)


class Balance(Decoder):
    """Every `every` the number of spikes so far, also where there were none."""

    every: Annotated[Nanoseconds, Field(gt=0)] = 70 * MS

    def size_out(self, inputs: Sequence[Stream]) -> int:
        return 1

    def start(self, size: int) -> None:
        self.count = 0

    def rests_until(self) -> int:
        context = self.context
        every, past = self.every // context.grid.dt_ns, context.window.first_tick + context.window.ticks
        return -(-past // every) * every

    def decode(self, spikes: pa.RecordBatch) -> pa.RecordBatch:
        grid, window = self.context.grid, self.context.window
        t_ns = columns(spikes)[0]
        every = self.every // grid.dt_ns
        due = range(-(-window.first_tick // every) * every, window.first_tick + window.ticks, every)
        at = np.array([grid.time(tick) for tick in due], np.int64)
        counts = self.count + np.searchsorted(t_ns, at)
        self.count += len(t_ns)
        return sample_batch(at, np.zeros(len(at), np.uint32), counts.astype(np.float32))


NODES: dict[str, Any] = {
    "hum": {"source": "synthetic", "signal": "poisson", "size": 5, "rate": "60 Hz", "length": f"{TICKS} ms"},
    "edges": {"encoder": "level_crossing", "input": "machines", "threshold": 0.4},
    "chance": {"encoder": "poisson", "input": "machines", "f_max": "80 Hz"},
    "thirds": {"encoder": EveryThird, "input": "machines"},
    "current": {"encoder": "constant_current_lif", "input": "machines", "v_th": 0.5},
    "hidden": {
        "neuron": "lif",
        "size": 37,
        "tau_mem": {"uniform": {"low": "4 ms", "high": "20 ms"}},
        "initial": {"v": {"uniform": {"low": 0.0, "high": 0.9}}},
        "record": {"v": {"neurons": "3:9", "every": "5 ms"}},
        "inputs": [
            {"from": "edges", "weights": {"normal": {"mean": 0.9, "std": 0.5}}},
            {"from": "chance", "connect": {"probability": 0.4}, "weights": 1.3, "delay": "3 ms"},
            {"from": "machines", "weights": {"uniform": {"low": -0.1, "high": 0.2}}, "hold": "last"},
            {"from": "hum", "connect": {"indegree": 2}, "weights": 0.7},
            {"from": "hidden", "connect": {"probability": 0.2}, "weights": -0.4, "delay": "13 ms"},
            {"from": "other", "weights": {"normal": {"mean": 0.0, "std": 0.3}}, "delay": "2 ms"},
        ],
    },
    "other": {
        "neuron": "lif_adex",
        "size": 64,
        "precision": "float64",
        "inputs": [
            {"from": "hidden", "weights": {"normal": {"mean": 0.6, "std": 0.2}}},
            {"from": "thirds", "weights": 2.0, "connect": "all"},
        ],
    },
    "out": {"neuron": "li", "size": 2, "inputs": [{"from": "other", "weights": 0.3}]},
    "rate": {"decoder": "rate", "input": "hidden", "over": "30 ms"},
    "whole": {"decoder": "rate", "input": "other", "over": "20 ms", "every": "10 ms", "per": "population"},
    "balance": {"decoder": Balance, "input": "hidden"},
}
WATCHED = ["machines", "edges", "chance", "thirds", "current", "hidden", "hidden.v", "other", "out", "rate"]
WATCHED += ["whole", "balance"]


def machines(count: int, seed: int = 5) -> list[Machine]:
    """Random walks that begin at different times, with gaps; the second machine never says a word."""
    rng = np.random.default_rng(seed)
    found = []
    for machine in range(count):
        first = 0 if machine == 0 else int(rng.integers(0, TICKS))
        rows = []
        for channel in range(CHANNELS):
            ticks = np.flatnonzero(rng.random(TICKS) < 0.15)
            walk = np.cumsum(rng.normal(0, 0.5, ticks.size)).astype(np.float32)
            rows += [(int(t), channel, float(v)) for t, v in zip(ticks, walk, strict=True) if t >= first]
        found.append(sorted(rows) if machine != 1 else [])
    return found


def written(path: Path, rows: Sequence[Row], size: int) -> dict[str, Any]:
    """A file source of these samples."""
    text = [f"{tick * MS},{channel},{value!r}\n" for tick, channel, value in rows]
    path.write_text("".join(["t,channel,value\n", *text]))
    return {"source": "file", "path": str(path), "size": size, "length": f"{TICKS} ms"}


def together(folder: Path, fleet: Sequence[Machine]) -> dict[str, Any]:
    """One file of all machines."""
    rows = [(t, k * CHANNELS + channel, v) for k, machine in enumerate(fleet) for t, channel, v in machine]
    return {**written(folder / "fleet.csv", sorted(rows), len(fleet) * CHANNELS), "copies": len(fleet)}


def alone(folder: Path, machine: Machine) -> dict[str, Any]:
    return written(folder / "alone.csv", machine or [(0, 0, float("nan"))], CHANNELS)


Events = tuple[npt.NDArray[Any], ...]


def run(
    source: Mapping[str, Any], nodes: Mapping[str, Any] = NODES, watched: Sequence[str] = WATCHED, window: int = 10
) -> tuple[dict[str, Events], GraphSpec, Report]:
    """Every event of the watched streams."""
    spec = spikeflow.load(
        {"name": "fleet", "seed": 3, "time": {"window": f"{window} ms"}, "nodes": {"machines": source, **nodes}}
    )
    engine = Engine(spec, Options())
    seen: dict[str, list[pa.RecordBatch]] = {name: [] for name in watched}
    for name, kept in seen.items():
        engine.watch(name, partial(_keep, kept))
    with fast_loop() as runner:
        report = runner.run(engine.run())
    found: dict[str, Events] = {}
    for name, records in seen.items():
        parts = [columns(record) for record in records if record.num_rows]
        found[name] = tuple(np.concatenate(column) for column in zip(*parts, strict=True)) if parts else ()
    return found, spec, report


def _keep(kept: list[pa.RecordBatch], batch: Batch) -> None:
    kept.append(batch.record)


def of_copy(events: Events, size: int, copy: int) -> Events:
    """The events of one copy, counted within it."""
    if not events:
        return ()
    t_ns, index, value = events
    own = index // size == copy
    return (t_ns[own], index[own] % size, value[own]) if own.any() else ()


def agree(fleet: Sequence[Machine], folder: Path, windows: Sequence[int], looked: Sequence[int] | None = None) -> None:
    singles = {
        k: run(alone(folder, fleet[k]), window=10)[0] for k in (looked if looked is not None else range(len(fleet)))
    }
    for window in windows:
        found, spec, report = run(together(folder, fleet), window=window)
        assert report.exit_code == 0
        for name in WATCHED:
            node, _, port = name.partition(".")
            stream = spec.nodes[node].outlets[port]
            assert stream.copies == len(fleet)
            for k, single in singles.items():
                mine = of_copy(found[name], stream.size // stream.copies, k)
                assert len(mine) == len(single[name]), f"{name} of copy {k}, windows of {window}"
                for one, other in zip(mine, single[name], strict=True):
                    assert one.tobytes() == other.tobytes(), f"{name} of copy {k}, windows of {window}"
            assert name == "machines" or sum(len(one[name]) > 0 for one in singles.values()) > len(singles) // 2


@pytest.mark.parametrize(
    "backend",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name == "numpy"))
        for name in ("numba", "numpy")
        if name in backends()
    ],
)
def test_each_of_fifty_machines_gives_what_it_gives_alone(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BACKEND, backend)
    fleet = machines(50)
    agree(fleet, tmp_path, [10], None if backend == "numba" else [0, 1, 7, 23, 49])


@pytest.mark.parametrize("window", [1, 7, 100])
def test_windows_change_nothing_of_what_a_copy_gives(window: int, tmp_path: Path) -> None:
    agree(machines(8, seed=9), tmp_path, [window])


def test_a_file_that_a_graph_wrote_of_its_copies_is_read_as_copies(tmp_path: Path) -> None:
    fleet = machines(4)
    source = together(tmp_path, fleet)
    tape = {"sink": "file", "input": "machines", "path": str(tmp_path / "tape.arrows")}
    run(source, {"tape": tape}, ())
    read = {"source": "file", "path": str(tmp_path / "tape.arrows")}
    expected, spec, _ = run(source)
    found, again, _ = run(read)
    assert again.nodes["machines"].outlets[""] == spec.nodes["machines"].outlets[""]
    assert spec.nodes["machines"].outlets[""].shape == (4, CHANNELS)
    for name in WATCHED:
        for one, other in zip(found[name], expected[name], strict=True):
            assert one.tobytes() == other.tobytes()
    plain = spikeflow.load({"nodes": {"machines": {**read, "copies": 1}, "edges": NODES["edges"]}})
    assert plain.nodes["edges"].outlets[""].copies == 1


def test_copies_that_forget_every_so_often_give_what_each_gives_alone(tmp_path: Path) -> None:
    nodes = {name: dict(node) for name, node in NODES.items()}
    for name in ("thirds", "balance", "rate", "out", "edges", "chance"):
        nodes[name]["forget"] = {"every": "45 ms"}
    fleet = machines(5, seed=2)
    found, spec, _ = run(together(tmp_path, fleet), nodes)
    for k, machine in enumerate(fleet):
        single = run(alone(tmp_path, machine), nodes)[0]
        for name in WATCHED:
            node, _, port = name.partition(".")
            stream = spec.nodes[node].outlets[port]
            mine = of_copy(found[name], stream.size // stream.copies, k)
            assert [column.tobytes() for column in mine] == [column.tobytes() for column in single[name]]


def refused(nodes: Mapping[str, Any]) -> list[str]:
    with pytest.raises(GraphError) as caught:
        spikeflow.load({"nodes": nodes})
    return str(caught.value).splitlines()


FLEET = {"source": "synthetic", "signal": "sine", "channels": 2, "copies": 3, "length": "1 s"}


def test_copies_that_would_change_the_weights_of_all_are_refused() -> None:
    learn = {"from": "edges", "weights": 0.5, "learn": "stdp"}
    said = refused(
        {
            "machines": FLEET,
            "edges": {"encoder": "level_crossing", "input": "machines", "threshold": 0.1},
            "hidden": {"neuron": "lif", "size": 4, "inputs": [learn]},
        }
    )
    assert said == [
        'node "hidden": 3 copies that learn — copies share their weights, which each would change for all; '
        "learn with one, and give its weights to all"
    ]


def test_copies_of_two_sources_do_not_meet() -> None:
    said = refused(
        {
            "left": FLEET,
            "right": {**FLEET, "copies": 4},
            "hidden": {"neuron": "lif", "size": 4, "inputs": [{"from": "left", "weights": 1.0}, "late"]},
            "late": {"neuron": "lif", "size": 4, "inputs": [{"from": "right", "weights": 1.0}]},
            "last": {"neuron": "lif", "size": 4, "inputs": [{"from": "hidden", "weights": 1.0}]},
        }
    )
    assert said == [
        "node \"hidden\": copies for the keys of 'left' meet copies for those of 'right' — "
        "let both sources call their key alike ('replicate'), or replicate one of them alone"
    ]


def test_copies_do_not_forget_one_by_one() -> None:
    edges = {"encoder": "level_crossing", "input": "machines", "threshold": 0.1}
    hidden = {"neuron": "lif", "size": 4, "inputs": [{"from": "edges", "weights": 1.0}], "forget": {"on": "edges"}}
    said = refused({"machines": FLEET, "edges": edges, "hidden": hidden})
    assert said == [
        'node "hidden": 3 copies that forget one by one — forget every so often, or on a node that there is one of'
    ]


def test_a_file_that_does_not_divide_into_copies_is_refused(tmp_path: Path) -> None:
    source = {**written(tmp_path / "odd.csv", [(0, 0, 1.0)], 7), "copies": 2}
    said = refused({"machines": source, "edges": NODES["edges"]})
    assert said == ['node "machines": 7 channels in 2 copies — each copy has as many']


def test_errors_of_a_copied_node_are_told_of_one_copy() -> None:
    weights = np.zeros((4, 6))
    hidden = {"neuron": "lif", "size": 4, "inputs": [{"from": "machines", "weights": weights}]}
    (said,) = refused({"machines": FLEET, "hidden": hidden})
    assert "[4, 2]" in said


def test_sinks_see_every_copy_and_files_say_how_many_there_are(tmp_path: Path) -> None:
    tape = {"sink": "file", "input": "rate", "path": str(tmp_path / "rate.arrow")}
    nodes = {name: NODES[name] for name in ("edges",)}
    rate = {"decoder": "rate", "input": "edges", "over": "100 ms"}
    run({**FLEET, "length": "300 ms"}, {**nodes, "rate": rate, "tape": tape}, ())
    with pa.memory_map(str(tmp_path / "rate.arrow")) as opened:
        table = pa.ipc.open_file(opened).read_all()
    assert set(table["channel"].to_pylist()) == set(range(6))
    assert (table.schema.metadata[b"copies"], table.schema.metadata[b"shape"]) == (b"3", b"3,2")


def test_what_a_copy_has_to_say_is_said_under_its_name() -> None:
    nodes = {
        "machines": {"source": "synthetic", "signal": "sine", "channels": 2, "copies": 2, "replicate": "machine",
                     "length": "20 ms"},
        "best": {"decoder": "argmax", "input": "machines", "labels": ["left", "right"]},
    }  # fmt: skip
    said: list[str] = []
    graph = spikeflow.load({"seed": 1, "nodes": nodes})
    spikeflow.run_blocking(graph, log=lambda node, level, text: said.append(text))
    assert [text.partition(":")[0] for text in said] == ["machine '0'", "machine '1'"]


class Talking(Balance):
    """Says how many spikes came in a window; one node a copy."""

    def decode(self, spikes: pa.RecordBatch) -> pa.RecordBatch:
        if spikes.num_rows:
            self.context.log("info", f"heard {spikes.num_rows}")
        return super().decode(spikes)


def test_a_node_of_which_there_is_one_a_copy_speaks_under_the_name_of_its_copy() -> None:
    source = {"source": "synthetic", "signal": "poisson", "size": 2, "rate": "1 kHz", "copies": 2, "length": "20 ms"}
    said: list[str] = []
    nodes = {"machines": {**source, "replicate": "machine"}, "talk": {"decoder": Talking, "input": "machines"}}
    spikeflow.run_blocking(spikeflow.load({"nodes": nodes}), log=lambda node, level, text: said.append(text))
    assert {text.partition(" heard")[0] for text in said} == {"machine '0':", "machine '1':"}


CHANNEL_BY_CHANNEL = {
    "encoder": "bsa burst clip constant_current_lif detrend filter_bank level_crossing lif_adex_current lif_current "
    "lif_ex_current moving_window normalize one_hot phase poisson population rank_order rate resample scale "
    "send_on_delta sigma_delta signed_poisson spatio_temporal spike_latency spike_latency_lif step_forward "
    "threshold_based time_to_first_spike",
    "decoder": "alarm argmax exponential first_spike linear max_membrane population_vector rate reconstruct "
    "spike_count spikes_to_times",
}


@pytest.mark.parametrize("role", list(CHANNEL_BY_CHANNEL))
def test_what_goes_channel_by_channel_is_one_node_for_all_copies(role: str) -> None:
    assert [kind for kind in kinds(role) if getattr(node_class(role, kind), "elementwise", False)] == (
        CHANNEL_BY_CHANNEL[role].split()
    )


@pytest.mark.parametrize("copies", [1, 4])
@pytest.mark.parametrize("kind", ["rate", "exponential", "spike_count"])
def test_a_mean_over_each_copy_has_the_bits_that_it_has_alone(kind: str, copies: int) -> None:
    rng = np.random.default_rng(3)
    values = rng.standard_normal((200, 3)).astype(np.float32)
    one = {
        "rate": {"over": "60 ms", "every": "1 ms"},
        "exponential": {"every": "3 ms"},
        "spike_count": {"frame": "13 ms"},
    }
    cls: Any = node_class("decoder", kind)
    node = cls(per="population", **one[kind])
    tick, neuron = (place.ravel() for place in np.indices(values.shape))
    grid = Grid(0, MS, 10)

    def rows(count: int) -> list[Row]:
        index = (np.arange(count)[None, :, None] * 3 + neuron.reshape(200, 1, 3)).ravel()
        t_ns = np.repeat(tick.reshape(200, 3)[:, 0], 3 * count) * MS
        record = spike_batch(t_ns, index, np.tile(values[:, None, :], (1, count, 1)).ravel())
        return run_node(node, (Stream("x", "spikes", 3, valued=True).times(count), record), grid=grid).rows()

    alone = rows(1)
    assert alone
    for copy in range(copies):
        assert [(at, 0, value) for at, channel, value in rows(copies) if channel == copy] == alone


def test_numbers_for_the_channels_are_those_of_each_copy() -> None:
    record = sample_batch([0] * 4, [0, 1, 2, 3], np.ones(4, np.float32))
    given = Stream("x", "samples", 2).times(2), record
    assert [value for *_, value in run_node(Scale(gain=[2.0, 3.0], offset=1.0), given).rows()] == [3.0, 4.0, 3.0, 4.0]
    assert [value for *_, value in run_node(Clip(low=[0.0, 2.0]), given).rows()] == [1.0, 2.0, 1.0, 2.0]
