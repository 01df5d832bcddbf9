"""Detrend: what is left of a signal without its slow part."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from spikeflow.events import Indices, Times
from spikeflow.nodes.conditioning import Conditioner, elapsed
from spikeflow.nodes.folds import MOST_CARRIED, Doubles, fold
from spikeflow.units import Seconds


class Detrend(Conditioner):
    """x minus the running mean of its channel, or minus the line that runs through its recent samples.

    A sample that is s seconds old has the weight exp(-s / over). `by: mean`: x - Σ w·x / Σ w, this sample among them,
    so that the first one gives 0. `by: line`: x - a, where a + b·s is the weighted least-squares line through all
    samples; a ramp gives 0, from its first sample on. The weights go by the samples' own times: gaps fade as they
    should, and rates may change. Samples beyond 1e150 count as no samples.
    """

    elementwise: ClassVar[bool] = True
    most: ClassVar[float] = MOST_CARRIED

    over: Annotated[Seconds, Field(gt=0, allow_inf_nan=False)] = Field(
        description="the time constant: what lasts much longer is removed"
    )
    by: Literal["mean", "line"] = Field("mean", description="remove the running mean, or the running straight line")

    def start(self, size: int) -> None:
        """No channel has been seen."""
        self.seen = np.full(size, -1, np.int64)
        self.weight, self.sum = np.zeros(size), np.zeros(size)
        if self.by == "line":  # moments of the age, in time constants
            self.age, self.age2, self.cross = np.zeros(size), np.zeros(size), np.zeros(size)

    def condition(self, t_ns: Times, channel: Indices, value: Doubles) -> Doubles:
        """What is left."""
        past = elapsed(t_ns, channel, self.context.grid.origin_ns, self.seen) / self.over
        decay = np.exp(-past)
        if self.by == "mean":
            weight, total = fold(channel, [value, decay], [self.weight, self.sum], _mean_step, 2)
            return value - total / weight
        state = [self.weight, self.sum, self.age, self.age2, self.cross]
        weight, total, age, age2, cross = fold(channel, [value, decay, past], state, _line_step, 5)
        apart = weight * age2 - age * age
        line = apart > 1e-12 * weight * age2  # else all samples came at one instant
        return value - np.where(line, (age2 * total - age * cross) / np.where(line, apart, 1.0), total / weight)


def _mean_step(_: Any, x: Any, decay: Any, weight: Any, total: Any) -> tuple[Any, ...]:
    weight = decay * weight + 1.0
    total = decay * total + x
    return weight, total, weight, total


def _line_step(
    _: Any, x: Any, decay: Any, past: Any, weight: Any, total: Any, age: Any, age2: Any, cross: Any
) -> tuple[Any, ...]:
    age2 = decay * (age2 + 2.0 * past * age + past * past * weight)
    cross = decay * (cross + past * total)
    age = decay * (age + past * weight)
    weight = decay * weight + 1.0  # this sample has the age 0
    total = decay * total + x
    return weight, total, age, age2, cross, weight, total, age, age2, cross
