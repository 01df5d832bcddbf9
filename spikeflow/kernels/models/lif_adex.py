"""Exponential integrate-and-fire with an adaptation current: AdEx."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from spikeflow.kernels.model import Array, Time, Value
from spikeflow.kernels.models.lif_ex import LifEx
from spikeflow.kernels.vocabulary import Real, exp, where
from spikeflow.units import Seconds


class LifAdex(LifEx):
    """Adaptive exponential integrate-and-fire with an exponentially decaying synaptic current.

    dv/dt = (v_leak - v + delta_T exp((v - v_th) / delta_T) + i - a) / tau_mem,  di/dt = -i / tau_syn,
    da/dt = (adaptation_current (v - v_leak) - a) / tau_ada;
    where v > v_th: a spike, v = v_reset, a = a + adaptation_spike. With a refractory period, a neuron that is silent
    adds adaptation_spike wherever it would have fired.
    Source: Norse 1.1, lif_adex_feed_forward_step and lif_adex_step.
    """

    tau_ada: Time = Field(0.5, description="time constant of the adaptation current")
    adaptation_current: Value = Field(4.0, description="how strongly the potential drives the adaptation current")
    adaptation_spike: Value = Field(0.02, description="what a spike adds to the adaptation current")

    state: ClassVar = ("v", "i", "a")
    linear: ClassVar = ("tau_mem", "tau_syn", "tau_ada")

    def constants(self, dt: Seconds) -> Mapping[str, float | Array]:
        return {**super().constants(dt), "adapt": dt / self.tau_ada}

    @staticmethod
    def update(  # type: ignore[override]
        v: Real, i: Real, a: Real, arriving: Real, leak: Real, decay: Real, adapt: Real, delta_T: Real,
        adaptation_current: Real, adaptation_spike: Real, v_leak: Real, v_th: Real, v_reset: Real,
    ) -> Any:  # fmt: skip
        i = i + arriving
        adapted = a + adapt * (adaptation_current * (v - v_leak) - a)
        v = v + leak * ((v_leak - v) + delta_T * exp((v - v_th) / delta_T) + i - a)
        i = i - decay * i
        spiked = v > v_th
        v = where(spiked, v_reset, v)
        a = where(spiked, adapted + adaptation_spike, adapted)
        return v, i, a, spiked
