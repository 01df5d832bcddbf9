"""Linear: weighted sums of counts, or of values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from pydantic import Field

from spikeflow.errors import ParameterError, Problem
from spikeflow.events import Grid, Indices, Stream, Values
from spikeflow.nodes.frames import Floats, Readout
from spikeflow.nodes.number_files import Numbers, numbers


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
        self._outputs = np.arange(self._columns.shape[1], dtype=np.uint32)

    def weigh(self, weight: Floats, tick: int) -> tuple[Indices, Values]:
        """[out] weighted sums."""
        used = np.flatnonzero(np.nan_to_num(weight))
        with np.errstate(over="ignore", invalid="ignore"):
            sums = (self._columns[used] * weight[used, None]).sum(axis=0)  # row by row: the same on every machine
            return self._outputs, sums + self._added


def _misfits(weights: Floats, size: int) -> Iterator[Problem]:
    shape = list(weights.shape)
    if weights.ndim != 2 or not len(weights):
        yield Problem(("weights",), f"weights of shape {shape}", f"give [out, in], here [outputs, {size}]")
    elif shape[1] != size:
        turned = ": they fit transposed" if shape[0] == size else ""
        hint = f"give [out, in], here [outputs, {size}]"
        yield Problem(("weights",), f"weights of shape {shape} for {size} inputs{turned}", hint)
