"""Max membrane: the largest value of each channel in a frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

import numpy as np

from spikeflow.events import Indices, Kind, Stream, Times, Values
from spikeflow.nodes.frames import Answer, Framed


class MaxMembrane(Framed):
    """The largest sample of each channel in each frame, such as the membrane potential of a readout (`out.v`).

    It is given at the time at which the frame ends. A channel without samples in a frame has none there; those that are
    not finite count as none. `argmax` behind it says which one is the largest.
    Source: the usual readout of Norse's networks, the maximum of `v` over time.
    """

    elementwise: ClassVar[bool] = True
    takes: ClassVar[tuple[Kind, ...]] = ("samples",)

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """Samples of the input's shape and precision."""
        return {"": Stream("", "samples", inputs[0].size, shape=inputs[0].shape, double=inputs[0].double)}

    def start(self, size: int) -> None:
        """No sample yet."""
        super().start(size)
        self.largest = np.full(size, -np.inf)

    def clear(self) -> None:
        """No sample in this frame yet."""
        self.largest[:] = -np.inf

    def gather(self, tick: Times, index: Indices, value: Values | None) -> Iterable[Answer]:
        """Keep what is larger."""
        if value is not None:
            np.maximum.at(self.largest, index, value)
        return ()

    def answer(self) -> tuple[Indices, Values]:
        """The channels that had samples."""
        channel = np.flatnonzero(self.largest > -np.inf).astype(np.uint32)
        return channel, self.largest[channel]
