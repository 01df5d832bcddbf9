"""Encoders whose spikes can be turned back into values; each holds its own inverse."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from spikeflow.errors import ParameterError
from spikeflow.events import Grid, Indices, Stream, Times, Values, Window
from spikeflow.node import Encoder, State
from spikeflow.nodes.folds import Doubles, fold

Rebuilt: TypeAlias = tuple[Times, Indices, Doubles]
"""[n] ticks, [n] channels and [n] values, by tick and then by channel, one for a channel and tick."""


class Arrived(NamedTuple):
    """The spikes of one window.

    Attributes:
        window: the window.
        grid: the ticks.
        tick: [n] ticks, ascending.
        neuron: [n] neurons.
        value: [n] values; 1 where the spikes carry none.
    """

    window: Window
    grid: Grid
    tick: Times
    neuron: Indices
    value: Values


class Invertible(Encoder):
    """An encoder that knows the way back: `undo` turns its spikes into values, with a state of its own.

    Neither `undo` nor `undoing` looks at the encoder's state: only at its fields.
    """

    valued: ClassVar[bool] = True
    trusted: ClassVar[bool] = True
    rings: ClassVar[bool] = False
    """Whether a spike gives values at later ticks, too."""
    relative: ClassVar[bool] = False
    """Whether spikes say how far the signal has come since the encoder began, or forgot."""

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """Spikes that know how they were made; `neurons` of them a channel."""
        given, neurons = inputs[0], self.neurons
        shape = given.shape if neurons == 1 else (*(given.shape or (given.size,)), neurons)
        return {"": Stream("", "spikes", given.size * neurons, self.values, shape, made_by=self)}

    @property
    def neurons(self) -> int:
        """How many neurons share a channel."""
        return 1

    @property
    def values(self) -> bool:
        """Whether the spikes carry a value."""
        return self.valued

    def undoing(self, channels: int, first: float | None, grid: Grid) -> State:
        """The state of the way back before any spike.

        Args:
            channels: how many there are.
            first: the first sample of every channel, where it is known and the spikes do not say.
            grid: the ticks.

        Raises:
            ParameterError: with these fields there is no way back.
        """
        return {"value": np.full(channels, 0.0 if first is None else first)}

    @abstractmethod
    def undo(self, spikes: Arrived, state: State) -> Rebuilt:
        """One window of spikes as values; the state is updated in place."""


def running_sums(tick: Times, channel: Indices, change: Doubles, last: Doubles) -> Rebuilt:
    """What each channel has added up to, at the end of each tick in which it changes.

    Args:
        tick: [n] ticks, ascending.
        channel: [n] channels.
        change: [n] what is added.
        last: [size] the sums so far; updated in place.
    """
    [total] = fold(channel, [change], [last], lambda _, more, sum_: (sum_ + more, sum_ + more), 1)
    return ends_of_ticks(tick, channel, total)


def ends_of_ticks(tick: Times, channel: Indices, value: Doubles) -> Rebuilt:
    """The last value of each channel in each tick, by tick and then by channel."""
    order = np.lexsort((channel, tick))
    tick, channel = tick[order], channel[order]
    last: npt.NDArray[np.bool_] = np.ones(len(tick), np.bool_)
    last[:-1] = (tick[1:] != tick[:-1]) | (channel[1:] != channel[:-1])
    return tick[last], channel[last], value[order][last]


def not_known(what: str, hint: str) -> ParameterError:
    """The error of fields that leave no way back."""
    return ParameterError(f"the spikes do not tell {what}, so that there is no way back from them", hint)


__all__ = ["Arrived", "Invertible", "Rebuilt", "ends_of_ticks", "not_known", "running_sums"]
