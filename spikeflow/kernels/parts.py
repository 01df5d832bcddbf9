"""What a network is made of: populations, trains of events from outside, and projections between them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from spikeflow.kernels.layout import Arrays
from spikeflow.kernels.model import Array, Form, NeuronModel
from spikeflow.kernels.rule import Learning, RuleForm
from spikeflow.kernels.synapses import Synapses

Precision: TypeAlias = Literal["float32", "float64"]


@dataclass(frozen=True, eq=False)
class Group:
    """One population.

    Attributes:
        size: how many neurons, those of all copies.
        initial: the state before the first tick, over the model's own.
        record: variable to (neurons, ticks between two samples); samples are taken after ticks that are multiples.
        copies: of how many equal copies it is made, one behind the other. They share parameters, synapses and noise.
    """

    name: str
    model: NeuronModel
    size: int
    precision: Precision = "float32"
    initial: Mapping[str, float | Array] = field(default_factory=dict)
    record: Mapping[str, tuple[npt.NDArray[np.integer], int]] = field(default_factory=dict)
    copies: int = 1

    @property
    def each(self) -> int:
        """Neurons of one copy."""
        return self.size // self.copies


@dataclass(frozen=True)
class Train:
    """Events from outside; with `valued` each carries a number that multiplies the weights, else it counts 1.

    With `copies` its channels are those of as many copies, one behind the other. With `double` the values of record
    batches that are handed over are float64, else float32.
    """

    name: str
    size: int
    valued: bool = False
    copies: int = 1
    double: bool = False

    @property
    def each(self) -> int:
        """Channels of one copy."""
        return self.size // self.copies


@dataclass(frozen=True, eq=False)
class Projection:
    """Synapses from a group or train to a group's receptor (the model's first one, if None).

    Where the target is made of copies, the synapses are those of one of them: each copy has them to itself from its own
    copy of the source, or, where the source has none, all copies hear the same.
    With `hold`, the last value of a channel acts at every tick until the next one (several in a tick: the last).
    With `learning`, the weights change; `receptor` may be one that a learning projection of the target hears.
    """

    source: str
    target: str
    synapses: Synapses
    receptor: str | None = None
    hold: bool = False
    learning: Learning | None = None


@dataclass(frozen=True)
class Program:
    """What a backend prepares for: the distinct forms, each with its precision; `G_FORM` counts into them.

    `rules` are the distinct learning rules, each with the precision of its synapses; `L_RULE` counts into them.
    `halves`: whether some weights are stored as float16.
    """

    forms: tuple[tuple[Form, Precision], ...]
    rules: tuple[tuple[RuleForm, Precision], ...] = ()
    halves: bool = False


Run: TypeAlias = Callable[..., None]
"""A prepared backend: takes the arrays of `Arrays` in order and works until `H_STOP`, or sets `H_STATUS`."""


class Away(Protocol):
    """Events of one window that are not in the host's memory."""

    def __len__(self) -> int: ...

    def fetch(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32], npt.NDArray[np.floating] | None]:
        """The columns in the host's memory: times, indices, and values or None; copied once."""
        ...


class Resident(ABC):
    """A bound backend that works on arrays of its own; those of `Arrays` have what the host last fetched."""

    @abstractmethod
    def __call__(self) -> None:
        """Work, as `Run` does; the head of the table goes there and back."""

    @abstractmethod
    def fetch(self, *names: str, count: int | None = None) -> None:
        """Make the host's arrays, or the first `count` numbers of each, what its own are."""

    @abstractmethod
    def push(self, *names: str) -> None:
        """Make its own arrays what the host's are."""

    @abstractmethod
    def write(self, first: int, columns: Any, value_at: int) -> None:
        """Put events (columns, or what `take` gave) from place `first` on, their values from `value_at` (-1: none)."""

    @abstractmethod
    def take(self, first: int, end: int, value_at: int) -> Away:
        """The events `first` to before `end`; their values begin at `value_at` (-1: none)."""


Bind: TypeAlias = Callable[[Arrays], Callable[[], None]]
"""As `Run`, but given its arrays once for all calls that follow; a `Resident` where it has its own."""
