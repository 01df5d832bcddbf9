"""A leaky integrator: a potential that never spikes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from spikeflow.kernels.model import Array, NeuronModel, Time, Value
from spikeflow.kernels.models.lif import current_gain
from spikeflow.kernels.vocabulary import Real
from spikeflow.units import Seconds


class Li(NeuronModel):
    """Leaky integrator with an exponentially decaying synaptic current; its output is the potential `v`.

    dv/dt = (v_leak - v + i) / tau_mem,  di/dt = -i / tau_syn.
    Source: Norse 1.1, li_feed_forward_step and li_step.
    """

    tau_mem: Time = Field(10e-3, description="membrane time constant")
    tau_syn: Time = Field(5e-3, description="time constant of the synaptic current")
    v_leak: Value = Field(0.0, description="potential at rest")

    state: ClassVar = ("v", "i")
    receptors: ClassVar = ("i",)
    spikes: ClassVar = False
    refracts: ClassVar = False
    integrators: ClassVar = ("euler", "exact")
    input_orders: ClassVar = ("first", "last")
    resets: ClassVar = ()
    linear: ClassVar = ("tau_mem", "tau_syn")

    def constants(self, dt: Seconds) -> Mapping[str, float | Array]:
        return {
            "leak": dt / self.tau_mem,
            "decay": dt / self.tau_syn,
            "keep": np.exp(-dt / self.tau_mem),
            "gain": current_gain(dt, self.tau_mem, self.tau_syn),
            "fade": np.exp(-dt / self.tau_syn),
        }

    def initial(self) -> Mapping[str, float | Array]:
        return {"v": self.v_leak}

    @staticmethod
    def update(
        v: Real, i: Real, arriving: Real, leak: Real, decay: Real, keep: Real, gain: Real, fade: Real, v_leak: Real,
        *, input_order: str, integrator: str,
    ) -> Any:  # fmt: skip
        if input_order == "first":
            i = i + arriving
        if integrator == "exact":
            v = v_leak + (v - v_leak) * keep + i * gain
            i = i * fade
        else:
            v = v + leak * ((v_leak - v) + i)
            i = i - decay * i
        if input_order == "last":
            i = i + arriving
        return v, i
