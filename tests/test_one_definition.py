"""Every equation stands in one place, no backend knows a model or a learning rule, and a new one is one file."""

from __future__ import annotations

import ast
import inspect
import keyword
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pyarrow import feather

import spikeflow
from spikeflow.catalog import kinds, node_class, rules
from spikeflow.kernels import NeuronModel, backends
from spikeflow.spec import load
from tests.kernels.cuda_host import COMPILER

PACKAGE = Path(spikeflow.__file__).parent
DECLARES = {"model", "rule", "parameters", "about", "refusals"}
"""What a model or a rule declares, and the texts about it: fields of the base and of other packages are named there."""
OF_PLACES = {"receptive_fields"}
"""Makes weights from the places x and y of a filter, which two models call their states."""
STEPS = [
    *(path for path in sorted((PACKAGE / "kernels").glob("*.py")) if path.stem not in DECLARES | OF_PLACES),
    PACKAGE / "nodes" / "population.py",
    PACKAGE / "nodes" / "projections.py",
    PACKAGE / "simulation.py",
]
OF_EVERY_MODEL = {"rho", "rho_reset"}
"""The ticks of silence that are left, which every model may have."""


OF_WEIGHTS = {"post_pre"}
"""The axes of an array of weights, by which a rule calls a flag of a synapse, too."""


def models() -> dict[str, type[NeuronModel]]:
    """Every model that comes with the package, by kind."""
    classes: dict[str, Any] = {kind: node_class("neuron", kind) for kind in kinds("neuron")}
    found = {kind: cls.model_class for kind, cls in classes.items() if hasattr(cls, "model_class")}
    return {kind: model for kind, model in found.items() if model.__module__.startswith("spikeflow.")}


MODELS = models()
RULES: dict[str, Any] = {kind: rule for kind, rule in rules().items() if rule.__module__.startswith("spikeflow.")}
FUNCTIONS = ("trace_pre", "trace_post", "update")
"""Where a rule computes."""
STATES = {name for model in MODELS.values() for name in model.state} - OF_EVERY_MODEL
STATES |= {name for rule in RULES.values() for name in (*rule.pre, *rule.post, *rule.state)} - OF_WEIGHTS
PARAMETERS = {name for one in (*MODELS.values(), *RULES.values()) for name in one.model_fields}
PARAMETERS -= {*NeuronModel.model_fields, *OF_EVERY_MODEL}
KINDS = {kind for kind in (*MODELS, *RULES) if not keyword.iskeyword(kind) and kind not in STATES}
CLASSES = {one.__name__ for one in (*MODELS.values(), *RULES.values())}
TELLING = {name for name in STATES | PARAMETERS | KINDS if "_" in name} | {name for name in CLASSES if len(name) > 2}
"""Names that mean a model or a rule even in the middle of a text."""


def names_of_models(tree: ast.AST) -> Iterator[str]:
    """Where a module names a model or a rule, its class or its file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in KINDS | CLASSES:
            yield f"line {node.lineno}: the text {node.value!r}"
        elif isinstance(node, ast.Name | ast.Attribute) and _word(node) in CLASSES & TELLING:
            yield f"line {node.lineno}: the class {_word(node)}"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                name = f"{getattr(node, 'module', '')}.{alias.name}"
                if re.search(r"kernels\.(models|rules\.(?!(rules|broken|kind_of)\b))", name):
                    yield f"line {node.lineno}: an import of {alias.name}"


def equations(tree: ast.AST) -> Iterator[str]:
    """Where a module computes with a state variable, or names a parameter."""
    turns = {
        name.id
        for node in ast.walk(tree)
        if isinstance(node, ast.For | ast.comprehension)
        for name in ast.walk(node.target)
        if isinstance(name, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Add | ast.Sub | ast.Mult | ast.Div):
            sides = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.target, node.value)
            for side in sides:
                if _word(side) in STATES - turns:
                    yield f"line {node.lineno}: arithmetic on a state: {ast.unparse(node)}"
        if isinstance(node, ast.Name | ast.Attribute | ast.Subscript) and _word(node) in PARAMETERS:
            if isinstance(node, ast.Name) and "_" not in node.id:
                continue  # a local variable may be called r or tau
            yield f"line {node.lineno}: the parameter {_word(node)}"


def _word(node: ast.AST) -> str:
    """The name that a node is: a variable, an attribute, or the text between brackets."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript):
        return _word(node.slice)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def texts(tree: ast.AST) -> Iterator[str]:
    """Telling names in the texts of a module, such as those that a printer joins; docstrings are prose."""
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            for name in sorted(TELLING & set(re.findall(r"\w+", node.value))):
                yield f"line {node.lineno}: {name} in a text"


