"""First spike: which neuron was the first, and how long it took."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from spikeflow.events import Indices, Stream, Times, Values
from spikeflow.nodes.frames import Answer, Framed

_FIRST = np.zeros(1, np.intp)


class FirstSpike(Framed):
    """The neuron that spiked first in each frame, and how long after the frame's beginning.

    Channel 0 is the neuron, -1 in a frame without spikes; channel 1 is its latency (s), from the frame's beginning to
    the tick of the spike, which has no sample in a frame without spikes. Of several at an instant the lowest counts.
    Source: time to first spike, Thorpe, Delorme & Van Rullen 2001.
    """

    elementwise: ClassVar[bool] = True

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
        copies = self.context.copies
        self._one = np.uint32(size // copies)
        self.neuron, self.tick = np.full(copies, -1), np.zeros(copies, np.int64)

    def clear(self) -> None:
        """No spike in this frame yet."""
        self.neuron[:], self.tick[:] = -1, 0

    def gather(self, tick: Times, index: Indices, value: Values | None) -> Iterable[Answer]:
        """Look at the first one of each copy."""
        if len(self.neuron) == 1:
            first = copy = _FIRST[: int(self.neuron[0] < 0)]
        else:
            of = index // self._one
            new = np.flatnonzero(self.neuron[of] < 0)
            copy, first = np.unique(
                of[new].astype(np.intp), return_index=True
            )  # events are in order: the earliest, and lowest
            first = new[first]
        self.neuron[copy], self.tick[copy] = index[first] % self._one, tick[first]
        if self.at == "spike":
            for now in np.unique(tick[first]).tolist():
                yield now, *self._said(copy[tick[first] == now])

    def answer(self) -> tuple[Indices, Values] | None:
        """What the frame came to."""
        return None if self.at == "spike" else self._said(np.arange(len(self.neuron)))

    def _said(self, copies: npt.NDArray[Any]) -> tuple[Indices, Values]:
        """The channels of copies that have a value, and the values."""
        values, told = np.empty((len(copies), 2)), np.ones((len(copies), 2), np.bool_)
        values[:, 0] = self.neuron[copies]
        values[:, 1] = (self.tick[copies] - self.part_tick) * self.context.grid.dt
        np.greater_equal(values[:, 0], 0.0, out=told[:, 1])
        row, channel = told.nonzero()
        return (copies[row] * 2 + channel).astype(np.uint32), values[told]

    def answers_at(self, ticks: int) -> Sequence[int] | None:
        """The ticks at which it answers on so many ticks."""
        return None if self.at == "spike" else super().answers_at(ticks)
