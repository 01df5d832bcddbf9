"""Synthetic: a signal that needs no sensor."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from spikeflow import noise
from spikeflow.errors import ParameterError, Problem
from spikeflow.events import Grid, Indices, Kind, Stream, Times, Values, sample_batch, spike_batch
from spikeflow.node import Outlet, Source
from spikeflow.nodes.beat import Beat
from spikeflow.nodes.keys import Key
from spikeflow.nodes.sizes import Size, shape_of
from spikeflow.units import Hertz, Nanoseconds, format_ns

_CELLS = 1 << 16
_PATIENCE_NS = 1_000_000_000
_SIGNAL_FIELDS = ("amplitude", "offset", "frequency", "phase", "duty")
_USED = {
    "sine": {"amplitude", "offset", "frequency", "phase"},
    "pulse": {"amplitude", "offset", "frequency", "phase", "duty"},
    "noise": {"amplitude", "offset"},
    "poisson": set[str](),
}


class Synthetic(Source):
    """Samples of a sine, a pulse train or noise, or the spikes of Poisson processes, from the time and the seed alone.

    `sine`: offset + amplitude · sin(2π(frequency · t + phase · channel)). `pulse`: offset + amplitude during the first
    `duty` of each period, else offset. `noise`: offset + amplitude · a standard normal number. `poisson`: each neuron
    spikes in a tick with probability rate · dt. Times count from the origin of the run.
    """

    gives: ClassVar[tuple[Kind, ...]] = ("samples", "spikes")
    timed: ClassVar[bool] = True
    trusted: ClassVar[bool] = True

    signal: Literal["sine", "noise", "pulse", "poisson"] = Field(description="what to make")
    channels: Size | None = Field(None, description="how many channels, or their shape; 1 where it is not said")
    size: Size | None = Field(None, description="how many neurons, or their shape; the same as `channels`")
    rate: Annotated[Hertz, Field(gt=0, le=1e9)] = Field(
        100.0, description="samples a second of each channel; for `poisson` the spikes a second of each neuron"
    )
    frequency: Annotated[Hertz, Field(ge=0)] = Field(1.0, description="periods a second")
    amplitude: float = Field(1.0, allow_inf_nan=False, description="the height, in units of the samples")
    offset: float = Field(0.0, allow_inf_nan=False, description="what is added")
    phase: float = Field(
        0.0, allow_inf_nan=False, description="by how much of a period a channel is ahead of the one before"
    )
    duty: float = Field(0.5, gt=0, lt=1, description="the part of a period that a pulse lasts")
    copies: int = Field(
        1, ge=1, description="how many times as many, for each of which there is one of everything downstream"
    )
    replicate: Key | None = Field(
        None, description="what the copies are told apart by, such as `machine`; their names are their numbers"
    )
    length: Annotated[Nanoseconds, Field(gt=0)] | None = Field(
        None, description="where the source ends; without, never"
    )

    @model_validator(mode="after")
    def _one_count(self) -> Self:
        if self.channels is not None and self.size is not None:
            raise ParameterError("both 'channels' and 'size'", "keep one of them")
        return self

    @property
    def count(self) -> int:
        """How many channels or neurons there are, those of all copies."""
        return int(self.channels or self.size or 1) * self.copies

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """A length that is not whole ticks, a rate past one spike a tick, fields that do nothing."""
        if self.length is not None and self.length % grid.dt_ns:
            yield Problem(
                ("length",),
                f"length is {format_ns(self.length)}, which is not a multiple of dt, {format_ns(grid.dt_ns)}",
                f"write {format_ns(max(1, round(self.length / grid.dt_ns)) * grid.dt_ns)}",
            )
        if self.signal == "poisson" and self.rate * grid.dt > 1.0:
            found = f"a rate of {self.rate:g} Hz is more than one spike a tick"
            yield Problem(("rate",), found, f"a neuron spikes at most at {1 / grid.dt:g} Hz here", warning=True)
        for name in _SIGNAL_FIELDS:
            if name in self.model_fields_set and name not in _USED[self.signal]:
                used = ", ".join(sorted(_USED[self.signal] | {"channels", "rate", "length"}))
                found = f"{name!r} does nothing for the signal {self.signal!r}"
                yield Problem((name,), found, f"it uses {used}", warning=True)

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """Spikes for `poisson`, else samples."""
        shape = shape_of(self.channels or self.size)
        kind: Kind = "spikes" if self.signal == "poisson" else "samples"
        return {"": Stream("", kind, self.count // self.copies, shape=shape).times(self.copies, self.replicate or "")}

    def copy_names(self) -> Sequence[str]:
        """The numbers of the copies."""
        return [str(copy) for copy in range(self.copies)] if self.replicate else ()

    @property
    def finite(self) -> bool:
        """Whether a length is said."""
        return self.length is not None

    def origin_ns(self) -> int | None:
        """The beginning of 1970 where the source ends, so that runs repeat; else the run's."""
        return 0 if self.finite else None

    def length_ns(self) -> int | None:
        """The length."""
        return self.length

    async def produce(self, outlet: Outlet) -> None:
        """Send the signal, many windows at a time, up to its length."""
        context = self.context
        grid = context.grid
        origin_ns = grid.origin_ns if (own := self.origin_ns()) is None else own
        key = noise.key(context.seed, context.name, self.signal)
        first = max(0, context.window.first_tick)
        while True:
            ticks = self._ticks_a_part(grid)
            if self.length is not None:
                ticks = min(ticks, self.length // grid.dt_ns - first)
            if ticks <= 0:
                return
            await outlet.send(self._part(key, origin_ns, first, first + ticks, grid))
            first += ticks
            await outlet.advance(origin_ns + first * grid.dt_ns)
            await asyncio.sleep(0)  # a part may take as long as all else in a window: nobody has to wait for several

    def _ticks_a_part(self, grid: Grid) -> int:
        """Whole windows with a bounded number of cells, and of at most a second."""
        cells = self.count * (1.0 if self.signal == "poisson" else min(1e9, self.rate) * grid.dt)
        windows = int(min(_CELLS / cells, _PATIENCE_NS / grid.dt_ns) / grid.window_ticks)
        return max(1, windows) * grid.window_ticks

    def _part(self, key: int, origin_ns: int, first: int, end: int, grid: Grid) -> pa.RecordBatch:
        if self.signal == "poisson":
            probability = min(1.0, self.rate * grid.dt)
            tick, neuron = poisson_spikes(key, self.count, probability, first, end)
            return spike_batch(origin_ns + tick * grid.dt_ns, neuron)
        beat = Beat(self.rate)
        low, high = beat.first(first * grid.dt_ns), beat.first(end * grid.dt_ns)
        t_ns = beat.times(low, high - low)
        shape: Values
        if self.signal == "noise":
            number = np.arange(low, high, dtype=np.int64)[:, None]
            shape = noise.normal(key, np.arange(self.count)[None, :], number)
        else:
            shape = periodic(self.signal, t_ns, self.count, self.frequency, self.phase, self.duty)
        values = (self.offset + self.amplitude * shape).astype(np.float32)
        channel = np.tile(np.arange(self.count, dtype=np.uint32), len(t_ns))
        return sample_batch(np.repeat(origin_ns + t_ns, self.count), channel, values.ravel())


def poisson_spikes(key: int, size: int, probability: float, first: int, end: int) -> tuple[Times, Indices]:
    """Spikes of `size` neurons in the ticks [first, end): their ticks and neurons, in order.

    Whether a neuron spikes in a tick depends on nothing but the key, the neuron and the tick.
    """
    draws = noise.uniform(key, np.arange(size)[None, :], np.arange(first, end, dtype=np.int64)[:, None])
    tick, neuron = np.nonzero(draws < probability)
    return first + tick.astype(np.int64), neuron.astype(np.uint32)


def periodic(
    signal: Literal["sine", "pulse"], t_ns: Times, channels: int, frequency: float, phase: float, duty: float
) -> Values:
    """[n, channels] values in [-1, 1] (`sine`) or of 0 and 1 (`pulse`) at [n] instants (ns from the origin)."""
    turns = (t_ns / 1e9 * frequency)[:, None] + phase * np.arange(channels)[None, :]
    turns -= np.floor(turns)
    if signal == "sine":
        return np.sin(2.0 * np.pi * turns)
    if signal == "pulse":
        return (turns < duty).astype(np.float64)
    raise ParameterError(f"unknown signal {signal!r}", "write sine or pulse")
