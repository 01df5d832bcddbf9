"""A leaky integrator without a synaptic current."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from spikeflow.kernels.model import Array, NeuronModel, Time, Value
from spikeflow.kernels.vocabulary import Real
from spikeflow.units import Seconds


class LiBox(NeuronModel):
    """Leaky integrator whose current lasts for its tick; its output is the potential `v`.

    dv/dt = (v_leak - v + current) / tau_mem. With `integrator: exact`, the solution for a current that is constant
    over the tick.
    Source: Norse 1.1, li_box_feed_forward_step and li_box_step.
    """

    tau_mem: Time = Field(10e-3, description="membrane time constant")
    v_leak: Value = Field(0.0, description="potential at rest")

    state: ClassVar = ("v",)
    receptors: ClassVar = ("current",)
    spikes: ClassVar = False
    refracts: ClassVar = False
    integrators: ClassVar = ("euler", "exact")
    resets: ClassVar = ()
    linear: ClassVar = ("tau_mem",)

    def constants(self, dt: Seconds) -> Mapping[str, float | Array]:
        return {"leak": dt / self.tau_mem, "reach": -np.expm1(-dt / self.tau_mem)}

    def initial(self) -> Mapping[str, float | Array]:
        return {"v": self.v_leak}

    @staticmethod
    def update(v: Real, current: Real, leak: Real, reach: Real, v_leak: Real, *, integrator: str) -> Any:
        if integrator == "exact":
            v = v + reach * ((v_leak - v) + current)
        else:
            v = v + leak * ((v_leak - v) + current)
        return (v,)
