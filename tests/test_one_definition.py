"""Every equation stands in one `update`, no backend knows a model, and a new model is one file."""

from __future__ import annotations

import ast
import inspect
import keyword
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikeflow
from spikeflow.catalog import kinds, node_class
from spikeflow.kernels import NeuronModel, backends
from spikeflow.spec import load
from tests.kernels.cuda_host import COMPILER

PACKAGE = Path(spikeflow.__file__).parent
DECLARES = {"model", "parameters", "about", "refusals"}
"""What a model declares, and the texts about it: fields of the base and of other packages are named there."""
OF_PLACES = {"receptive_fields"}
"""Makes weights from the places x and y of a filter, which two models call their states."""
STEPS = [
    *(path for path in sorted((PACKAGE / "kernels").glob("*.py")) if path.stem not in DECLARES | OF_PLACES),
    PACKAGE / "nodes" / "population.py",
    PACKAGE / "simulation.py",
]
OF_EVERY_MODEL = {"rho", "rho_reset"}
"""The ticks of silence that are left, which every model may have."""


def models() -> dict[str, type[NeuronModel]]:
    """Every model that comes with the package, by kind."""
    classes: dict[str, Any] = {kind: node_class("neuron", kind) for kind in kinds("neuron")}
    found = {kind: cls.model_class for kind, cls in classes.items() if hasattr(cls, "model_class")}
    return {kind: model for kind, model in found.items() if model.__module__.startswith("spikeflow.")}


MODELS = models()
STATES = {name for model in MODELS.values() for name in model.state} - OF_EVERY_MODEL
PARAMETERS = {name for model in MODELS.values() for name in model.model_fields}
PARAMETERS -= {*NeuronModel.model_fields, *OF_EVERY_MODEL}
KINDS = {kind for kind in MODELS if not keyword.iskeyword(kind) and kind not in STATES}
CLASSES = {model.__name__ for model in MODELS.values()}
TELLING = {name for name in STATES | PARAMETERS | KINDS if "_" in name} | {name for name in CLASSES if len(name) > 2}
"""Names that mean a model even in the middle of a text."""


def names_of_models(tree: ast.AST) -> Iterator[str]:
    """Where a module names a model, its class or its file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in KINDS | CLASSES:
            yield f"line {node.lineno}: the text {node.value!r}"
        elif isinstance(node, ast.Name | ast.Attribute) and _word(node) in CLASSES & TELLING:
            yield f"line {node.lineno}: the class {_word(node)}"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                if "kernels.models" in f"{getattr(node, 'module', '')}.{alias.name}":
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
def test_what_steps_neurons_knows_no_model_and_no_equation(path: Path) -> None:
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


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with one model, as pip would leave it."""
    site = tmp_path / "site"
    (site / "own_models").mkdir(parents=True)
    (site / "own_models" / "__init__.py").write_text('"""Models of one\'s own."""\n')
    (site / "own_models" / "quadratic.py").write_text(MODEL)
    (info := site / "own_models-1.0.dist-info").mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-models\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[spikeflow.models]\nquadratic = own_models.quadratic:Quadratic\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "own_models"]:
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
    from pyarrow import feather

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
