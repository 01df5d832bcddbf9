"""Rate: how many spikes a second, over the time just past."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import gcd
from typing import Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from spikeflow.errors import Problem
from spikeflow.events import SAMPLES, Grid, Indices, Stream, Values, columns, empty, sample_batch
from spikeflow.node import Decoder
from spikeflow.units import Nanoseconds, format_ns


class Rate(Decoder):
    """Spikes a second of each neuron, or of their mean, over the last `over`, given every `every`.

    The sample at time T (a multiple of `every`, counted from the origin) holds the spikes of [T - over, T). Valued
    spikes count by their value. A run that is younger than `over` is taken as silent before it began.
    """

    trusted: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True

    over: Annotated[Nanoseconds, Field(gt=0)] = Field(description="how far back spikes count; whole ticks")
    every: Annotated[Nanoseconds, Field(gt=0)] | None = Field(
        None, description="how often a rate is given; whole ticks; `over` where it is not said"
    )
    per: Literal["neuron", "population"] = Field(
        "neuron", description="one channel a neuron, or one for the mean over all of them"
    )

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """Times that are not whole ticks."""
        for name, time in (("over", self.over), ("every", self.every)):
            if time is not None and time % grid.dt_ns:
                yield Problem(
                    (name,),
                    f"{name} is {format_ns(time)}, which is not a multiple of dt, {format_ns(grid.dt_ns)}",
                    f"write {format_ns(max(1, round(time / grid.dt_ns)) * grid.dt_ns)}",
                )

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """Samples of the input's shape, or of one channel."""
        if self.per == "population":
            return {"": Stream("", "samples", 1)}
        return {"": Stream("", "samples", inputs[0].size, shape=inputs[0].shape)}

    def start(self, size: int) -> None:
        """No spikes yet."""
        dt_ns = self.context.grid.dt_ns
        over = self.over // dt_ns
        every = (self.every or self.over) // dt_ns
        self._bin_ticks = gcd(over, every)
        self._bins_an_answer = every // self._bin_ticks
        copies = self.context.copies
        self._sharing = size // copies if self.per == "population" else 1  # neurons that make one channel
        self._channels = size // self._sharing
        self._unit = 1.0 / (over * self.context.grid.dt * self._sharing)
        self.bin = 0
        self.counted = np.zeros((over // self._bin_ticks, self._channels))

    def decode(self, spikes: pa.RecordBatch) -> pa.RecordBatch:
        """Decode one window.

        Args:
            spikes: [n] rows of `t`, `neuron` and perhaps `value`, in time order.

        Returns:
            [answers · channels] rows of `t`, `channel` and `value` (spikes/s).
        """
        window, grid = self.context.window, self.context.grid
        first_bin = -(-window.first_tick // self._bin_ticks)
        end_bin = -(-(window.first_tick + window.ticks) // self._bin_ticks)
        if first_bin == end_bin and not spikes.num_rows:
            return empty(SAMPLES)
        self._roll((window.first_tick - 1) // self._bin_ticks)  # only after a reset, or a window that was missed
        t_ns, neuron, value = columns(spikes)
        if self._sharing > 1 and len(neuron):
            neuron = neuron // np.uint32(self._sharing)
        if first_bin == end_bin:
            self._count(neuron, value)
            return empty(SAMPLES)
        edges = grid.origin_ns + np.arange(first_bin, end_bin) * (self._bin_ticks * grid.dt_ns)
        cuts = [0, *np.searchsorted(t_ns, edges).tolist(), len(t_ns)]
        times: list[int] = []
        rates: list[Values] = []
        for number, bin_ in enumerate(range(first_bin, end_bin)):
            part = slice(cuts[number], cuts[number + 1])
            self._count(neuron[part], value[part])
            if bin_ and bin_ % self._bins_an_answer == 0:
                times.append(int(edges[number]))
                rates.append((self.counted.sum(axis=0) * self._unit).astype(np.float32))
            self._roll(bin_)
        self._count(neuron[cuts[-2] :], value[cuts[-2] :])
        if not rates:
            return empty(SAMPLES)
        channel = np.tile(np.arange(self._channels, dtype=np.uint32), len(rates))
        return sample_batch(np.repeat(np.array(times, np.int64), self._channels), channel, np.concatenate(rates))

    def rests_until(self) -> int:
        """Until the next bin begins."""
        return (self.bin + 1) * self._bin_ticks

    def _count(self, neuron: Indices, value: Values) -> None:
        if len(neuron):
            # one by one and in order: the same sum however the stream is cut into windows
            np.add.at(self.counted[self.bin % len(self.counted)], neuron, value)

    def _roll(self, bin_: int) -> None:
        """Begin a bin, in the place of the oldest one."""
        for entered in range(max(self.bin + 1, bin_ - len(self.counted) + 1), bin_ + 1):
            self.counted[entered % len(self.counted)] = 0.0
        self.bin = bin_
