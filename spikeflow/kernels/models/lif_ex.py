"""Leaky integrate-and-fire with an exponential onset of the spike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from spikeflow.errors import Problem
from spikeflow.kernels.model import Array, NeuronModel, Time, Value
from spikeflow.kernels.vocabulary import Real, exp, where
from spikeflow.units import Seconds


class LifEx(NeuronModel):
    """Exponential integrate-and-fire with an exponentially decaying synaptic current.

    dv/dt = (v_leak - v + delta_T exp((v - v_th) / delta_T) + i) / tau_mem,  di/dt = -i / tau_syn;
    where v > v_th: a spike, v = v_reset. The exponential is not clipped: v is at most v_th after a tick.
    Source: Norse 1.1, lif_ex_feed_forward_step and lif_ex_step.
    """

    tau_mem: Time = Field(10e-3, description="membrane time constant")
    tau_syn: Time = Field(5e-3, description="time constant of the synaptic current")
    delta_T: Value = Field(0.5, description="sharpness of the onset: how far below v_th it sets in")
    v_leak: Value = Field(0.0, description="potential at rest, without the exponential")
    v_th: Value = Field(1.0, description="threshold; a spike where v is above it")
    v_reset: Value = Field(0.0, description="potential after a spike")

    state: ClassVar[tuple[str, ...]] = ("v", "i")
    receptors: ClassVar = ("i",)
    linear: ClassVar[tuple[str, ...]] = ("tau_mem", "tau_syn")
    tolerance: ClassVar = 1e-12  # in float32 2e-5; the last bits of exp, which the leak lets fade

    def constants(self, dt: Seconds) -> Mapping[str, float | Array]:
        return {"leak": dt / self.tau_mem, "decay": dt / self.tau_syn}

    def initial(self) -> Mapping[str, float | Array]:
        return {"v": self.v_leak}

    def problems(self, dt: Seconds, size: int | None = None) -> list[Problem]:
        """Those of every model, and an onset that has no width."""
        found = super().problems(dt, size)
        width = float(np.min(self.delta_T))
        if width <= 0:
            hint = "give a width above zero, or take a model without an onset, such as lif"
            found.append(Problem(("delta_T",), f"{width:g} is not above zero", hint))
        return found

    @staticmethod
    def update(
        v: Real, i: Real, arriving: Real, leak: Real, decay: Real, delta_T: Real, v_leak: Real, v_th: Real,
        v_reset: Real,
    ) -> Any:  # fmt: skip
        i = i + arriving
        v = v + leak * ((v_leak - v) + delta_T * exp((v - v_th) / delta_T) + i)
        i = i - decay * i
        spiked = v > v_th
        v = where(spiked, v_reset, v)
        return v, i, spiked
