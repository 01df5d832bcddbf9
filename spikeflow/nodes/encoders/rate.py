"""Rate: spikes as often as a value says."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from spikeflow.events import GRADED_SPIKES, empty, spike_batch
from spikeflow.node import Encoder
from spikeflow.nodes.held import finite, held_values
from spikeflow.units import Hertz

_WHOLE = 1 << 32
_MOST = 1 << 23  # spikes a tick: whole numbers up to twice this one have a float32 of their own


class Rate(Encoder):
    """f_max · x spikes a second, evenly: the value that a channel holds is integrated, and each whole is a spike.

    At each tick a += dt · f_max · x; where a >= 1: a spike whose value is the whole part of a, which is taken off. So
    several spikes may fall into a tick, up to 2^23. A value of 0 or less adds nothing. A sample holds from its own
    tick on; before its first one a channel is silent. a counts in steps of 2^-32 spikes, and is exact in them.
    """

    elementwise: ClassVar[bool] = True
    valued: ClassVar[bool] = True
    trusted: ClassVar[bool] = True

    f_max: Annotated[Hertz, Field(gt=0, allow_inf_nan=False)] = Field(
        100.0, description="spikes a second where the value is 1"
    )

    def start(self, size: int) -> None:
        """No channel holds a value."""
        self.held = np.full(size, np.nan)
        self.sum = np.zeros(size, np.int64)
        self.active = False

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        """Encode one window.

        Args:
            samples: [n] rows of `t`, `channel`, `value`, in time order.

        Returns:
            [m] rows of `t` (starts of ticks), `neuron` (the channel) and `value` (how many spikes).
        """
        if not samples.num_rows and not self.active:
            return empty(GRADED_SPIKES)
        grid, window = self.context.grid, self.context.window
        found_t, found_neuron, found_count = [], [], []
        for first, value in held_values(finite(samples, self.context.counters), window, grid, self.held):
            active = np.flatnonzero((value > 0.0).any(axis=0))  # false for NaN, too
            if not len(active):
                continue
            with np.errstate(over="ignore"):
                more = np.nan_to_num(np.clip(value[:, active] * (grid.dt * self.f_max), 0.0, _MOST), nan=0.0)
            added = np.rint(more * _WHOLE).astype(np.int64)
            rest = np.cumsum(added & (_WHOLE - 1), axis=0) + self.sum[active]
            count = (added >> 32) + np.diff(rest >> 32, axis=0, prepend=0)
            self.sum[active] = rest[-1] & (_WHOLE - 1)
            row, column = np.nonzero(count)
            found_t.append(grid.origin_ns + (first + row) * grid.dt_ns)
            found_neuron.append(active[column].astype(np.uint32))
            found_count.append(count[row, column].astype(np.float32))
        self.active = bool((self.held > 0.0).any())
        if not found_t:
            return empty(GRADED_SPIKES)
        return spike_batch(np.concatenate(found_t), np.concatenate(found_neuron), np.concatenate(found_count))
