"""Models: their options, their parameters, and the equations where there is a closed form."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import ValidationError

from spikeflow.errors import ParameterError
from spikeflow.kernels import Events, Group, Network, NeuronModel, Projection, Train, backends
from spikeflow.kernels.model import form, pruned
from spikeflow.kernels.models.ada_lif import AdaLif
from spikeflow.kernels.models.li import Li
from spikeflow.kernels.models.li_box import LiBox
from spikeflow.kernels.models.lif import Lif
from spikeflow.kernels.models.lif_current import LifCurrent
from spikeflow.kernels.models.lif_ex import LifEx
from spikeflow.kernels.models.lif_exc_inh import LifExcInh
from spikeflow.kernels.models.lsnn import Lsnn
from spikeflow.kernels.synapses import one_to_one
from spikeflow.kernels.vocabulary import Real, maximum, minimum, where
from tests.kernels import catalogue

BACKENDS = [name for name in backends() if name in ("numpy", "numba")]


def test_options_are_decided_before_a_backend_sees_the_equations() -> None:
    decided, constants = form(Lif(integrator="exact", input_order="last", reset_by="subtract"), 1e-3)
    assert "if " not in decided.text and "leak" not in constants and "v_reset" not in decided.text
    assert decided.text.index("i * gain") < decided.text.index("i + arriving")
    assert {"keep", "gain", "fade", "v_leak", "v_th", "zero", "one", "tiny"} == set(constants)


def test_a_branch_on_anything_else_is_an_error() -> None:
    def update(v: Real, *, integrator: str) -> Any:
        if v > 1:
            return v
        return v

    with pytest.raises(ParameterError, match="branches on v > 1 — branch on a static option"):
        pruned(update, {"integrator": "euler"})


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: LifCurrent(integrator="exact"), "integrator: exact is not known to this model — valid: euler"),
        (lambda: Li(refractory=2), "refractory is not known to this model"),
        (lambda: Lif(tau_mem="10"), "no unit"),
        (lambda: Lif(tau_mem=0.0), "not above zero"),
        (lambda: Lif(v_th="high"), "not a number"),
        (lambda: Lif(v_th=float("nan")), "finite"),
        (lambda: Lif(refractory=-1), "no refractory period"),
        (lambda: Lif(v_th=np.zeros((2, 2))), r"shape \[2, 2\]"),
    ],
)
def test_a_parameter_that_does_not_fit_says_what_would(make: Any, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        make()


def test_parameters_come_from_files_beside_the_graph(tmp_path: Path) -> None:
    np.save(tmp_path / "tau.npy", [0.01, 0.02])
    model = Lif.model_validate({"tau_mem": "tau.npy"}, context={"folder": tmp_path, "units": "required"})
    assert model.per_neuron() == {"tau_mem": 2}
    assert [str(problem) for problem in model.problems(1e-3, 3)] == [
        "2 values for 3 neurons — give one value, or one per neuron"
    ]
    with pytest.raises(ValidationError, match=r"0.01 has no unit — write '0.01 ms'"):
        Lif.model_validate({"tau_mem": 0.01}, context={"units": "required"})


def test_a_coarse_tick_warns_and_an_unstable_one_is_an_error() -> None:
    assert Lif().problems(1e-3) == []
    (coarse,) = Lif(tau_syn=1.5e-3).problems(1e-3)
    assert coarse.warning and coarse.path == ("tau_syn",) and "0.667, above 0.5" in coarse.found
    (unstable,) = Lif(tau_mem=0.4e-3).problems(1e-3)
    assert not unstable.warning and "allow_unstable" in unstable.hint
    assert Lif(tau_mem=0.4e-3, allow_unstable=True).problems(1e-3)[0].warning
    assert Lif(tau_mem=0.4e-3, integrator="exact").problems(1e-3) == []


@pytest.mark.parametrize(("given", "ticks"), [(5, 5.0), (2.5, 2.5), ("2 ms", 20.0), ("0.25 ms", 2.5), (0, 0.0)])
def test_a_refractory_period_is_ticks_or_a_time(given: Any, ticks: float) -> None:
    assert Lif(refractory=given).refractory_ticks(1e-4) == pytest.approx(ticks)


def stepped(model: NeuronModel, dt: float, ticks: int, receptor: str | None = None, size: int = 1) -> dict[str, Any]:
    """States after each tick of a neuron that gets 3.0 in tick 0."""
    record = {name: (np.arange(size), 1) for name in model.state}
    net = Network(
        [Group("n", model, size, "float64", record=record)], [Train("x", size)],
        [Projection("x", "n", one_to_one(np.full(size, 3.0)), receptor)], dt=dt, backend="numpy",
    )  # fmt: skip
    arriving = {"x": Events(np.zeros(size, np.int64), np.arange(size, dtype=np.uint32))}
    recorded = net.step(0, ticks, arriving)["n"].recorded
    return {name: recorded[name][2].reshape(ticks, size) for name in model.state}


@pytest.mark.parametrize("tau_syn", [5e-3, 20e-3, 10e-3, 10e-3 * (1 + 1e-12), 9.999999e-3])
def test_the_exact_integrator_follows_the_solution_whatever_the_time_constants(tau_syn: float) -> None:
    got = stepped(Li(tau_syn=tau_syn, integrator="exact", v_leak=0.2), 1e-3, 50)
    t, mem = 1e-3 * np.arange(1, 51), 10e-3
    apart = 1 / mem - 1 / tau_syn
    v = 0.2 + 3 / mem * np.exp(-t / mem) * np.where(abs(apart) < 1e-6, t, np.expm1(apart * t) / (apart or 1.0))
    np.testing.assert_allclose(got["v"][:, 0], v, rtol=1e-7)
    np.testing.assert_allclose(got["i"][:, 0], 3 * np.exp(-t / tau_syn), rtol=1e-12)


def test_the_exact_integrator_does_not_depend_on_the_tick_and_euler_comes_near_it() -> None:
    fine, coarse = (stepped(Li(integrator="exact"), dt, n)["v"][-1, 0] for dt, n in ((1e-4, 200), (1e-3, 20)))
    assert fine == pytest.approx(coarse, rel=1e-12)
    assert stepped(Li(), 1e-6, 20_000)["v"][-1, 0] == pytest.approx(fine, rel=1e-3)


def test_excitation_and_inhibition_have_time_constants_of_their_own() -> None:
    quiet: dict[str, Any] = {"v_th": 0.0, "refractory": 0}
    for receptor, tau in (("exc", 5e-3), ("inh", 10e-3)):
        got = stepped(LifExcInh(integrator="exact", **quiet), 1e-4, 100, receptor)
        alone = stepped(Li(tau_mem=20e-3, tau_syn=tau, v_leak=-49.0, integrator="exact"), 1e-4, 100)
        np.testing.assert_allclose(got["v"], alone["v"], rtol=1e-12)


def test_subtracting_keeps_what_is_above_the_threshold() -> None:
    got = stepped(LifCurrent(tau_mem=1e-3, reset_by="subtract"), 1e-3, 2)
    assert got["v"][:, 0].tolist() == [2.0, 0.0]


@pytest.mark.parametrize("kind", catalogue.models())
def test_a_model_says_where_its_equations_come_from(kind: str) -> None:
    cls = catalogue.models()[kind]
    text = cls.__doc__ or ""
    assert " = " in text or " += " in text or kind.startswith("lif_mc")
    assert "Source:" in text or "Brette" in text
    assert all(field.description for field in cls.model_fields.values())
    assert set(cls.model_json_schema()["properties"]) == set(cls.model_fields)


@pytest.mark.parametrize("kind", catalogue.models())
def test_a_model_holds_together(kind: str) -> None:
    cls = catalogue.models()[kind]
    for model in catalogue.variants(cls):
        assert [problem for problem in model.problems(1e-4, catalogue.SIZE) if not problem.warning] == []
        assert set(model.initial()) <= set(cls.state) and set(cls.held) <= {*cls.state, "v"}
        decided, _ = form(model, 1e-3)
        words = {node.func.id for node in ast.walk(decided.update) if isinstance(node, ast.Call)
                 and isinstance(node.func, ast.Name)}  # fmt: skip
        assert ("exp" in words) == (cls.tolerance is not None)
        assert not [node for node in ast.walk(decided.update) if isinstance(node, ast.Constant)]


@pytest.mark.slow
@pytest.mark.skipif("numba" not in BACKENDS, reason="Numba is not installed")
@pytest.mark.parametrize("kind", catalogue.models())
@pytest.mark.timeout(600)
def test_every_model_in_every_option_gives_the_bits_of_the_reference_on_numba(kind: str) -> None:
    chosen = catalogue.every(kind)
    tolerance = catalogue.models()[kind].tolerance
    expected = catalogue.run(chosen, "numpy", "float32")
    for window in (catalogue.TICKS, 7):
        found = catalogue.run(chosen, "numba", "float32", window)
        assert catalogue.differences(found, expected, "float32", tolerance) == []


def test_an_adapting_threshold_that_is_left_as_norse_runs_it_is_a_warning() -> None:
    (warning,) = Lsnn().problems(1e-3)
    assert warning.warning and warning.path == ("tau_adapt",) and "800 ms" in warning.found
    assert Lsnn(tau_adapt=0.8).problems(1e-3) == Lsnn(tau_adapt=800.0).problems(1e-3) == []
    assert [problem.path for problem in AdaLif().problems(1e-3)] == [("tau_adapt",)]


def test_an_onset_without_a_width_is_refused() -> None:
    (problem,) = LifEx(delta_T=np.array([0.5, 0.0])).problems(1e-3)
    assert not problem.warning and problem.path == ("delta_T",) and "0 is not above zero" in problem.found


def test_the_biological_preset_is_in_mv_and_fields_go_over_it() -> None:
    model = Lif(preset="biological", v_reset=-70.0)
    assert (model.tau_mem, model.tau_syn, model.v_leak, model.v_th, model.v_reset) == (0.02, 5e-4, -65, -50, -70)
    given = {"preset": "biological"}
    assert Lif.model_validate(given, context={"units": "required"}).tau_mem == 0.02
    assert stepped(model, 1e-4, 3)["v"][0, 0] == pytest.approx(-65 + 0.1 / 20 * 3)


def test_a_box_of_current_follows_the_solution() -> None:
    got = stepped(LiBox(integrator="exact", v_leak=0.5), 1e-3, 4)["v"][:, 0]
    first = 0.5 + 3 * -np.expm1(-0.1)
    np.testing.assert_allclose(got, 0.5 + (first - 0.5) * np.exp(-0.1 * np.arange(4)), rtol=1e-12)


class Jitter(NeuronModel):
    """A noisy neuron, for the words that no other model uses. dv/dt = noise."""

    state: ClassVar = ("v",)
    receptors: ClassVar = ("i",)
    noise: ClassVar = ("up", "down")

    def constants(self, dt: float) -> Mapping[str, Any]:
        return {"half": 0.5, "most": 3.0}

    @staticmethod
    def update(v: Real, i: Real, up: Real, down: Real, half: Real, most: Real, one: Real) -> Any:
        v = maximum(minimum(v + i + half * (up - down), most), one - most)
        spiked = (v > one) & (up > half)
        return where(spiked, v - one, v), spiked


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_noise_is_the_same_on_every_backend_and_for_every_split(backend: str, precision: Any) -> None:
    def net(of: str) -> Network:
        groups = [Group("n", Jitter(), 100, precision, record={"v": (np.arange(100), 1)})]
        return Network(groups, [], [], dt=1e-3, seed=3, backend=of)

    expected = net("numpy").step(0, 100, {})["n"]
    split = net(backend)
    parts = [split.step(a, 25, {})["n"] for a in range(0, 100, 25)]
    assert expected.t.size > 100
    np.testing.assert_array_equal(np.concatenate([part.neuron for part in parts]), expected.neuron)
    np.testing.assert_array_equal(np.concatenate([part.recorded["v"][2] for part in parts]), expected.recorded["v"][2])
