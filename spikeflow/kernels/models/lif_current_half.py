"""Leaky integrate-and-fire driven by a current of each tick, with half a spike where v is the threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from spikeflow.kernels.model import Array, Value
from spikeflow.kernels.models.lif_current import LifCurrent
from spikeflow.kernels.vocabulary import Real, where
from spikeflow.units import Seconds


class LifCurrentHalf(LifCurrent):
    """Leaky integrate-and-fire by a current of each tick, whose spikes carry 1, and 1/2 where v just reaches v_th.

    dv/dt = (v_leak - v + current) / tau_mem;  z = 1 where v > v_th, 1/2 where v = v_th, else 0;
    v = v - z (v - v_reset).
    Source: jaxsnn 0.3, lif_current_encoder.
    """

    v_th: Value = Field(0.6, description="threshold; a spike where v is above it, half a spike where v is equal to it")

    state: ClassVar = ("v", "z")
    resets: ClassVar = ("value",)
    held: ClassVar = ("v", "z")
    refracts: ClassVar = False
    graded: ClassVar = "z"

    def constants(self, dt: Seconds) -> Mapping[str, float | Array]:
        return {**super().constants(dt), "half": 0.5}

    @staticmethod
    def update(  # type: ignore[override]
        v: Real, z: Real, current: Real, leak: Real, v_leak: Real, v_th: Real, v_reset: Real, zero: Real, half: Real,
        one: Real,
    ) -> Any:  # fmt: skip
        v = v + leak * ((v_leak - v) + current)
        z = where(v > v_th, one, where(v < v_th, zero, half))
        v = v - z * (v - v_reset)
        return v, z, z > zero
