"""Codes that say a frame's values by when their spikes come within the frame."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from spikeflow.errors import Problem
from spikeflow.events import Grid, Indices, Stream, Times, Values, empty, spike_batch
from spikeflow.node import State
from spikeflow.nodes.blocks import FramedEncoder
from spikeflow.nodes.folds import Doubles
from spikeflow.units import Nanoseconds

Code: TypeAlias = tuple[Times, Indices, npt.NDArray[np.float32]]
"""[m] ticks from the beginning of a frame, [m] channels, and [m] values, which need no order."""


class FrameCode(FramedEncoder):
    """Says in each frame what the channels held at its first tick; a class gives the spikes of a frame in `code`.

    A channel that has had no sample by then is silent for the whole frame.
    """

    trusted: ClassVar[bool] = True

    frame: Annotated[Nanoseconds, Field(gt=0)] = Field(description="how long a frame lasts; whole ticks")

    @abstractmethod
    def code(self, value: Doubles, channel: Indices) -> Code:
        """The spikes of a frame in which these channels hold these values; of one period, where a frame has several."""

    @property
    def periods(self) -> tuple[int, int]:
        """How many ticks a period has, and how many periods, all the same, a frame."""
        return self.frame_ticks, 1

    def start(self, size: int) -> None:
        """No frame has begun."""
        self.begin_frames(size)
        self._code: Code | None = None  # of a period of the frame that is on, in order; made of its latch

    def load(self, state: State) -> None:
        """Put a saved state back."""
        super().load(state)
        self._code = None

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        """Encode one window.

        Args:
            samples: [n] rows of `t`, `channel`, `value`, in time order.

        Returns:
            [m] rows of `t` (starts of ticks), `neuron` (the channel) and, where the spikes carry one, `value`.
        """
        outlet, grid = self.context.outlet, self.context.grid
        if not samples.num_rows and not self.holds:
            for _ in self.frames():
                pass
            return empty(outlet.plain)
        found: list[Code] = []
        length, periods = self.periods
        for part, held in self.latched(samples):
            if part.begins or self._code is None:
                channel = np.flatnonzero(~np.isnan(held)).astype(np.uint32)
                tick, neuron, value = self.code(held[channel].astype(np.float64), channel)
                order = np.lexsort((neuron, tick))
                self._code = tick[order], neuron[order], value[order]
            tick, neuron, value = self._code
            low, high = part.low - part.first, part.high - part.first
            if periods > 1 and len(tick):
                number = np.arange(low // length, min(periods, -(-high // length)))  # in the window, not in the frame
                tick = (number[:, None] * length + tick).ravel()
                neuron, value = np.tile(neuron, len(number)), np.tile(value, len(number))
            due = slice(*np.searchsorted(tick, (low, high)).tolist())
            if due.start < due.stop:
                found.append((tick[due] + part.first, neuron[due], value[due]))
        if not found:
            return empty(outlet.plain)
        tick, neuron, value = (np.concatenate(one) for one in zip(*found, strict=True))
        return spike_batch(grid.origin_ns + tick * grid.dt_ns, neuron, value if outlet.valued else None)


class RangedCode(FrameCode):
    """A frame code of values between `low` and `high`; values past them count as the bounds."""

    low: float = Field(0.0, allow_inf_nan=False, description="the value that counts as 0, in units of the samples")
    high: float = Field(1.0, allow_inf_nan=False, description="the value that counts as 1")

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """A frame that is not whole ticks, bounds in the wrong order."""
        yield from super().check(inputs, grid)
        if self.high <= self.low:
            yield Problem(("high",), f"high is {self.high:g}, low is {self.low:g}", "write a high above low")

    def code(self, value: Doubles, channel: Indices) -> Code:
        """The spikes of values from 0 to 1."""
        with np.errstate(over="ignore"):
            return self.unit_code(np.clip((value - self.low) / (self.high - self.low), 0.0, 1.0), channel)

    @abstractmethod
    def unit_code(self, value: Doubles, channel: Indices) -> Code:
        """The spikes of a frame in which these channels hold these values from 0 to 1."""


def plain(tick: Values | Times, channel: Indices) -> Code:
    """Spikes that carry no value."""
    return tick.astype(np.int64), channel, np.ones(len(channel), np.float32)
