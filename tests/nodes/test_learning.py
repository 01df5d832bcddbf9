"""Learning as a graph file says it: ports, warnings, rules that cannot be had, and weights that are lost."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pyarrow import feather
from pydantic import TypeAdapter

import spikeflow
from spikeflow.errors import GraphError, NodeError
from spikeflow.kernels import backends, connect
from spikeflow.kernels import rules as package
from spikeflow.kernels.connect_fields import Weights
from spikeflow.spec import load

BACKENDS = [name for name in backends() if name in ("numpy", "numba")]


def graph(*inputs: str, more: str = "") -> str:
    listed = "".join(f"      - {{{one}}}\n" for one in inputs)
    source = "{source: file, path: in.csv, size: 4, length: 60 ms}"
    population = f"    neuron: lif\n    size: 4\n    inputs:\n{listed}{more}"
    return f"spikeflow: 1\nseed: 3\nnodes:\n  x: {source}\n  n:\n{population}"


def write(folder: Path, text: str) -> Path:
    """A graph of four channels that fire in turn."""
    rows = [f"{tick * 1_000_000},{tick % 4}" for tick in range(60)]
    (folder / "in.csv").write_text("\n".join(["t,neuron", *rows]) + "\n")
    (folder / "graph.yaml").write_text(text)
    return folder / "graph.yaml"


def warnings(folder: Path, *inputs: str) -> list[str]:
    found = load(write(folder, graph(*inputs)))
    return [f"{one.found} — {one.hint}" for one in found.warnings if "listens" not in one.found]


def test_weights_beyond_the_bounds_are_counted_at_check(tmp_path: Path) -> None:
    hint = "choose weights within the bounds, or other bounds"
    assert warnings(tmp_path, "from: x, weights: 1.5, learn: stdp") == [
        f"16 of 16 weights beyond the bounds of stdp, the farthest 1.5, which starts at 1 — {hint}"
    ]
    assert warnings(tmp_path, "from: x, learn: {r_stdp: {w_max: 0.5}}") == [
        f"4 of 4 weights beyond the bounds of r_stdp, the farthest 1, which starts at 0.5 — {hint}"
    ]
    np.save(tmp_path / "w.npy", np.linspace(-2, 1, 16).reshape(4, 4))
    assert warnings(tmp_path, "from: x, weights: w.npy, learn: {stdp: {w_max: 0.7}}") == [
        f"12 of 16 weights beyond the bounds of stdp, the farthest -2, which starts at 0 — {hint}"
    ]


@pytest.mark.parametrize(
    "learn",
    ["{stdp: {w_min: -2}}", "{stdp: {hardbound: false}}", "{stdp: , frozen: true}", "stdp_sensor"],
)
def test_weights_that_start_as_they_are_warn_of_nothing(tmp_path: Path, learn: str) -> None:
    assert warnings(tmp_path, f"from: x, weights: -1.5, learn: {learn}") == []


def test_the_count_is_that_of_the_weights_that_the_run_draws(tmp_path: Path) -> None:
    drawn = "from: x, weights: {normal: {mean: 0.5, std: 0.5}}"
    (said,) = warnings(tmp_path, f"{drawn}, learn: {{stdp: {{eta_plus: 0, eta_minus: 0}}}}")
    free = recorded(tmp_path, f"{drawn}, learn: {{stdp: {{hardbound: false, eta_plus: 0, eta_minus: 0}}, name: w}}")
    outside = int(np.count_nonzero((free < 0) | (free > 1)))
    assert 0 < outside < 16 and said.startswith(f"{outside} of 16 weights ")


def many(weights: Any, **learn: Any) -> dict[str, Any]:
    return {
        "x": {"source": "synthetic", "signal": "poisson", "size": 1000, "length": "1 s"},
        "n": {"neuron": "lif", "size": 1000, "inputs": [{"from": "x", "weights": weights, "learn": {"stdp": learn}}]},
    }


def test_of_many_weights_the_first_are_looked_at_and_none_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("built")

    monkeypatch.setattr(connect, "build", never)
    draw = {"uniform": {"low": 0.0, "high": 2.0}}
    (drawn,) = (one.found for one in spikeflow.load({"nodes": many(draw, w_max=1.5)}).warnings)
    count = int(drawn.partition(" ")[0])
    assert 24_000 < count < 26_000
    assert drawn.startswith(f"{count} of the first 100000 weights beyond the bounds of stdp, the farthest ")
    assert not spikeflow.load({"nodes": many(draw, w_max=2)}).warnings
    (number,) = (one.found for one in spikeflow.load({"nodes": many(3.0)}).warnings)
    assert number.startswith("100000 of the first 100000 weights beyond the bounds of stdp, the farthest 3, which")
    stored = np.zeros((1000, 1000), np.float32)
    stored[999, 998:] = 7
    np.save(tmp_path / "w.npy", stored)
    (file,) = (one.found for one in spikeflow.load({"nodes": many(str(tmp_path / "w.npy"))}).warnings)
    assert file.startswith("2 of 1000000 weights beyond the bounds of stdp, the farthest 7, which starts at 1")


def test_the_first_weights_are_those_that_are_built(tmp_path: Path) -> None:
    draw = TypeAdapter(Weights).validate_python({"normal": {"mean": 0.5, "std": 0.5}})
    built = connect.build(30, 40, dt=1e-3, weights=draw, seed=3, name="n<0").weights.reshape(30, 40)
    looked = connect.first_weights(30, 40, draw, 100, 3, "n<0")
    assert built.ravel()[:100].tobytes() == looked.tobytes()


def test_several_unknown_keys_of_a_rule_are_told_at_once() -> None:
    with pytest.raises(GraphError) as caught:
        spikeflow.load({"nodes": many(0.5, tau_pre_inv=50.0, wmax=1, ta_post_inv=2)})
    first, second, third = str(caught.value).splitlines()
    assert "tau_pre_inv is one over a time constant — write tau_pre: 20 ms" in first
    assert "unknown key 'wmax' — did you mean 'w_max'?" in second
    assert "unknown key 'ta_post_inv' — did you mean 'tau_post'?" in third


def test_a_population_may_listen_to_the_weights_that_it_learns() -> None:
    own = [{"from": "n.w_m", "weights": 0.1, "delay": "10 ms"}, {"from": "m", "weights": 1.0, "learn": "stdp"}]
    back = [{"from": "x", "weights": 1.0}, {"from": "n", "weights": 1.0, "delay": "1 ms"}]
    nodes: dict[str, dict[str, Any]] = {
        "x": {"source": "synthetic", "signal": "poisson", "size": 4, "length": "50 ms"},
        "n": {"neuron": "lif", "size": 3, "inputs": own},
        "m": {"neuron": "lif", "size": 5, "inputs": back},
        "out": {"sink": "console", "input": ["n.w_m", "n.t_pre_m", "n.t_post_m", "n.v"]},
    }
    for inputs in (own, own[::-1]):
        ports = spikeflow.load({"nodes": {**nodes, "n": {**nodes["n"], "inputs": inputs}}}).nodes["n"].outlets
        assert {name: stream.size for name, stream in ports.items()} == {
            "": 3, "v": 3, "i": 3, "t_post_m": 3, "t_pre_m": 5, "w_m": 15
        }  # fmt: skip
    lost = {**nodes, "out": {"sink": "console", "input": ["n.w_x", "n.w_m"]}}
    with pytest.raises(GraphError, match="'n' has no port 'w_x' — did you mean 'n"):
        spikeflow.load({"nodes": lost})


def test_two_projections_that_neurons_of_sensors_hear_under_one_name_are_told_what_would_work() -> None:
    heard: list[dict[str, Any]] = [{"from": "x", "weights": 1.0}, {"from": "x", "weights": 2.0}]
    nodes = {
        "x": {"source": "synthetic", "signal": "poisson", "size": 4, "length": "1 s"},
        "n": {"neuron": "lif_correlation", "size": 4, "inputs": heard},
    }
    with pytest.raises(GraphError) as caught:
        spikeflow.load({"nodes": nodes})
    assert str(caught.value) == (
        "node \"n\": two projections that learn as 'x' — give one of them a name: "
        "learn: {correlation_sensor: {…}, name: …}; or add their weights up in one"
    )
    heard[1]["learn"] = {"correlation_sensor": {}, "name": "again"}
    assert {"correlation_x", "correlation_again"} <= set(spikeflow.load({"nodes": nodes}).nodes["n"].outlets)


def recorded(folder: Path, *inputs: str, on_error: str = "stop") -> npt.NDArray[Any]:
    """The weights of the last sample of the port w_w."""
    more = f"    on_error: {on_error}\n    record: {{w_w: {{every: 10 ms}}}}\n"
    more += "  tape: {sink: file, input: n.w_w, path: w.arrow}\n"
    spikeflow.run_blocking(load(write(folder, graph(*inputs, more=more))))
    found: npt.NDArray[Any] = feather.read_table(folder / "w.arrow")["value"].to_numpy()[-16:]
    return found


def test_frozen_weights_stay_as_they_are_wherever_the_bounds_are(tmp_path: Path) -> None:
    frozen = recorded(tmp_path, "from: x, weights: 3, learn: {stdp: {eta_plus: 0.5}, frozen: true, name: w}")
    assert (frozen == 3).all()
    learned = recorded(tmp_path, "from: x, weights: 3, learn: {stdp: {eta_plus: 0.5, w_max: 4}, name: w}")
    assert not (learned == 3).all()


def test_a_rule_with_time_constants_near_the_tick_is_a_warning(tmp_path: Path) -> None:
    assert warnings(tmp_path, "from: x, learn: {stdp: {tau_pre: 1 ms}}") == [
        "1 ms is coarse: dt / tau_pre is 1, above 0.5 — take a shorter dt, or a longer time constant"
    ]
    assert warnings(tmp_path, "from: x, learn: {stdp: {tau_pre: 1 ms, integrator: exact}}") == []


# An installed rule that cannot be had.


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package whose modules do not work."""
    family = package.FAMILY
    entries = [
        EntryPoint("raising", "tests.spec.raises:Delta", family.group),
        EntryPoint("missing", "no_such_module_anywhere:Rule", family.group),
        EntryPoint("nonsense", "tests.spec.helpers:NoNode", family.group),
    ]
    family.forget()
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: entries if group == family.group else [])
    yield
    family.forget()


