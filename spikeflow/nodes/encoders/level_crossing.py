"""Level crossing: a signed count for every step that a signal takes across evenly spaced levels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from spikeflow.errors import Problem
from spikeflow.events import Grid, Stream, Values, empty, sort, spike_batch
from spikeflow.node import ALWAYS, State
from spikeflow.nodes.folds import MOST_STEPS, countable, exact_counts, finite_samples, follow, starts_of_ticks
from spikeflow.nodes.held import previous_values
from spikeflow.nodes.inverse import Arrived, Invertible, Rebuilt, running_sums


class LevelCrossing(Invertible):
    """A spike whenever a channel has crossed levels since its previous sample; its value says how many, and which way.

    Levels are at the multiples of `threshold`. A step from 0.9 to 3.1 with threshold 1 gives +3, the way back -3. The
    first sample of a channel only says where it is, unless `initial` does. With `hysteresis` h a level counts as
    crossed h / 2 above it on the way up and h / 2 below it on the way down. Samples that are not finite, or more than
    2^40 levels away from zero, count as no samples. A count above 2^24, which float32 may not hold, takes two
    spikes that add up to it.
    `reconstruct` gives the middle between two levels, which is within (threshold + hysteresis) / 2 of the sample; with
    `counts: false` only as long as the signal crosses no more than one level from sample to sample.
    Source: Miskowicz, "Send-on-delta concept: an event-based data reporting strategy", Sensors 2006, as the sampling
    of level crossings, here with several levels at once.
    """

    elementwise: ClassVar[bool] = True
    relative: ClassVar[bool] = True

    threshold: float = Field(
        gt=0, allow_inf_nan=False, description="the distance between two levels, in units of the samples"
    )
    polarity: Literal["signed", "split"] = Field(
        "signed",
        description="one neuron a channel, negative downwards; or two, channel c's 2c for up and 2c + 1 for down",
    )
    counts: bool = Field(
        True,
        description="whether a spike's value says how many levels were crossed; else a crossing of several levels is "
        "one spike, with its sign where `polarity` is signed",
    )
    hysteresis: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="how far a level is apart on the two ways, at most the threshold"
    )
    initial: float | None = Field(
        None, allow_inf_nan=False, description="where every channel is before its first sample, which then may spike"
    )

    @property
    def neurons(self) -> int:
        """One, or one for each way."""
        return 2 if self.polarity == "split" else 1

    @property
    def values(self) -> bool:
        """Spikes that are all the same carry no value."""
        return self.counts or self.polarity == "signed"

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """A hysteresis in which levels overlap; a beginning from which levels cannot be counted."""
        if self.initial is not None and not abs(self.initial) / self.threshold <= MOST_STEPS:
            found = f"initial is {self.initial:g}, more than 2^40 levels away from zero"
            yield Problem(("initial",), found, "write one that is nearer, or a larger threshold")
        if self.hysteresis > self.threshold:
            found = f"hysteresis is {self.hysteresis:g}, more than the threshold, {self.threshold:g}"
            yield Problem(("hysteresis",), found, f"write {self.threshold:g} or less")

    def start(self, size: int) -> None:
        """No channel has been seen."""
        at = np.nan if self.initial is None else np.floor(self.initial / self.threshold)
        self.level = np.full(size, at)

    def rests_until(self) -> int:
        """Until the next sample."""
        return ALWAYS

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        """Encode one window.

        Args:
            samples: [n] rows of `t`, `channel`, `value`, in time order.

        Returns:
            [m] rows of `t` (the start of the sample's tick), `neuron` and, where they tell more than that there was
            a spike, `value` (levels crossed).
        """
        schema = self.context.outlet.plain
        if not samples.num_rows:
            return empty(schema)
        t_ns, channel, value = finite_samples(self, samples)
        with np.errstate(over="ignore"):
            t_ns, channel, ratio = countable(self, t_ns, channel, value / self.threshold)
        before: Values
        if self.hysteresis:
            half = 0.5 * self.hysteresis / self.threshold
            before, level = follow(channel, np.floor(ratio - half), np.floor(ratio + half), np.floor(ratio), self.level)
        else:
            level = np.floor(ratio)
            before = previous_values(channel, level, self.level)
        crossed = level - before
        moved = np.flatnonzero(np.abs(crossed) > 0.0)  # false for NaN, too
        if not len(moved):
            return empty(schema)
        tick_ns, neuron, count = starts_of_ticks(self.context.grid, t_ns[moved]), channel[moved], crossed[moved]
        if self.counts:
            tick_ns, neuron, sent = exact_counts(tick_ns, neuron, count)
        else:
            sent = np.sign(count).astype(np.float32)
        if self.polarity == "split":
            neuron = 2 * neuron + (sent < 0.0)
            sent = np.abs(sent)
        return spike_batch(*sort(tick_ns, neuron, sent if self.values else None))

    def undoing(self, channels: int, first: float | None, grid: Grid) -> State:
        """The level of the first sample, of `initial`, or the level 0."""
        known = self.initial if self.initial is not None else first or 0.0
        return {"level": np.full(channels, np.floor(known / self.threshold))}

    def undo(self, spikes: Arrived, state: State) -> Rebuilt:
        """The middle above the level that the counts lead to."""
        channel, change = spikes.neuron, spikes.value.astype(np.float64)
        if self.polarity == "split":
            change = np.where(channel & 1, -change, change)
            channel = channel // 2
        tick, channel, level = running_sums(spikes.tick, channel, change, state["level"])
        return tick, channel, (level + 0.5) * self.threshold
