"""Leaky integrate-and-fire that is silent for five ticks after a spike."""

from __future__ import annotations

from pydantic import Field

from spikeflow.kernels.model import Refractory
from spikeflow.kernels.models.lif import Lif


class LifRefrac(Lif):
    """Leaky integrate-and-fire with an exponentially decaying synaptic current and a refractory period.

    dv/dt = (v_leak - v + i) / tau_mem,  di/dt = -i / tau_syn;  where v > v_th: a spike, v = v_reset, and rho, the
    refractory ticks that remain, is `refractory`. While rho > 0: v stands still, nothing is emitted, i goes on,
    rho = max(rho - 1, 0). The period counts ticks unless it is a time: 2.5 are three silent ticks.
    Source: Norse 1.1, lif_refrac_feed_forward_step and lif_refrac_step.
    """

    refractory: Refractory = Field(5.0, description="silence after a spike, in ticks (a number) or as a time")
