"""Learning against what the released package gave: file to file by `spikeflow run`, and where no stream can say it, by
the rule's own equation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spikeflow.kernels import backends
from spikeflow.kernels.rule import LearningRule, rule_form
from spikeflow.kernels.rules.stdp import Stdp
from spikeflow.nodes.stepped import BACKEND
from tests.kernels.golden import DATA
from tests.test_golden_files import ORIGIN_NS, read

Array = npt.NDArray[Any]

MS = 1_000_000
FORCED = 2e6
"""The weight of a spike that makes its neuron fire whatever it has learned: the threshold lies halfway."""

BY_EQUATION = {
    "custom": "a batch of three, whose changes are summed: a stream has no batch",
    "conv": "a batch of two, and a convolution, whose synapses share their weights",
}
"""What cases of `stdp.npz` have in their names that no stream says, with the reason."""


@cache
def stored(file: str) -> tuple[dict[str, Array], dict[str, dict[str, Any]]]:
    with np.load(DATA / f"{file}.npz") as arrays:
        return dict(arrays), json.loads(str(arrays["meta"]))["cases"]


def parameters(case: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a case in our words: time constants for inverses."""
    given: dict[str, Any] = case["params"]
    return {key.removesuffix("_inv"): 1 / value if key.endswith("_inv") else value for key, value in given.items()}


def by_graph() -> list[str]:
    """The cases of `stdp.npz` that a graph runs."""
    return [name for name in stored("stdp")[1] if not any(part in name for part in BY_EQUATION)]


# ---- file to file


