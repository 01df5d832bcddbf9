"""Reward-modulated STDP with eligibility traces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from spikeflow.kernels.parameters import Span
from spikeflow.kernels.rule import Bounded
from spikeflow.kernels.vocabulary import Real, maximum, minimum
from spikeflow.units import Seconds


class RStdp(Bounded):
    """Reward-modulated STDP: pairs of spikes mark a synapse as eligible, and a reward later changes what is marked.

    dt_pre/dt = -t_pre / tau_pre, + a_pre at a spike that arrives; dt_post/dt likewise at the neuron's own;
    de/dt = -e / tau_e + eta_plus t_pre z_post - eta_minus t_post z_pre;  w += eta reward e, the new e.
    The reward of a tick is what arrives at the receptor `reward`: positive, negative, for all neurons or for some.
    Source: Florian (2007), Reinforcement learning through modulation of spike-timing-dependent synaptic plasticity,
    the rule with eligibility traces (MSTDPET); Izhikevich (2007) names the reward dopamine. With `integrator: euler`
    a decay is x -= x dt / tau, with `exact` x *= exp(-dt / tau).
    """

    tau_pre: Span = Field(20e-3, description="time constant of the presynaptic trace")
    tau_post: Span = Field(20e-3, description="time constant of the postsynaptic trace")
    tau_e: Span = Field(1.0, description="time constant of the eligibility: how late a reward may come")
    a_pre: float = Field(1.0, description="what a presynaptic spike adds to its trace")
    a_post: float = Field(1.0, description="what a postsynaptic spike adds to its trace")
    eta_plus: float = Field(1.0, description="eligibility of a spike that came before the neuron's own")
    eta_minus: float = Field(1.0, description="eligibility, with its sign turned, of one that came after it")
    eta: float = Field(1e-3, description="rate of learning")
    integrator: Literal["euler", "exact"] = Field("exact", description="linear or exponential decay")

    pre: ClassVar = ("t_pre", "z_pre")
    post: ClassVar = ("t_post", "reward", "z_post")
    state: ClassVar = ("w", "e")
    receptors: ClassVar = ("reward",)

    def constants(self, dt: Seconds) -> Mapping[str, float]:
        found = {}
        for name in ("pre", "post", "e"):
            tau = getattr(self, f"tau_{name}")
            found[f"keep_{name}"] = 1.0 - dt / tau if self.integrator == "euler" else float(np.exp(-dt / tau))
        return found

    @staticmethod
    def trace_pre(t_pre: Real, z_pre: Real, z: Real, keep_pre: Real, a_pre: Real) -> Any:
        return t_pre * keep_pre + a_pre * z, z

    @staticmethod
    def trace_post(
        t_post: Real, reward: Real, z_post: Real, z: Real, rewarded: Real, keep_post: Real, a_post: Real
    ) -> Any:  # fmt: skip
        return t_post * keep_post + a_post * z, rewarded, z

    @staticmethod
    def update(
        w: Real, e: Real, t_pre: Real, z_pre: Real, t_post: Real, reward: Real, z_post: Real, keep_e: Real,
        eta_plus: Real, eta_minus: Real, eta: Real, w_min: Real, w_max: Real, *, bounds: str,
    ) -> Any:  # fmt: skip
        e = e * keep_e + eta_plus * (t_pre * z_post) - eta_minus * (t_post * z_pre)
        w = w + eta * (reward * e)
        if bounds == "hard":
            w = minimum(maximum(w, w_min), w_max)
        return w, e
