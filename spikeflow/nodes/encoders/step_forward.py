"""Step forward (SF): a base that follows the signal in steps, each of them a spike."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from spikeflow.events import GRADED_SPIKES, Grid, empty
from spikeflow.node import State
from spikeflow.nodes.folds import countable, finite_samples, fold, follow, graded_spikes
from spikeflow.nodes.inverse import Arrived, Invertible, Rebuilt, running_sums


class StepForward(Invertible):
    """A spike of +1 where a sample is more than `threshold` above the channel's base, of -1 where it is as far below.

    x > base + threshold: +1, base += threshold;  x < base - threshold: -1, base -= threshold. The base begins at the
    channel's first sample, or at `initial`, and moves one step a sample, so that it lags behind a signal that moves
    faster. With `steps: all` it takes as many steps as it needs to be within the threshold, and the spike's value
    counts them. Samples that are not finite, or more than 2^40 steps away from the first one, count as no samples.
    `reconstruct` gives the base: within one threshold of the sample with `steps: all`, else as long as the signal
    moves by no more than a threshold from sample to sample.
    Source: Kasabov et al., "Evolving spatio-temporal data machines based on the NeuCube neuromorphic framework",
    Neural Networks 2016; Petro et al., "Selection and optimization of temporal spike encoding methods", 2020.
    """

    elementwise: ClassVar[bool] = True
    relative: ClassVar[bool] = True

    threshold: float = Field(gt=0, allow_inf_nan=False, description="one step, in units of the samples")
    steps: Literal["one", "all"] = Field("one", description="one step a sample at most, or as many as it takes")
    initial: float | None = Field(
        None, allow_inf_nan=False, description="where every base begins; at the first sample where it is not said"
    )

    def start(self, size: int) -> None:
        """No channel has been seen."""
        self.origin = np.full(size, np.nan if self.initial is None else self.initial)
        self.place = np.zeros(size)  # steps of the base from there

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        """Encode one window.

        Args:
            samples: [n] rows of `t`, `channel`, `value`, in time order.

        Returns:
            [m] rows of `t` (the start of the sample's tick), `neuron` (the channel) and `value` (steps).
        """
        if not samples.num_rows:
            return empty(GRADED_SPIKES)
        t_ns, channel, value = finite_samples(self, samples)
        new, at = np.unique(channel, return_index=True)
        unseen = np.isnan(self.origin[new])
        self.origin[new[unseen]] = value[at[unseen]]
        with np.errstate(over="ignore"):
            t_ns, channel, ratio = countable(self, t_ns, channel, (value - self.origin[channel]) / self.threshold)
        if self.steps == "all":
            low, high = np.ceil(ratio - 1.0), np.floor(ratio + 1.0)
            before, after = follow(channel, low, high, low, self.place)
            moved = after - before
        else:
            [moved] = fold(channel, [ratio], [self.place], _step, 1)
        return graded_spikes(self.context.grid, t_ns, channel, moved)

    def undoing(self, channels: int, first: float | None, grid: Grid) -> State:
        """No step yet, from `initial` or the first sample on."""
        return {"place": np.zeros(channels), "origin": self.initial if self.initial is not None else first or 0.0}

    def undo(self, spikes: Arrived, state: State) -> Rebuilt:
        """The base that the steps lead to."""
        tick, channel, place = running_sums(spikes.tick, spikes.neuron, spikes.value.astype(np.float64), state["place"])
        return tick, channel, state["origin"] + place * self.threshold


def _step(_: Any, ratio: Any, place: Any) -> tuple[Any, ...]:
    moved = 1.0 * (ratio > place + 1.0) - 1.0 * (ratio < place - 1.0)
    return place + moved, moved
