"""Reconstruct."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import spikeflow
from spikeflow.catalog import kinds, node_class
from spikeflow.errors import GraphError, ParameterError
from spikeflow.events import Grid, Stream, columns, sample_batch, spike_batch
from spikeflow.nodes.decoders.reconstruct import Reconstruct
from spikeflow.nodes.encoders.level_crossing import LevelCrossing
from spikeflow.nodes.encoders.send_on_delta import SendOnDelta
from spikeflow.nodes.encoders.sigma_delta import SigmaDelta
from spikeflow.nodes.encoders.threshold_based import ThresholdBased
from spikeflow.nodes.inverse import Invertible
from spikeflow.testing import difference, random_events, run_node
from tests.nodes.conftest import Examples

GRID = Grid(5_000_000_000, 1_000_000, 10)
VALUED = Stream("", "spikes", 6, valued=True)
EXAMPLES: Examples = [
    (lambda _: Reconstruct(of=LevelCrossing(threshold=0.3)), {"inputs": [VALUED]}),
    (lambda _: Reconstruct(of=LevelCrossing(threshold=0.3, polarity="split"), first=1.0), {"inputs": [VALUED]}),
    (lambda _: Reconstruct(of=SendOnDelta(threshold=0.3), precision="float32"), {"inputs": [VALUED]}),
    (lambda _: Reconstruct(of=ThresholdBased(value="step")), {"inputs": [VALUED]}),
]

INVERTIBLE = [kind for kind in kinds("encoder") if issubclass(node_class("encoder", kind), Invertible)]

GRAPH = """
spikeflow: 1
time: {dt: 1 ms, window: %s}
nodes:
  wave: {source: synthetic, signal: sine, frequency: 3 Hz, rate: 1 kHz, channels: 2, phase: 0.3, length: 600 ms}
  edges: {encoder: level_crossing, input: wave, threshold: 50e-3, polarity: split, initial: 0}
  rebuilt: {decoder: reconstruct, input: edges%s}
  tape: {sink: file, input: [wave, edges, rebuilt], path: tape}
