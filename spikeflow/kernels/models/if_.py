"""NIR's integrate-and-fire, which forgets nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from spikeflow.kernels.model import Array, NeuronModel, Value
from spikeflow.kernels.vocabulary import Real, where
from spikeflow.units import Seconds


class IntegrateAndFire(NeuronModel):
    """Integrate-and-fire without a leak; NIR's IF under NIR's names.

    dv/dt = r current;  where v > v_threshold: a spike, v = v_reset. By default a tick counts as one, v = v + r current,
    as Norse and Sinabs run NIR's graphs; `scaled: true` counts it as dt seconds, as the equation does.
    Source: NIR 1.0, IF.
    """

    r: Value = Field(1.0, description="resistance of the membrane")
    v_threshold: Value = Field(1.0, description="threshold; a spike where v is above it")
    v_reset: Value = Field(0.0, description="potential after a spike, and before the first tick")
    scaled: bool = Field(False, description="whether the input is scaled by the tick's length in seconds")

    state: ClassVar = ("v",)
    receptors: ClassVar = ("current",)
    resets: ClassVar = ("value", "subtract")
    reset_below: ClassVar = ("v_reset", "v_threshold")

    def constants(self, dt: Seconds) -> Mapping[str, float | Array]:
        return {"gain": dt * self.r if self.scaled else self.r}

    def initial(self) -> Mapping[str, float | Array]:
        return {"v": self.v_reset}

    @staticmethod
    def update(v: Real, current: Real, gain: Real, v_threshold: Real, v_reset: Real, *, reset_by: str) -> Any:
        v = v + gain * current
        spiked = v > v_threshold
        if reset_by == "subtract":
            v = where(spiked, v - v_threshold, v)
        else:
            v = where(spiked, v_reset, v)
        return v, spiked
