"""One hot: a label as the one neuron that stands for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from spikeflow.events import SPIKES, Stream, columns, empty, spike_batch
from spikeflow.node import Encoder
from spikeflow.nodes.held import finite


class OneHot(Encoder):
    """Each sample is a label from 0 to `classes` - 1, and becomes a spike of the neuron that stands for it.

    Channel c has the neurons c · classes to (c + 1) · classes - 1. Other values give no spike and are noted as no
    class; of several samples of a channel in one tick the last one counts.
    Source: jaxsnn 0.3, one_hot.
    """

    elementwise: ClassVar[bool] = True
    trusted: ClassVar[bool] = True

    classes: int = Field(ge=1, description="how many labels there are, and neurons a channel")

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """`classes` neurons for each channel."""
        shape = (*(inputs[0].shape or (inputs[0].size,)), self.classes)
        return {"": Stream("", "spikes", inputs[0].size * self.classes, shape=shape)}

    def start(self, size: int) -> None:
        """There is nothing to remember."""
        self._size = size

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        """Encode one window.

        Args:
            samples: [n] rows of `t`, `channel`, `value`, in time order.

        Returns:
            [m <= n] rows of `t` (the start of the sample's tick) and `neuron`.
        """
        if not samples.num_rows:
            return empty(SPIKES)
        grid = self.context.grid
        t_ns, channel, value = columns(finite(samples, self.context.counters))
        tick = grid.ticks(t_ns)
        place = tick * self._size + channel  # ascending in the order of the result
        last = len(place) - 1 - np.unique(place[::-1], return_index=True)[1]
        tick, channel, value = tick[last], channel[last], value[last]
        fits = (value >= 0.0) & (value < self.classes) & (value == np.floor(value))
        if not fits.all():
            self.context.counters.note("no class", int((~fits).sum()))
        neuron = channel[fits].astype(np.int64) * self.classes + value[fits].astype(np.int64)
        return spike_batch(grid.origin_ns + tick[fits] * grid.dt_ns, neuron.astype(np.uint32))
