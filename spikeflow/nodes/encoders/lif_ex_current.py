"""Current into an exponential LIF."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from spikeflow.kernels.model import Time, Value
from spikeflow.kernels.models import lif_ex_current
from spikeflow.nodes.currents import CurrentEncoder


class LifExCurrent(CurrentEncoder):
    """One exponential integrate-and-fire neuron a channel, driven at each tick by the value that the channel holds.

    dv/dt = (v_leak - v + delta_T exp((v - v_th) / delta_T) + x) / tau_mem;  where v > v_th: a spike, v = v_reset.
    v starts at v_leak with the first sample of the channel, which is silent before it; with `frame`, with each frame.
    Samples that are not finite, or above 1e30 in size, count as no samples.
    Source: Norse 1.1, lif_ex_current_encoder.
    """

    model_class: ClassVar = lif_ex_current.LifExCurrent

    tau_mem: Time = Field(10e-3, description="membrane time constant")
    delta_T: Value = Field(0.5, description="sharpness of the onset: how far below v_th it sets in")
    v_leak: Value = Field(0.0, description="potential at rest, without the exponential")
    v_th: Value = Field(1.0, description="threshold; a spike where v is above it")
    v_reset: Value = Field(0.0, description="potential after a spike")
