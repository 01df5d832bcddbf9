"""Leaky integrate-and-fire with an excitatory and an inhibitory current: the Vogels-Abbott network's neuron."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from spikeflow.kernels.model import Array, NeuronModel, Refractory, Time, Value
from spikeflow.kernels.models.lif import current_gain
from spikeflow.kernels.vocabulary import Real, where
from spikeflow.units import Seconds


class LifExcInh(NeuronModel):
    """Leaky integrate-and-fire with two exponential currents, `exc` and `inh`, each with its own time constant.

    dv/dt = (v_leak - v + i_exc + i_inh) / tau_mem,  di/dt = -i / tau;  where v > v_th: a spike, v = v_reset, and
    silence for `refractory`. Inhibitory weights are negative. The defaults (in mV) are those of the
    current-based network of Vogels and Abbott (2005) as benchmark 2 of Brette et al. (2007) states it.
    """

    tau_mem: Time = Field(20e-3, description="membrane time constant")
    tau_exc: Time = Field(5e-3, description="time constant of the excitatory current")
    tau_inh: Time = Field(10e-3, description="time constant of the inhibitory current")
    v_leak: Value = Field(-49.0, description="potential at rest")
    v_th: Value = Field(-50.0, description="threshold; a spike where v is above it")
    v_reset: Value = Field(-60.0, description="potential after a spike")
    refractory: Refractory = Field("5 ms", description="silence after a spike, in ticks (a number) or as a time")

    state: ClassVar = ("v", "i_exc", "i_inh")
    receptors: ClassVar = ("exc", "inh")
    integrators: ClassVar = ("euler", "exact")
    input_orders: ClassVar = ("first", "last")
    resets: ClassVar = ("value", "subtract")
    linear: ClassVar = ("tau_mem", "tau_exc", "tau_inh")

    def constants(self, dt: Seconds) -> Mapping[str, float | Array]:
        return {
            "leak": dt / self.tau_mem,
            "decay_exc": dt / self.tau_exc,
            "decay_inh": dt / self.tau_inh,
            "keep": np.exp(-dt / self.tau_mem),
            "gain_exc": current_gain(dt, self.tau_mem, self.tau_exc),
            "gain_inh": current_gain(dt, self.tau_mem, self.tau_inh),
            "fade_exc": np.exp(-dt / self.tau_exc),
            "fade_inh": np.exp(-dt / self.tau_inh),
        }

    def initial(self) -> Mapping[str, float | Array]:
        return {"v": self.v_leak}

    @staticmethod
    def update(
        v: Real, i_exc: Real, i_inh: Real, exc: Real, inh: Real, leak: Real, decay_exc: Real, decay_inh: Real,
        keep: Real, gain_exc: Real, gain_inh: Real, fade_exc: Real, fade_inh: Real,
        v_leak: Real, v_th: Real, v_reset: Real, *, input_order: str, integrator: str, reset_by: str,
    ) -> Any:  # fmt: skip
        if input_order == "first":
            i_exc = i_exc + exc
            i_inh = i_inh + inh
        if integrator == "exact":
            v = v_leak + (v - v_leak) * keep + i_exc * gain_exc + i_inh * gain_inh
            i_exc = i_exc * fade_exc
            i_inh = i_inh * fade_inh
        else:
            v = v + leak * ((v_leak - v) + (i_exc + i_inh))
            i_exc = i_exc - decay_exc * i_exc
            i_inh = i_inh - decay_inh * i_inh
        if input_order == "last":
            i_exc = i_exc + exc
            i_inh = i_inh + inh
        spiked = v > v_th
        if reset_by == "subtract":
            v = where(spiked, v - v_th, v)
        else:
            v = where(spiked, v_reset, v)
        return v, i_exc, i_inh, spiked