@pytest.mark.parametrize(
    ("learn", "said"),
    [
        ("raising", "'raising' cannot be imported: RuntimeError: no licence found — mend tests.spec.raises:Delta"),
        (
            "{missing: {eta: 1}}",
            "'missing' cannot be imported: ModuleNotFoundError: No module named 'no_such_module_anywhere' "
            "— install what it needs",
        ),
        ("nonsense", "tests.spec.helpers:NoNode is no learning rule — name a subclass of LearningRule"),
    ],
)
def test_a_rule_that_cannot_be_loaded_is_explained_where_it_is_named(
    installed: None, tmp_path: Path, learn: str, said: str
) -> None:
    with pytest.raises(GraphError) as caught:
        load(write(tmp_path, graph(f"from: x, learn: {learn}")))
    assert str(caught.value).endswith(said)


def test_nobody_else_minds_a_rule_that_cannot_be_loaded(installed: None, tmp_path: Path) -> None:
    assert "stdp" in package.rules() and not {"raising", "missing", "nonsense"} & set(package.rules())
    assert warnings(tmp_path, "from: x, learn: stdp") == []


# Weights that are not numbers.

LOST = "from: x, weights: 50, learn: {r_stdp: {eta_plus: 3e38, a_pre: 100, w_max: 100}, name: w}"
"""The eligibility of the first pair of spikes is infinite, and zero times that is what no reward changes."""


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_weight_that_is_not_a_number_stops_the_run_and_is_named(
    tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPIKEFLOW_BACKEND", backend)
    with pytest.raises(NodeError, match=r"synapse 0 into 'n' is not a number at tick 0, in its 'w_w'"):
        recorded(tmp_path, LOST)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_weight_that_is_not_a_number_can_be_skipped(
    tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPIKEFLOW_BACKEND", backend)
    assert (recorded(tmp_path, LOST, on_error="skip") == 50).all()
