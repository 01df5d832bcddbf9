"""NIR's neurons: its equations step by step, and their solutions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikeflow import simulate
from spikeflow.catalog import node_class
from spikeflow.kernels import backends
from spikeflow.kernels.parameters import Array

BACKENDS = [name for name in backends() if name in ("numpy", "numba")]
TICKS, NEURONS, DT = 120, 5, 1e-3
RNG = np.random.default_rng(17)
CURRENTS = RNG.normal(1.0, 2.0, (TICKS, NEURONS))
P = {
    "tau": RNG.uniform(5e-3, 20e-3, NEURONS),
    "tau_mem": RNG.uniform(5e-3, 20e-3, NEURONS),
    "tau_syn": RNG.uniform(2e-3, 8e-3, NEURONS),
    "r": RNG.uniform(0.5, 2.0, NEURONS),
    "v_leak": RNG.uniform(-0.2, 0.2, NEURONS),
    "v_threshold": RNG.uniform(0.7, 1.2, NEURONS),
    "v_reset": RNG.uniform(-0.3, 0.1, NEURONS),
    "w_in": RNG.uniform(0.5, 2.0, NEURONS),
}


def filtered(v: Array, i: Array, x: Array) -> tuple[Array, Array]:
    i = i + DT / P["tau_syn"] * (P["w_in"] * x - i)
    return v + DT / P["tau_mem"] * ((P["v_leak"] - v) + P["r"] * i), i


def leaky(v: Array, i: Array, x: Array) -> tuple[Array, Array]:
    return v + DT / P["tau"] * ((P["v_leak"] - v) + P["r"] * x), i


def summed(v: Array, i: Array, x: Array) -> tuple[Array, Array]:
    return v + P["r"] * x, i


STEPS = {"cuba_lif": filtered, "cuba_li": filtered, "nir_lif": leaky, "nir_li": leaky, "if": summed, "i": summed}


def model_class(kind: str) -> Any:
    return getattr(node_class("neuron", kind), "model_class")  # noqa: B009 - nodes in general have none


def parameters(kind: str) -> dict[str, Any]:
    return {name: value for name, value in P.items() if name in model_class(kind).model_fields}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("reset_by", ["value", "subtract"])
@pytest.mark.parametrize("kind", STEPS)
def test_eulers_steps_of_nirs_equations(kind: str, reset_by: str, backend: str) -> None:
    spikes = model_class(kind).spikes
    if not spikes and reset_by == "subtract":
        return
    given = parameters(kind) | ({"reset_by": reset_by} if spikes else {})
    result = simulate(kind, CURRENTS, dt=DT, precision="float64", backend=backend, **given)
    v = P["v_reset"] if kind == "if" else np.zeros(NEURONS) if kind == "i" else P["v_leak"]
    i = np.zeros(NEURONS)
    for tick, x in enumerate(CURRENTS):
        v, i = STEPS[kind](v, i, x)
        if spikes:
            spiked = v > P["v_threshold"]
            np.testing.assert_array_equal(result.spikes[tick], spiked)
            v = np.where(spiked, v - P["v_threshold"] if reset_by == "subtract" else P["v_reset"], v)
        np.testing.assert_allclose(result.v[tick], v, rtol=1e-12, atol=1e-12)
    if spikes:
        assert 10 < result.spikes.sum() < TICKS * NEURONS


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_potential_at_the_threshold_is_no_spike(backend: str) -> None:
    spikes = simulate("if", np.full((9, 1), 0.25), backend=backend).spikes
    assert np.flatnonzero(spikes[:, 0]).tolist() == [4]
    leaky = simulate("nir_lif", np.ones((60, 1)), tau="2 ms", backend=backend)
    assert leaky.v[-1, 0] == 1.0 and not leaky.spikes.any()


def test_an_integrator_counts_a_tick_as_one_or_by_its_length() -> None:
    x = np.full((4, 1), 0.5)
    assert simulate("i", x, r=2.0).v[:, 0].tolist() == [1.0, 2.0, 3.0, 4.0]
    scaled = simulate("i", x, r=2.0, dt="0.5 s", scaled=True).v[:, 0]
    assert scaled.tolist() == [0.5, 1.0, 1.5, 2.0]
    spikes = simulate("if", x, r=2.0, dt="0.5 s", scaled=True).spikes[:, 0]
    assert spikes.tolist() == [False, False, True, False]


def step_response(kind: str, t: Array) -> Array:
    """v at the times t under a current of 1 that begins at 0, without spikes: the solution of NIR's equation."""
    leak, r = P["v_leak"], P["r"]
    if kind in ("nir_lif", "nir_li"):
        return np.asarray(leak + r * -np.expm1(-t / P["tau"]))
    mem, syn = P["tau_mem"], P["tau_syn"]
    both = (mem * np.exp(-t / mem) - syn * np.exp(-t / syn)) / (mem - syn)
    return np.asarray(leak + r * P["w_in"] * (1 - both))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["cuba_lif", "cuba_li", "nir_lif", "nir_li"])
def test_the_exact_integrator_follows_the_solution_and_euler_comes_near_it(kind: str, backend: str) -> None:
    given = parameters(kind) | ({"v_threshold": 100.0} if model_class(kind).spikes else {})
    ticks = 40
    for dt in (1e-3, 2e-3):
        x = np.ones((ticks, NEURONS))
        exact = simulate(kind, x, dt=dt, integrator="exact", precision="float64", backend=backend, **given)
        t: Array = np.asarray(dt * np.arange(1, ticks + 1, dtype=np.float64)[:, None])
        np.testing.assert_allclose(exact.v, step_response(kind, t), rtol=1e-11, atol=1e-12)
    euler = simulate(kind, np.ones((4000, NEURONS)), dt=1e-5, precision="float64", backend=backend, **given)
    np.testing.assert_allclose(euler.v[-1], step_response(kind, np.array([0.04])), rtol=2e-3)


@pytest.mark.parametrize("kind", STEPS)
def test_a_reset_above_the_threshold_is_refused_under_nirs_names(kind: str) -> None:
    if model_class(kind).spikes:
        (problem,) = model_class(kind)(v_reset=2.0).problems(DT)
        assert problem.path == ("v_reset",) and "v_threshold 1" in problem.found
