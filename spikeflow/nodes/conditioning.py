"""What conditioning shares: from samples to samples of the same channels and times."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np
import pyarrow as pa

from spikeflow.errors import Problem
from spikeflow.events import Indices, Kind, Stream, Times, empty, sample_batch
from spikeflow.node import Encoder
from spikeflow.nodes.folds import Doubles, finite_samples
from spikeflow.nodes.held import previous_values

PerChannel: TypeAlias = float | list[float]
"""One number for all channels, or one for each."""


class Conditioner(Encoder):
    """Gives a sample for each sample: same time, same channel, another value, in the precision of the input.

    A class says in `condition` which one. Samples that are not finite count as no samples.
    """

    gives: ClassVar[tuple[Kind, ...]] = ("samples",)
    trusted: ClassVar[bool] = True
    most: ClassVar[float] = np.inf
    """Samples that are larger, either way, are noted as out of range and count as no samples."""

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """Samples like those of the input."""
        return {"": Stream("", "samples", inputs[0].size, shape=inputs[0].shape, double=inputs[0].double)}

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        """Encode one window.

        Args:
            samples: [n] rows of `t`, `channel`, `value`, in time order.

        Returns:
            [m <= n] rows of `t`, `channel` and `value`.
        """
        if not samples.num_rows:
            return empty(self.context.outlet.plain)
        t_ns, channel, value = finite_samples(self, samples, self.most)
        with np.errstate(over="ignore", invalid="ignore"):
            found = self.condition(t_ns, channel, value)
            return sample_batch(t_ns, channel, found if self.context.outlet.double else found.astype(np.float32))

    @abstractmethod
    def condition(self, t_ns: Times, channel: Indices, value: Doubles) -> Doubles:
        """The [n] values that take the place of [n] finite ones."""


def of_channels(value: PerChannel, size: int) -> Doubles:
    """[size] a field with one number for all channels, or one for each, of every copy the same."""
    given = np.atleast_1d(np.asarray(value, np.float64))
    return np.tile(given, size // len(given))


def wrong_lengths(size: int, **fields: PerChannel | None) -> Iterable[Problem]:
    """Fields with a number for each channel that are of another length."""
    for name, value in fields.items():
        if isinstance(value, list) and len(value) != size:
            found = f"{name} has {len(value)} numbers for {size} channels"
            yield Problem((name,), found, "give one number, or one a channel")


def elapsed(t_ns: Times, channel: Indices, origin_ns: int, last: Any) -> Doubles:
    """The time since the sample before each sample on its channel.

    Args:
        t_ns: [n] times, ascending.
        channel: [n] channels.
        origin_ns: where times are counted from.
        last: [size] the time of each channel's newest sample, -1 before its first; int64, updated in place.

    Returns:
        [n] seconds; 0 for the first sample of a channel.
    """
    since: Any = t_ns - origin_ns
    before: Any = previous_values(channel, since, last)
    return np.where(before < 0, 0, since - before) * 1e-9
