"""Burst: the larger a value, the more spikes, and the closer together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from spikeflow.errors import Problem
from spikeflow.events import Grid, Indices, Stream
from spikeflow.nodes.folds import Doubles
from spikeflow.nodes.frame_codes import Code, RangedCode, plain
from spikeflow.units import Nanoseconds, format_ns


class Burst(RangedCode):
    """A burst at the beginning of each frame: the value says how many spikes it has, and how far apart they are.

    With u = (x - low) / (high - low), cut to 0 … 1: n = ceil(most · u) spikes, the first one at the frame's first tick
    and the next ones every d ticks, where d = ceil(longest - (longest - shortest) · u). Spikes past the frame's end are
    left out: the check warns where there may be some. A channel at `low` or below is silent.
    Source: Guo et al., "Neural coding in spiking neural networks: a comparative study for robust neuromorphic systems",
    Frontiers in Neuroscience 2021, after Park et al., DAC 2019.
    """

    elementwise: ClassVar[bool] = True

    most: int = Field(5, ge=1, le=10_000, description="spikes of a burst where the value is 1")
    shortest: Annotated[Nanoseconds, Field(gt=0)] = Field(
        2_000_000, description="from spike to spike where the value is 1; whole ticks"
    )
    longest: Annotated[Nanoseconds, Field(gt=0)] | None = Field(
        None,
        description="from spike to spike where the value is near 0; whole ticks; frame / most unless given",
    )

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """Times that are not whole ticks or in the wrong order; bursts that do not fit."""
        yield from super().check(inputs, grid)
        for name, time in (("shortest", self.shortest), ("longest", self.longest)):
            if time is not None and time % grid.dt_ns:
                yield Problem(
                    (name,),
                    f"{name} is {format_ns(time)}, which is not a multiple of dt, {format_ns(grid.dt_ns)}",
                    f"write {format_ns(max(1, round(time / grid.dt_ns)) * grid.dt_ns)}",
                )
        if self._longest_ns < self.shortest:
            found = f"spikes are {format_ns(self.shortest)} apart at least and {format_ns(self._longest_ns)} at most"
            yield Problem(("shortest",), found, f"write {format_ns(self._longest_ns)} or less")
        elif (self.most - 1) * self.shortest >= self.frame:
            found = f"{self.most} spikes, {format_ns(self.shortest)} apart, do not fit into {format_ns(self.frame)}"
            yield Problem(("most",), found, "the last ones are left out; write fewer", warning=True)

    @property
    def _longest_ns(self) -> int:
        return self.frame // self.most if self.longest is None else self.longest

    def unit_code(self, value: Doubles, channel: Indices) -> Code:
        """The burst of each channel above 0."""
        dt_ns = self.context.grid.dt_ns
        shortest, longest = self.shortest / dt_ns, self._longest_ns / dt_ns
        above = value > 0.0
        value, channel = value[above], channel[above]
        count = np.ceil(self.most * value).astype(np.int64)
        apart = np.ceil(longest - (longest - shortest) * value)
        number = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        tick = number * np.repeat(apart, count)
        inside = tick < self.frame_ticks
        return plain(tick[inside], np.repeat(channel, count)[inside])
