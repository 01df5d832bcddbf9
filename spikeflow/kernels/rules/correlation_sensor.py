"""The correlation sensor: how causal and how anti-causal the spikes at each synapse are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from spikeflow.kernels.parameters import Span
from spikeflow.kernels.rule import LearningRule
from spikeflow.kernels.vocabulary import Real, where
from spikeflow.units import Seconds


class CorrelationSensor(LearningRule):
    """Two numbers a synapse, as the sensors in the synapses of neuromorphic chips keep them; no weight changes.

    While the synapse waits for the neuron (post_pre 0) the correlation c decays, dc/dt = -c / tau_c, else the
    anti-correlation a does, da/dt = -a / tau_ac. A spike that arrives adds eta_p to c and clears post_pre, one of the
    neuron adds eta_m to a and sets it; both in one tick leave it as it was.
    Source: Norse 1.1, correlation_sensor_step; the decay goes by the flag before the tick.
    """

    tau_c: Span = Field(0.1, description="time constant of the correlation")
    tau_ac: Span = Field(0.1, description="time constant of the anti-correlation")
    eta_p: float = Field(1.0, description="what a presynaptic spike adds to the correlation")
    eta_m: float = Field(1.0, description="what a postsynaptic spike adds to the anti-correlation")

    pre: ClassVar = ("z_pre",)
    post: ClassVar = ("z_post",)
    state: ClassVar = ("w", "post_pre", "correlation", "anti_correlation")

    def constants(self, dt: Seconds) -> Mapping[str, float]:
        return {"fade": dt / self.tau_c, "anti_fade": dt / self.tau_ac}

    @staticmethod
    def trace_pre(z_pre: Real, z: Real) -> Any:
        return (z,)

    @staticmethod
    def trace_post(z_post: Real, z: Real) -> Any:
        return (z,)

    @staticmethod
    def update(
        w: Real, post_pre: Real, correlation: Real, anti_correlation: Real, z_pre: Real, z_post: Real, fade: Real,
        anti_fade: Real, eta_p: Real, eta_m: Real, one: Real, zero: Real,
    ) -> Any:  # fmt: skip
        correlation = correlation - (one - post_pre) * fade * correlation + eta_p * z_pre
        anti_correlation = anti_correlation - post_pre * anti_fade * anti_correlation + eta_m * z_post
        post_pre = where(post_pre + z_post - z_pre > zero, one, zero)
        return w, post_pre, correlation, anti_correlation
