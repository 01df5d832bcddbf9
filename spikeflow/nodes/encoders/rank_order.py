"""Rank order: channels spike one after the other, the largest value first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from spikeflow.errors import Problem
from spikeflow.events import Grid, Indices, Stream
from spikeflow.nodes.folds import Doubles
from spikeflow.nodes.frame_codes import Code, FrameCode
from spikeflow.units import Nanoseconds, format_ns


class RankOrder(FrameCode):
    """One spike a channel and frame, in the order of the values: the channel of rank r at tick r · `spacing`.

    The largest value has rank 0. Equal values share a rank and its tick; the next smaller one has the next rank. A
    spike's value is modulation^rank: what a rank-order neuron multiplies its weight by. Ranks past the frame's end,
    or from `most` on, are silent.
    Source: Thorpe and Gautrais, "Rank order coding", Computational Neuroscience 1998.
    """

    elementwise: ClassVar[bool] = True
    valued: ClassVar[bool] = True

    spacing: Annotated[Nanoseconds, Field(gt=0)] | None = Field(
        None, description="from rank to rank; whole ticks, one tick where it is not said"
    )
    most: int | None = Field(None, ge=1, description="how many ranks spike")
    modulation: float = Field(1.0, gt=0, le=1, description="what the value of a spike shrinks by from rank to rank")

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """Times that are not whole ticks."""
        yield from super().check(inputs, grid)
        if self.spacing is not None and self.spacing % grid.dt_ns:
            yield Problem(
                ("spacing",),
                f"spacing is {format_ns(self.spacing)}, which is not a multiple of dt, {format_ns(grid.dt_ns)}",
                f"write {format_ns(max(1, round(self.spacing / grid.dt_ns)) * grid.dt_ns)}",
            )

    def code(self, value: Doubles, channel: Indices) -> Code:
        """One spike for each channel whose rank fits."""
        step = 1 if self.spacing is None else self.spacing // self.context.grid.dt_ns
        rank = _ranks(-value, channel // np.uint32(len(self.held) // self.context.copies))
        most = -(-self.frame_ticks // step)
        spikes = np.flatnonzero(rank < (most if self.most is None else min(most, self.most)))
        rank = rank[spikes]
        return rank * step, channel[spikes], (self.modulation**rank).astype(np.float32)


def _ranks(value: Doubles, copy: Indices) -> npt.NDArray[np.int64]:
    """[n] how many smaller values there are of the same copy, equal ones counted once; copies ascend."""
    order = np.lexsort((value, copy))
    value, copy = value[order], copy[order]
    begins, steps = np.ones((2, len(order)), np.bool_)
    begins[1:] = copy[1:] != copy[:-1]
    steps[1:] = begins[1:] | (value[1:] != value[:-1])
    rank = np.cumsum(steps)
    found = np.empty(len(order), np.int64)
    found[order] = rank - np.repeat(rank[begins], np.diff(np.flatnonzero(begins), append=len(order)))
    return found
