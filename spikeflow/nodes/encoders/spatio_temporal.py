"""Spatio-temporal: one spike a channel and frame, the later the larger the value."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from spikeflow.events import SPIKES, Values, empty, spike_batch
from spikeflow.nodes.blocks import FramedEncoder
from spikeflow.units import Nanoseconds, Seconds


class SpatioTemporal(FramedEncoder):
    """One spike of each channel in each frame, x · t_late after its start, where x is the value held there.

    That is in tick x · t_late / dt of the frame, rounded (halves to even) in float32; what lies before the frame or
    after it comes in its first or last tick.
    Source: jaxsnn 0.3, spatio_temporal_encode, whose seq_length is `frame` in ticks.
    """

    elementwise: ClassVar[bool] = True
    trusted: ClassVar[bool] = True

    frame: Annotated[Nanoseconds, Field(gt=0)] = Field(
        description="the time for one value of each channel; whole ticks"
    )
    t_late: Annotated[Seconds, Field(gt=0)] = Field(description="how long after the frame's start the value 1 spikes")

    def start(self, size: int) -> None:
        """No channel holds a value."""
        self.begin_frames(size)
        self.due = np.full(size, -1, np.int64)
        """In which tick of this frame each channel spikes; -1 where it does not."""

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        """Encode one window.

        Args:
            samples: [n] rows of `t`, `channel`, `value`, in time order; those that are not finite count as none.

        Returns:
            [m] rows of `t` (starts of ticks) and `neuron` (the channel).
        """
        if not samples.num_rows and not self.holds:
            return empty(SPIKES)  # a frame that begins here has nothing to begin with
        grid, found = self.context.grid, []
        for part, value in self.latched(samples):
            if part.begins:
                self.due = np.where(np.isnan(value), -1, ticks_after(value, self.t_late, grid.dt, self.frame_ticks))
            channel = np.flatnonzero((self.due >= part.low - part.first) & (self.due < part.high - part.first))
            if len(channel):
                channel = channel[np.argsort(self.due[channel], kind="stable")]
                found.append((part.first + self.due[channel], channel))
        if not found:
            return empty(SPIKES)
        tick, channel = (np.concatenate(column) for column in zip(*found, strict=True))
        return spike_batch(grid.origin_ns + tick * grid.dt_ns, channel.astype(np.uint32))


def ticks_after(value: Values, t_late: Seconds, dt: Seconds, ticks: int) -> npt.NDArray[np.int64]:
    """[n] ticks from 0 to `ticks` - 1 of [n] values."""
    with np.errstate(over="ignore", invalid="ignore"):
        place = np.rint(value.astype(np.float32) * np.float32(t_late) / np.float32(dt))
        found: npt.NDArray[np.int64] = np.nan_to_num(np.clip(place, 0, ticks - 1)).astype(np.int64)
    return found
