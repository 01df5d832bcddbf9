"""Spike-timing-dependent plasticity of pairs of spikes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from spikeflow.kernels.parameters import Span
from spikeflow.kernels.rule import Bounded
from spikeflow.kernels.vocabulary import Real, maximum, minimum, power, where
from spikeflow.units import Seconds


class Stdp(Bounded):
    """Pair STDP: a synapse grows where its spike comes before the neuron's own, and shrinks where it comes after.

    Every spike leaves a trace, dt_pre/dt = (a_pre z_pre - t_pre) / tau_pre, and likewise t_post. Then
    w += A_plus(w) t_pre where the neuron fires, w -= A_minus(w) t_post where a spike arrives, both from the new traces.
    A_plus is eta_plus (`additive`), eta_plus while w < w_max (`additive_step`), eta_plus (w_max - w)
    (`multiplicative_relu`) or eta_plus (w_max - w)^mu (`multiplicative_pow`), and A_minus its mirror image at w_min.
    Source: Norse 1.1, stdp_step_linear, where a spike of weight a moves its trace by a dt / tau. With
    `integrator: exact` the trace decays by exp(-dt / tau) and a spike moves it by a, as Song, Miller and Abbott (2000)
    have it.
    """

    tau_pre: Span = Field(50e-3, description="time constant of the presynaptic trace")
    tau_post: Span = Field(50e-3, description="time constant of the postsynaptic trace")
    a_pre: float = Field(1.0, description="what a presynaptic spike adds to its trace")
    a_post: float = Field(1.0, description="what a postsynaptic spike adds to its trace")
    eta_plus: float = Field(1e-3, description="rate of growth")
    eta_minus: float = Field(1e-3, description="rate of shrinking")
    algorithm: Literal["additive", "additive_step", "multiplicative_pow", "multiplicative_relu"] = Field(
        "additive", description="how a change depends on the weight"
    )
    mu: float = Field(0.0, ge=0, description="the power of multiplicative_pow")
    integrator: Literal["euler", "exact"] = Field("euler", description="linear or exponential decay of the traces")

    pre: ClassVar = ("t_pre", "z_pre")
    post: ClassVar = ("t_post", "z_post")
    event_driven: ClassVar = True

    @property
    def tolerance(self) -> float | None:
        return 1e-5 if self.algorithm == "multiplicative_pow" else None  # a power differs in its last bits

    def constants(self, dt: Seconds) -> Mapping[str, float]:
        return {
            "fade_pre": dt / self.tau_pre,
            "fade_post": dt / self.tau_post,
            "keep_pre": float(np.exp(-dt / self.tau_pre)),
            "keep_post": float(np.exp(-dt / self.tau_post)),
        }

    @staticmethod
    def trace_pre(
        t_pre: Real, z_pre: Real, z: Real, fade_pre: Real, keep_pre: Real, a_pre: Real, *, integrator: str
    ) -> Any:
        if integrator == "exact":
            t_pre = t_pre * keep_pre + a_pre * z
        else:
            t_pre = t_pre + fade_pre * (a_pre * z - t_pre)
        return t_pre, z

    @staticmethod
    def trace_post(
        t_post: Real, z_post: Real, z: Real, fade_post: Real, keep_post: Real, a_post: Real, *, integrator: str
    ) -> Any:
        if integrator == "exact":
            t_post = t_post * keep_post + a_post * z
        else:
            t_post = t_post + fade_post * (a_post * z - t_post)
        return t_post, z

    @staticmethod
    def update(
        w: Real, t_pre: Real, z_pre: Real, t_post: Real, z_post: Real, eta_plus: Real, eta_minus: Real, w_min: Real,
        w_max: Real, mu: Real, one: Real, zero: Real, *, algorithm: str, bounds: str,
    ) -> Any:  # fmt: skip
        plus = eta_plus
        minus = eta_minus
        if algorithm == "additive_step":
            plus = eta_plus * where(w < w_max, one, zero)
            minus = eta_minus * where(w > w_min, one, zero)
        if algorithm == "multiplicative_pow":
            plus = eta_plus * power(maximum(w_max - w, zero), mu)
            minus = eta_minus * power(maximum(w - w_min, zero), mu)
        if algorithm == "multiplicative_relu":
            plus = eta_plus * maximum(w_max - w, zero)
            minus = eta_minus * maximum(w - w_min, zero)
        w = w + plus * (z_post * t_pre) - minus * (t_post * z_pre)
        if bounds == "hard":
            w = minimum(maximum(w, w_min), w_max)
        return (w,)
