"""Izhikevich's neuron: two equations, every kind of spiking by its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from spikeflow.kernels.model import Array, NeuronModel, Time, Value
from spikeflow.kernels.vocabulary import Real, where
from spikeflow.units import Seconds


def _preset(a: float, b: float, c: float, d: float, v_rest: float, **others: Any) -> Mapping[str, Any]:
    """A kind of spiking, started at `v_rest` and the recovery that belongs to it unless `others` says otherwise."""
    return {"a": a, "b": b, "c": c, "d": d, "v_rest": v_rest, "u_rest": v_rest} | others


_CLASS_1: Mapping[str, Any] = {"mn": 4.1, "bias": 108.0}
_ACCOMODATION = _preset(0.02, 1, -55, 4, -65, u_rest=-16.0, tau="2 ms")


class Izhikevich(NeuronModel):
    """Izhikevich's neuron; potentials in mV, and `tau` is the time that one of the model's own milliseconds takes.

    tau dv/dt = sq v^2 + mn v + bias - u + current,  tau du/dt = a (b v - u);
    where v > v_th: a spike, v = c, u = u + d. At the start v = v_rest and u = b u_rest.
    Source: Norse 1.1, izhikevich_feed_forward_step, izhikevich_recurrent_step and the presets beside them, which run
    a quarter of the model's millisecond in a tick of 1 ms: `tau: 1 ms` is life's own pace. The presets from
    `regular_spiking` to `thalamo_cortical` are those of Izhikevich (2003), the others those of Izhikevich (2004).
    """

    tau: Time = Field(4e-3, description="the time that one of the model's own milliseconds takes")
    a: Value = Field(0.02, description="rate of the recovery, in the model's milliseconds")
    b: Value = Field(0.2, description="how strongly the recovery follows v")
    c: Value = Field(-65.0, description="potential after a spike (mV)")
    d: Value = Field(6.0, description="what a spike adds to the recovery")
    sq: Value = Field(0.04, description="factor of v squared")
    mn: Value = Field(5.0, description="factor of v")
    bias: Value = Field(140.0, description="constant term")
    v_th: Value = Field(30.0, description="threshold; a spike where v is above it (mV)")
    v_rest: Value = Field(-70.0, description="potential before the first tick (mV)")
    u_rest: Value = Field(-70.0, description="the recovery before the first tick is b times this (mV)")

    state: ClassVar = ("v", "u")
    receptors: ClassVar = ("current",)
    linear: ClassVar = ("tau",)
    reset_below: ClassVar = ("c", "v_th")
    presets: ClassVar = {
        "regular_spiking": _preset(0.02, 0.2, -65, 8, -65),
        "intrinsically_bursting": _preset(0.02, 0.2, -55, 4, -65),
        "chattering": _preset(0.02, 0.2, -50, 2, -65),
        "fast_spiking": _preset(0.1, 0.2, -65, 2, -65),
        "low_threshold_spiking": _preset(0.02, 0.25, -65, 2, -65),
        "thalamo_cortical": _preset(0.02, 0.25, -65, 0.05, -65),
        "tonic_spiking": _preset(0.02, 0.2, -65, 6, -70),
        "phasic_spiking": _preset(0.02, 0.25, -65, 6, -64),
        "tonic_bursting": _preset(0.02, 0.2, -50, 2, -70),
        "phasic_bursting": _preset(0.02, 0.25, -55, 0.05, -64, tau="5 ms"),
        "mixed_mode": _preset(0.02, 0.2, -55, 4, -70),
        "spike_frequency_adaptation": _preset(0.01, 0.2, -65, 8, -70),
        "class_1_exc": _preset(0.02, -0.1, -55, 6, -60, **_CLASS_1),
        "class_2_exc": _preset(0.2, 0.26, -65, 0, -64),
        "spike_latency": _preset(0.02, 0.2, -65, 6, -70),
        "subthreshold_oscillation": _preset(0.05, 0.26, -60, 0, -62),
        "resonator": _preset(0.1, 0.26, -60, -1, -62),
        "integrator": _preset(0.02, -0.1, -55, 6, -60, **_CLASS_1),
        "rebound_spike": _preset(0.03, 0.25, -60, 4, -64, tau="5 ms"),
        "rebound_burst": _preset(0.03, 0.25, -52, 0, -64, tau="5 ms"),
        "threshold_variability": _preset(0.03, 0.25, -60, 4, -64),
        "bistability": _preset(0.1, 0.26, -60, 0, -61),
        "dap": _preset(1, 0.2, -60, -21, -70, tau="10 ms"),
        "accommodation": _ACCOMODATION,
        "accomodation": _ACCOMODATION,  # as the released package spells it
        "inhibition_induced_spiking": _preset(-0.02, -1, -60, 8, -63.8),
        "inhibition_induced_bursting": _preset(-0.026, -1, -45, -2, -63.8),
    }

    def constants(self, dt: Seconds) -> Mapping[str, float | Array]:
        step = dt / self.tau
        return {"step": step, "follow": step * self.a}

    def initial(self) -> Mapping[str, float | Array]:
        return {"v": self.v_rest, "u": self.u_rest * self.b}

    @staticmethod
    def update(
        v: Real, u: Real, current: Real, step: Real, follow: Real, sq: Real, mn: Real, bias: Real,
        b: Real, c: Real, d: Real, v_th: Real,
    ) -> Any:  # fmt: skip
        # v squared first: the order of the released package, whose spikes a last bit can move
        recovered = u + follow * (b * v - u)
        v = v + step * (sq * (v * v) + mn * v + bias - u + current)
        spiked = v > v_th
        return where(spiked, c, v), where(spiked, recovered + d, recovered), spiked
