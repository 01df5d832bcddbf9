"""Level crossing: a signed count for every step that a signal takes across evenly spaced levels."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from spikeflow.events import GRADED_SPIKES, columns, empty, sort, spike_batch
from spikeflow.node import ALWAYS, Encoder
from spikeflow.nodes.held import previous_values


class LevelCrossing(Encoder):
    """A spike whenever a channel has crossed levels since its previous sample; its value says how many, and which way.

    Levels are at the multiples of `threshold`. A step from 0.9 to 3.1 with threshold 1 gives +3, the way back -3. The
    first sample of a channel only says where it is. Samples that are not finite count as no samples.
    """

    valued: ClassVar[bool] = True
    trusted: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True

    threshold: float = Field(
        gt=0, allow_inf_nan=False, description="the distance between two levels, in units of the samples"
    )

    def start(self, size: int) -> None:
        """No channel has been seen."""
        self.level = np.full(size, np.nan)

    def rests_until(self) -> int:
        """Until the next sample."""
        return ALWAYS

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        """Encode one window.

        Args:
            samples: [n] rows of `t`, `channel`, `value`, in time order.

        Returns:
            [m <= n] rows of `t` (the start of the sample's tick), `neuron` (the channel) and `value` (levels crossed,
            negative downwards).
        """
        if not samples.num_rows:
            return empty(GRADED_SPIKES)
        t_ns, channel, value = columns(samples)
        finite = np.isfinite(value)
        if not finite.all():
            self.context.counters.note("not finite", int((~finite).sum()))
            t_ns, channel, value = t_ns[finite], channel[finite], value[finite]
        level = np.floor(value.astype(np.float64) / self.threshold)
        crossed = level - previous_values(channel, level, self.level)
        moved = np.flatnonzero(np.abs(crossed) > 0.0)  # false for NaN, too
        if not len(moved):
            return empty(GRADED_SPIKES)
        grid = self.context.grid
        tick_ns = grid.origin_ns + grid.ticks(t_ns[moved]) * grid.dt_ns
        return spike_batch(*sort(tick_ns, channel[moved], crossed[moved].astype(np.float32)))
