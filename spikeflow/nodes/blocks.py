"""Frames: blocks of ticks that an encoder begins anew, each on the values held at its first tick."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import Field

from spikeflow.errors import Problem
from spikeflow.events import Batch, Grid, Stream, Values, Window, columns
from spikeflow.node import Encoder
from spikeflow.nodes.held import finite, held_values, pieces
from spikeflow.units import Nanoseconds, format_ns


class Part(NamedTuple):
    """The ticks of one frame that lie in a window.

    Attributes:
        first: the first tick of the frame, in this window or before it.
        low: the first tick of the part.
        high: one past its last tick.
    """

    first: int
    low: int
    high: int

    @property
    def begins(self) -> bool:
        """Whether the frame begins here, so that nothing of the one before counts any more."""
        return self.low == self.first


class FramedEncoder(Encoder):
    """An encoder that may work in frames.

    Tick n belongs to the frame n // `frame`, counted from the origin. The value that a channel holds at a frame's first
    tick (a sample of that tick counts) is the channel's value for the whole frame. With `forget: {on: node}` a frame
    begins before each tick in which that node sends an event, with `forget: {every: 300 ms}` at multiples of that time;
    it lasts `frame`, and silence follows until the next one.

    A class calls `begin_frames` in `start`, and takes what there is from `frames`, `latched` or `values` in `encode`,
    each of them to its end.
    """

    frame: Annotated[Nanoseconds, Field(gt=0)] | None = Field(
        None,
        description="begin anew at multiples of this time, on the values held there; unless given, run on. Whole ticks",
    )

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """A frame that is not whole ticks."""
        if self.frame is not None and self.frame % grid.dt_ns:
            yield Problem(
                ("frame",),
                f"frame is {format_ns(self.frame)}, which is not a multiple of dt, {format_ns(grid.dt_ns)}",
                f"write {format_ns(max(1, round(self.frame / grid.dt_ns)) * grid.dt_ns)}",
            )

    def begin_frames(self, size: int) -> None:
        """Set the initial state: no frame has begun, and no channel holds a value."""
        self.fresh = False
        """Whether a frame begins with the next window that is stepped."""
        self.frame_first = -1
        """The first tick of the frame that `latch` belongs to."""
        self.held = np.full(size, np.nan)
        """The newest value of each channel."""
        self.latch = np.full(size, np.nan)
        """The values of this frame."""

    @property
    def frame_ticks(self) -> int:
        """Ticks of a frame; 0 where the encoder runs on."""
        return 0 if self.frame is None else self.frame // self.context.grid.dt_ns

    @property
    def holds(self) -> bool:
        """Whether any channel has a value, now or in this frame."""
        return not (np.isnan(self.held).all() and np.isnan(self.latch).all())

    def reset(self) -> None:
        """Begin a frame where there are frames: what the channels hold stays. Else go back to the initial state."""
        if self.frame is None or self.forget is None:
            super().reset()
        else:
            self.fresh = self.forget.on is not None

    def step(self, window: Window, arriving: Sequence[Batch]) -> Sequence[Batch]:
        """Step one window, with which a frame may begin."""
        if self.fresh:
            self.fresh, self.frame_first = False, window.first_tick
        return super().step(window, arriving)

    def frames(self) -> Iterator[Part]:
        """The parts of the frames that lie in the window; where the encoder runs on, the window as part of frame 0."""
        window, length = self.context.window, self.frame_ticks
        low, end = window.first_tick, window.first_tick + window.ticks
        if not length:
            yield Part(0, low, end)
        elif self.forget is not None and self.forget.on is not None:
            if self.frame_first >= 0 and low < min(end, self.frame_first + length):
                yield Part(self.frame_first, low, min(end, self.frame_first + length))
        else:
            every = None if self.forget is None else self.forget.every
            period = length if every is None else max(1, every // self.context.grid.dt_ns)
            for first in range(low // period * period, end, period):
                part = Part(first, max(first, low), min(first + min(length, period), end))
                if part.begins:
                    self.frame_first = first
                if part.low < part.high and self.frame_first == first:  # else its first tick was missed
                    yield part

    def latched(self, samples: pa.RecordBatch) -> Iterator[tuple[Part, Values]]:
        """The parts of frames, each with the [size] values of its frame; NaN where a channel held none.

        Args:
            samples: [n] rows of the window, in time order; those that are not finite count as none.
        """
        t_ns, channel, value = columns(finite(samples, self.context.counters))
        tick = self.context.grid.ticks(t_ns)
        used = 0
        for part in self.frames():
            if part.begins:
                until = int(np.searchsorted(tick, part.first, "right"))
                self.held[channel[used:until]] = value[used:until]  # of one channel the last one stays
                self.latch[:], used = self.held, until
            yield part, self.latch
        self.held[channel[used:]] = value[used:]

    def values(self, samples: pa.RecordBatch) -> Iterator[tuple[int, Values]]:
        """The value of every channel at every tick, in parts of consecutive ticks: the frame's, or the one held.

        Args:
            samples: [n] rows of the window, in time order; those that are not finite count as none.

        Yields:
            the first tick of a part, and [ticks, size] values; NaN where a channel has none.
        """
        if self.frame is None:
            window, grid = self.context.window, self.context.grid
            yield from held_values(finite(samples, self.context.counters), window, grid, self.held)
        else:
            for part, value in self.latched(samples):
                for first, ticks in pieces(part.low, part.high, len(value)):
                    yield first, np.broadcast_to(value, (ticks, len(value)))


__all__ = ["FramedEncoder", "Part"]
