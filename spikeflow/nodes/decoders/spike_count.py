"""Spike count: how many spikes came in a frame, or since the beginning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from spikeflow.errors import Problem
from spikeflow.events import Grid, Indices, Stream, Values
from spikeflow.nodes.frames import Counted, Floats, not_whole
from spikeflow.units import Nanoseconds


class SpikeCount(Counted):
    """Spikes of each neuron, or of all, in each frame; given at the time at which the frame ends.

    With `cumulative`, the spikes since the run began, or since the node forgot. Valued spikes count by their value,
    those that are not finite not at all. Counts are exact up to 2^24.
    Source: Norse 1.1, sum_decode, of which this is the sum over the ticks of a frame.
    """

    elementwise: ClassVar[bool] = True

    frame: Annotated[Nanoseconds, Field(gt=0)] = Field(
        description="how long a frame is; whole ticks. Frames count from the origin, or from where the node forgot"
    )
    cumulative: bool = Field(False, description="whether a count goes on from frame to frame")
    per: Literal["neuron", "population"] = Field(
        "neuron", description="one channel a neuron, or one for the sum of all of them"
    )

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """A frame that is not whole ticks, more counts than there is memory for."""
        yield from not_whole(grid, frame=self.frame)
        yield from self.check_copies(1, inputs, grid)

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """Samples of the input's shape, or of one channel."""
        if self.per == "population":
            return {"": Stream("", "samples", 1)}
        return {"": Stream("", "samples", inputs[0].size, shape=inputs[0].shape)}

    def _times(self) -> tuple[int, int]:
        return self.frame, self.frame

    def _pooled(self) -> bool:
        return self.per == "population"

    def drop(self, row: int) -> None:
        """Begin a count, where it does not go on."""
        if not self.cumulative:
            super().drop(row)

    def read(self, counts: Floats) -> tuple[Indices, Values]:
        """[channels] counts."""
        return np.arange(len(counts), dtype=np.uint32), counts
