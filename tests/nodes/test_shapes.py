"""Shapes of streams, and what goes by them: convolutions and pools in a graph."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import BaseModel, ValidationError

import spikeflow
from spikeflow.catalog import node_class
from spikeflow.errors import GraphError
from spikeflow.events import Stream, columns, spike_batch
from spikeflow.nodes.sizes import Size, shape_of
from spikeflow.testing import run_node
from tests.kernels.test_convolution import CASES, case


class Sized(BaseModel):
    size: Size


def test_a_size_is_a_number_or_a_shape_and_an_int_in_either_case() -> None:
    assert (Sized(size=5).size, shape_of(Sized(size=5).size)) == (5, ())
    shaped = Sized.model_validate({"size": [2, 3, 4]}).size
    assert shaped == 24 and shape_of(shaped) == (2, 3, 4)
    for same in (copy.deepcopy(shaped), pickle.loads(pickle.dumps(shaped)), Sized(size=shaped).size):
        assert same == 24 and shape_of(same) == (2, 3, 4)
    for wrong in (0, [], [2, 0], [2, 1.5], "x"):
        with pytest.raises(ValidationError):
            Sized.model_validate({"size": wrong})


def graph(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "g.yaml"
    path.write_text("spikeflow: 1\nnodes:\n" + text)
    return path


def test_a_convolution_in_a_graph_gives_what_the_released_package_gives(tmp_path: Path) -> None:
    name = "k3_stride2_pad1"
    x, kernel, out = case(name)
    np.save(tmp_path / "w.npy", kernel)
    tick, neuron = np.nonzero(x.reshape(len(x), -1))
    with pa.OSFile(str(tmp_path / "x.arrow"), "wb") as file:
        record = spike_batch(tick * 1_000_000, neuron.astype(np.uint32))
        schema = record.schema.with_metadata({"size": str(x[0].size), "shape": "2,11,12", "origin": "0"})
        with pa.ipc.new_file(file, schema) as writer:
            writer.write_batch(record.cast(schema))
    text = f"""
  x: {{source: file, path: x.arrow, length: {len(x)} ms}}
  features:
    neuron: li_box
    size: [4, 6, 6]
    precision: float64
    tau_mem: 1 ms
    allow_unstable: true
    inputs: [{{from: x, connect: {{conv2d: {{stride: 2, padding: 1}}}}, weights: w.npy}}]
  pooled:
    neuron: lif
    size: [4, 3, 3]
    inputs: [{{from: features, connect: {{avg_pool: {{kernel: 2}}}}, weights: 3}}]
  read_out:
    neuron: lif
    size: 36
    inputs: [{{from: pooled, connect: flatten}}]
  kept: {{sink: file, input: features, path: features.arrow}}
"""
    spec = spikeflow.load(graph(tmp_path, text))
    assert {name: node.outlets[""].shape for name, node in spec.nodes.items() if node.outlets} == {
        "x": (2, 11, 12),
        "features": (4, 6, 6),
        "pooled": (4, 3, 3),
        "read_out": (),
    }
    assert spec.nodes["features"].outlets["v"].shape == (4, 6, 6)
    spikeflow.run_blocking(spec)
    with pa.memory_map(str(tmp_path / "features.arrow")) as file:
        table = pa.ipc.open_file(file).read_all()
    assert table.schema.metadata[b"shape"] == b"4,6,6" and CASES[name] == {"stride": 2, "padding": 1}
    np.testing.assert_allclose(table["value"].to_numpy().reshape(out.shape), out, rtol=0, atol=1e-12)


def test_a_stream_without_a_shape_is_given_one_beside_the_connection() -> None:
    x, kernel, out = case("k3")
    lif: Any = node_class("neuron", "lif")

    def run(stream: Stream, **fields: Any) -> Any:
        tick, neuron = np.nonzero(x.reshape(len(x), -1))
        one = {"from": "x", "connect": "conv2d", "weights": kernel, **fields}
        given = stream, spike_batch(tick * 1_000_000, neuron.astype(np.uint32))
        return run_node(lif(size=out[0].shape, inputs=[one]), given, ticks=len(x))

    shaped = run(Stream("", "spikes", x[0].size, shape=x.shape[1:]))
    plain = run(Stream("", "spikes", x[0].size), from_shape=x.shape[1:])
    assert len(shaped.rows()) > 0 and shaped.rows() == plain.rows()
    assert shaped.streams[""].shape == out.shape[1:]


def test_sources_and_encoders_have_shapes(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("t,neuron\n0,5\n")
    text = """
  csv: {source: file, path: x.csv, size: [2, 3]}
  noise: {source: synthetic, signal: noise, channels: [1, 4, 4]}
  spikes: {source: synthetic, signal: poisson, size: [7]}
  edges: {encoder: level_crossing, input: noise, threshold: 1}