class Files:
    """A graph file under way, with the files that it names."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.nodes, self.taped = folder, list[str](), list[str]()

    def source(self, name: str, spikes: Array) -> None:
        tick, neuron = np.nonzero(spikes)
        t = pa.array(ORIGIN_NS + tick * MS).cast(pa.timestamp("ns", "UTC"))
        table = pa.table({"t": t, "neuron": neuron.astype(np.uint32)})
        pq.write_table(table.replace_schema_metadata({"origin": str(ORIGIN_NS)}), self.folder / f"{name}.parquet")
        size, length = spikes.shape[1], len(spikes)
        self.nodes.append(f"  {name}: {{source: file, path: {name}.parquet, size: {size}, length: {length} ms}}")

    def weights(self, name: str, weights: Array) -> str:
        np.save(self.folder / f"{name}.npy", weights)
        return f"{name}.npy"

    def neurons(self, name: str, kind: str, size: int, inputs: list[str], ports: dict[str, str]) -> None:
        record = ", ".join(f"{port}: {{every: {every}}}" for port, every in ports.items())
        self.nodes += [
            f"  {name}:",
            f"    neuron: {kind}",
            f"    size: {size}",
            "    precision: float64",
            *(["    v_th: 1000000.0"] if kind == "iaf" else []),
            "    inputs:",
            *[f"      - {{{one}}}" for one in inputs],
            f"    record: {{{record}}}",
        ]
        self.taped += [name, *(f"{name}.{port}" for port in ports)]

    def run(self, backend: str, window: int) -> None:
        lines = ["spikeflow: 1", f"time: {{dt: 1 ms, window: {window} ms}}", "nodes:", *self.nodes]
        lines += ["  tape:", "    sink: file", f"    input: [{', '.join(self.taped)}]", "    path: out"]
        graph = self.folder / "learning.yaml"
        graph.write_text("\n".join(lines))
        done = subprocess.run(
            [sys.executable, "-m", "spikeflow", "run", str(graph), "--connect-timeout", "300s"],
            capture_output=True, text=True, check=False, env=os.environ | {BACKEND: backend},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + graph.read_text()

    def said(self, stream: str, width: int) -> Array:
        """[samples, channels] of what a port carried."""
        found: Array = read(self.folder / "out" / f"{stream}.arrow")["value"].reshape(-1, width)
        return found


def said_rule(kind: str, case: dict[str, Any], rule: type[LearningRule]) -> str:
    """A rule with its parameters as a graph file says it."""
    given = {key: value for key, value in parameters(case).items() if key in rule.model_fields}
    said = ", ".join(f"{key}: {value}{' s' * key.startswith('tau')}" for key, value in given.items())
    return f"{kind}: {{{said}}}"


def write(files: Files) -> None:
    """Every case that a graph can run."""
    from spikeflow.kernels.rules import rules

    for file, kind, cases in (
        ("stdp", "stdp", by_graph()),
        ("stdp_sensor", "stdp_sensor", list(stored("stdp_sensor")[1])),
        ("correlation_sensor", "correlation_sensor", ["default_f64", "custom_f64"]),
    ):
        arrays, about = stored(file)
        for case in cases:
            name, rule = f"{file}_{case}", rules()[kind]
            pre, post = (arrays[f"{case}/{side}"].reshape(240, -1) for side in ("z_pre", "z_post"))
            files.source(f"pre_{name}", pre)
            files.source(f"post_{name}", post)
            begun = arrays.get(f"{case}/w_init", np.zeros((post.shape[1], pre.shape[1])))
            weights = files.weights(name, begun)
            inputs = [
                f"from: pre_{name}, weights: {weights}, learn: {{{said_rule(kind, about[case], rule)}, name: x}}",
                f"from: post_{name}, connect: one_to_one, weights: {FORCED}",
            ]
            files.neurons(name, "iaf", post.shape[1], inputs, {f"{port}_x": "1 ms" for port in rule.ports()})
    arrays, _ = stored("correlation_sensor")
    files.source("x", arrays["lif_correlation_f64/input"][:, 0])
    inputs = [f"from: x, weights: {files.weights('w_in', arrays['lif_correlation_f64/w_in'])}"]
    inputs += [f"from: both, weights: {files.weights('w_rec', arrays['lif_correlation_f64/w_rec'])}"]
    ports = [f"{port}_{name}" for port in ("correlation", "anti_correlation") for name in ("x", "both")]
    files.neurons("both", "lif_correlation", 4, inputs, dict.fromkeys(["v", "i", *ports], "1 ms"))


SETTINGS = [pair for pair in (("numba", 10), ("numpy", 7)) if pair[0] in backends()]
"""Backends, each with the ticks of a window."""


@pytest.fixture(scope="module", params=SETTINGS, ids=lambda pair: f"{pair[0]} {pair[1]}")
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """What `spikeflow run` wrote for all cases."""
    made = Files(tmp_path_factory.mktemp("learning"))
    write(made)
    made.run(*request.param)
    return made


def near(found: Array, expected: Array) -> bool:
    return found.shape == expected.shape and bool((np.abs(found - expected) <= 1e-12).all())


@pytest.mark.parametrize("case", by_graph())
def test_weights_and_traces_of_stdp_are_those_of_the_reference(files: Files, case: str) -> None:
    arrays, _ = stored("stdp")
    name = f"stdp_{case}"
    weights = files.said(f"{name}.w_x", 30).reshape(-1, 5, 6)[9::10]
    assert near(weights, arrays[f"{case}/w"]) and np.ptp(weights, axis=0).max() > 0.02
    assert near(files.said(f"{name}.t_pre_x", 6)[9::10], arrays[f"{case}/t_pre"][:, 0])
    assert near(files.said(f"{name}.t_post_x", 5)[9::10], arrays[f"{case}/t_post"][:, 0])


@pytest.mark.parametrize("case", ["default_f64", "custom_f64"])
def test_traces_of_the_stdp_sensor_are_those_of_the_reference(files: Files, case: str) -> None:
    arrays, _ = stored("stdp_sensor")
    for port in ("a_pre", "a_post"):
        assert near(files.said(f"stdp_sensor_{case}.{port}_x", 6), arrays[f"{case}/{port}"])


def by_pre(found: Array, pre: int) -> Array:
    """[samples, pre, post], as the reference has it, of what a port carried by postsynaptic neuron."""
    return found.reshape(len(found), -1, pre).transpose(0, 2, 1)


@pytest.mark.parametrize("case", ["default_f64", "custom_f64"])
def test_correlations_are_those_of_the_reference(files: Files, case: str) -> None:
    arrays, _ = stored("correlation_sensor")
    name = f"correlation_sensor_{case}"
    assert near(by_pre(files.said(f"{name}.post_pre_x", 20), 5), arrays[f"{case}/post_pre"][:, 0].astype(float))
    for port in ("correlation", "anti_correlation"):
        assert near(by_pre(files.said(f"{name}.{port}_x", 20), 5)[4::5], arrays[f"{case}/{port}_trace"][:, 0])


def test_neurons_with_correlation_sensors_are_those_of_the_reference(files: Files) -> None:
    arrays, case = stored("correlation_sensor")[0], "lif_correlation_f64"
    tick, neuron = np.nonzero(arrays[f"{case}/z"][:, 0])
    spikes = read(files.folder / "out" / "both.arrow")
    assert np.array_equal(spikes["t"], ORIGIN_NS + tick * MS) and np.array_equal(spikes["neuron"], neuron)
    for state in ("v", "i"):
        assert near(files.said(f"both.{state}", 4), arrays[f"{case}/{state}"][:, 0])
    for ours, pre, theirs in (("x", 6, "in"), ("both", 4, "rec")):
        for port, kind in (("correlation", "corr"), ("anti_correlation", "anti")):
            found = by_pre(files.said(f"both.{port}_{ours}", 4 * pre), pre)[4::5]
            assert near(found, arrays[f"{case}/{theirs}_{kind}"][:, 0])


def test_a_weight_that_is_off_is_noticed(files: Files) -> None:
    case = by_graph()[0]
    expected = stored("stdp")[0][f"{case}/w"].copy()
    expected[-1, 2, 3] += 1e-11
    assert not near(files.said(f"stdp_{case}.w_x", 30).reshape(-1, 5, 6)[9::10], expected)


# ---- by the rule's own equation, for batches and for shared weights


def traces(rule: Stdp, spikes: Array, side: str) -> Iterator[Array]:
    """The trace of every spike train, tick by tick, by the rule's own function."""
    constant = dict(rule.constants(1e-3)) | {"a_pre": rule.a_pre, "a_post": rule.a_post}
    move: Callable[..., tuple[Array, Array]] = rule.trace_pre if side == "pre" else rule.trace_post
    trace: Array = np.zeros(spikes.shape[1:])
    for z in spikes:
        named = {f"{key}_{side}": constant[f"{key}_{side}"] for key in ("fade", "keep", "a")}
        trace, _ = move(trace, z * 0.0, z.astype(float), **named, integrator=rule.integrator)
        yield trace


