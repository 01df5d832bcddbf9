"""Short-term plasticity: what a presynaptic spike still transmits after the ones before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from spikeflow.kernels.model import Array, NeuronModel, Time, Value
from spikeflow.kernels.vocabulary import Real, absolute, where
from spikeflow.units import Seconds


class TsodyksMakram(NeuronModel):
    """Short-term plasticity of the neurons that it listens to: each spike leaves with the share that it transmits.

    du/dt = -u / tau_f,  dx/dt = (1 - x) / tau_d;  at a spike u += U (1 - u), then u x is sent, and x loses it.
    Whatever arrives in a tick is one spike, so that u and x stay between 0 and 1.
    Put it between a population and its targets (`input: pre`, one to one); the spikes' values multiply the weights.
    Source: Tsodyks and Markram (1997) as Norse 1.1 steps it, stp_step: the jump of u from the old u, the old x sent.
    """

    tau_f: Time = Field(50e-3, description="time constant of facilitation")
    tau_d: Time = Field(750e-3, description="time constant of recovery from depression")
    U: Value = Field(0.45, description="by how much of what is left a spike raises the utilisation u")

    state: ClassVar = ("u", "x", "sent")
    receptors: ClassVar = ("z",)
    refracts: ClassVar = False
    resets: ClassVar = ()
    graded: ClassVar = "sent"
    linear: ClassVar = ("tau_f", "tau_d")

    def constants(self, dt: Seconds) -> Mapping[str, float | Array]:
        return {"fade": dt / self.tau_f, "recovery": dt / self.tau_d}

    def initial(self) -> Mapping[str, float | Array]:
        return {"x": 1.0}

    @staticmethod
    def update(
        u: Real, x: Real, sent: Real, z: Real, fade: Real, recovery: Real, U: Real, one: Real, zero: Real
    ) -> Any:  # fmt: skip
        spiked = absolute(z) > zero
        z = where(spiked, one, zero)
        u = u - fade * u + U * (one - u) * z
        sent = u * x * z
        x = x + recovery * (one - x) - sent
        return u, x, sent, spiked
