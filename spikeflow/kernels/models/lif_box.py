"""Leaky integrate-and-fire without a synaptic current, with either reset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from spikeflow.kernels.model import Array, NeuronModel, Time, Value
from spikeflow.kernels.vocabulary import Real, where
from spikeflow.units import Seconds


class LifBox(NeuronModel):
    """Leaky integrate-and-fire whose current lasts for its tick: a box, scaled by dt / tau_mem.

    dv/dt = (current + v_leak - v) / tau_mem;  where v > v_th: a spike, v = v_reset, or with `reset_by: subtract`
    v = v - v_th. With `integrator: exact`, the solution for a current that is constant over the tick.
    Source: Norse 1.1, lif_box_feed_forward_step.
    """

    tau_mem: Time = Field(10e-3, description="membrane time constant")
    v_leak: Value = Field(0.0, description="potential at rest")
    v_th: Value = Field(1.0, description="threshold; a spike where v is above it")
    v_reset: Value = Field(0.0, description="potential after a spike; not read with `reset_by: subtract`")

    state: ClassVar = ("v",)
    receptors: ClassVar = ("current",)
    integrators: ClassVar = ("euler", "exact")
    resets: ClassVar = ("value", "subtract")
    linear: ClassVar = ("tau_mem",)

    def constants(self, dt: Seconds) -> Mapping[str, float | Array]:
        return {"leak": dt / self.tau_mem, "reach": -np.expm1(-dt / self.tau_mem)}

    def initial(self) -> Mapping[str, float | Array]:
        return {"v": self.v_leak}

    @staticmethod
    def update(
        v: Real, current: Real, leak: Real, reach: Real, v_leak: Real, v_th: Real, v_reset: Real,
        *, integrator: str, reset_by: str,
    ) -> Any:  # fmt: skip
        if integrator == "exact":
            v = v + reach * (current + v_leak - v)
        else:
            v = v + leak * (current + v_leak - v)
        spiked = v > v_th
        if reset_by == "subtract":
            v = where(spiked, v - v_th, v)
        else:
            v = where(spiked, v_reset, v)
        return v, spiked