"""


def ran(folder: Path, window: str = "10 ms", more: str = "") -> dict[str, Any]:
    """Stream to its rows as a mapping of (time, channel) to value."""
    folder.mkdir(exist_ok=True)
    (folder / "graph.yaml").write_text(GRAPH % (window, more))
    report = spikeflow.run_blocking(folder / "graph.yaml")
    assert report.exit_code == 0
    found = {}
    for name in ("wave", "rebuilt"):
        table = pa.ipc.open_file(folder / "tape" / f"{name}.arrow").read_all()
        t_ns, channel, value = (table.column(k).to_numpy() for k in range(3))
        found[name] = dict(zip(zip(t_ns.tolist(), channel.tolist(), strict=True), value.tolist(), strict=True))
    return found


def test_in_a_graph_the_input_says_how_it_was_made(tmp_path: Path) -> None:
    found = ran(tmp_path)
    assert len(found["rebuilt"]) > 200
    assert all(abs(value - found["wave"][place]) <= 0.0251 for place, value in found["rebuilt"].items())


@pytest.mark.parametrize("kind", ["level_crossing", "send_on_delta", "sigma_delta", "step_forward"])
def test_values_far_from_zero_come_back_within_a_threshold(kind: str) -> None:
    far = 1e6 + np.cumsum(np.random.default_rng(0).normal(0.0, 0.3, 400))  # float32 has steps of 0.06 there
    stream = Stream("x", "samples", 1, double=True)
    more: dict[str, dict[str, Any]] = {
        "level_crossing": {"initial": 1e6},
        "step_forward": {"initial": 1e6, "steps": "all"},
    }
    encoder = node_class("encoder", kind).model_validate({"threshold": 0.1, **more.get(kind, {})})
    t_ns = GRID.origin_ns + np.arange(400) * GRID.dt_ns
    given = dict(zip(t_ns.tolist(), far.tolist(), strict=True))
    encoded = run_node(encoder, (stream, sample_batch(t_ns, np.zeros(400, np.uint32), far)))
    rebuilt = run_node(Reconstruct(), (encoded.streams[""], encoded.events)).events
    assert rebuilt.num_rows > 100
    for t, _, value in zip(*(rebuilt.column(k).to_numpy().tolist() for k in range(3)), strict=True):
        assert abs(value - given[int(t)]) <= 0.1


def test_the_encoder_may_be_named_with_its_fields(tmp_path: Path) -> None:
    named = ", of: {encoder: level_crossing, threshold: 50e-3, polarity: split, initial: 0}"
    assert ran(tmp_path / "a", "1 ms", named) == ran(tmp_path / "b")


def test_what_is_wrong_with_a_named_encoder_is_said_at_its_place(tmp_path: Path) -> None:
    for more, said in (
        ("{encoder: level_crosing, threshold: 1}", "did you mean 'level_crossing'?"),
        ("{encoder: level_crossing, threshold: -1}", "threshold"),
        ("{threshold: 1}", "an encoder without its kind"),
        ("{encoder: poisson}", "Poisson has no way back"),
        ("{encoder: threshold_based}", "value: step"),
    ):
        (tmp_path / "graph.yaml").write_text(GRAPH % ("10 ms", f", of: {more}"))
        with pytest.raises(GraphError, match=r"graph\.yaml:7:") as error:
            spikeflow.load(tmp_path / "graph.yaml")
        assert said in str(error.value)


@pytest.mark.parametrize("kind", INVERTIBLE)
def test_a_way_back_is_found_by_what_made_the_spikes(kind: str, tmp_path: Path) -> None:
    [(make, options), *_] = importlib.import_module(f"tests.nodes.encoders.test_{kind}").EXAMPLES
    encoder = make(tmp_path)
    assert isinstance(encoder, Invertible)
    stream = Stream("x", "samples", 4)
    encoded = run_node(encoder, (stream, random_events(stream, GRID, 100, 400, 0, options.get("values", (-1, 1)))))
    assert encoded.streams[""].made_by is encoder
    if isinstance(encoder, ThresholdBased) and encoder.threshold is None:
        return
    by_stream = run_node(Reconstruct(), (encoded.streams[""], encoded.events))
    plain = Stream("", "spikes", encoded.streams[""].size, encoded.streams[""].valued)
    by_name = run_node(Reconstruct(of=encoder), (plain, encoded.events))
    assert by_stream.events.num_rows
    assert difference(by_stream.events, by_name.events) is None
    assert by_stream.streams[""].size == 4


def test_two_neurons_a_channel_become_one_channel() -> None:
    encoder = LevelCrossing(threshold=1.0, polarity="split")
    [spikes] = encoder.outlets([Stream("x", "samples", 6, shape=(2, 3))]).values()
    [rebuilt] = Reconstruct().outlets([spikes]).values()
    assert (rebuilt.size, rebuilt.shape) == (6, (2, 3))


def test_spikes_of_unknown_origin_need_their_encoder() -> None:
    record = spike_batch([0], [0], np.array([1.0], np.float32))
    with pytest.raises(ParameterError, match="does not tell its encoder"):
        run_node(Reconstruct(), record)
    with pytest.raises(ParameterError, match="3 neurons, and the encoder 2 a channel"):
        run_node(
            Reconstruct(of=LevelCrossing(threshold=1.0, polarity="split")), (Stream("", "spikes", 3, True), record)
        )
    with pytest.raises(ValueError, match="from Python, give an encoder itself"):
        Reconstruct.model_validate({"of": {"encoder": "level_crossing", "threshold": 1.0}})
    assert run_node(Reconstruct.model_validate({"of": {"encoder": SigmaDelta, "threshold": 0.5}}), record).rows() == [
        (0, 0, 0.5)
    ]


FORGETFUL = """
spikeflow: 1
nodes:
  wave: {source: synthetic, signal: sine, frequency: 3 Hz, rate: 1 kHz, length: 600 ms}
  edges: {encoder: ENCODER, input: wave, threshold: 50e-3, forget: {every: 70 ms}}
  rebuilt: {decoder: reconstruct, input: edgesFORGET}
  tape: {sink: file, input: [wave, rebuilt], path: tape}
"""


@pytest.mark.parametrize("kind", ["level_crossing, initial: 0", "step_forward, steps: all, initial: 0", "sigma_delta"])
def test_it_forgets_with_an_encoder_that_begins_anew(kind: str, tmp_path: Path) -> None:
    path, text = tmp_path / "graph.yaml", FORGETFUL.replace("ENCODER", kind)
    path.write_text(text.replace("FORGET", ""))
    with pytest.raises(GraphError) as error:
        spikeflow.load(path)
    said = "node \"rebuilt\": 'edges' begins anew where it forgets, and its values go on — write forget: {every: 70 ms}"
    assert said in str(error.value)
    path.write_text(text.replace("FORGET", ", forget: {every: 70 ms}"))
    assert spikeflow.run_blocking(path).exit_code == 0
    wave, rebuilt = (
        {int(t): value for t, _, value in zip(*columns(taped(tmp_path, name)), strict=True)}
        for name in ("wave", "rebuilt")
    )
    assert len(rebuilt) > 100
    assert all(abs(value - wave[t]) <= 0.0501 for t, value in rebuilt.items())


def taped(folder: Path, name: str) -> pa.RecordBatch:
    [batch] = pa.ipc.open_file(folder / "tape" / f"{name}.arrow").read_all().combine_chunks().to_batches()
    return batch


def test_an_encoder_that_sends_values_may_forget_alone(tmp_path: Path) -> None:
    (tmp_path / "graph.yaml").write_text(FORGETFUL.replace("ENCODER", "send_on_delta").replace("FORGET", ""))
    assert spikeflow.run_blocking(tmp_path / "graph.yaml").exit_code == 0
