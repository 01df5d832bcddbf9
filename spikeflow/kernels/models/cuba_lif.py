"""NIR's current-based leaky integrate-and-fire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from spikeflow.kernels.model import Array, NeuronModel, Time, Value
from spikeflow.kernels.models.lif import current_gain
from spikeflow.kernels.vocabulary import Real, where
from spikeflow.units import Seconds


class CubaLif(NeuronModel):
    """Leaky integrate-and-fire behind a synapse that filters its input; NIR's CubaLIF under NIR's names.

    tau_syn di/dt = -i + w_in current,  tau_mem dv/dt = (v_leak - v) + r i;
    where v > v_threshold: a spike, v = v_reset. The input is a current that stands for the whole tick; the synapse
    moves first, and the membrane takes the current after it. `integrator: exact` solves both over the tick.
    Source: NIR 1.0, CubaLIF, in the order of Norse's importer.
    """

    tau_syn: Time = Field(5e-3, description="time constant of the synaptic current")
    tau_mem: Time = Field(10e-3, description="membrane time constant")
    r: Value = Field(1.0, description="resistance of the membrane")
    v_leak: Value = Field(0.0, description="potential at rest")
    v_threshold: Value = Field(1.0, description="threshold; a spike where v is above it")
    v_reset: Value = Field(0.0, description="potential after a spike")
    w_in: Value = Field(1.0, description="weight of the input")

    state: ClassVar = ("v", "i")
    receptors: ClassVar = ("current",)
    integrators: ClassVar = ("euler", "exact")
    resets: ClassVar = ("value", "subtract")
    linear: ClassVar = ("tau_mem", "tau_syn")
    reset_below: ClassVar = ("v_reset", "v_threshold")

    def constants(self, dt: Seconds) -> Mapping[str, float | Array]:
        return {
            "leak": dt / self.tau_mem,
            "decay": dt / self.tau_syn,
            "keep": np.exp(-dt / self.tau_mem),
            "rise": -np.expm1(-dt / self.tau_mem),
            "gain": current_gain(dt, self.tau_mem, self.tau_syn),
            "fade": np.exp(-dt / self.tau_syn),
        }

    def initial(self) -> Mapping[str, float | Array]:
        return {"v": self.v_leak}

    @staticmethod
    def update(
        v: Real, i: Real, current: Real, leak: Real, decay: Real, keep: Real, rise: Real, gain: Real, fade: Real,
        r: Real, w_in: Real, v_leak: Real, v_threshold: Real, v_reset: Real, *, integrator: str, reset_by: str,
    ) -> Any:  # fmt: skip
        drive = w_in * current
        if integrator == "exact":
            v = v_leak + (v - v_leak) * keep + r * ((i - drive) * gain + drive * rise)
            i = drive + (i - drive) * fade
        else:
            i = i + decay * (drive - i)
            v = v + leak * ((v_leak - v) + r * i)
        spiked = v > v_threshold
        if reset_by == "subtract":
            v = where(spiked, v - v_threshold, v)
        else:
            v = where(spiked, v_reset, v)
        return v, i, spiked
