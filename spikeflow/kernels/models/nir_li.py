"""NIR's leaky integrator, driven by a current of each tick."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from spikeflow.kernels.model import Array, NeuronModel, Time, Value
from spikeflow.kernels.vocabulary import Real
from spikeflow.units import Seconds


class NirLi(NeuronModel):
    """Leaky integrator without a synapse, its output `v`; NIR's LI under NIR's names.

    tau dv/dt = (v_leak - v) + r current. The input is a current that stands for the whole tick; `integrator: exact`
    solves the equation over it.
    Source: NIR 1.0, LI.
    """

    tau: Time = Field(10e-3, description="membrane time constant")
    r: Value = Field(1.0, description="resistance of the membrane")
    v_leak: Value = Field(0.0, description="potential at rest")

    state: ClassVar = ("v",)
    receptors: ClassVar = ("current",)
    spikes: ClassVar = False
    refracts: ClassVar = False
    integrators: ClassVar = ("euler", "exact")
    resets: ClassVar = ()
    linear: ClassVar = ("tau",)

    def constants(self, dt: Seconds) -> Mapping[str, float | Array]:
        return {"leak": dt / self.tau, "rise": -np.expm1(-dt / self.tau)}

    def initial(self) -> Mapping[str, float | Array]:
        return {"v": self.v_leak}

    @staticmethod
    def update(
        v: Real, current: Real, leak: Real, rise: Real, r: Real, v_leak: Real, *, integrator: str
    ) -> Any:  # fmt: skip
        if integrator == "exact":
            v = v + rise * ((v_leak - v) + r * current)
        else:
            v = v + leak * ((v_leak - v) + r * current)
        return (v,)
