"""Exponential integrate-and-fire driven by a current of each tick, without a synaptic one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from spikeflow.errors import Problem
from spikeflow.kernels.model import Array, NeuronModel, Time, Value
from spikeflow.kernels.vocabulary import Real, exp, where
from spikeflow.units import Seconds


class LifExCurrent(NeuronModel):
    """Exponential integrate-and-fire whose input of a tick is a current that acts in that tick alone.

    dv/dt = (v_leak - v + delta_T exp((v - v_th) / delta_T) + current) / tau_mem;  where v > v_th: a spike, v = v_reset.
    Source: Norse 1.1, lif_ex_current_encoder, which reaches v_reset by `v - (v - v_reset)`.
    """

    tau_mem: Time = Field(10e-3, description="membrane time constant")
    delta_T: Value = Field(0.5, description="sharpness of the onset: how far below v_th it sets in")
    v_leak: Value = Field(0.0, description="potential at rest, without the exponential")
    v_th: Value = Field(1.0, description="threshold; a spike where v is above it")
    v_reset: Value = Field(0.0, description="potential after a spike")

    state: ClassVar[tuple[str, ...]] = ("v",)
    receptors: ClassVar = ("current",)
    linear: ClassVar[tuple[str, ...]] = ("tau_mem",)
    tolerance: ClassVar = 1e-12  # in float32 2e-5; the last bits of exp, which the leak lets fade

    def constants(self, dt: Seconds) -> Mapping[str, float | Array]:
        return {"leak": dt / self.tau_mem}

    def initial(self) -> Mapping[str, float | Array]:
        return {"v": self.v_leak}

    def problems(self, dt: Seconds, size: int | None = None) -> list[Problem]:
        """Those of every model, and an onset that has no width."""
        found = super().problems(dt, size)
        width = float(np.min(self.delta_T))
        if width <= 0:
            hint = "give a width above zero, or take a model without an onset, such as lif_current"
            found.append(Problem(("delta_T",), f"{width:g} is not above zero", hint))
        return found

    @staticmethod
    def update(
        v: Real, current: Real, leak: Real, delta_T: Real, v_leak: Real, v_th: Real, v_reset: Real
    ) -> Any:  # fmt: skip
        v = v + leak * (v_leak - v + delta_T * exp((v - v_th) / delta_T) + current)
        spiked = v > v_th
        v = where(spiked, v - (v - v_reset), v)
        return v, spiked
