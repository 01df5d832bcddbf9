"""NIR's leaky integrate-and-fire, driven by a current of each tick."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from spikeflow.kernels.model import Array, NeuronModel, Time, Value
from spikeflow.kernels.vocabulary import Real, where
from spikeflow.units import Seconds


class NirLif(NeuronModel):
    """Leaky integrate-and-fire without a synapse; NIR's LIF under NIR's names.

    tau dv/dt = (v_leak - v) + r current;  where v > v_threshold: a spike, v = v_reset. The input is a current that
    stands for the whole tick; `integrator: exact` solves the equation over it.
    Source: NIR 1.0, LIF.
    """

    tau: Time = Field(10e-3, description="membrane time constant")
    r: Value = Field(1.0, description="resistance of the membrane")
    v_leak: Value = Field(0.0, description="potential at rest")
    v_threshold: Value = Field(1.0, description="threshold; a spike where v is above it")
    v_reset: Value = Field(0.0, description="potential after a spike")

    state: ClassVar = ("v",)
    receptors: ClassVar = ("current",)
    integrators: ClassVar = ("euler", "exact")
    resets: ClassVar = ("value", "subtract")
    linear: ClassVar = ("tau",)
    reset_below: ClassVar = ("v_reset", "v_threshold")

    def constants(self, dt: Seconds) -> Mapping[str, float | Array]:
        return {"leak": dt / self.tau, "rise": -np.expm1(-dt / self.tau)}

    def initial(self) -> Mapping[str, float | Array]:
        return {"v": self.v_leak}

    @staticmethod
    def update(
        v: Real, current: Real, leak: Real, rise: Real, r: Real, v_leak: Real, v_threshold: Real, v_reset: Real,
        *, integrator: str, reset_by: str,
    ) -> Any:  # fmt: skip
        if integrator == "exact":
            v = v + rise * ((v_leak - v) + r * current)
        else:
            v = v + leak * ((v_leak - v) + r * current)
        spiked = v > v_threshold
        if reset_by == "subtract":
            v = where(spiked, v - v_threshold, v)
        else:
            v = where(spiked, v_reset, v)
        return v, spiked
