"""Linear: weighted sums of counts, or of values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from pydantic import Field

from spikeflow.errors import ParameterError, Problem
from spikeflow.events import Grid, Stream
from spikeflow.nodes.frames import Chosen, Copies, Floats, Readout, added_up
from spikeflow.nodes.number_files import Numbers, numbers

_AT_ONCE = 1_000_000
"""Products that are made at once, at most, where one input has no more."""


class Linear(Readout):
    """y = W x + b, where x is how often each neuron spiked, or the value that each channel holds.

    Spikes are counted over `frame`, or over the last `over` every `every`; valued spikes count by their value. Samples
    are taken as they come: y is given at each tick that has some, and a channel that has had none counts as 0. Sums run
    over inputs in ascending order, in double precision.
    """

    weights: Numbers = Field(description="W, [out, in]: a file as populations load them, or rows of numbers")
    bias: Numbers = Field(0.0, description="b: one number, or one per output, in a list or a file")

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """Times, weights and a bias that do not fit; files are opened."""
        yield from super().check(inputs, grid)
        try:
            weights = numbers(self.weights)
        except ParameterError as error:
            yield Problem(("weights",), error.found, error.hint)
            return
        yield from _misfits(weights, inputs[0].size)
        try:
            bias = numbers(self.bias)
        except ParameterError as error:
            yield Problem(("bias",), error.found, error.hint)
            return
        if bias.shape not in ((), weights.shape[:1]):
            found = f"a bias of shape {list(bias.shape)} for {len(weights)} outputs"
            yield Problem(("bias",), found, "give one number, or one per output")

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """A channel for each row of the weights, of the precision of the input."""
        weights = numbers(self.weights)
        if weights.ndim != 2 or not len(weights):
            raise ParameterError(f"weights of shape {list(weights.shape)}", "give [out, in]")
        return {"": Stream("", "samples", len(weights), double=inputs[0].double)}

    def start(self, size: int) -> None:
        """Read the weights."""
        super().start(size)
        self._columns = np.ascontiguousarray(numbers(self.weights).T)
        self._added = np.broadcast_to(numbers(self.bias), self._columns.shape[1:])

    def weigh(self, weight: Floats, copies: Copies, tick: int) -> tuple[Chosen, Floats]:
        """[m, out] weighted sums, of all copies input by input."""
        weight = np.where(np.isnan(weight), 0.0, weight)
        used = np.flatnonzero(weight.any(axis=0))
        sums = np.zeros((len(copies), self._columns.shape[1]))
        some = max(1, _AT_ONCE // sums.size)
        with np.errstate(over="ignore", invalid="ignore"):
            for low in range(0, len(used), some):
                part = used[low : low + some]
                products = weight.T[part, :, None] * self._columns[part, None, :]
                sums = added_up(np.concatenate((sums[None], products)))
            sums = sums + self._added
        return np.ones(sums.shape, np.bool_), sums


def _misfits(weights: Floats, size: int) -> Iterator[Problem]:
    shape = list(weights.shape)
    if weights.ndim != 2 or not len(weights):
        yield Problem(("weights",), f"weights of shape {shape}", f"give [out, in], here [outputs, {size}]")
    elif shape[1] != size:
        turned = ": they fit transposed" if shape[0] == size else ""
        hint = f"give [out, in], here [outputs, {size}]"
        yield Problem(("weights",), f"weights of shape {shape} for {size} inputs{turned}", hint)
