"""Exponential integrate-and-fire with an adaptation current, driven by a current of each tick."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from spikeflow.kernels.model import Array, Time, Value
from spikeflow.kernels.models.lif_ex_current import LifExCurrent
from spikeflow.kernels.vocabulary import Real, exp, where
from spikeflow.units import Seconds


class LifAdexCurrent(LifExCurrent):
    """Adaptive exponential integrate-and-fire whose input of a tick is a current that acts in that tick alone.

    dv/dt = (v_leak - v + delta_T exp((v - v_th) / delta_T) - a + current) / tau_mem,
    da/dt = (adaptation_current (v - v_leak) - a) / tau_ada;
    where v > v_th: a spike, v = v_reset, a = a + adaptation_spike.
    Source: Norse 1.1, lif_adex_current_encoder, with the adaptation of its lif_adex_step. As released it is
    a = (adaptation_current (v - v_leak) - a) / tau_ada, without dt and after the reset, which grows without bound where
    tau_ada is below 1 s: `compatibility: norse`.
    """

    tau_ada: Time = Field(0.5, description="time constant of the adaptation current")
    adaptation_current: Value = Field(4.0, description="how strongly the potential drives the adaptation current")
    adaptation_spike: Value = Field(0.02, description="what a spike adds to the adaptation current")
    compatibility: Literal["norse"] | None = Field(None, description="norse: the adaptation current as released")

    state: ClassVar = ("v", "a")
    linear: ClassVar = ("tau_mem", "tau_ada")

    def constants(self, dt: Seconds) -> Mapping[str, float | Array]:
        return {**super().constants(dt), "adapt": (1.0 if self.compatibility == "norse" else dt) / self.tau_ada}

    def options(self) -> dict[str, str]:
        return {**super().options(), "compatibility": self.compatibility or "none"}

    @staticmethod
    def update(  # type: ignore[override]
        v: Real, a: Real, current: Real, leak: Real, adapt: Real, delta_T: Real, adaptation_current: Real,
        adaptation_spike: Real, v_leak: Real, v_th: Real, v_reset: Real, *, compatibility: str,
    ) -> Any:  # fmt: skip
        adapted = a + adapt * (adaptation_current * (v - v_leak) - a)
        v = v + leak * (v_leak - v + delta_T * exp((v - v_th) / delta_T) - a + current)
        spiked = v > v_th
        v = where(spiked, v - (v - v_reset), v)
        if compatibility == "norse":
            adapted = adapt * (adaptation_current * (v - v_leak) - a)
        a = where(spiked, adapted + adaptation_spike, adapted)
        return v, a, spiked
