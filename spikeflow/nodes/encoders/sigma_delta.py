"""Sigma-delta: what is not yet said of a signal, in whole thresholds."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from spikeflow.events import GRADED_SPIKES, Grid, empty
from spikeflow.node import State
from spikeflow.nodes.folds import countable, finite_samples, follow, graded_spikes
from spikeflow.nodes.inverse import Arrived, Invertible, Rebuilt, running_sums


class SigmaDelta(Invertible):
    """A graded spike for the difference between a sample and the sum of what was sent, quantised, with feedback.

    e = x - sent;  |e| >= threshold: a spike with the value q = trunc(e / threshold), sent += q · threshold. So the
    remainder is carried on, and never lost. What was sent begins at `initial`: the first sample of a channel sends it
    all. Samples that are not finite, or more than 2^40 thresholds away from `initial`, count as no samples.
    `reconstruct` gives what was sent, which is less than one threshold from the sample.
    Source: O'Connor and Welling, "Sigma delta quantized networks", ICLR 2017; Lava's sigma-delta layers.
    """

    elementwise: ClassVar[bool] = True
    relative: ClassVar[bool] = True

    threshold: float = Field(
        gt=0, allow_inf_nan=False, description="the quantum of the differences, in units of the samples"
    )
    initial: float = Field(0.0, allow_inf_nan=False, description="what counts as sent before the first sample")

    def start(self, size: int) -> None:
        """Nothing has been sent."""
        self.sent = np.zeros(size)  # in thresholds from the initial value

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        """Encode one window.

        Args:
            samples: [n] rows of `t`, `channel`, `value`, in time order.

        Returns:
            [m] rows of `t` (the start of the sample's tick), `neuron` (the channel) and `value` (thresholds).
        """
        if not samples.num_rows:
            return empty(GRADED_SPIKES)
        t_ns, channel, value = finite_samples(self, samples)
        with np.errstate(over="ignore"):
            t_ns, channel, ratio = countable(self, t_ns, channel, (value - self.initial) / self.threshold)
        before, after = follow(channel, np.floor(ratio), np.ceil(ratio), ratio, self.sent)
        return graded_spikes(self.context.grid, t_ns, channel, after - before)

    def undoing(self, channels: int, first: float | None, grid: Grid) -> State:
        """Nothing has been sent."""
        return {"sent": np.zeros(channels)}

    def undo(self, spikes: Arrived, state: State) -> Rebuilt:
        """What was sent."""
        change = spikes.value.astype(np.float64)
        tick, channel, sent = running_sums(spikes.tick, spikes.neuron, change, state["sent"])
        return tick, channel, self.initial + sent * self.threshold
