"""NIR's integrator: the sum of all that arrived."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from spikeflow.kernels.model import Array, NeuronModel, Value
from spikeflow.kernels.vocabulary import Real
from spikeflow.units import Seconds


class Integrator(NeuronModel):
    """Integrator without a leak, its output `v`; NIR's I under NIR's names.

    dv/dt = r current. By default a tick counts as one, v = v + r current, as Norse and Sinabs run NIR's graphs;
    `scaled: true` counts it as dt seconds, as the equation does.
    Source: NIR 1.0, I.
    """

    r: Value = Field(1.0, description="resistance of the membrane")
    scaled: bool = Field(False, description="whether the input is scaled by the tick's length in seconds")

    state: ClassVar = ("v",)
    receptors: ClassVar = ("current",)
    spikes: ClassVar = False
    refracts: ClassVar = False
    resets: ClassVar = ()

    def constants(self, dt: Seconds) -> Mapping[str, float | Array]:
        return {"gain": dt * self.r if self.scaled else self.r}

    @staticmethod
    def update(v: Real, current: Real, gain: Real) -> Any:
        return (v + gain * current,)
