"""Integrate-and-fire without a leak: every input moves the potential at once, and it stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from spikeflow.kernels.model import Array, NeuronModel, Value
from spikeflow.kernels.vocabulary import Real, where


class Iaf(NeuronModel):
    """Integrate-and-fire: the potential is the sum of all charge since the last spike, whatever the length of a tick.

    v = v + charge;  where v > v_th: a spike, v = v_reset. What lies above the threshold is lost, unless
    `reset_by: subtract`, which takes v_th off.
    Source: Norse 1.1, iaf_feed_forward_step and iaf_step (not the equation dv/dt = v of its documentation).
    """

    v_th: Value = Field(1.0, description="threshold; a spike where v is above it")
    v_reset: Value = Field(0.0, description="potential after a spike, and before the first tick")

    state: ClassVar = ("v",)
    receptors: ClassVar = ("charge",)
    resets: ClassVar = ("value", "subtract")

    def initial(self) -> Mapping[str, float | Array]:
        return {"v": self.v_reset}

    @staticmethod
    def update(v: Real, charge: Real, v_th: Real, v_reset: Real, *, reset_by: str) -> Any:
        v = v + charge
        spiked = v > v_th
        if reset_by == "subtract":
            v = where(spiked, v - v_th, v)
        else:
            v = where(spiked, v_reset, v)
        return v, spiked
