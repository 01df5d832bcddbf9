"""Conductances: the documented equation, the released one, and the biological set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikeflow import simulate
from spikeflow.kernels import backends
from spikeflow.kernels.models.coba_lif import CobaLif
from tests.kernels.golden import Case

BACKENDS = [name for name in backends() if name in ("numpy", "numba")]
TICKS, NEURONS = 80, 6
RNG = np.random.default_rng(5)
EXC, INH = np.array([[[0.6]], [[0.3]]]) * RNG.random((2, TICKS, NEURONS)) * (RNG.random((2, TICKS, NEURONS)) < 0.3)
RECURRENT = 0.05 * RNG.random((2, NEURONS, NEURONS))
QUICK: dict[str, Any] = {"tau_syn_exc": "5 ms", "tau_syn_inh": "5 ms", "c_m": "4 ms"}


def ran(**parameters: Any) -> Any:
    own = {"exc": RECURRENT[0], "inh": RECURRENT[1]}
    return simulate("coba_lif", {"exc": EXC, "inh": INH}, recurrent=own, precision="float64", **QUICK | parameters)


@pytest.mark.parametrize("backend", BACKENDS)
def test_input_and_the_spikes_of_the_tick_before_open_the_conductances(backend: str) -> None:
    result = ran(backend=backend)
    v, g_e, g_i, spiked = np.full(NEURONS, -20.0), np.zeros(NEURONS), np.zeros(NEURONS), np.zeros(NEURONS, bool)
    for tick in range(TICKS):
        g_e = (g_e + EXC[tick] + RECURRENT[0] @ spiked) * (1 - 0.2)
        g_i = (g_i + INH[tick] + RECURRENT[1] @ spiked) * (1 - 0.2)
        v = v + 0.25 * (0.25 * (-20 - v) + g_e * (60 - v) + g_i * (-100 - v))
        spiked = v > -10
        v[spiked] = -70
        np.testing.assert_array_equal(result.spikes[tick], spiked)
        for name, expected in (("v", v), ("g_e", g_e), ("g_i", g_i)):
            np.testing.assert_allclose(result.states[name][tick], expected, rtol=1e-11, atol=1e-13)
    assert 20 < result.spikes.sum() < TICKS * NEURONS / 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_norses_form_hears_its_own_spikes_alone_and_starts_above_the_threshold(backend: str) -> None:
    result = ran(compatibility="norse", v_rest=0.0, backend=backend)
    assert result.spikes[0].all() and not result.g_e[0].any()
    np.testing.assert_allclose(result.g_e[1], RECURRENT[0].sum(axis=1) * (1 - 0.2))
    silent = simulate(
        "coba_lif", np.zeros((TICKS, NEURONS)), recurrent={"exc": RECURRENT[0], "inh": RECURRENT[1]},
        precision="float64", backend=backend, compatibility="norse", v_rest=0.0, **QUICK,
    )  # fmt: skip
    np.testing.assert_array_equal(silent.v, result.v)
    assert CobaLif(compatibility="norse").hears(True) and not CobaLif(compatibility="norse").hears(False)
    assert CobaLif().hears(False)


def test_a_sum_below_zero_opens_nothing() -> None:
    result = simulate("coba_lif", {"exc": -EXC, "inh": -INH}, precision="float64", **QUICK)
    assert not result.g_e.any() and not result.g_i.any() and (result.v == -20).all()


def test_the_biological_set_counts_in_true_milliseconds() -> None:
    case = Case("coba_lif", "bio_dt0.1_f64")
    x = case["input"]
    arriving = {"exc": np.maximum(x, 0), "inh": np.maximum(-x, 0)}
    result = simulate("coba_lif", arriving, dt="0.1 ms", precision="float64", preset="biological")
    np.testing.assert_array_equal(result.spikes, case["z"])
    np.testing.assert_allclose(result.v, case["v"], rtol=1e-9)


def test_defaults_that_are_a_thousand_times_too_slow_and_ticks_that_are_too_long_are_told() -> None:
    assert [(p.path, p.warning) for p in CobaLif().problems(1e-3)] == [
        (("tau_syn_exc",), True), (("tau_syn_inh",), True)
    ]  # fmt: skip
    assert CobaLif(preset="biological").problems(1e-4) == []
    assert {p.path[0] for p in CobaLif(preset="biological").problems(1e-3) if not p.warning} == {"tau_syn_exc"}
    slow = {"tau_syn_exc": "5 ms", "tau_syn_inh": "5 ms"}
    (unstable,) = CobaLif(c_m="0.1 ms", **slow).problems(1e-3)
    assert "dt * g_l / c_m is 2.5, above 2" in unstable.found and not unstable.warning
    assert CobaLif(c_m="0.1 ms", allow_unstable=True, **slow).problems(1e-3)[0].warning
    (above,) = CobaLif(v_reset=0.0, **slow).problems(1e-3)
    assert str(above) == "v_reset 0 is above v_thresh -10 — put the reset at the threshold or below"
    (drawn,) = CobaLif(c_m=np.array([1.0, 2.0]), **slow).problems(1e-3, 3)
    assert drawn.path == ("c_m",)
