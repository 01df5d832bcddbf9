"""Threshold based (TBR): a spike where a signal has changed by more than it usually does."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from spikeflow.events import GRADED_SPIKES, Grid, empty, sort, spike_batch
from spikeflow.node import State
from spikeflow.nodes.folds import Doubles, finite_samples, fold, starts_of_ticks
from spikeflow.nodes.held import previous_values
from spikeflow.nodes.inverse import Arrived, Invertible, Rebuilt, not_known, running_sums


class ThresholdBased(Invertible):
    """A spike of +1 where a sample is more than a threshold above the one before it on its channel, of -1 below.

    d = x - x_before;  d > threshold: +1;  d < -threshold: -1. The threshold is given, or mean(d) + factor · std(d).
    The published form takes both over the whole signal. Here they are those of the differences so far, this one among
    them, or, with `over: n`, fade: the k-th difference changes them with the weight 1 / min(k, n). A threshold below
    zero counts as zero. Samples that are not finite count as no samples.
    The spikes do not act back on the differences, so `reconstruct`, which adds up their thresholds, can drift from
    the signal without bound; where the threshold is not given it needs `value: step`.
    Source: Delbruck and Lichtsteiner, "Fast sensory motor control based on event-based hybrid neuromorphic-procedural
    system", ISCAS 2007; Petro et al., "Selection and optimization of temporal spike encoding methods", 2020.
    """

    elementwise: ClassVar[bool] = True

    threshold: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="the change that spikes, in units of the samples; else a running one",
    )
    factor: float = Field(
        1.0, ge=0, allow_inf_nan=False, description="standard deviations above the mean, where no threshold is given"
    )
    over: int | None = Field(
        None, ge=2, description="about how many differences mean and deviation remember; all of them where not said"
    )
    value: Literal["sign", "step"] = Field("sign", description="of a spike: +1 or -1, or the threshold with that sign")

    def start(self, size: int) -> None:
        """No channel has been seen."""
        self.before = np.full(size, np.nan)
        self.seen, self.mean, self.variance = np.zeros(size), np.zeros(size), np.zeros(size)

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        """Encode one window.

        Args:
            samples: [n] rows of `t`, `channel`, `value`, in time order.

        Returns:
            [m <= n] rows of `t` (the start of the sample's tick), `neuron` (the channel) and `value`.
        """
        if not samples.num_rows:
            return empty(GRADED_SPIKES)
        t_ns, channel, value = finite_samples(self, samples)
        with np.errstate(over="ignore"):
            change = value - previous_values(channel, value, self.before)
        use = np.flatnonzero(np.isfinite(change))
        t_ns, channel, change = t_ns[use], channel[use], change[use]
        threshold = self._thresholds(channel, change)
        spiked = np.flatnonzero(np.abs(change) > threshold)
        if not len(spiked):
            return empty(GRADED_SPIKES)
        sign = np.sign(change[spiked])
        sent = sign if self.value == "sign" else sign * threshold[spiked]
        tick_ns = starts_of_ticks(self.context.grid, t_ns[spiked])
        with np.errstate(over="ignore"):
            return spike_batch(*sort(tick_ns, channel[spiked], sent.astype(np.float32)))

    def _thresholds(self, channel: Any, change: Doubles) -> Doubles:
        """[n] what each of the differences is held against."""
        if self.threshold is not None:
            return np.full(len(change), self.threshold)
        most = np.inf if self.over is None else float(self.over)

        def step(where: Any, d: Any, seen: Any, mean: Any, variance: Any) -> tuple[Any, ...]:
            seen = where(seen < most, seen + 1.0, seen)
            weight = 1.0 / seen
            away = d - mean
            mean = mean + weight * away
            variance = (1.0 - weight) * (variance + weight * (away * away))
            return seen, mean, variance, mean, variance

        mean, variance = fold(channel, [change], [self.seen, self.mean, self.variance], step, 2)
        with np.errstate(over="ignore", invalid="ignore"):
            found: Doubles = np.maximum(mean + self.factor * np.sqrt(variance), 0.0)
        return found

    def undoing(self, channels: int, first: float | None, grid: Grid) -> State:
        """No step yet, from the first sample on."""
        if self.threshold is None and self.value == "sign":
            raise not_known("their threshold", "write 'value: step' or give a threshold")
        return {"value": np.full(channels, first or 0.0)}

    def undo(self, spikes: Arrived, state: State) -> Rebuilt:
        """As many thresholds up as there were spikes up, and down likewise."""
        scale = self.threshold if self.threshold is not None and self.value == "sign" else 1.0
        change = spikes.value.astype(np.float64) * scale
        return running_sums(spikes.tick, spikes.neuron, change, state["value"])
