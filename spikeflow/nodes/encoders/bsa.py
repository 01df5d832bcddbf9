"""BSA: Ben's spiker algorithm, which looks for the spikes that a filter turns back into the signal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from spikeflow.errors import Problem
from spikeflow.events import SPIKES, Grid, Indices, Stream, Times, empty, sort, spike_batch
from spikeflow.node import State
from spikeflow.nodes.folds import Doubles, finite_samples, starts_of_ticks, turns
from spikeflow.nodes.held import pieces
from spikeflow.nodes.inverse import Arrived, Invertible, Rebuilt
from spikeflow.units import Nanoseconds, format_ns


class Bsa(Invertible):
    """A spike where taking the filter off the signal leaves less of it, by more than `threshold`, than not doing so.

    With h the n `taps` and r(t) the signal less the filters taken off so far, for each sample t in turn:
    Σ |r(t + k) - h(k)| <= Σ |r(t + k)| - threshold, both over k = 0 … n - 1:  a spike,  r(t + k) -= h(k).
    The sum looks n - 1 samples ahead, so the spike for sample t comes with sample t + n - 1: late by n - 1 samples.
    The signal is best within 0 and what the filter reaches, as spikes cannot subtract: `scale` it. The algorithm takes
    samples as evenly spaced. Samples that are not finite count as no samples.
    `reconstruct` gives Σ h(k) · spikes(t - k) once every `interval`, so late by n - 1 samples, too, as long as it is
    not 0. How near that is depends on the filter and the signal; there is no bound.
    Source: Schrauwen and Van Campenhout, "BSA, a fast and accurate spike train encoding scheme", IJCNN 2003.
    """

    elementwise: ClassVar[bool] = True
    valued: ClassVar[bool] = False
    rings: ClassVar[bool] = True

    taps: list[Annotated[float, Field(allow_inf_nan=False)]] = Field(
        min_length=1, max_length=4096, description="the filter, in units of the samples; the first one acts first"
    )
    threshold: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="how much less must be left, summed over the taps; unless given 0.9 · Σ |h|; two thirds of "
        "that follows weak signals better",
    )
    interval: Annotated[Nanoseconds, Field(gt=0)] | None = Field(
        None, description="from sample to sample, for the way back; whole ticks, one tick where it is not said"
    )

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """A time that is not whole ticks; a filter that takes nothing off."""
        if not any(self.taps):
            yield Problem(("taps",), "the taps are all 0", "write the filter that a spike stands for")
        if self.interval is not None and self.interval % grid.dt_ns:
            yield Problem(
                ("interval",),
                f"interval is {format_ns(self.interval)}, which is not a multiple of dt, {format_ns(grid.dt_ns)}",
                f"write {format_ns(max(1, round(self.interval / grid.dt_ns)) * grid.dt_ns)}",
            )

    def start(self, size: int) -> None:
        """No channel has been seen."""
        self.left = np.zeros((size, len(self.taps)))  # of the last samples, the oldest first
        self.seen = np.zeros(size, np.int64)

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        """Encode one window.

        Args:
            samples: [n] rows of `t`, `channel`, `value`, in time order.

        Returns:
            [m <= n] rows of `t` (the start of the sample's tick) and `neuron` (the channel).
        """
        if not samples.num_rows:
            return empty(SPIKES)
        t_ns, channel, value = finite_samples(self, samples)
        taps = np.array(self.taps)
        threshold = 0.9 * float(np.abs(taps).sum()) if self.threshold is None else self.threshold
        spiked = np.zeros(len(value), np.bool_)
        with np.errstate(over="ignore", invalid="ignore"):
            for place in turns(channel):
                own = channel[place]
                left = np.empty((len(own), len(taps)))
                left[:, :-1] = self.left[own, 1:]
                left[:, -1] = value[place]
                seen = self.seen[own] + 1
                without = left - taps
                better = np.abs(without).sum(axis=1) <= np.abs(left).sum(axis=1) - threshold
                better &= seen >= len(taps)
                left[better] = without[better]
                self.left[own], self.seen[own] = left, seen
                spiked[place] = better
        use = np.flatnonzero(spiked)
        if not len(use):
            return empty(SPIKES)
        found = sort(starts_of_ticks(self.context.grid, t_ns[use]), channel[use], None)
        return spike_batch(found[0], found[1])

    def undoing(self, channels: int, first: float | None, grid: Grid) -> State:
        """No spike yet."""
        return {"recent": np.zeros((len(self.taps), channels)), "open": np.zeros(channels)}

    def undo(self, spikes: Arrived, state: State) -> Rebuilt:
        """The filter for each spike, at the last tick of each interval in which any of it is left."""
        grid, window = spikes.grid, spikes.window
        step = 1 if self.interval is None else self.interval // grid.dt_ns
        low, end = window.first_tick // step, (window.first_tick + window.ticks) // step  # intervals that close
        ticks, channels, values, use = [], [], [], 0
        if not len(spikes.tick) and not state["recent"].any() and not state["open"].any():
            return spikes.tick, spikes.neuron, np.empty(0)
        slot = spikes.tick // step
        for first, count in pieces(low, end, len(state["open"])):
            until = int(np.searchsorted(slot, first + count))
            rung, given = self._rung(first, count, slot[use:until], spikes.neuron[use:until], state)
            row, column = np.nonzero(rung)
            ticks.append((first + row + 1) * step - 1)
            channels.append(column.astype(np.uint32))
            values.append(given[row, column])
            use = until
        np.add.at(state["open"], spikes.neuron[use:], 1.0)
        if not ticks:
            return spikes.tick[:0], spikes.neuron[:0], np.empty(0)
        return np.concatenate(ticks), np.concatenate(channels), np.concatenate(values)

    def _rung(
        self, first: int, count: int, slot: Times, neuron: Indices, state: State
    ) -> tuple[npt.NDArray[np.bool_], Doubles]:
        """[count, channels] whether anything is left of a filter, and what."""
        taps, recent = len(self.taps), state["recent"]
        spikes = np.zeros((taps + count, recent.shape[1]))
        spikes[:taps] = recent
        if count:
            spikes[taps] = state["open"]
            state["open"][:] = 0.0
        np.add.at(spikes, (slot - first + taps, neuron), 1.0)
        given = np.zeros((count, recent.shape[1]))
        rung = spikes[:count] != 0.0  # the first interval after a filter says that it is over
        for back, tap in enumerate(self.taps):
            now = spikes[taps - back : taps - back + count]
            given += tap * now
            rung |= now != 0.0
        state["recent"] = spikes[count:]
        return rung, given
