"""Clip: no value past its bounds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from spikeflow.errors import ParameterError, Problem
from spikeflow.events import Grid, Indices, Stream, Times
from spikeflow.nodes.conditioning import Conditioner, of_channels, wrong_lengths
from spikeflow.nodes.folds import Doubles

_Finite = Annotated[float, Field(allow_inf_nan=False)]


class Clip(Conditioner):
    """min(max(x, low), high)."""

    elementwise: ClassVar[bool] = True

    low: _Finite | list[_Finite] | None = Field(None, description="the least value; one, or one a channel")
    high: _Finite | list[_Finite] | None = Field(None, description="the largest value; one, or one a channel")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.low is None and self.high is None:
            raise ParameterError("neither low nor high", "write one of them, or both")
        return self

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """Numbers for other channels; bounds in the wrong order."""
        wrong = list(wrong_lengths(inputs[0].size, low=self.low, high=self.high))
        yield from wrong
        if not wrong and self.low is not None and self.high is not None and np.any(np.greater(self.low, self.high)):
            yield Problem(("low",), "low is above high", "exchange them")

    def start(self, size: int) -> None:
        """The bounds."""
        self._low = of_channels(-np.inf if self.low is None else self.low, size)
        self._high = of_channels(np.inf if self.high is None else self.high, size)

    def condition(self, t_ns: Times, channel: Indices, value: Doubles) -> Doubles:
        """The values between the bounds."""
        return np.clip(value, self._low[channel], self._high[channel])
