"""Resample: samples that come when they like, as samples at ticks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from spikeflow.errors import Problem
from spikeflow.events import Grid, Indices, Kind, Stream, Times, empty, sample_batch
from spikeflow.node import Encoder
from spikeflow.nodes.folds import Doubles, finite_samples
from spikeflow.nodes.held import pieces
from spikeflow.units import Nanoseconds, format_ns


class Resample(Encoder):
    """A sample of every channel at every tick, or at every n-th one, from the channel's first sample on.

    At a tick n·`every`, counted from the origin, and with the time at which it starts:
    `by: last`: the newest value, where samples of the tick itself count; it holds until the next one.
    `by: mean`: the mean of the samples since the last output, those of the tick itself among them, or as before.
    `by: line`: the value one `every` ago, on the line between the samples before and after that instant; where no
    sample came between then and now, the last one before it. So this one is late by `every`.
    Samples that are not finite count as no samples.
    """

    elementwise: ClassVar[bool] = True
    gives: ClassVar[tuple[Kind, ...]] = ("samples",)
    trusted: ClassVar[bool] = True

    every: Annotated[Nanoseconds, Field(gt=0)] | None = Field(
        None, description="from output to output, whole ticks; one tick where it is not said"
    )
    by: Literal["last", "mean", "line"] = Field("last", description="which value an output holds")

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """A time that is not whole ticks."""
        if self.every is not None and self.every % grid.dt_ns:
            yield Problem(
                ("every",),
                f"every is {format_ns(self.every)}, which is not a multiple of dt, {format_ns(grid.dt_ns)}",
                f"write {format_ns(max(1, round(self.every / grid.dt_ns)) * grid.dt_ns)}",
            )

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """Samples like those of the input."""
        return {"": Stream("", "samples", inputs[0].size, shape=inputs[0].shape, double=inputs[0].double)}

    def start(self, size: int) -> None:
        """No channel has been seen."""
        self._step = 1 if self.every is None else self.every // self.context.grid.dt_ns
        self.held = np.full(size, np.nan)  # the newest value that is no longer open
        self.held_ns = np.zeros(size, np.int64)
        self.open = False  # whether anything has come since the last output
        self.count, self.sum = np.zeros(size), np.zeros(size)
        self.first, self.last = np.full(size, np.nan), np.full(size, np.nan)
        self.first_ns, self.last_ns = np.zeros(size, np.int64), np.zeros(size, np.int64)

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        """Encode one window.

        Args:
            samples: [n] rows of `t`, `channel`, `value`, in time order.

        Returns:
            [outputs · channels] rows of `t` (starts of ticks), `channel` and `value`.
        """
        outlet, window = self.context.outlet, self.context.window
        if not samples.num_rows and not self.open and np.isnan(self.held).all():
            return empty(outlet.plain)
        t_ns, channel, value = finite_samples(self, samples)
        t_ns = t_ns - self.context.grid.origin_ns
        found_t, found_channel, found = [], [], []
        for row, given in self._outputs(window.first_tick, window.ticks, t_ns, channel, value):
            place, where = np.nonzero(~np.isnan(given))
            found_t.append(row[place])
            found_channel.append(where.astype(np.uint32))
            found.append(given[place, where])
        if not found:
            return empty(outlet.plain)
        values = np.concatenate(found)
        times = self.context.grid.origin_ns + np.concatenate(found_t)
        with np.errstate(over="ignore"):
            kept = values if outlet.double else values.astype(np.float32)
        return sample_batch(times, np.concatenate(found_channel), kept)

    def _outputs(
        self, first: int, ticks: int, t_ns: Times, channel: Indices, value: Doubles
    ) -> Iterator[tuple[Times, Doubles]]:
        """The times of some outputs, from the origin, and their [outputs, size] values, in parts that fit the cache."""
        dt_ns, size = self.context.grid.dt_ns, len(self.held)
        edge = 0 if self.by == "line" else dt_ns - 1  # how far into an output's own tick samples count for it
        low, end = -(-first // self._step), -(-(first + ticks) // self._step)
        use = 0
        for number, count in pieces(low, end, size):
            row = np.arange(number, number + count) * (self._step * dt_ns)
            until = int(np.searchsorted(t_ns, row[-1] + edge, "right"))
            part = slice(use, until)
            use = until
            place = np.searchsorted(row + edge, t_ns[part])  # the first output that a sample counts for
            yield row, self._closed(count, place, t_ns[part], channel[part], value[part], row)
        if use < len(t_ns):
            rest = np.zeros(len(t_ns) - use, np.int64)
            self._closed(0, rest, t_ns[use:], channel[use:], value[use:], rest[:0])

    def _closed(self, count: int, place: Times, t_ns: Times, channel: Indices, value: Doubles, row: Times) -> Doubles:
        """[count, size] outputs; what counts for a later one stays open.

        Args:
            count: how many outputs there are.
            place: [n] which of them each sample counts for.
            t_ns: [n] times from the origin.
            channel: [n] channels.
            value: [n] values.
            row: [count] times of the outputs from the origin.
        """
        size = len(self.held)
        if self.by == "mean":
            total, seen = np.zeros((count + 1, size)), np.zeros((count + 1, size))
            total[0], seen[0] = self.sum, self.count
            with np.errstate(over="ignore", invalid="ignore"):
                np.add.at(total, (place, channel), value)  # in order: the same sum however the stream is cut
            np.add.at(seen, (place, channel), 1.0)
            newest = np.full((count + 1, size), np.nan)
            newest[0] = self.held
            np.divide(total[:count], seen[:count], out=newest[1:], where=seen[:count] > 0.0)
            self.sum, self.count = total[-1].copy(), seen[-1].copy()
            self.open = bool(self.count.any())
            found = filled(newest)
            self.held = found[-1].copy()
            return found[1:]
        last = np.full((count + 1, size), np.nan)
        last_ns = np.zeros((count + 1, size), np.int64)
        last[0], last_ns[0] = self.last, self.last_ns
        last[place, channel], last_ns[place, channel] = value, t_ns  # of equal places the last one stays
        newest = np.concatenate([self.held[None], last[:count]])
        newest_ns = np.concatenate([self.held_ns[None], last_ns[:count]])
        known = filled_rows(newest)
        newest, newest_ns = np.take_along_axis(newest, known, 0), np.take_along_axis(newest_ns, known, 0)
        self.held, self.held_ns = newest[-1].copy(), newest_ns[-1].copy()
        self.last, self.last_ns = last[-1].copy(), last_ns[-1].copy()
        if self.by == "last":
            self.open = not np.isnan(self.last).all()
            return newest[1:]
        first = np.full((count + 1, size), np.nan)
        first_ns = np.zeros((count + 1, size), np.int64)
        back = np.arange(len(place) - 1, -1, -1)  # so that the first one stays
        first[place[back], channel[back]], first_ns[place[back], channel[back]] = value[back], t_ns[back]
        begun = ~np.isnan(self.first)
        first[0, begun], first_ns[0, begun] = self.first[begun], self.first_ns[begun]
        self.first, self.first_ns = first[-1].copy(), first_ns[-1].copy()
        self.open = not np.isnan(self.first).all()
        before, after = newest[:count], first[:count]
        since = row[:, None] - self._step * self.context.grid.dt_ns - newest_ns[:count]
        with np.errstate(over="ignore", invalid="ignore"):
            line = before + (after - before) * (since / np.maximum(first_ns[:count] - newest_ns[:count], 1))
        return np.where(np.isnan(after), before, line)


def filled_rows(value: Doubles) -> Times:
    """[rows, size] for each cell the last row up to it that holds a number, or row 0."""
    rows = np.where(np.isnan(value), 0, np.arange(len(value))[:, None])
    return np.maximum.accumulate(rows, axis=0)


def filled(value: Doubles) -> Doubles:
    """[rows, size] with the last number above it in each empty cell."""
    return np.take_along_axis(value, filled_rows(value), 0)
