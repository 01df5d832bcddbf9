"""The synapses of a projection that learns, as the world sees them: a channel each, by postsynaptic neuron."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spikeflow.errors import ParameterError
from spikeflow.kernels import layout
from spikeflow.kernels.layout import CODES, Arrays
from spikeflow.kernels.learning import Lesson
from spikeflow.kernels.parts import Precision, Projection

Numbers = npt.NDArray[np.floating]


class Plastic:
    """Reads and writes what the rule keeps of each synapse.

    A synapse's channel is `post * pre_size + pre`; several synapses between two neurons share one, in the order of
    the file.

    Args:
        learning_at, projection_at: where the rows of the learning and of its projection lie in the table.
    """

    def __init__(
        self, lesson: Lesson, projection: Projection, precision: Precision, learning_at: int, projection_at: int
    ) -> None:
        synapses = projection.synapses
        self.target, self.learning = projection.target, lesson.learning
        self.states = type(lesson.learning.rule).state
        self.shape = synapses.post_size, synapses.pre_size
        self.size = synapses.pre_size * synapses.post_size
        self.precision, self._learning_at, self._projection_at = precision, learning_at, projection_at
        if self.size > np.iinfo(np.uint32).max + 1:
            found = f"{synapses.pre_size} times {synapses.post_size} synapses that learn"
            raise ParameterError(found, "let fewer neurons learn in one projection: at most 2^32 pairs")
        if synapses.kind == layout.DENSE:
            stride = layout.tiles_of(synapses.post_size) * layout.TILE
            pre, post = np.arange(synapses.pre_size), np.arange(synapses.post_size)
            self._at = (pre[None, :] * stride + post[:, None]).ravel()
            channel = np.arange(self.size)
        elif synapses.start is not None and synapses.post is not None:
            row = np.repeat(np.arange(synapses.start.size - 1), np.diff(synapses.start))
            channel = synapses.post.astype(np.int64) * synapses.pre_size + row % synapses.pre_size
            self._at = np.argsort(channel, kind="stable")
            channel = channel[self._at]
        else:
            self._at = np.arange(synapses.pre_size)
            channel = self._at * (synapses.pre_size + 1)
        self.channel = channel.astype(np.uint32)

    def key(self, state: str) -> str:
        """The name of the port that carries a state."""
        return f"{state}_{self.learning.name}"

    def chosen(self, channels: npt.NDArray[np.integer] | None) -> npt.NDArray[np.bool_] | slice:
        """Which synapses have these channels; all of them if None."""
        return slice(None) if channels is None else np.isin(self.channel, channels)

    def read(self, arrays: Arrays, state: str) -> Numbers:
        """[synapses] a state of every synapse, in the order of the channels."""
        found: Numbers = self._numbers(arrays)[self._first(arrays, state) + self._at]
        return found

    def write(self, arrays: Arrays, state: str, values: Numbers) -> None:
        """Put a state back."""
        self._numbers(arrays)[self._first(arrays, state) + self._at] = values

    def _numbers(self, arrays: Arrays) -> Numbers:
        return arrays.weight32 if self.precision == "float32" else arrays.weight64

    def _first(self, arrays: Arrays, state: str) -> int:
        place = self.states.index(state)
        if place == 0:
            return int(arrays.table[self._projection_at + CODES["P_WEIGHT"]])
        at = self._learning_at
        return int(arrays.table[at + CODES["L_STATE"]] + (place - 1) * arrays.table[at + CODES["L_COUNT"]])
