"""The STDP sensor: the traces that pairs of spikes leave, with the weights as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from spikeflow.kernels.parameters import Span
from spikeflow.kernels.rule import LearningRule
from spikeflow.kernels.vocabulary import Real
from spikeflow.units import Seconds


class StdpSensor(LearningRule):
    """What STDP would see: a trace of what arrives and one of the neuron's own spikes; no weight changes.

    da_pre/dt = -a_pre / tau_c, + eta_p at a spike that arrives;  da_post/dt = -a_post / tau_c, + eta_m at its own.
    Source: Norse 1.1, stdp_sensor_step, whose tau_ac is read by nothing; it is not offered here.
    """

    tau_c: Span = Field(0.1, description="time constant of both traces")
    eta_p: float = Field(1.0, description="what a presynaptic spike adds")
    eta_m: float = Field(1.0, description="what a postsynaptic spike adds")

    pre: ClassVar = ("a_pre", "z_pre")
    post: ClassVar = ("a_post", "z_post")
    event_driven: ClassVar = True

    def constants(self, dt: Seconds) -> Mapping[str, float]:
        return {"keep": 1.0 - dt / self.tau_c}

    @staticmethod
    def trace_pre(a_pre: Real, z_pre: Real, z: Real, keep: Real, eta_p: Real) -> Any:
        return a_pre * keep + eta_p * z, z

    @staticmethod
    def trace_post(a_post: Real, z_post: Real, z: Real, keep: Real, eta_m: Real) -> Any:
        return a_post * keep + eta_m * z, z

    @staticmethod
    def update(w: Real, a_pre: Real, z_pre: Real, a_post: Real, z_post: Real) -> Any:
        return (w,)
