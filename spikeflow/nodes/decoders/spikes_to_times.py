"""Spikes to times: when each neuron spiked first, second, third."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from spikeflow.errors import Problem
from spikeflow.events import Grid, Indices, Stream, Times, Values
from spikeflow.nodes.frames import Answer, Framed
from spikeflow.nodes.room import of_copies, too_large


class SpikesToTimes(Framed):
    """The times of the first `spike_count` spikes of each neuron in each frame, counted from the frame's beginning.

    Channel k · neurons + n is spike k of neuron n; where there are fewer it has no sample, and in an array infinity.
    They are given at the time at which the frame ends. A spike in the first tick of a frame has the time 0; a valued
    spike counts once, whatever its value.
    Source: SpikesToTimesDecoder of Norse 1.1 and jaxsnn.
    """

    elementwise: ClassVar[bool] = True
    absent: ClassVar[float] = math.inf

    spike_count: int = Field(1, ge=1, description="how many spikes of each neuron")
    unit: Literal["s", "ticks"] = Field("s", description="seconds, or ticks")

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """A frame that is not whole ticks, more times than there is memory for."""
        yield from super().check(inputs, grid)
        yield from self.check_copies(1, inputs, grid)

    def check_copies(self, copies: int, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """More times than there is memory for."""
        count = copies * inputs[0].size * self.spike_count
        yield from too_large(16 * count, ("spike_count",), f"{count} times{of_copies(copies)}", "keep fewer spikes")

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """`spike_count` times as many channels."""
        shape = (self.spike_count, *(inputs[0].shape or (inputs[0].size,)))
        return {"": Stream("", "samples", self.spike_count * inputs[0].size, shape=shape)}

    def start(self, size: int) -> None:
        """No spikes yet."""
        super().start(size)
        self.seen = np.zeros(size, np.int64)
        copies = self.context.copies
        self.times = np.full((copies, self.spike_count, size // copies), -1)

    def clear(self) -> None:
        """No spikes in this frame yet."""
        self.seen[:] = 0
        self.times.fill(-1)

    def gather(self, tick: Times, index: Indices, value: Values | None) -> Iterable[Answer]:
        """Keep the first ones."""
        wanted = self.seen[index] < self.spike_count
        tick, index = tick[wanted], index[wanted]
        order = np.argsort(index, kind="stable")
        neuron, at = index[order], tick[order]
        heads = np.flatnonzero(np.diff(neuron.astype(np.int64), prepend=-1))
        many = np.diff(heads, append=len(neuron))
        rank = np.arange(len(neuron)) - np.repeat(heads, many) + self.seen[neuron]
        keep = rank < self.spike_count
        copy, own = np.divmod(neuron[keep], np.uint32(self.times.shape[2]))
        self.times[copy, rank[keep], own] = at[keep] - self.part_tick
        self.seen[neuron[heads]] += many
        return ()

    def answer(self) -> tuple[Indices, Values]:
        """The spikes that there were."""
        times = self.times.ravel()
        channel = np.flatnonzero(times >= 0).astype(np.uint32)
        return channel, times[channel] * (1.0 if self.unit == "ticks" else self.context.grid.dt)
