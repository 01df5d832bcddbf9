"""Leaky integrate-and-fire whose threshold rises with every spike: the neuron of long short-term spiking networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from spikeflow.errors import Problem
from spikeflow.kernels.model import Array, NeuronModel, Time, Value
from spikeflow.kernels.vocabulary import Real, where
from spikeflow.units import Seconds


class Lsnn(NeuronModel):
    """Leaky integrate-and-fire with a threshold `b` of its own, which each spike raises by `beta`.

    dv/dt = (v_leak - v + i) / tau_mem,  di/dt = -i / tau_syn,  db/dt = (v_th - b) / tau_adapt;
    where v > b: a spike, v = v_reset, b = b + beta. Input reaches i after v has moved.
    Source: Norse 1.1, lsnn_feed_forward_step and lsnn_step (not the equations of its documentation). It counts the
    time constant of b in ms while dt is in s: the default of 800 s, which it runs with, hardly lets b relax.
    """

    tau_mem: Time = Field(10e-3, description="membrane time constant")
    tau_syn: Time = Field(5e-3, description="time constant of the synaptic current")
    tau_adapt: Time = Field(800.0, description="time constant of the adaptation")
    v_leak: Value = Field(0.0, description="potential at rest")
    v_th: Value = Field(1.0, description="threshold without adaptation")
    v_reset: Value = Field(0.0, description="potential after a spike")
    beta: Value = Field(1.8, description="what a spike adds to the adaptation")

    state: ClassVar[tuple[str, ...]] = ("v", "i", "b")
    receptors: ClassVar[tuple[str, ...]] = ("i",)
    input_orders: ClassVar = ("last",)
    linear: ClassVar = ("tau_mem", "tau_syn", "tau_adapt")

    def constants(self, dt: Seconds) -> Mapping[str, float | Array]:
        return {"leak": dt / self.tau_mem, "decay": dt / self.tau_syn, "adapt": dt / self.tau_adapt}

    def initial(self) -> Mapping[str, float | Array]:
        return {"v": self.v_leak, "b": self.v_th}

    def problems(self, dt: Seconds, size: int | None = None) -> list[Problem]:
        """Those of every model, and a warning where the time constant of the adaptation is left as it is."""
        found = super().problems(dt, size)
        if "tau_adapt" not in self.model_fields_set:
            found.append(Problem(
                ("tau_adapt",), "left at 800 s, as Norse's code runs it, where its documentation means 800 ms",
                "write tau_adapt: 800 ms, or 800 s to keep it", warning=True,
            ))  # fmt: skip
        return found

    @staticmethod
    def update(
        v: Real, i: Real, b: Real, arriving: Real, leak: Real, decay: Real, adapt: Real, v_leak: Real, v_th: Real,
        v_reset: Real, beta: Real,
    ) -> Any:  # fmt: skip
        v = v + leak * ((v_leak - v) + i)
        i = i - decay * i
        b = b + adapt * (v_th - b)
        spiked = v > b
        v = where(spiked, v_reset, v)
        b = where(spiked, b + beta, b)
        i = i + arriving
        return v, i, b, spiked
