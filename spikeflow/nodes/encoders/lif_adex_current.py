"""Current into an adaptive exponential LIF."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from spikeflow.kernels.model import Time, Value
from spikeflow.kernels.models import lif_adex_current
from spikeflow.nodes.currents import CurrentEncoder


class LifAdexCurrent(CurrentEncoder):
    """One adaptive exponential neuron a channel, driven at each tick by the value x that the channel holds.

    dv/dt = (v_leak - v + delta_T exp((v - v_th) / delta_T) - a + x) / tau_mem,
    da/dt = (adaptation_current (v - v_leak) - a) / tau_ada;
    where v > v_th: a spike, v = v_reset, a = a + adaptation_spike.
    v starts at v_leak with the first sample of the channel, which is silent before it; with `frame`, with each frame.
    Samples that are not finite, or above 1e30 in size, count as no samples.
    Source: Norse 1.1, lif_adex_current_encoder, with the adaptation of its lif_adex_step. As released it is
    a = (adaptation_current (v - v_leak) - a) / tau_ada, without dt and after the reset, which grows without bound where
    tau_ada is below 1 s: `compatibility: norse`.
    """

    model_class: ClassVar = lif_adex_current.LifAdexCurrent

    tau_mem: Time = Field(10e-3, description="membrane time constant")
    tau_ada: Time = Field(0.5, description="time constant of the adaptation current")
    delta_T: Value = Field(0.5, description="sharpness of the onset: how far below v_th it sets in")
    adaptation_current: Value = Field(4.0, description="how strongly the potential drives the adaptation current")
    adaptation_spike: Value = Field(0.02, description="what a spike adds to the adaptation current")
    v_leak: Value = Field(0.0, description="potential at rest, without the exponential")
    v_th: Value = Field(1.0, description="threshold; a spike where v is above it")
    v_reset: Value = Field(0.0, description="potential after a spike")
    compatibility: Literal["norse"] | None = Field(None, description="norse: the adaptation current as released")
