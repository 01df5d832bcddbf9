"""Moving window (MW): a spike where a sample is away from the mean of those just before it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from spikeflow.events import GRADED_SPIKES, Grid, Indices, empty, sort, spike_batch
from spikeflow.node import State
from spikeflow.nodes.folds import Doubles, finite_samples, groups, starts_of_ticks
from spikeflow.nodes.inverse import Arrived, Invertible, Rebuilt, running_sums


class MovingWindow(Invertible):
    """A spike of +1 where a sample is more than `threshold` above the mean of the `over` before it, of -1 below.

    x > base + threshold: +1;  x < base - threshold: -1, where base is the mean of the channel's last `over` samples,
    without this one. While there are fewer, it is the mean of those; the first one never spikes. Samples that are not
    finite count as no samples.
    The spikes do not act back on the base, so `reconstruct`, which adds up their thresholds, can drift from the
    signal without bound.
    Source: Kasabov et al., "Evolving spatio-temporal data machines based on the NeuCube neuromorphic framework",
    Neural Networks 2016; Petro et al., "Selection and optimization of temporal spike encoding methods", 2020.
    """

    elementwise: ClassVar[bool] = True

    threshold: float = Field(gt=0, allow_inf_nan=False, description="the distance that spikes, in units of the samples")
    over: int = Field(ge=1, le=10_000, description="how many samples the base is the mean of; the work grows with it")

    def start(self, size: int) -> None:
        """No channel has been seen."""
        self.recent = np.full((size, self.over), np.nan)  # the newest last

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        """Encode one window.

        Args:
            samples: [n] rows of `t`, `channel`, `value`, in time order.

        Returns:
            [m <= n] rows of `t` (the start of the sample's tick), `neuron` (the channel) and `value` (+1 or -1).
        """
        if not samples.num_rows:
            return empty(GRADED_SPIKES)
        t_ns, channel, value = finite_samples(self, samples)
        with np.errstate(over="ignore", invalid="ignore"):
            away = value - means_before(channel, value, self.recent)
        spiked = np.flatnonzero(np.abs(away) > self.threshold)  # false for NaN, too
        if not len(spiked):
            return empty(GRADED_SPIKES)
        sign = np.sign(away[spiked]).astype(np.float32)
        return spike_batch(*sort(starts_of_ticks(self.context.grid, t_ns[spiked]), channel[spiked], sign))

    def undoing(self, channels: int, first: float | None, grid: Grid) -> State:
        """No step yet, from the first sample on."""
        return {"place": np.zeros(channels), "origin": first or 0.0}

    def undo(self, spikes: Arrived, state: State) -> Rebuilt:
        """As many thresholds up as there were spikes up, and down likewise."""
        change = spikes.value.astype(np.float64)
        tick, channel, place = running_sums(spikes.tick, spikes.neuron, change, state["place"])
        return tick, channel, state["origin"] + place * self.threshold


def means_before(channel: Indices, value: Doubles, recent: Doubles) -> Doubles:
    """The mean of the samples before each sample on its channel.

    Args:
        channel: [n] channels.
        value: [n] values, in time order.
        recent: [size, samples] the last samples of each channel, the newest last, NaN where there was none; updated
            in place.

    Returns:
        [n] means; NaN where no sample was before.
    """
    reach = recent.shape[1]
    order, edges = groups(channel)
    own = channel[order[edges[:-1]]]
    lengths = np.diff(edges)
    place = np.arange(len(order)) + np.repeat(np.arange(1, len(own) + 1) * reach, lengths)
    line = np.empty(len(order) + len(own) * reach)  # each channel's memory, then its samples
    line[place] = value[order]
    heads = edges[:-1] + np.arange(len(own)) * reach
    line[heads[:, None] + np.arange(reach)] = recent[own]
    known = ~np.isnan(line)
    line = np.where(known, line, 0.0)
    total, count = np.zeros(len(order)), np.zeros(len(order))
    for back in range(reach, 0, -1):  # the oldest first: a sum of its own for each sample, always in this order
        total += line[place - back]
        count += known[place - back]
    ends = heads + reach + lengths
    last = ends[:, None] + np.arange(-reach, 0)
    recent[own] = np.where(known[last], line[last], np.nan)
    found = np.empty(len(order))
    with np.errstate(invalid="ignore"):
        found[order] = total / count
    return found
