"""Leaky integrate-and-fire whose synapses measure correlations."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from spikeflow.kernels.models.lif import Lif
from spikeflow.kernels.parameters import Span
from spikeflow.kernels.rules.correlation_sensor import CorrelationSensor


class LifCorrelation(Lif):
    """The neurons of `lif`; every projection to them has a correlation sensor in each synapse, unless it learns itself.

    dv/dt = (v_leak - v + i) / tau_mem,  di/dt = -i / tau_syn;  where v > v_th: a spike, v = v_reset. The sensors'
    equations are those of the rule `correlation_sensor`.
    Ports such as `correlation_x` and `anti_correlation_x`, for a projection from x, carry what the sensors measured.
    Source: Norse 1.1, lif_correlation_step: a step of the neurons, then of the sensors, for recurrent synapses between
    the spikes of the last tick and those of this one.
    """

    tau_c: Span = Field(0.1, description="time constant of the correlation")
    tau_ac: Span = Field(0.1, description="time constant of the anti-correlation")
    eta_p: float = Field(1.0, description="what a presynaptic spike adds to the correlation")
    eta_m: float = Field(1.0, description="what a postsynaptic spike adds to the anti-correlation")

    def learns(self) -> Any:
        return CorrelationSensor(tau_c=self.tau_c, tau_ac=self.tau_ac, eta_p=self.eta_p, eta_m=self.eta_m)
