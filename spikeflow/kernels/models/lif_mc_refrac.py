"""Coupled leaky integrate-and-fire compartments with a refractory period."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from spikeflow.errors import Problem
from spikeflow.kernels.model import Array, Coupling, Matrix, NeuronModel, Time, Value
from spikeflow.kernels.models.lif_mc import coupling_problems
from spikeflow.kernels.vocabulary import Real, maximum, where
from spikeflow.units import Seconds


class LifMcRefrac(NeuronModel):
    """Coupled compartments whose leak and input stop for `rho_reset` ticks after a spike; coupling goes on.

    v += (v_leak - v + i) · dt / tau_mem (not while rho > 0) + g_coupling v, not scaled by dt;  i -= i · dt / tau_syn,
    then input adds to i;  where v > v_th: a spike, v = v_reset, rho = rho_reset. A refractory neuron that the coupling
    lifts above the threshold spikes again.
    Source: Norse 1.1, lif_mc_refrac_step and lif_mc_refrac_feed_forward_step.
    """

    tau_mem: Time = Field(10e-3, description="membrane time constant")
    tau_syn: Time = Field(5e-3, description="time constant of the synaptic current")
    v_leak: Value = Field(0.0, description="potential at rest")
    v_th: Value = Field(1.0, description="threshold; a spike where v is above it")
    v_reset: Value = Field(0.0, description="potential after a spike")
    rho_reset: Value = Field(5.0, description="ticks without leak and input after a spike")
    g_coupling: Matrix = Field(None, description="a .npy file [neurons, neurons]; row j moves neuron j (1/tick)")

    state: ClassVar = ("v", "i", "rho")
    receptors: ClassVar = ("i", "coupled")
    refracts: ClassVar = False
    input_orders: ClassVar = ("last",)
    linear: ClassVar = ("tau_mem", "tau_syn")

    def constants(self, dt: Seconds) -> Mapping[str, float | Array]:
        return {"leak": dt / self.tau_mem, "decay": dt / self.tau_syn}

    def initial(self) -> Mapping[str, float | Array]:
        return {"v": self.v_leak}

    def couplings(self, dt: Seconds) -> Sequence[Coupling]:
        return () if self.g_coupling is None else (Coupling(self.g_coupling, of="v", into="coupled"),)

    def problems(self, dt: Seconds, size: int | None = None) -> list[Problem]:
        return [*super().problems(dt, size), *coupling_problems(self.g_coupling, size)]

    @staticmethod
    def update(
        v: Real, i: Real, rho: Real, arriving: Real, coupled: Real, leak: Real, decay: Real,
        v_leak: Real, v_th: Real, v_reset: Real, rho_reset: Real, one: Real, zero: Real,
    ) -> Any:  # fmt: skip
        silent = rho > zero
        v = v + where(silent, zero, leak * ((v_leak - v) + i)) + coupled
        i = i - decay * i + arriving
        spiked = v > v_th
        v = where(spiked, v_reset, v)
        rho = where(spiked, rho_reset, maximum(rho - where(silent, one, zero), zero))
        return v, i, rho, spiked
