"""Leaky integrate-and-fire with an excitatory and an inhibitory conductance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from spikeflow.errors import Problem
from spikeflow.kernels.model import Array, NeuronModel, Time, Value
from spikeflow.kernels.vocabulary import Real, maximum, where
from spikeflow.units import Seconds, format_seconds


class CobaLif(NeuronModel):
    """Leaky integrate-and-fire with exponentially decaying conductances, `exc` and `inh`; potentials in mV.

    c_m dv/dt = g_l (v_rest - v) + g_e (e_rev_E - v) + g_i (e_rev_I - v),
    dg_e/dt = -g_e / tau_syn_exc,  dg_i/dt = -g_i / tau_syn_inh;  where v > v_thresh: a spike, v = v_reset.
    What arrives at a receptor opens its conductance: weights are positive at both, and a sum below zero counts as zero.
    Source: Norse 1.1, coba_lif_feed_forward_step, and coba_lif_step as documented. As released, coba_lif_step drops
    its input and CobaLIFCell starts at v = 0, above the threshold: `compatibility: norse` does both.
    """

    tau_syn_exc: Time = Field(5.0, description="time constant of the excitatory conductance")
    tau_syn_inh: Time = Field(5.0, description="time constant of the inhibitory conductance")
    c_m: Time = Field(0.2, description="membrane capacitance, as the time constant at a conductance of 1")
    g_l: Value = Field(0.25, description="conductance of the leak")
    e_rev_E: Value = Field(60.0, description="reversal potential of excitation (mV)")
    e_rev_I: Value = Field(-100.0, description="reversal potential of inhibition (mV)")
    v_rest: Value = Field(-20.0, description="potential at rest (mV)")
    v_reset: Value = Field(-70.0, description="potential after a spike (mV)")
    v_thresh: Value = Field(-10.0, description="threshold; a spike where v is above it (mV)")
    compatibility: Literal["norse"] | None = Field(
        None, description="norse: only the population's own spikes arrive, and v starts at 0, as released"
    )

    state: ClassVar = ("v", "g_e", "g_i")
    receptors: ClassVar = ("exc", "inh")
    linear: ClassVar = ("tau_syn_exc", "tau_syn_inh")
    reset_below: ClassVar = ("v_reset", "v_thresh")
    presets: ClassVar = {
        "biological": {
            "tau_syn_exc": "0.3 ms", "tau_syn_inh": "0.5 ms", "c_m": "0.2 ms", "g_l": 0.25,
            "e_rev_E": 0.0, "e_rev_I": -70.0, "v_rest": -65.0, "v_reset": -65.0, "v_thresh": -50.0,
        }
    }  # fmt: skip

    def constants(self, dt: Seconds) -> Mapping[str, float | Array]:
        return {"decay_exc": dt / self.tau_syn_exc, "decay_inh": dt / self.tau_syn_inh, "gain": dt / self.c_m}

    def initial(self) -> Mapping[str, float | Array]:
        return {} if self.compatibility == "norse" else {"v": self.v_rest}

    def hears(self, own: bool) -> bool:
        return own or self.compatibility != "norse"

    def problems(self, dt: Seconds, size: int | None = None) -> list[Problem]:
        """Those of every model, a membrane too fast for the tick, and defaults that are a thousand times too slow."""
        found = super().problems(dt, size)
        if not all(problem.warning for problem in found):
            return found
        for name in self.linear:
            if name not in self.model_fields_set:
                found.append(Problem(
                    (name,), "left at 5 s, as Norse's code runs it, where its documentation means 5 ms",
                    f"write {name}: 5 ms, or 5 s to keep it, or preset: biological", warning=True,
                ))  # fmt: skip
        c_m = np.asarray(self.c_m)
        if (c_m <= 0).any():
            least = f"{format_seconds(float(c_m.min()))} for neuron {int(c_m.argmin())}"
            return [*found, Problem(("c_m",), f"{least} is not above zero", "narrow the distribution")]
        ratio = float(np.max(dt * np.asarray(self.g_l) / c_m))
        if ratio > 2 and not self.allow_unstable:
            hint = "take a shorter dt, or allow_unstable: true"
            found.append(Problem(("c_m",), f"unstable: dt * g_l / c_m is {ratio:.3g}, above 2", hint))
        elif ratio > 0.5:
            coarse = f"coarse: dt * g_l / c_m is {ratio:.3g}, above 0.5"
            found.append(Problem(("c_m",), coarse, "take a shorter dt", warning=True))
        return found

    @staticmethod
    def update(
        v: Real, g_e: Real, g_i: Real, exc: Real, inh: Real, decay_exc: Real, decay_inh: Real, gain: Real, zero: Real,
        g_l: Real, e_rev_E: Real, e_rev_I: Real, v_rest: Real, v_reset: Real, v_thresh: Real,
    ) -> Any:  # fmt: skip
        g_e = g_e + maximum(exc, zero)
        g_i = g_i + maximum(inh, zero)
        g_e = g_e - decay_exc * g_e
        g_i = g_i - decay_inh * g_i
        v = v + gain * (g_l * (v_rest - v) + g_e * (e_rev_E - v) + g_i * (e_rev_I - v))
        spiked = v > v_thresh
        return where(spiked, v_reset, v), g_e, g_i, spiked
