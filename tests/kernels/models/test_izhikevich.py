"""Izhikevich's neuron: its presets, where they start, and what they do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from spikeflow import simulate
from spikeflow.kernels.models.izhikevich import Izhikevich
from spikeflow.kernels.parameters import Drawn
from tests.kernels.golden import Case, cases

RELEASED = [name for file, name in cases() if file == "izhikevich" and name in Izhikevich.presets]


def pushed(ticks: int = 800, current: float = 10.0, **parameters: Any) -> list[int]:
    """The ticks at which a neuron spikes under a constant current."""
    spikes = simulate("izhikevich", np.full((ticks, 1), current), precision="float64", **parameters).spikes
    return [int(tick) for tick in np.flatnonzero(spikes[:, 0])]


def test_every_kind_of_spiking_that_the_package_names_is_a_preset() -> None:
    released = {name for file, name in cases() if file == "izhikevich"}
    assert {name for name in released if not name.startswith(("rec_", "custom")) and not name.endswith("_f32")} == set(
        RELEASED
    )
    assert len(RELEASED) == 20


@pytest.mark.parametrize("preset", RELEASED)
def test_a_preset_has_the_parameters_and_the_start_of_the_package(preset: str) -> None:
    case, model = Case("izhikevich", preset), Izhikevich(preset=preset)
    for name, value in case.fields().items():
        assert getattr(model, name) == pytest.approx(value, rel=1e-15), name
    for name, values in case.initial().items():
        np.testing.assert_allclose(model.initial()[name], values, rtol=1e-7, err_msg=name)  # it keeps them in float32


def test_a_parameter_beside_a_preset_goes_over_it_and_a_preset_may_be_spelt_right() -> None:
    model = Izhikevich(preset="phasic_bursting", tau=1e-3)
    assert (model.tau, model.d) == (1e-3, 0.05)
    assert Izhikevich.presets["accommodation"] == Izhikevich.presets["accomodation"]
    with pytest.raises(ValidationError, match="no preset 'chatering' — did you mean 'chattering'"):
        Izhikevich(preset="chatering")


def test_the_recovery_starts_at_b_times_u_rest_for_every_neuron() -> None:
    model = Izhikevich(b=np.array([0.2, 0.25]), u_rest=-60.0, v_rest=Drawn("uniform", -70.0, -60.0))
    start = model.settled(1, "n", 2).initial()
    np.testing.assert_array_equal(start["u"], [-12.0, -15.0])
    assert np.size(start["v"]) == 2 and np.all(np.abs(np.asarray(start["v"]) + 65) <= 5)


def test_chattering_comes_in_bursts_and_regular_spiking_does_not() -> None:
    gaps = {kind: np.diff(pushed(preset=kind)) for kind in ("chattering", "regular_spiking", "fast_spiking")}
    assert max(gaps["chattering"]) > 3 * min(gaps["chattering"])
    assert max(gaps["regular_spiking"][1:]) < 2 * min(gaps["regular_spiking"][1:])
    assert np.mean(gaps["fast_spiking"]) < np.mean(gaps["regular_spiking"])


def test_an_integrator_needs_a_current_and_inhibition_makes_others_spike() -> None:
    assert pushed(preset="integrator", current=0.0) == []
    for preset in ("inhibition_induced_spiking", "inhibition_induced_bursting"):
        assert pushed(preset=preset, current=80.0) == [] != pushed(preset=preset, current=75.0)


def test_only_the_ratio_of_the_tick_to_tau_counts() -> None:
    assert pushed(dt=1e-3) == pushed(dt=0.25e-3, tau=1e-3) != pushed(dt=1e-3, tau=8e-3)


def test_a_reset_above_the_threshold_and_a_tick_of_many_milliseconds_of_the_model_are_refused() -> None:
    assert [str(p) for p in Izhikevich(c=40.0).problems(1e-3)] == [
        "c 40 is above v_th 30 — put the reset at the threshold or below"
    ]
    (unstable,) = Izhikevich(tau=0.4e-3).problems(1e-3)
    assert unstable.path == ("tau",) and not unstable.warning
    assert unstable.hint == "take a shorter dt, or allow_unstable: true"  # no exact integrator to advise
    assert Izhikevich(tau=1e-3).problems(1e-3)[0].hint == "take a shorter dt"
