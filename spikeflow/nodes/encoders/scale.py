"""Scale: other units."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from spikeflow.errors import ParameterError, Problem
from spikeflow.events import Grid, Indices, Stream, Times
from spikeflow.nodes.conditioning import Conditioner, PerChannel, of_channels, wrong_lengths
from spikeflow.nodes.folds import Doubles

_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Range = Annotated[list[_Finite], Field(min_length=2, max_length=2)]


class Scale(Conditioner):
    """gain · x + offset, or, with `from_range: [a, b]` and `to_range: [c, d]`, the line that takes a to c and b to d.

    Values past the ends of a range stay on the line: `clip` cuts them.
    """

    elementwise: ClassVar[bool] = True

    gain: _Finite | list[_Finite] = Field(1.0, description="what each sample is multiplied by; one, or one a channel")
    offset: _Finite | list[_Finite] = Field(0.0, description="what is added then; one, or one a channel")
    from_range: _Range | None = Field(None, description="two different values of the samples")
    to_range: _Range | None = Field(None, description="what those two become; [0, 1] where it is not said")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.from_range is None:
            if self.to_range is not None:
                raise ParameterError("to_range without from_range", "write from_range: [low, high], too")
        elif {"gain", "offset"} & self.model_fields_set:
            raise ParameterError("both a range and a gain or offset", "keep one of them")
        elif self.from_range[0] == self.from_range[1]:
            raise ParameterError(f"from_range is {self.from_range}", "give two different values")
        return self

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """Numbers for other channels."""
        return wrong_lengths(inputs[0].size, gain=self.gain, offset=self.offset)

    def start(self, size: int) -> None:
        """The line."""
        gain: PerChannel = self.gain
        offset: PerChannel = self.offset
        if self.from_range is not None:
            (a, b), (c, d) = self.from_range, self.to_range or [0.0, 1.0]
            gain = (d - c) / (b - a)
            offset = c - gain * a
        self._gain, self._offset = of_channels(gain, size), of_channels(offset, size)

    def condition(self, t_ns: Times, channel: Indices, value: Doubles) -> Doubles:
        """The values on the line."""
        found: Doubles = value * self._gain[channel] + self._offset[channel]
        return found
