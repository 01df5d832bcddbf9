"""AdEx that is silent for five ticks after a spike."""

from __future__ import annotations

from pydantic import Field

from spikeflow.kernels.model import Refractory
from spikeflow.kernels.models.lif_adex import LifAdex


class LifAdexRefrac(LifAdex):
    """Adaptive exponential integrate-and-fire with a refractory period.

    dv/dt = (v_leak - v + delta_T exp((v - v_th) / delta_T) + i - a) / tau_mem,  di/dt = -i / tau_syn,
    da/dt = (adaptation_current (v - v_leak) - a) / tau_ada;
    where v > v_th: v = v_reset, a = a + adaptation_spike and, unless the neuron is refractory, a spike, and rho, the
    refractory ticks that remain, is `refractory`. While rho > 0: v stands still, i and a go on, rho = max(rho - 1, 0).
    Source: Norse 1.1, lif_adex_refrac_feed_forward_step and lif_adex_refrac_step.
    """

    refractory: Refractory = Field(5.0, description="silence after a spike, in ticks (a number) or as a time")
