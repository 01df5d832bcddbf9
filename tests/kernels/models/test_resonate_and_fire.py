"""Resonate-and-fire: the turn of z, its resonance, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from spikeflow import simulate
from spikeflow.kernels import backends
from spikeflow.kernels.models.resonate_and_fire import ResonateAndFire

BACKENDS = [name for name in backends() if name in ("numpy", "numba")]


def struck(at: list[int], ticks: int = 60, size: int = 1, current: float = 0.8, **parameters: Any) -> Any:
    """Neurons that get a pulse at the ticks `at`."""
    x = np.zeros((ticks, size))
    x[at] = current
    return simulate("resonate_and_fire", x, precision="float64", **parameters)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dt", [1e-3, 2.5e-3])
def test_the_exact_integrator_turns_and_fades_whatever_the_tick(backend: str, dt: float) -> None:
    result = struck([0], frequency="30 Hz", tau="50 ms", dt=dt, backend=backend)
    t = dt * np.arange(1, 61)
    z = 0.8 * np.exp((-1 / 50e-3 + 2j * np.pi * 30) * t)
    np.testing.assert_allclose(result.x[:, 0] + 1j * result.y[:, 0], z, rtol=1e-11, atol=1e-13)


def test_eulers_steps_come_near_it_where_they_are_short() -> None:
    exact = struck([0], dt=1e-5, ticks=2500)
    euler = struck([0], dt=1e-5, ticks=2500, integrator="euler")
    np.testing.assert_allclose(euler.y, exact.y, atol=0.02)
    assert np.abs(euler.y - exact.y).max() > 1e-4


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_pulses_a_period_apart_make_it_fire_and_half_a_period_apart_do_not(backend: str) -> None:
    together, against = (struck([0, gap], backend=backend).spikes for gap in (25, 12))
    assert np.flatnonzero(together[:, 0]).size == 1 and 25 < np.flatnonzero(together[:, 0])[0] <= 32
    assert not against.any()


def test_a_spike_puts_both_to_their_resets_and_is_carried_on_from_there() -> None:
    result = struck([0, 25], x_reset=-0.1, y_reset=0.2)
    (tick,) = np.flatnonzero(result.spikes[:, 0])
    assert (result.x[tick, 0], result.y[tick, 0]) == (-0.1, 0.2)
    assert np.abs(result.y[tick + 1 :]).max() < 1


def test_a_bank_answers_where_the_rhythm_is_its_own() -> None:
    bank = np.array([20.0, 30.0, 40.0, 50.0, 60.0])
    result = struck(list(range(0, 250, 25)), ticks=250, size=5, current=0.2, frequency=bank, v_th=100.0)
    assert np.abs(result.y[100:]).max(axis=0).argmax() == 2


def test_input_that_comes_last_turns_a_tick_later() -> None:
    first, last = struck([3]), struck([3], input_order="last")
    np.testing.assert_allclose(last.y[1:], first.y[:-1], atol=1e-15)


def test_frequencies_carry_their_unit() -> None:
    assert ResonateAndFire(frequency="0.05 kHz").frequency == 50.0
    required = {"units": "required"}
    assert ResonateAndFire.model_validate(
        {"frequency": {"uniform": {"low": "10 Hz", "high": "20 Hz"}}}, context=required
    )
    for given, says in (
        (30, "30 has no unit — write '30 Hz'"),
        ("30 ms", "has the unit 'ms'"),
        ("-3 Hz", "below zero"),
    ):
        with pytest.raises(ValidationError, match=says):
            ResonateAndFire.model_validate({"frequency": given}, context=required)


def test_what_a_tick_cannot_follow_is_refused() -> None:
    assert ResonateAndFire().problems(1e-3) == []
    (fast,) = ResonateAndFire(frequency=600.0).problems(1e-3)
    assert "600 Hz is 0.6 turns in a tick" in fast.found
    (spiral,) = ResonateAndFire(integrator="euler").problems(1e-3)
    assert spiral.path == ("frequency",) and "1.007 times as large" in spiral.found
    assert ResonateAndFire(integrator="euler", allow_unstable=True).problems(1e-3) == []
    assert ResonateAndFire(integrator="euler").problems(1e-4) == []
    (drawn,) = ResonateAndFire(frequency={"normal": {"mean": 1.0, "std": 9.0}}).settled(1, "n", 50).problems(1e-3)
    assert drawn.path == ("frequency",) and "below zero" in drawn.found
    (above,) = ResonateAndFire(y_reset=1.5).problems(1e-3)
    assert above.path == ("y_reset",)
