"""Encoders that spike at random: at each tick, the more probably the larger the value."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from spikeflow import noise
from spikeflow.events import Values, empty, spike_batch
from spikeflow.node import ALWAYS
from spikeflow.nodes.blocks import FramedEncoder
from spikeflow.units import Hertz


class RandomEncoder(FramedEncoder):
    """At each tick a channel spikes with probability dt · f_max · x, cut to 0 … 1; spikes with values carry a sign."""

    trusted: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True
    purpose: ClassVar[str]
    """What the draws are for: other draws for another purpose."""

    f_max: Annotated[Hertz, Field(gt=0)] = Field(100.0, description="spikes a second where the value is 1")

    def start(self, size: int) -> None:
        """No channel holds a value."""
        self.begin_frames(size)
        self._key = noise.key(self.context.seed, self.context.name, self.purpose)
        self._none = empty(self.context.outlet.plain)
        self._each = size // self.context.copies
        self.active = False
        """Whether a value that is held may give spikes."""

    def rests_until(self) -> int:
        """Until the next sample, where no value that is held may give spikes."""
        return 0 if self.active else ALWAYS

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        """Encode one window.

        Args:
            samples: [n] rows of `t`, `channel`, `value`, in time order; those that are not finite count as none.

        Returns:
            [m] rows of `t` (starts of ticks), `neuron` (the channel) and, where there is a sign, `value`.
        """
        if not samples.num_rows and not self.active:
            return self._none  # a frame that begins here has nothing to begin with
        grid = self.context.grid
        found_t, found_neuron, found_sign = [], [], []
        for first, value in self.values(samples):
            with np.errstate(over="ignore"):
                probability = (np.abs(value) if self.valued else value) * (grid.dt * self.f_max)
            active = np.flatnonzero((probability > 0.0).any(axis=0))  # false for NaN, too
            if not len(active):
                continue
            ticks = np.arange(first, first + len(value), dtype=np.int64)
            draws = noise.uniform(self._key, active[None, :] % self._each, ticks[:, None])
            row, column = np.nonzero(draws < probability[:, active])
            found_t.append(grid.origin_ns + ticks[row] * grid.dt_ns)
            found_neuron.append(active[column].astype(np.uint32))
            if self.valued:
                found_sign.append(np.sign(value[row, active[column]]))
        self.active = self._may_spike(self.held) or self._may_spike(self.latch)
        if not found_t:
            return self._none
        sign = np.concatenate(found_sign).astype(np.float32) if self.valued else None
        return spike_batch(np.concatenate(found_t), np.concatenate(found_neuron), sign)

    def _may_spike(self, value: Values) -> bool:
        return bool(((value != 0.0) & ~np.isnan(value) if self.valued else value > 0.0).any())


__all__ = ["RandomEncoder"]
