"""Leaky integrate-and-fire driven by a current of each tick, without a synaptic one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from spikeflow.kernels.model import Array, NeuronModel, Time, Value
from spikeflow.kernels.vocabulary import Real, where
from spikeflow.units import Seconds


class LifCurrent(NeuronModel):
    """Leaky integrate-and-fire whose input of a tick is a current that acts in that tick alone.

    dv/dt = (v_leak - v + current) / tau_mem;  where v > v_th: a spike, v = v_reset.
    Source: Norse 1.1, lif_current_encoder, which reaches v_reset by `v - (v - v_reset)`.
    """

    tau_mem: Time = Field(10e-3, description="membrane time constant")
    v_leak: Value = Field(0.0, description="potential at rest")
    v_th: Value = Field(1.0, description="threshold; a spike where v is above it")
    v_reset: Value = Field(0.0, description="potential after a spike")

    state: ClassVar[tuple[str, ...]] = ("v",)
    receptors: ClassVar = ("current",)
    resets: ClassVar[tuple[str, ...]] = ("value", "subtract")
    linear: ClassVar = ("tau_mem",)

    def constants(self, dt: Seconds) -> Mapping[str, float | Array]:
        return {"leak": dt / self.tau_mem}

    def initial(self) -> Mapping[str, float | Array]:
        return {"v": self.v_leak}

    @staticmethod
    def update(
        v: Real, current: Real, leak: Real, v_leak: Real, v_th: Real, v_reset: Real, *, reset_by: str
    ) -> Any:  # fmt: skip
        v = v + leak * ((v_leak - v) + current)
        spiked = v > v_th
        if reset_by == "subtract":
            v = where(spiked, v - v_th, v)
        else:
            v = where(spiked, v - (v - v_reset), v)
        return v, spiked