def changed(rule: Stdp, w: Array, grown: Array, shrunk: Array) -> Array:
    """One tick of weights; what a batch adds up to is the product of a trace and a spike."""
    form, constants = rule_form(rule, 1e-3)
    given = {name: constants[name] for name in form.named} | dict.fromkeys(form.unused)
    found: Array = form.function(w, grown, np.ones_like(w), shrunk, np.ones_like(w), **given)[0]
    return found


def patches(images: Array) -> Array:
    """[batch, positions, in, 3, 3] of [batch, in, height, width], padded by one."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(len(images), -1, images.shape[1], 3, 3)


@pytest.mark.parametrize("case", [name for name in stored("stdp")[1] if name not in by_graph()])
def test_batches_and_convolutions_change_as_in_the_reference(case: str) -> None:
    arrays, cases = stored("stdp")
    given = parameters(cases[case])
    rule = Stdp(**{"algorithm": case[5:-4], **given} if case.startswith("conv_") else given)
    pre, post = arrays[f"{case}/z_pre"], arrays[f"{case}/z_post"]
    w, kept = arrays[f"{case}/w_init"], []
    for z_pre, z_post, t_pre, t_post in zip(
        pre.astype(float), post.astype(float), traces(rule, pre, "pre"), traces(rule, post, "post"), strict=True
    ):
        if case.startswith("conv_"):
            fired, marked = (z.reshape(2, 3, -1) for z in (z_post, t_post))
            grown = np.einsum("bop,bpikl->oikl", fired, patches(t_pre))
            shrunk = np.einsum("bop,bpikl->oikl", marked, patches(z_pre))
        else:
            grown = np.einsum("bo,bi->oi", z_post, t_pre)
            shrunk = np.einsum("bo,bi->oi", t_post, z_pre)
        w = changed(rule, w, grown, shrunk)
        kept.append(w)
    assert near(np.array(kept[9::10]), arrays[f"{case}/w"])
    assert np.ptp(np.array(kept), axis=0).max() > 0.02


def test_what_no_graph_runs_stands_in_the_readme_with_its_reason() -> None:
    left = [name for name in stored("stdp")[1] if name not in by_graph()]
    reasons = {name: next(why for part, why in BY_EQUATION.items() if part in name) for name in left}
    rows = [f"| `stdp.npz` | `{name}` | {reason} |" for name, reason in sorted(reasons.items())]
    table = "\n".join(["| file | case | why |", "|---|---|---|", *rows])
    assert table in (DATA / "README.md").read_text(), f"tests/data/README.md lacks this table:\n{table}"