@pytest.mark.parametrize("path", STEPS, ids=lambda path: path.stem)
def test_what_steps_neurons_knows_no_model_no_rule_and_no_equation(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert [*names_of_models(tree), *equations(tree), *texts(tree)] == []


def test_the_cuda_text_that_is_not_printed_knows_no_model_either() -> None:
    written = sorted((PACKAGE / "kernels").glob("*.cu"))
    assert written
    for path in written:
        assert TELLING & set(re.findall(r"\w+", path.read_text())) == set()


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_computes_its_state_in_update_alone(kind: str) -> None:
    model = MODELS[kind]
    for name, member in vars(model).items():
        function = member.__func__ if isinstance(member, staticmethod | classmethod) else member
        if name == "update" or not inspect.isfunction(function):
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        assert used & set(model.state) == set(), f"{name} names a state variable"


@pytest.mark.parametrize("kind", RULES)
def test_a_rule_computes_what_it_keeps_in_its_three_functions_alone(kind: str) -> None:
    rule = RULES[kind]
    for name, member in vars(rule).items():
        function = member.__func__ if isinstance(member, staticmethod | classmethod) else member
        if name in FUNCTIONS or not inspect.isfunction(function):
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        assert used & {*rule.pre, *rule.post, *rule.state} == set(), f"{name} names what the rule keeps"


@pytest.mark.parametrize(
    "planted",
    [
        'if form.name == "Lif":\n    pass',
        'if kind == "lif_exc_inh":\n    pass',
        "from spikeflow.kernels.models.lif import Lif",
        "import spikeflow.kernels.models.lif as one",
        "isinstance(model, LifExcInh)",
        "v = v + leak * (rest - v)",
        "state['v'] *= keep",
        "rows.v - rows.u",
        "x = model.v_th",
        "text = 'v = v_reset;'",
        "text = f'{row} = i_exc * {gain}'",
        'if learning.kind == "r_stdp":\n    pass',
        "from spikeflow.kernels.rules.stdp import Stdp as one",
        "import spikeflow.kernels.rules.stdp as one",
        "isinstance(rule, RStdp)",
        "t_pre = t_pre * keep",
        "weight + plus * traces['t_post']",
        "y = rule.eta_plus",
        "text = 'w = w + eta_minus * t_post;'",
    ],
)
def test_what_breaks_the_rule_is_found(planted: str) -> None:
    tree = ast.parse(planted)
    assert [*names_of_models(tree), *equations(tree), *texts(tree)]


# Adding a model is one file and its test.

MODEL = '''
"""A quadratic integrate-and-fire neuron."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from spikeflow.kernels.model import Array, NeuronModel, Time, Value
from spikeflow.kernels.vocabulary import Real, where
from spikeflow.units import Seconds


class Quadratic(NeuronModel):
    """Quadratic integrate-and-fire.

    dv/dt = (v (v - v_crit) + current) / tau;  where v > v_peak: a spike, v = v_reset.
    Source: Latham et al. (2000).
    """

    tau: Time = Field(10e-3, description="time constant")
    v_crit: Value = Field(0.5, description="above it the potential runs away")
    v_peak: Value = Field(2.0, description="a spike where v is above it")
    v_reset: Value = Field(-0.5, description="potential after a spike")

    state: ClassVar = ("v",)
    receptors: ClassVar = ("current",)
    presets: ClassVar = {"eager": {"v_crit": 0.2, "tau": "5 ms"}}

    def constants(self, dt: Seconds) -> Mapping[str, float | Array]:
        return {"step": dt / self.tau}

    @staticmethod
    def update(
        v: Real, current: Real, step: Real, v_crit: Real, v_peak: Real, v_reset: Real
    ) -> Any:
        v = v + step * (v * (v - v_crit) + current)
        spiked = v > v_peak
        return where(spiked, v_reset, v), spiked
'''

TICKS, NEURONS = 200, 70
CURRENTS = np.random.default_rng(1).normal(1.0, 1.5, (TICKS, NEURONS)).astype(np.float32)
BACKENDS = [*(name for name in backends() if name in ("numpy", "numba")), *(["cuda_host"] if COMPILER else [])]


def quadratic() -> list[tuple[int, int]]:
    """Ticks and neurons of the spikes, as the equations say, with `preset: eager` and v_peak 1.5."""
    step, crit, peak, reset = (np.float32(x) for x in (1e-3 / 5e-3, 0.2, 1.5, -0.5))
    v, spikes = np.zeros(NEURONS, np.float32), []
    for tick, current in enumerate(CURRENTS):
        v = v + step * (v * (v - crit) + current)
        spikes += [(tick, int(neuron)) for neuron in np.flatnonzero(v > peak)]
        v = np.where(v > peak, reset, v)
    return spikes


def packaged(folder: Path, name: str, group: str, text: str) -> Path:
    """A package with one class in one file, as pip would leave it; `name` is its kind."""
    package, site = f"own_{name}", folder / "site"
    (site / package).mkdir(parents=True)
    (site / package / "__init__.py").write_text('"""Kinds of one\'s own."""\n')
    (site / package / f"{name}.py").write_text(text)
    (info := site / f"{package}-1.0.dist-info").mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {package}.{name}:{name.capitalize()}\n")
    return site


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with one model."""
    monkeypatch.syspath_prepend(str(packaged(tmp_path, "quadratic", "spikeflow.models", MODEL)))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "own_quadratic"]:
        del sys.modules[name]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_of_an_installed_package_runs_by_its_name_on_every_backend(
    installed: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPIKEFLOW_BACKEND", backend)
    rows = [
        f"{tick * 1_000_000},{n},{value!r}" for tick, row in enumerate(CURRENTS.tolist()) for n, value in enumerate(row)
    ]
    (installed / "in.csv").write_text("\n".join(["t,channel,value", *rows]) + "\n")
    (installed / "graph.yaml").write_text(
        "spikeflow: 1\n"
        "time: {dt: 1 ms, window: 50 ms}\n"
        "nodes:\n"
        f"  drive: {{source: file, path: in.csv, size: {NEURONS}}}\n"
        f"  hidden: {{neuron: quadratic, size: {NEURONS}, input: drive, preset: eager, v_peak: 1.5}}\n"
        "  tape: {sink: file, input: hidden, path: out.arrow}\n"
    )
    spikeflow.run_blocking(load(installed / "graph.yaml"))
    expected = quadratic()
    assert len(expected) > 100
    assert spikes_of(installed / "out.arrow") == expected
    result = spikeflow.simulate("quadratic", CURRENTS, preset="eager", v_peak=1.5, backend=backend)
    assert [(int(tick), int(neuron)) for tick, neuron in np.argwhere(result.spikes)] == expected


def spikes_of(path: Path) -> list[tuple[int, int]]:
    """Ticks of 1 ms and neurons in a file."""
    table = feather.read_table(path)
    t_ns = table["t"].cast("int64").to_numpy()
    return list(zip((t_ns // 1_000_000).tolist(), table["neuron"].to_pylist(), strict=True))


def test_a_model_of_an_installed_package_is_known_like_the_others(installed: Path) -> None:
    assert "quadratic" in kinds("neuron")
    about = node_class("neuron", "quadratic").about()
    assert about["presets"] == {"eager": {"v_crit": 0.2, "tau": "5 ms"}}
    assert about["source"] == "Latham et al. (2000)."
    assert "v = v + step * (v * (v - v_crit) + current)" in about["equations"]
    with pytest.raises(spikeflow.GraphError, match=r"unknown neuron model 'quadratc' — did you mean 'quadratic'\?"):
        load({"nodes": {"n": {"neuron": "quadratc", "size": 1, "input": "n"}}})


RULE = '''
"""Oja's rule, for spikes."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from spikeflow.kernels.parameters import Span
from spikeflow.kernels.rule import LearningRule
from spikeflow.kernels.vocabulary import Real
from spikeflow.units import Seconds


class Oja(LearningRule):
    """Oja's rule: where the neuron fires, a synapse moves to what arrived before, and forgets.

    dx/dt = -x / tau_x, + 1 at a spike that arrives;  w += rate (x - y w), drift += that, where the neuron fires;
    y is what the receptor `gate` has heard.
    Source: Oja (1982).
    """

    tau_x: Span = Field(20e-3, description="time constant of what arrived")
    rate: float = Field(0.1, description="rate of learning")

    pre: ClassVar = ("x", "fired")
    post: ClassVar = ("y", "fires")
    state: ClassVar = ("w", "drift")
    receptors: ClassVar = ("gate",)

    def constants(self, dt: Seconds) -> Mapping[str, float]:
        return {"keep": 1.0 - dt / self.tau_x}

    @staticmethod
    def trace_pre(x: Real, fired: Real, z: Real, keep: Real) -> Any:
        return x * keep + z, z

    @staticmethod
    def trace_post(y: Real, fires: Real, z: Real, gate: Real) -> Any:
        return y + gate, z

    @staticmethod
    def update(w: Real, drift: Real, x: Real, fired: Real, y: Real, fires: Real, rate: Real) -> Any:
        change = rate * (fires * (x - y * w))
        return w + change, drift + change
'''

RUN_RULE = f"""
import os, sys
import spikeflow
from spikeflow.cli import app
from spikeflow.spec import load
from tests.kernels import cuda_host

for backend in {BACKENDS}:
    os.environ["SPIKEFLOW_BACKEND"] = backend
    os.environ["TO"] = backend
    spikeflow.run_blocking(load("graph.yaml"))
app(["nodes", "oja"])
"""
OWN_TICKS, PRE, POST = 60, 5, 67


def oja(arriving: npt.NDArray[Any], spikes: npt.NDArray[Any], weights: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    """The synapses [tick, post * pre] and traces after every tick, as the equations say, with rate 0.3."""
    keep, rate = np.float32(1 - 1e-3 / 20e-3), np.float32(0.3)
    x, y = np.zeros(PRE, np.float32), np.float32(0)
    w, drift = weights.astype(np.float32), np.zeros((POST, PRE), np.float32)
    kept: dict[str, list[npt.NDArray[Any]]] = {"w": [], "drift": [], "x": []}
    for arrived, fires in zip(arriving.astype(np.float32), spikes.astype(np.float32), strict=True):
        x, y = x * keep + arrived, y + arrived.sum(dtype=np.float32) * np.float32(0.125)
        change = rate * (fires[:, None] * (x[None, :] - y * w))
        w, drift = w + change, drift + change
        for name, value in (("w", w), ("drift", drift), ("x", x)):
            kept[name].append(value.ravel())
    return {name: np.array(rows) for name, rows in kept.items()}


def test_a_rule_of_an_installed_package_learns_by_its_name_on_every_backend(tmp_path: Path) -> None:
    site = packaged(tmp_path, "oja", "spikeflow.rules", RULE)
    rng = np.random.default_rng(3)
    arriving, weights = rng.random((OWN_TICKS, PRE)) < 0.3, rng.uniform(0.5, 3, (POST, PRE))
    rows = [f"{tick * 1_000_000},{channel}" for tick, channel in np.argwhere(arriving)]
    (tmp_path / "in.csv").write_text("\n".join(["t,neuron", *rows]) + "\n")
    np.save(tmp_path / "w.npy", weights)
    (tmp_path / "graph.yaml").write_text(
        "spikeflow: 1\n"
        "time: {dt: 1 ms, window: 7 ms}\n"
        "nodes:\n"
        f"  drive: {{source: file, path: in.csv, size: {PRE}, length: {OWN_TICKS} ms}}\n"
        "  hidden:\n"
        "    neuron: lif\n"
        f"    size: {POST}\n"
        "    inputs:\n"
        "      - {from: drive, weights: w.npy, learn: {oja: {rate: 0.3}, name: own}}\n"
        "      - {from: drive, weights: 0.125, to: gate}\n"
        "    record: {w_own: {every: 1 ms}, drift_own: {every: 1 ms}}\n"
        '  tape: {sink: file, input: [hidden, hidden.w_own, hidden.drift_own, hidden.x_own], path: "out-${TO:-x}"}\n'
    )
    done = subprocess.run(
        [sys.executable, "-c", RUN_RULE], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(PACKAGE.parent)])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "rule: oja\n" in done.stdout and "Oja (1982)" in done.stdout and "drift_<name>" in done.stdout
    for backend in BACKENDS:
        out = tmp_path / f"out-{backend}"
        spikes = np.zeros((OWN_TICKS, POST))
        spikes[tuple(np.array(spikes_of(out / "hidden.arrow")).T)] = 1
        assert spikes.sum() > 100
        for name, expected in oja(arriving, spikes, weights).items():
            value = feather.read_table(out / f"hidden.{name}_own.arrow")["value"].to_numpy()
            np.testing.assert_array_equal(value.reshape(OWN_TICKS, -1), expected, err_msg=f"{backend}: {name}")
