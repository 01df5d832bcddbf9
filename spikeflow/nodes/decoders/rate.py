"""Rate: how many spikes a second, over the time just past."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from spikeflow.errors import Problem
from spikeflow.events import Grid, Indices, Stream, Values
from spikeflow.nodes.frames import Counted, Floats, not_whole
from spikeflow.units import Nanoseconds


class Rate(Counted):
    """Spikes a second of each neuron, or of their mean, over the last `over`, given every `every`.

    The sample at time T holds the spikes of [T - over, T). T is a multiple of `every`, counted from the origin, or
    from where the node forgot. With `every` as long as `over` one time follows the other (tumbling), with a shorter one
    they overlap (sliding). Valued spikes count by their value, those that are not finite not at all. A run that is
    younger than `over` is taken as silent before it began.
    """

    elementwise: ClassVar[bool] = True

    over: Annotated[Nanoseconds, Field(gt=0)] = Field(description="how far back spikes count; whole ticks")
    every: Annotated[Nanoseconds, Field(gt=0)] | None = Field(
        None, description="how often a rate is given; whole ticks; `over` where it is not said"
    )
    per: Literal["neuron", "population"] = Field(
        "neuron", description="one channel a neuron, or one for the mean over all of them"
    )

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """Times that are not whole ticks, more counts than there is memory for."""
        yield from not_whole(grid, over=self.over, every=self.every)
        yield from self.check_copies(1, inputs, grid)

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """Samples of the input's shape, or of one channel."""
        if self.per == "population":
            return {"": Stream("", "samples", 1)}
        return {"": Stream("", "samples", inputs[0].size, shape=inputs[0].shape)}

    def start(self, size: int) -> None:
        """No spikes yet."""
        super().start(size)
        over = self.over // self.context.grid.dt_ns
        self._unit = 1.0 / (over * self.context.grid.dt * self._sharing)

    def _times(self) -> tuple[int, int]:
        return self.over, self.every or self.over

    def _pooled(self) -> bool:
        return self.per == "population"

    def read(self, counts: Floats) -> tuple[Indices, Values]:
        """[channels] spikes/s."""
        return np.arange(len(counts), dtype=np.uint32), counts * self._unit