"""
    spec = spikeflow.load(graph(tmp_path, text))
    found = {name: (node.outlets[""].size, node.outlets[""].shape) for name, node in spec.nodes.items()}
    assert found == {
        "csv": (6, (2, 3)),
        "noise": (16, (1, 4, 4)),
        "spikes": (7, (7,)),
        "edges": (16, (1, 4, 4)),
    }
    synthetic: Any = node_class("source", "synthetic")
    ran = run_node(synthetic(signal="poisson", size=[2, 2], rate=900.0, length="5 ms"))
    assert {neuron for _, neuron, _ in ran.rows()} == {0, 1, 2, 3}
    assert len(columns(ran.events)[0]) > 10


PIXELS = "  pixels: {source: synthetic, signal: poisson, size: %s, rate: 10 Hz}\n"


@pytest.mark.parametrize(
    ("size", "hidden", "at", "says"),
    [
        ("128", "size: [4, 6, 6], inputs: [{from: pixels, connect: {conv2d: {kernel: 3}}}]", "{conv2d:",
         "from 128 neurons whose shape is not known — write from_shape: [channels, height, "),
        ("[2, 8, 8]", "size: [4, 8, 8], inputs: [{from: pixels, connect: {conv2d: {kernel: 3}}}]", "{conv2d:",
         "connect: conv2d from [2, 8, 8] gives [4, 6, 6], the population has [4, 8, 8] — write size: [4, 6, 6]"),
        ("[2, 8, 8]", "size: [4, 6, 6], inputs: [{from: pixels, connect: conv2d, weights: w.npy}]", "w.npy",
         "take 1 channels, the input [2, 8, 8] has 2 — give [out, 2, height, width], or write groups: 2"),
        ("128", "size: [4, 6, 6], inputs: [{from: pixels, from_shape: [2, 8, 9], connect: conv2d, weights: w.npy}]",
         "[2, 8, 9]", "from_shape [2, 8, 9] is 144 neurons, the input has 128 — make them agree"),
        ("[1, 4, 4]", "size: 4, inputs: [{from: pixels, connect: {sum_pool: {kernel: 5}}}]", "{sum_pool:",
         "a kernel of [5, 5] on an input of [4, 4] — take a smaller one, or more padding"),
        ("[1, 4, 4]", "size: [1, 0], inputs: [{from: pixels}]", "[1, 0]", "size: 0 — must be at least 1"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_at_its_place(tmp_path: Path, size: str, hidden: str, at: str, says: str) -> None:
    np.save(tmp_path / "w.npy", np.ones((4, 1, 3, 3)))
    text = PIXELS % size + f"  hidden: {{neuron: lif, {hidden}}}\n"
    with pytest.raises(GraphError) as caught:
        spikeflow.load(graph(tmp_path, text))
    (finding,) = caught.value.findings
    assert says in str(finding)
    assert finding.at is not None
    assert text.splitlines()[finding.at.line - 3][finding.at.column - 1 :].startswith(at)


def test_a_shape_beside_a_connection_that_has_no_windows_is_a_warning(tmp_path: Path) -> None:
    text = PIXELS % "16" + "  hidden: {neuron: lif, size: 16, inputs: [{from: pixels, from_shape: [4, 4]}]}\n"
    (warning,) = spikeflow.load(graph(tmp_path, text)).warnings
    assert "'from_shape' does nothing here" in str(warning)
