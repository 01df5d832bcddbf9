"""Exponential: a spike train through an exponential filter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from spikeflow.errors import Problem
from spikeflow.events import Grid, Indices, Stream, Values, empty
from spikeflow.node import Decoder
from spikeflow.nodes.frames import Answer, finite, not_whole, samples_of
from spikeflow.units import Nanoseconds, Seconds


class Exponential(Decoder):
    """The spikes of each neuron, or their mean, filtered: every spike adds `amount`, which fades with `tau`.

    y(n) = exp(-dt / tau) y(n - 1) + amount · spikes(n), exactly, for each tick n; y is given at the multiples of
    `every`, counted from the origin, with the spikes of that very tick in it. Valued spikes add their value times the
    amount, those that are not finite nothing. With `amount` 1 / tau the filter estimates the rate (spikes/s).
    Source: Norse 1.1, ExpFilter, without its weights.
    """

    elementwise: ClassVar[bool] = True
    trusted: ClassVar[bool] = True

    tau: Annotated[Seconds, Field(gt=0, allow_inf_nan=False)] = Field(20e-3, description="time constant of the filter")
    every: Annotated[Nanoseconds, Field(gt=0)] | None = Field(
        None, description="how often y is given; whole ticks; every tick where it is not said"
    )
    amount: float = Field(1.0, allow_inf_nan=False, description="what a spike adds")
    per: Literal["neuron", "population"] = Field(
        "neuron", description="one channel a neuron, or one for the mean over all of them"
    )

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """A time that is not whole ticks."""
        yield from not_whole(grid, every=self.every)

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """Samples of the input's shape, or of one channel."""
        if self.per == "population":
            return {"": Stream("", "samples", 1)}
        return {"": Stream("", "samples", inputs[0].size, shape=inputs[0].shape)}

    def start(self, size: int) -> None:
        """No spikes yet."""
        grid = self.context.grid
        self._every = 1 if self.every is None else self.every // grid.dt_ns
        self._fade = -grid.dt / self.tau
        self._pooled = self.per == "population"
        self._sharing = size // self.context.copies if self._pooled else 1  # neurons that count as one channel
        count = size // self._sharing
        self._unit = self.amount / self._sharing
        self._channels = np.arange(count, dtype=np.uint32)
        self.y = np.zeros(count)
        self.tick = np.zeros(count, np.int64)  # the tick of y: that of the last spike, so that no other's is felt

    def answers_at(self, ticks: int) -> Sequence[int]:
        """The ticks at which it answers on so many ticks."""
        return range(0, ticks, self._every)

    def decode(self, spikes: pa.RecordBatch) -> pa.RecordBatch:
        """Decode one window.

        Args:
            spikes: [n] rows of `t`, `neuron` and perhaps `value`, in time order.

        Returns:
            [answers · channels] rows of `t`, `channel` and `value`.
        """
        window = self.context.window
        end = window.first_tick + window.ticks
        asked = range(-(-window.first_tick // self._every) * self._every, end, self._every)
        if not asked and not spikes.num_rows:
            return empty(self.context.outlet.plain)
        t_ns, neuron, value = finite(self, spikes)
        if self._pooled:
            neuron = neuron // np.uint32(self._sharing)
        tick = self.context.grid.ticks(t_ns)
        heads = np.flatnonzero(np.diff(tick, prepend=-1)).tolist() if len(tick) else []
        busy = dict(zip(tick[heads].tolist(), pairwise([*heads, len(tick)]), strict=True))
        found: list[Answer] = []
        for now in sorted({*busy, *asked}):
            if now in busy:
                part = slice(*busy[now])
                self._add(now, neuron[part], None if value is None else value[part])
            if now % self._every == 0:
                found.append((now, self._channels, self.y * np.exp((now - self.tick) * self._fade) * self._unit))
        return samples_of(self, found)

    def _add(self, now: int, neuron: Indices, value: Values | None) -> None:
        """Let the spikes of a tick in."""
        self.y[neuron] = self.y[neuron] * np.exp((now - self.tick[neuron]) * self._fade)  # for two spikes as for one
        self.tick[neuron] = now
        np.add.at(self.y, neuron, 1.0 if value is None else value)
