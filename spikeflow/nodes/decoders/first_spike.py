"""First spike: which neuron was the first, and how long it took."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from spikeflow.events import Indices, Stream, Times, Values
from spikeflow.nodes.frames import Answer, Framed

_BOTH = np.arange(2, dtype=np.uint32)


class FirstSpike(Framed):
    """The neuron that spiked first in each frame, and how long after the frame's beginning.

    Channel 0 is the neuron, -1 in a frame without spikes; channel 1 is its latency (s), from the frame's beginning to
    the tick of the spike, which has no sample in a frame without spikes. Of several at an instant the lowest counts.
    Source: time to first spike, Thorpe, Delorme & Van Rullen 2001.
    """

    at: Literal["end", "spike"] = Field(
        "end",
        description="when there is an answer: as the frame ends, or as the first spike comes, and none without one",
    )

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """Two channels: the neuron and its latency."""
        return {"": Stream("", "samples", 2)}

    def start(self, size: int) -> None:
        """No spike yet."""
        super().start(size)
        self.clear()

    def clear(self) -> None:
        """No spike in this frame yet."""
        self.neuron, self.tick = -1, 0

    def gather(self, tick: Times, index: Indices, value: Values | None) -> Iterable[Answer]:
        """Look at the first one."""
        if self.neuron >= 0:
            return
        self.neuron, self.tick = int(index[0]), int(tick[0])
        if self.at == "spike":
            yield self.tick, *self._said()

    def answer(self) -> tuple[Indices, Values] | None:
        """What the frame came to."""
        return None if self.at == "spike" else self._said()

    def _said(self) -> tuple[Indices, Values]:
        if self.neuron < 0:
            return _BOTH[:1], np.array([-1.0])
        return _BOTH, np.array([self.neuron, (self.tick - self.part_tick) * self.context.grid.dt])

    def answers_at(self, ticks: int) -> Sequence[int] | None:
        """The ticks at which it answers on so many ticks."""
        return None if self.at == "spike" else super().answers_at(ticks)
