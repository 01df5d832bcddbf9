"""Send on delta: a sample is passed on when it is far enough from the last one that was."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from spikeflow.events import GRADED_SPIKES, Grid, empty, sort, spike_batch
from spikeflow.node import State
from spikeflow.nodes.folds import finite_samples, fold, starts_of_ticks
from spikeflow.nodes.inverse import Arrived, Invertible, Rebuilt, ends_of_ticks


class SendOnDelta(Invertible):
    """A graded spike, whose value is the sample, whenever a channel is `threshold` or more from its last spike.

    |x - x_sent| >= threshold:  a spike with the value x,  x_sent = x. The first sample of a channel is sent. Samples
    that are not finite count as no samples; so do float64 samples that float32, in which they are sent, would put a
    threshold or more away. `reconstruct` gives the values as they were sent.
    Source: Miskowicz, "Send-on-delta concept: an event-based data reporting strategy", Sensors 2006.
    """

    elementwise: ClassVar[bool] = True

    threshold: float = Field(
        gt=0, allow_inf_nan=False, description="the least distance between two values, in units of the samples"
    )

    def start(self, size: int) -> None:
        """Nothing has been sent."""
        self.sent = np.full(size, np.nan)

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        """Encode one window.

        Args:
            samples: [n] rows of `t`, `channel`, `value`, in time order.

        Returns:
            [m <= n] rows of `t` (the start of the sample's tick), `neuron` (the channel) and `value` (the sample).
        """
        if not samples.num_rows:
            return empty(GRADED_SPIKES)
        t_ns, channel, value = finite_samples(self, samples)
        with np.errstate(over="ignore"):
            single = value.astype(np.float32)
            fits = np.abs(single.astype(np.float64) - value) < self.threshold  # not where it overflows, too
        if not fits.all():
            self.context.counters.note("out of range", int((~fits).sum()))
            t_ns, channel, value, single = t_ns[fits], channel[fits], value[fits], single[fits]
        threshold = self.threshold

        def step(where: Any, x: Any, as_sent: Any, sent: Any) -> tuple[Any, ...]:
            holds = abs(x - sent) < threshold  # false for NaN: nothing was sent yet
            return where(holds, sent, as_sent), where(holds, 0.0, 1.0)

        [moved] = fold(channel, [value, single.astype(np.float64)], [self.sent], step, 1)
        use = np.flatnonzero(moved)
        if not len(use):
            return empty(GRADED_SPIKES)
        return spike_batch(*sort(starts_of_ticks(self.context.grid, t_ns[use]), channel[use], single[use]))

    def undoing(self, channels: int, first: float | None, grid: Grid) -> State:
        """Nothing to remember: the spikes say it all."""
        return {}

    def undo(self, spikes: Arrived, state: State) -> Rebuilt:
        """The values of the spikes."""
        return ends_of_ticks(spikes.tick, spikes.neuron, spikes.value.astype(np.float64))
