"""Normalize: how far a signal is from its usual value, in units of how far it usually is."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from spikeflow.events import Indices, Times
from spikeflow.nodes.conditioning import Conditioner, elapsed
from spikeflow.nodes.folds import MOST_CARRIED, Doubles, fold
from spikeflow.units import Seconds


class Normalize(Conditioner):
    """(x - mean) / deviation, where both run with the channel.

    A sample that is s seconds old has the weight w = exp(-s / over): mean = Σ w·x / Σ w and
    deviation² = Σ w·(x - mean)² / Σ w, this sample among them. While the deviation is 0, as at the first sample, the
    result is 0; a deviation below `least` counts as `least`. The weights go by the samples' own times.
    Samples beyond 1e150, whose squares are not finite, count as no samples.
    Source: for the update, West, "Updating mean and variance estimates: an improved method", CACM 1979.
    """

    elementwise: ClassVar[bool] = True
    most: ClassVar[float] = MOST_CARRIED

    over: Annotated[Seconds, Field(gt=0, allow_inf_nan=False)] = Field(
        description="the time constant: how long mean and deviation remember"
    )
    least: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="the least deviation, in units of the samples, against silence"
    )

    def start(self, size: int) -> None:
        """No channel has been seen."""
        self.seen = np.full(size, -1, np.int64)
        self.weight, self.mean, self.variance = np.zeros(size), np.zeros(size), np.zeros(size)

    def condition(self, t_ns: Times, channel: Indices, value: Doubles) -> Doubles:
        """In units of the deviation."""
        decay = np.exp(-elapsed(t_ns, channel, self.context.grid.origin_ns, self.seen) / self.over)
        mean, variance = fold(channel, [value, decay], [self.weight, self.mean, self.variance], _step, 2)
        deviation = np.maximum(np.sqrt(variance), self.least)
        return np.where(deviation > 0.0, (value - mean) / np.where(deviation > 0.0, deviation, 1.0), 0.0)


def _step(_: Any, x: Any, decay: Any, weight: Any, mean: Any, variance: Any) -> tuple[Any, ...]:
    weight = decay * weight + 1.0
    part = 1.0 / weight
    away = x - mean
    mean = mean + part * away
    variance = (1.0 - part) * (variance + part * (away * away))
    return weight, mean, variance, mean, variance
