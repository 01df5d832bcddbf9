"""An exponential filter: what arrives, remembered with one time constant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from spikeflow.kernels.model import Array, NeuronModel, Time, Value
from spikeflow.kernels.vocabulary import Real
from spikeflow.units import Seconds


class ExpFilter(NeuronModel):
    """Exponential filter of what arrives; its output is the filtered sum `y`.

    y = exp(-dt / tau_filter) y + input + bias.
    Source: Norse 1.1, ExpFilter.
    """

    tau_filter: Time = Field(1e-3, description="time constant of the filter")
    bias: Value = Field(0.0, description="added at every tick")

    state: ClassVar = ("y",)
    receptors: ClassVar = ("y",)
    spikes: ClassVar = False
    refracts: ClassVar = False
    resets: ClassVar = ()

    def constants(self, dt: Seconds) -> Mapping[str, float | Array]:
        return {"fade": np.exp(-dt / self.tau_filter)}

    @staticmethod
    def update(y: Real, arriving: Real, fade: Real, bias: Real) -> Any:
        return (fade * y + (arriving + bias),)
