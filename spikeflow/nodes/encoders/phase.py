"""Phase: a value as the bits of a binary number, each at its own phase."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field

from spikeflow.errors import Problem
from spikeflow.events import Grid, Indices, Stream
from spikeflow.nodes.folds import Doubles
from spikeflow.nodes.frame_codes import Code, RangedCode
from spikeflow.units import format_ns


class Phase(RangedCode):
    """A spike with the value 2^-(1 + k) at phase k where bit k of the value is set, the most significant one first.

    With u = (x - low) / (high - low), cut to 0 … 1, the bits are those of floor(u · 2^bits), at most all set. A period
    is `bits` ticks long; a frame holds as many whole ones as fit, all the same, and silence after them. So the values
    of a period add up to u, to within 2^-bits.
    Source: Kim et al., "Deep neural networks with weighted spikes", Neurocomputing 2018.
    """

    elementwise: ClassVar[bool] = True
    valued: ClassVar[bool] = True

    bits: int = Field(8, ge=1, le=24, description="phases of a period, one tick each")

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """A frame without room for a period."""
        yield from super().check(inputs, grid)
        if self.frame < self.bits * grid.dt_ns:
            found = f"frame is {format_ns(self.frame)}, and a period takes {self.bits} ticks"
            yield Problem(("frame",), found, f"write {format_ns(self.bits * grid.dt_ns)} or more, or fewer bits")

    @property
    def periods(self) -> tuple[int, int]:
        """A tick for each bit, and as many periods as fit."""
        return self.bits, self.frame_ticks // self.bits

    def unit_code(self, value: Doubles, channel: Indices) -> Code:
        """The set bits of each channel."""
        number = np.minimum(np.floor(value * (1 << self.bits)), (1 << self.bits) - 1).astype(np.int64)
        phase = np.arange(self.bits)
        row, column = np.nonzero(number[:, None] >> (self.bits - 1 - phase) & 1)
        return column, channel[row], (2.0 ** -(1.0 + column)).astype(np.float32)
