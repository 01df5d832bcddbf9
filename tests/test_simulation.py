"""One population on arrays does as in a graph."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikeflow
from spikeflow.catalog import kinds, node_class
from spikeflow.errors import ParameterError
from spikeflow.kernels import backends
from spikeflow.kernels.models.lif import Lif
from spikeflow.kernels.parameters import Array
from spikeflow.simulation import Simulation, simulate
from spikeflow.testing import run_node

TICKS, INPUTS, NEURONS = 60, 12, 7
BACKENDS = [name for name in backends() if name in ("numpy", "numba")]
MODELS = kinds("neuron")
RNG = np.random.default_rng(3)
SPIKES = RNG.random((TICKS, INPUTS)) < 0.2
CURRENTS = RNG.normal(2.0, 3.0, (TICKS, INPUTS)).astype(np.float32)
WEIGHTS = RNG.normal(0.4, 0.7, (NEURONS, INPUTS)).astype(np.float32)
RECURRENT = RNG.normal(0.0, 0.4, (NEURONS, NEURONS)).astype(np.float32)


def assert_same(one: Simulation, other: Simulation) -> None:
    """The same bits."""
    np.testing.assert_array_equal(one.spikes, other.spikes, strict=True)
    assert one.states.keys() == other.states.keys()
    for name, array in one.states.items():
        assert array.tobytes() == other.states[name].tobytes(), name


def grid_of(rows: list[tuple[int, int, float]]) -> Any:
    found = np.zeros((TICKS, NEURONS), np.float32)
    for tick, neuron, value in rows:
        found[tick, neuron] = value
    return found


def refused(model: Any = "lif", arriving: Any = SPIKES, **keys: Any) -> str:
    with pytest.raises(ParameterError) as caught:
        simulate(model, arriving, **keys)
    return str(caught.value)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("arriving", [SPIKES, CURRENTS], ids=["spikes", "currents"])
def test_the_result_is_that_of_a_graph(arriving: Any, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEFLOW_BACKEND", backend)
    lif: Any = node_class("neuron", "lif")
    inputs = [{"from": "x", "weights": WEIGHTS, "delay": "2 ms"}, {"from": "hidden", "weights": RECURRENT}]
    node = lif(size=NEURONS, inputs=inputs, tau_mem="8 ms", refractory=2, initial={"v": 0.3})
    ran = run_node(node, arriving, ticks=TICKS, ports=["v", "i"], name="hidden")
    result = simulate(
        "lif", arriving, dt=1e-3, weights=WEIGHTS, recurrent=RECURRENT, delay="2 ms", initial={"v": 0.3},
        tau_mem="8 ms", refractory=2, backend=backend,
    )  # fmt: skip
    assert result.spikes.sum() > 10
    np.testing.assert_array_equal(result.spikes, grid_of(ran.rows()))
    for name in ("v", "i"):
        np.testing.assert_array_equal(result.states[name], grid_of(ran.rows(name)))


def test_the_result_is_that_of_a_graph_from_file_to_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("w.npy", WEIGHTS)
    np.save("r.npy", RECURRENT)
    tick, channel = np.nonzero(SPIKES)
    rows = [f"{t * 1_000_000},{c}" for t, c in zip(tick, channel, strict=True)]
    Path("in.csv").write_text("\n".join(["t,neuron", *rows]) + "\n")
    spread = {"normal": {"mean": "10 ms", "std": "1 ms"}}
    graph = {
        "seed": 5,
        "nodes": {
            "tape": {"source": "file", "path": "in.csv", "size": INPUTS, "length": f"{TICKS} ms"},
            "hidden": {
                "neuron": "lif", "size": NEURONS, "tau_mem": spread,
                "inputs": [{"from": "tape", "weights": "w.npy"}, {"from": "hidden", "weights": "r.npy"}],
            },
            "out": {"sink": "file", "input": "hidden", "path": "out.csv"},
        },
    }  # fmt: skip
    spikeflow.run_blocking(spikeflow.load(graph))
    told = [row.split(",") for row in Path("out.csv").read_text().splitlines()[1:]]
    result = simulate(
        "lif", SPIKES, weights=WEIGHTS, recurrent=RECURRENT, tau_mem=spread, seed=5, name="hidden", backend="numpy"
    )
    assert len(told) > 5
    assert [int(row[1]) for row in told] == np.nonzero(result.spikes)[1].tolist()


def matrices(kind: str) -> list[str]:
    """The parameters of a model that are matrices."""
    cls: Any = node_class("neuron", kind)
    return [name for name, field in cls.model_class.model_fields.items() if field.annotation == (Array | None)]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", MODELS)
def test_the_result_is_that_of_a_graph_for_every_model(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEFLOW_BACKEND", "numpy")
    cls: Any = node_class("neuron", kind)
    parameters: dict[str, Any] = dict.fromkeys(matrices(kind), np.full((NEURONS, NEURONS), 0.1))
    ports = list(cls.model_class.state)
    arriving = 30 * CURRENTS[:, :NEURONS] if "v" in ports else SPIKES[:, :NEURONS]
    ran = run_node(cls(size=NEURONS, inputs=["x"], **parameters), arriving, ticks=TICKS, ports=ports, name="n")
    result = simulate(kind, arriving, backend="numpy", name="n", **parameters)
    for name in ports:
        np.testing.assert_array_equal(result.states[name], grid_of(ran.rows(name)))
    if cls.model_class.spikes:
        np.testing.assert_array_equal(result.spikes, grid_of(ran.rows()))
        assert result.spikes.dtype == (bool if cls.model_class.graded is None else np.float32)
    else:
        assert not result.spikes.any()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", MODELS)
def test_two_halves_are_the_whole_for_every_model(kind: str) -> None:
    matrix = np.full((INPUTS, INPUTS), 0.1)
    keys: dict[str, Any] = {"recurrent": matrix, "delay": 3e-3, "backend": "numpy"} | dict.fromkeys(
        matrices(kind), matrix
    )
    whole, first = simulate(kind, SPIKES, **keys), simulate(kind, SPIKES[:23], **keys)
    second = simulate(kind, SPIKES[23:], state=pickle.loads(pickle.dumps(first.state)), **keys)
    for name, array in whole.states.items():
        assert np.concatenate([first.states[name], second.states[name]]).tobytes() == array.tobytes(), name
    np.testing.assert_array_equal(np.concatenate([first.spikes, second.spikes]), whole.spikes, strict=True)


@pytest.mark.skipif("numba" not in BACKENDS, reason="Numba is not installed")
@pytest.mark.parametrize("kind", ["lif", "li"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_every_backend_gives_the_same_bits(kind: str, precision: Any) -> None:
    one, other = (
        simulate(kind, CURRENTS, weights=WEIGHTS, recurrent=RECURRENT, precision=precision, backend=backend)
        for backend in ("numpy", "numba")
    )
    assert one.v.dtype == precision
    assert_same(one, other)


def test_a_model_can_be_given_by_name_by_class_or_made() -> None:
    by_name = simulate("lif", CURRENTS, v_th=0.7, backend="numpy")
    assert_same(simulate(Lif, CURRENTS, v_th=0.7, backend="numpy"), by_name)
    assert_same(simulate(Lif(v_th=0.7), CURRENTS, backend="numpy"), by_name)


def test_an_initial_state_may_be_drawn_and_is_that_of_a_graph() -> None:
    spread: Any = {"v": {"uniform": {"low": 0.1, "high": 0.9}}}
    lif: Any = node_class("neuron", "lif")
    ran = run_node(lif(size=NEURONS, inputs=["x"], initial=spread), SPIKES[:, :NEURONS], ports=["v"], name="n", seed=8)
    result = simulate("lif", SPIKES[:, :NEURONS], initial=spread, name="n", seed=8)
    assert len(np.unique(result.v[0])) == NEURONS
    np.testing.assert_array_equal(result.v, grid_of(ran.rows("v")))
    assert refused(initial={"v": {"uniform": {"low": 1, "hihg": 2}}}) == (
        "initial 'v': uniform knows no 'hihg' — did you mean 'high'?"
    )


def test_arrays_may_go_to_several_receptors() -> None:
    exc = simulate("lif_exc_inh", {"exc": SPIKES}, weights={"exc": 9 * abs(WEIGHTS)}, backend="numpy", v_leak=-60.0)
    both = simulate(
        "lif_exc_inh", {"exc": SPIKES, "inh": CURRENTS[:, :NEURONS]}, weights={"exc": 9 * abs(WEIGHTS)},
        recurrent={"inh": -abs(RECURRENT)}, backend="numpy", v_leak=-60.0,
    )  # fmt: skip
    assert not exc.i_inh.any() and both.i_inh.any()
    np.testing.assert_array_equal(exc.i_exc, both.i_exc)


def test_whole_numbers_and_booleans_are_spikes_and_floats_are_currents() -> None:
    spikes = simulate("lif", SPIKES, weights=WEIGHTS, backend="numpy")
    assert_same(simulate("lif", SPIKES.astype(np.int8), weights=WEIGHTS, backend="numpy"), spikes)
    assert_same(simulate("lif", SPIKES.astype(float), weights=WEIGHTS, backend="numpy"), spikes)


def test_only_what_is_to_be_recorded_is_there() -> None:
    result = simulate("lif", CURRENTS, record=["v"], backend="numpy")
    assert result.v.shape == (TICKS, INPUTS)
    with pytest.raises(AttributeError, match="no state 'i' was recorded; valid: v"):
        _ = result.i
    assert not simulate("li", CURRENTS, record=(), backend="numpy").states


def test_no_ticks_change_nothing() -> None:
    none = simulate("lif", SPIKES[:0], backend="numpy")
    assert none.spikes.shape == none.v.shape == (0, INPUTS)
    assert_same(simulate("lif", SPIKES, state=none.state, backend="numpy"), simulate("lif", SPIKES, backend="numpy"))


def test_a_coarse_tick_is_a_warning_and_an_unstable_one_an_error() -> None:
    with pytest.warns(UserWarning, match="tau_mem: 10 ms is coarse"):
        simulate("lif", SPIKES, dt="6 ms", tau_syn="20 ms", backend="numpy")
    assert refused(dt="30 ms") == (
        "tau_mem: 10 ms is unstable: dt / tau_mem is 3, above 2 "
        "— take a shorter dt, integrator: exact, or allow_unstable: true"
    )


def test_what_does_not_fit_is_said_with_what_would() -> None:
    state = simulate("lif", SPIKES, backend="numpy").state
    nan = np.where(np.arange(INPUTS) == 4, np.nan, CURRENTS)
    learned = spikeflow.simulate("lif", SPIKES, weights=WEIGHTS, learn="stdp")
    said = {
        refused("lfi"): "unknown neuron model 'lfi' — did you mean 'lif'?",
        refused(tau_men=1): "Lif has no 'tau_men' — did you mean 'tau_mem'?",
        refused(tau_mem=0): "tau_mem: 0 is not above zero — write a time such as 10 ms",
        refused(tau_mem_inv=50): "tau_mem_inv is one over a time constant — write tau_mem: 20 ms",
        refused(method="super"): (
            "method only shapes gradients in training — leave it out; spikes do not depend on it"
        ),
        refused(integrator="exactly"): "integrator: 'exactly' — input should be 'euler' or 'exact'",
        refused(v_reset=2.0): "v_reset 2 is above v_th 1 — put the reset at the threshold or below",
        refused(Lif(), v_th=2.0): "v_th beside a model that is made — give them to the model itself",
        refused(dt=0): "dt of 0 — a tick lasts longer than nothing: give seconds, or '1 ms'",
        refused(backend="numbas"): "there is no backend 'numbas' here — did you mean 'numba'?",
        refused(arriving=SPIKES[:, 0]): (
            "an array of shape [60] arrives at 'i' — give [ticks, inputs]; arriving[:, None] is one input"
        ),
        refused(arriving=nan): "what arrives at 'i' holds nan at [0, 4] — give finite numbers",
        refused(arriving=2 * SPIKES.astype(int)): (
            "a spike of 2 arrives at 'i' — spikes are 0 or 1; currents are floats"
        ),
        refused(arriving=[["a"]]): "what arrives at 'i' holds <U1 — give an array of numbers",
        refused(arriving=[[1.0], [1.0, 2.0]]): (
            "what arrives at 'i' is a list of rows of several lengths — give an array of numbers"
        ),
        refused(arriving={"exc": SPIKES}): "arriving: no receptor 'exc' — valid: i",
        refused("lif_exc_inh", {"exc": SPIKES, "inh": SPIKES[1:]}): (
            "arrays of 59 and 60 ticks arrive — give every receptor as many"
        ),
        refused("lif_exc_inh", {"exc": SPIKES, "inh": SPIKES}, weights=WEIGHTS): (
            "one array of weights for exc and inh — give {'exc': …}, receptor to [post, pre]"
        ),
        refused(weights=WEIGHTS.T): (
            "weights of shape [12, 7] for 12 inputs: they fit transposed — give [post, pre], here [neurons, 12]"
        ),
        refused(weights=WEIGHTS[0]): "weights of shape [12] — give [post, pre], or leave them out",
        refused(weights=np.where(WEIGHTS[2, 3] == WEIGHTS, np.nan, WEIGHTS)): (
            "weights holds nan at [2, 3] — give finite numbers"
        ),
        refused(recurrent=WEIGHTS): ("recurrent of shape [7, 12] — give as many rows as columns: [post, pre]"),
        refused(recurrent=RECURRENT): (
            "7 neurons by recurrent [7, 7], 12 neurons by 12 inputs one to one "
            "— make them agree; weights and recurrent are [post, pre]"
        ),
        refused(delay="1500 us"): "a delay of 1.5 ms is not a whole number of ticks — write a multiple of 1 ms",
        refused(initial={"w": 1.0}): "initial: no state variable 'w' — valid: i, v",
        refused(initial={"v": [1.0, 2.0]}): (
            "initial 'v' of shape [2] for 12 neurons — give one value, or one per neuron"
        ),
        refused(record=["w"]): "no state variable 'w' — valid: i, v",
        refused(v_th=np.ones(3)): "v_th: 3 values for 12 neurons — give one value, or one per neuron",
        refused(state=3): "a state that is a int — give the `state` of a result",
        refused(state=state, initial={"v": 1.0}): (
            "both initial and state — keep one of them; state is where another call ended"
        ),
        refused(state=state, weights=WEIGHTS): (
            "a state of 12 Lif in float32, 12 spikes at 'i' for 7 Lif in float32, 12 spikes at 'i' "
            "— go on with the same model, arrays and rules"
        ),
        refused(state=learned.state, weights=WEIGHTS, learn="r_stdp"): (
            "a state of 7 Lif in float32, 12 spikes at 'i', learning by stdp for 7 Lif in float32, 12 spikes at 'i', "
            "learning by r_stdp — go on with the same model, arrays and rules"
        ),
    }
    for found, expected in said.items():
        assert found == expected


STDP = {"stdp": {"eta_plus": 0.3, "eta_minus": 0.2, "w_min": -2.0, "w_max": 3.0, "integrator": "exact"}}


def test_what_was_learned_is_that_of_a_graph() -> None:
    lif: Any = node_class("neuron", "lif")
    inputs = [
        {"from": "x", "weights": WEIGHTS, "learn": STDP},
        {"from": "hidden", "weights": RECURRENT, "learn": {**STDP, "name": "own"}},
    ]
    record = {port: {"every": "1 ms"} for port in ("w_x", "w_own")}
    node = lif(size=NEURONS, inputs=inputs, tau_syn="20 ms", record=record)
    ran = run_node(node, SPIKES, ticks=TICKS, ports=["w_x", "w_own"], name="hidden")
    result = simulate(
        "lif", SPIKES, weights=WEIGHTS, recurrent=RECURRENT, tau_syn="20 ms", learn=STDP, learn_recurrent=STDP
    )
    assert result.spikes.sum() > 20
    for name, port, begun in (("i", "w_x", WEIGHTS), ("recurrent i", "w_own", RECURRENT)):
        rows = [row for row in ran.rows(port) if row[0] == TICKS - 1]
        assert [value for _, _, value in rows] == result.learned[name].ravel().tolist()
        assert np.abs(result.learned[name] - begun).max() > 0.1


def test_learning_goes_on_from_a_state() -> None:
    keys: dict[str, Any] = {"weights": WEIGHTS, "learn": STDP, "tau_syn": "20 ms"}
    whole = simulate("lif", SPIKES, **keys)
    half = simulate("lif", SPIKES[:25], **keys)
    rest = simulate("lif", SPIKES[25:], state=pickle.loads(pickle.dumps(half.state)), **keys)
    assert np.array_equal(rest.learned["i"], whole.learned["i"])
    assert not np.array_equal(half.learned["i"], whole.learned["i"])


def test_a_reward_arrives_at_a_receptor_of_its_own() -> None:
    rule = {"r_stdp": {"eta": 0.1, "w_min": -2.0, "w_max": 3.0}}
    reward = np.zeros((TICKS, NEURONS), np.float32)
    reward[40, 2] = 1.0
    keys: dict[str, Any] = {"weights": {"i": WEIGHTS}, "learn": rule, "tau_syn": "20 ms"}
    learned = simulate("lif", {"i": SPIKES, "reward": reward}, **keys).learned["i"]
    changed = np.flatnonzero((learned != WEIGHTS).any(axis=1))
    assert changed.tolist() == [2]


def test_sensors_of_a_model_measure_without_being_asked() -> None:
    result = simulate("lif_correlation", SPIKES, weights=WEIGHTS, tau_syn="20 ms")
    assert np.array_equal(result.learned["i"], WEIGHTS)
    assert any(name.endswith("/anti_correlation") and np.max(value) > 1 for name, value in result.state.items())


@pytest.mark.parametrize(
    ("learn", "said"),
    [
        ("sdtp", "learn: unknown rule 'sdtp' — did you mean 'stdp'?"),
        ({"stdp": {"w_mx": 1}}, "stdp has no 'w_mx' — did you mean 'w_max'?"),
        ({"stdp": {"tau_pre_inv": 20.0}}, "tau_pre_inv is one over a time constant — write tau_pre: 50 ms"),
        ({"stdp": {"tau_pre": -1.0}}, "learn: tau_pre: -1 s is not above zero — write a time such as 10 ms"),
        (
            {"stdp": {"tau_pre": 1e-4}},
            "tau_pre: 100 us is unstable: dt / tau_pre is 10, above 2 — take a shorter dt, or a longer time constant",
        ),
        ({"stdp": {"w_min": 5.0}}, "w_min 5 is above w_max 1 — swap them"),
        (3, "learn is 3 — name a rule, or give {kind: {…}}, or a rule with its parameters"),
        ({"stdp": 3}, "learn: stdp: 3 — give the rule's parameters as a mapping"),
        ({}, "learn names 0 rules — name one: correlation_sensor, r_stdp, stdp, stdp_sensor"),
    ],
)
def test_a_rule_that_is_none_is_refused(learn: Any, said: str) -> None:
    assert refused(weights=WEIGHTS, learn=learn) == said
