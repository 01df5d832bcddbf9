"""Poisson: spikes at random, the more the larger the value."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from spikeflow import noise
from spikeflow.events import SPIKES, empty, spike_batch
from spikeflow.node import ALWAYS, Encoder
from spikeflow.nodes.held import held_values
from spikeflow.units import Hertz


class Poisson(Encoder):
    """At each tick a channel spikes with probability dt · f_max · x, cut to 0 … 1, where x is the value it holds.

    So x from 0 to 1 gives 0 to f_max spikes a second. A sample holds from its own tick on; before its first one a
    channel is silent. Which ticks spike depends on the seed, the node's name, the channel and the tick alone.
    Source: Norse 1.1, poisson_encode.
    """

    trusted: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True

    f_max: Annotated[Hertz, Field(gt=0)] = Field(100.0, description="spikes a second where the value is 1")

    def start(self, size: int) -> None:
        """No channel holds a value."""
        self._key = noise.key(self.context.seed, self.context.name, "poisson")
        self._each = size // self.context.copies
        self.held = np.full(size, np.nan)
        self.active = False

    def rests_until(self) -> int:
        """Until the next sample, where no channel holds a value."""
        return 0 if self.active else ALWAYS

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        """Encode one window.

        Args:
            samples: [n] rows of `t`, `channel`, `value`, in time order.

        Returns:
            [m] rows of `t` (starts of ticks) and `neuron` (the channel).
        """
        if not samples.num_rows and not self.active:
            return empty(SPIKES)
        grid, window = self.context.grid, self.context.window
        found_t, found_neuron = [], []
        for first, value in held_values(samples, window, grid, self.held):
            with np.errstate(over="ignore"):
                probability = value * (grid.dt * self.f_max)
            active = np.flatnonzero((probability > 0.0).any(axis=0))  # false for NaN, too
            if not len(active):
                continue
            ticks = np.arange(first, first + len(value), dtype=np.int64)
            draws = noise.uniform(self._key, active[None, :] % self._each, ticks[:, None])
            row, column = np.nonzero(draws < probability[:, active])
            found_t.append(grid.origin_ns + ticks[row] * grid.dt_ns)
            found_neuron.append(active[column].astype(np.uint32))
        self.active = bool((self.held > 0.0).any())
        if not found_t:
            return empty(SPIKES)
        return spike_batch(np.concatenate(found_t), np.concatenate(found_neuron))
