"""Population vector: the value that a group of neurons stands for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from spikeflow.errors import ParameterError, Problem
from spikeflow.events import Grid, Stream
from spikeflow.nodes.frames import Chosen, Copies, Floats, Readout, added_up
from spikeflow.nodes.number_files import Numbers, numbers

_Number = Annotated[float, Field(allow_inf_nan=False)]
_OPPOSED = 1e-9
"""A mean direction shorter than this says nothing: what is left of a sum of directions that cancel."""


class PopulationVector(Readout):
    """The mean of the values that neurons prefer, each as often as it spiked: sum(w x) / sum(w).

    With `period`, values are angles, and it is the direction of sum(w exp(2 pi i x / period)). w is how often a neuron
    spiked within `frame`, or in the last `over` every `every`; of samples the value that each channel holds, at
    each tick that has some. A negative w counts as 0. Where all are 0, sums overflow, or directions cancel, there
    is no sample.
    Neurons g · centres to (g + 1) · centres - 1 stand for channel g, as the encoder `population` lays them out.
    Source: Georgopoulos, Schwartz & Kettner 1986; the centre of mass of a population code.
    """

    range: tuple[_Number, _Number] | None = Field(
        None,
        description="[low, high]: values spread evenly over it, both ends included; an angle's end, which is where it "
        "began, is not",
    )
    preferred: Numbers | None = Field(
        None, description="in place of a range: the value that each neuron of a group prefers, in a list or a file"
    )
    centres: int | None = Field(None, ge=1, description="how many neurons form a group; all of them unless said")
    period: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="values are angles that come back after so much, such as 360"
    )

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """Times, groups and preferred values that do not fit; a file is opened."""
        yield from super().check(inputs, grid)
        if (self.range is None) == (self.preferred is None):
            given = "neither range nor" if self.range is None else "both range and"
            hint = "write range: [0, 1], or preferred: values.npy"
            yield Problem(() if self.range is None else ("preferred",), f"{given} preferred", hint)
            return
        size = inputs[0].size
        if self.centres is not None and size % self.centres:
            found = f"groups of {self.centres} of {size} neurons"
            yield Problem(("centres",), found, "write a number that divides them")
            return
        try:
            self._values(size)
        except ParameterError as error:
            yield Problem(("range" if self.preferred is None else "preferred",), error.found, error.hint)

    def _values(self, size: int) -> Floats:
        """[centres] what each neuron of a group prefers."""
        count = self.centres or size
        if self.preferred is not None:
            found = numbers(self.preferred)
            if found.shape != (count,):
                hint = f"give {count}, or say how many `centres` a group has"
                raise ParameterError(f"values of shape {list(found.shape)} for groups of {count} neurons", hint)
            return found
        assert self.range is not None
        low, high = self.range
        if not low < high < math.inf or not math.isfinite(high - low):
            raise ParameterError(f"a range from {low:g} to {high:g}", "write [low, high]")
        round_trip = self.period is not None and abs((high - low) / self.period % 1.0 - 0.5) > 0.5 - 1e-9
        return np.linspace(low, high, count, endpoint=not round_trip)

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """A channel for each group, of the precision of the input."""
        size, shape = inputs[0].size, inputs[0].shape
        count = self.centres or size
        groups = size // count
        kept = shape[:-1] if len(shape) > 1 and shape[-1] == count else ()
        return {"": Stream("", "samples", max(1, groups), shape=kept, double=inputs[0].double)}

    def start(self, size: int) -> None:
        """Read the preferred values."""
        super().start(size)
        values = self._values(size // self._copies)
        self._low = self.range[0] if self.range is not None else 0.0
        self._preferred = values
        if self.period is not None:
            angle = values * (2.0 * np.pi / self.period)
            self._east, self._north = np.cos(angle), np.sin(angle)

    def weigh(self, weight: Floats, copies: Copies, tick: int) -> tuple[Chosen, Floats]:
        """[m, groups] the values of the groups that have one."""
        shape = len(weight), -1
        group = np.fmax(weight, 0.0).reshape(-1, len(self._preferred)).T
        total = added_up(group)
        with np.errstate(invalid="ignore", over="ignore"):
            if self.period is None:
                known, mean = total > 0.0, added_up(group * self._preferred[:, None])
                found = np.divide(mean, total, where=known, out=mean)
            else:
                east, north = (added_up(group * side[:, None]) for side in (self._east, self._north))
                known = np.hypot(east, north) > _OPPOSED * total
                angle = np.arctan2(north, east) * (self.period / (2.0 * np.pi))
                found = self._low + (angle - self._low) % self.period
        known &= np.isfinite(total) & np.isfinite(found)
        return known.reshape(shape), found.reshape(shape)
