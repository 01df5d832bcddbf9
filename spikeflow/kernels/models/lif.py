"""Leaky integrate-and-fire with an exponentially decaying synaptic current."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from spikeflow.kernels.model import Array, NeuronModel, Time, Value
from spikeflow.kernels.vocabulary import Real, where
from spikeflow.units import Seconds


class Lif(NeuronModel):
    """Leaky integrate-and-fire with an exponentially decaying synaptic current; potentials in units of the threshold.

    dv/dt = (v_leak - v + i) / tau_mem,  di/dt = -i / tau_syn;  where v > v_th: a spike, v = v_reset.
    Source: Norse 1.1, lif_feed_forward_step and lif_step (with `input_order: last` those of Norse 0.0.7), and
    lif_refrac_step for the refractory period; `preset: biological` is its default_bio_parameters (in mV, and for a
    dt in ms: its tau_syn asks for ticks well below 1 ms). With `integrator: exact`, the propagator of Rotter and
    Diesmann (1999).
    """

    tau_mem: Time = Field(10e-3, description="membrane time constant")
    tau_syn: Time = Field(5e-3, description="time constant of the synaptic current")
    v_leak: Value = Field(0.0, description="potential at rest")
    v_th: Value = Field(1.0, description="threshold; a spike where v is above it")
    v_reset: Value = Field(0.0, description="potential after a spike")

    state: ClassVar = ("v", "i")
    receptors: ClassVar = ("i",)
    integrators: ClassVar = ("euler", "exact")
    input_orders: ClassVar = ("first", "last")
    resets: ClassVar = ("value", "subtract")
    linear: ClassVar = ("tau_mem", "tau_syn")
    presets: ClassVar = {
        "biological": {"tau_mem": "20 ms", "tau_syn": "0.5 ms", "v_leak": -65.0, "v_th": -50.0, "v_reset": -65.0}
    }

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
        v: Real, i: Real, arriving: Real, leak: Real, decay: Real, keep: Real, gain: Real, fade: Real,
        v_leak: Real, v_th: Real, v_reset: Real, *, input_order: str, integrator: str, reset_by: str,
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
        spiked = v > v_th
        if reset_by == "subtract":
            v = where(spiked, v - v_th, v)
        else:
            v = where(spiked, v_reset, v)
        return v, i, spiked


def current_gain(dt: Seconds, tau_mem: float | Array, tau_syn: float | Array) -> float | Array:
    """What a current of 1 that decays with `tau_syn` adds to the potential over `dt`, equal time constants included.

    tau_syn / (tau_syn - tau_mem) * (exp(-dt / tau_syn) - exp(-dt / tau_mem)), written so that nothing cancels.
    """
    mem, syn = np.asarray(tau_mem, np.float64), np.asarray(tau_syn, np.float64)
    x = dt * (syn - mem) / (mem * syn)
    apart = np.where(x == 0, 1.0, x)
    ratio = np.where(x == 0, 1.0, np.expm1(apart) / apart)
    gain = dt / mem * np.exp(-dt / mem) * ratio
    return gain if gain.ndim else float(gain)
