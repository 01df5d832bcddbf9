"""Spike latency: of each spike train the first spike only."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa

from spikeflow.events import SPIKES, Kind, columns, empty, spike_batch
from spikeflow.nodes.blocks import FramedEncoder
from spikeflow.nodes.held import finite


class SpikeLatency(FramedEncoder):
    """The first spike of each neuron, and silence after it; with `frame`, the first one of each frame.

    A spike whose value is 0 counts as none; what is given carries no value.
    Source: Norse 1.1, spike_latency_encode.
    """

    elementwise: ClassVar[bool] = True
    takes: ClassVar[tuple[Kind, ...]] = ("spikes",)
    trusted: ClassVar[bool] = True

    def start(self, size: int) -> None:
        """No neuron has spiked."""
        self.begin_frames(size)
        self.spent = np.zeros(size, np.bool_)
        """Which neurons have had their spike."""

    def encode(self, spikes: pa.RecordBatch) -> pa.RecordBatch:
        """Encode one window.

        Args:
            spikes: [n] rows of `t`, `neuron` and perhaps `value`, in time order.

        Returns:
            [m <= n] rows of `t` (the start of the spike's tick) and `neuron`.
        """
        grid, found = self.context.grid, []
        t_ns, neuron, value = columns(finite(spikes, self.context.counters))
        for part in self.frames():
            if part.begins:
                self.spent[:] = False
            if not len(t_ns):
                continue
            low, high = np.searchsorted(t_ns, (grid.time(part.low), grid.time(part.high)))
            open_ones = low + np.flatnonzero((value[low:high] != 0.0) & ~self.spent[neuron[low:high]])
            first = np.sort(open_ones[np.unique(neuron[open_ones], return_index=True)[1]])
            self.spent[neuron[first]] = True
            found.append(first)
        if not found:
            return empty(SPIKES)
        rows = np.concatenate(found)
        tick = grid.ticks(t_ns[rows])
        order = np.lexsort((neuron[rows], tick))
        return spike_batch(grid.origin_ns + tick[order] * grid.dt_ns, neuron[rows][order])
