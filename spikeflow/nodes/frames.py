"""What decoders share: frames that follow one another, counts over a time, and what their samples are made of."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from math import gcd
from typing import Annotated, Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from spikeflow.errors import Problem
from spikeflow.events import Grid, Indices, Kind, Stream, Times, Values, build, empty, raw_columns
from spikeflow.node import Decoder, Node
from spikeflow.nodes.room import of_copies, too_large
from spikeflow.units import Nanoseconds, format_ns

Answer: TypeAlias = tuple[int, Indices, Values]
"""The tick of an answer, and its channels with their values."""
Floats: TypeAlias = npt.NDArray[np.float64]

Copies: TypeAlias = npt.NDArray[np.intp]
Chosen: TypeAlias = npt.NDArray[np.bool_]

NEVER = 2**62
"""The tick of what has not happened."""
_LESS = "answer less often, or count over less"
_ADDED_A_SECOND = 2e9
"""More numbers than a processor adds up in a second."""


def not_whole(grid: Grid, **times: int | None) -> Iterator[Problem]:
    """A problem for each of the fields that is not a multiple of dt."""
    for name, time in times.items():
        if time is not None and time % grid.dt_ns:
            yield Problem(
                (name,),
                f"{name} is {format_ns(time)}, which is not a multiple of dt, {format_ns(grid.dt_ns)}",
                f"write {format_ns(max(1, round(time / grid.dt_ns)) * grid.dt_ns)}",
            )


def finite(node: Node, events: pa.RecordBatch) -> tuple[Times, Indices, Values | None]:
    """The columns of a batch without the events whose value is not finite, which are noted."""
    t_ns, index, value = raw_columns(events)
    if value is None or (fits := np.isfinite(value)).all():
        return t_ns, index, value
    node.context.counters.note("not finite", int((~fits).sum()))
    return t_ns[fits], index[fits], value[fits]


def samples_of(node: Node, answers: Sequence[Answer]) -> pa.RecordBatch:
    """Answers as samples of the node's outlet; each carries the time at which its tick starts."""
    schema = node.context.outlet.plain
    if not answers:
        return empty(schema)
    grid = node.context.grid
    tick, channel, value = answers[0]
    if len(answers) == 1:
        at = np.full(len(channel), tick, np.int64)
    else:
        at = np.repeat(np.array([tick for tick, _, _ in answers]), [len(channel) for _, channel, _ in answers])
        channel = np.concatenate([channel for _, channel, _ in answers])
        value = np.concatenate([value for _, _, value in answers])
    with np.errstate(over="ignore"):
        return build(schema, grid.origin_ns + at * grid.dt_ns, channel, value)


def added_up(rows: Floats) -> Floats:
    """[...] the sum of [n, ...] numbers, one after the other from the first on, whatever stands beside them."""
    flat = np.ascontiguousarray(rows).reshape(len(rows), -1)  # its layout decides in which order NumPy adds
    with np.errstate(over="ignore", invalid="ignore"):
        if flat.shape[1] == 1:  # NumPy adds up a single column in pairs, and one of several from top to bottom
            flat = np.add.accumulate(flat, axis=0)[-1:]
        total: Floats = flat.sum(axis=0).reshape(rows.shape[1:])
    return total


class Parted(Decoder):
    """A decoder that hears what comes in parts of equal length, and may answer at the end of each.

    Parts count from the origin, or, in a node that forgets, from where it forgot. An answer carries the time at which
    its part ends; one that is due at the very tick at which the node forgets is given all the same.
    """

    trusted: ClassVar[bool] = True

    def start(self, size: int) -> None:
        """Nothing has been heard."""
        self._part_ticks = self._ticks_of_a_part()
        self.begun, self.number, self.heard = -1, 0, 0  # the tick of the first part, the part now, the ticks heard
        self.due: list[npt.NDArray[Any]] = []

    @abstractmethod
    def _ticks_of_a_part(self) -> int:
        """How long a part is."""

    @abstractmethod
    def gather(self, tick: Times, index: Indices, value: Values | None) -> Iterable[Answer]:
        """Hear events that follow one another in a part; what is to be said at once is returned."""

    @abstractmethod
    def answer(self) -> tuple[Indices, Values] | None:
        """What is said at the end of the part: channels, ascending, and values."""

    @abstractmethod
    def enter(self, number: int) -> None:
        """Begin part `number`, which follows `self.number` or comes later."""

    def decode(self, spikes: pa.RecordBatch) -> pa.RecordBatch:
        """Decode one window.

        Args:
            spikes: [n] rows of `t`, `neuron` or `channel`, and perhaps `value`, in time order.

        Returns:
            [m] rows of `t` (starts of ticks), `channel` and `value`.
        """
        window, part = self.context.window, self._part_ticks
        first, end = window.first_tick, window.first_tick + window.ticks
        if self.begun < 0:
            self.begun = first if self.forget else 0
        edge = self.begun + (self.number + 1) * part
        if edge < first:  # only in a node that comes later than the run, or behind windows that were missed
            self._enter(-(-(first - self.begun) // part) - 1)
            edge = self.begun + (self.number + 1) * part
        self.heard = end
        if edge >= end and not spikes.num_rows and not self.due:
            return empty(self.context.outlet.plain)
        found: list[Answer] = []
        if self.due:
            at, channel, value = self.due
            if int(at[0]) == first:
                found.append((first, channel, value))
            self.due = []
        t_ns, index, given = finite(self, spikes)
        tick = self.context.grid.ticks(t_ns)
        edges = range(edge, end, part)
        cuts = [0, *np.searchsorted(tick, np.array(edges, np.int64)).tolist(), len(tick)]
        for place, edge in enumerate(edges):
            self._gather(tick, index, given, cuts[place], cuts[place + 1], found)
            if (answer := self.answer()) is not None:
                found.append((edge, *answer))
            self._enter(self.number + 1)
        self._gather(tick, index, given, cuts[-2], cuts[-1], found)
        return samples_of(self, found)

    def _gather(
        self, tick: Times, index: Indices, value: Values | None, low: int, high: int, found: list[Answer]
    ) -> None:
        if low < high:
            part = slice(low, high)
            found.extend(self.gather(tick[part], index[part], None if value is None else value[part]))

    def _enter(self, number: int) -> None:
        self.enter(number)
        self.number = number

    def rests_until(self) -> int:
        """Until the part ends; one that forgets has to know how far it has heard."""
        return self.begun + (self.number + 1) * self._part_ticks if self.begun >= 0 and self.forget is None else 0

    def reset(self) -> None:
        """Begin anew; the answer of a part that ends here is kept for the next window."""
        due: list[npt.NDArray[Any]] = []
        ends = self.begun >= 0 and self.heard == self.begun + (self.number + 1) * self._part_ticks
        if self.forget is not None and ends and (answer := self.answer()) is not None:
            due = [np.array([self.heard]), *answer]
        super().reset()
        self.due = due

    def answers_at(self, ticks: int) -> Sequence[int] | None:
        """The ticks at which it answers on so many ticks."""
        return range(self._part_ticks, ticks + 1, self._part_ticks)

    @property
    def part_tick(self) -> int:
        """The tick at which the part began."""
        return int(self.begun + self.number * self._part_ticks)


class Framed(Parted):
    """A decoder that gives one answer for each frame, on what came in it."""

    frame: Annotated[Nanoseconds, Field(gt=0)] = Field(
        description="how long a frame is; whole ticks. Frames count from the origin, or from where the node forgot"
    )

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """A frame that is not whole ticks."""
        yield from not_whole(grid, frame=self.frame)

    def _ticks_of_a_part(self) -> int:
        return int(self.frame) // self.context.grid.dt_ns

    def enter(self, number: int) -> None:
        """Begin a frame."""
        self.clear()

    @abstractmethod
    def clear(self) -> None:
        """Be as before the first event of a frame."""


class Counted(Parted):
    """A decoder that answers every so often on what it has counted over the time just past."""

    count_bytes: ClassVar[int] = 16
    """What a count of a part takes, as it is and as it began."""

    def check_copies(self, copies: int, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """More counts than there is memory for, or, as a warning, than can be added up in time."""
        over, every = self._times()
        part = gcd(over, every)
        count = copies * (over // part) * (1 if self._pooled() else inputs[0].size)
        if part == over:
            found = f"{count} counts{of_copies(copies)}"
            yield from too_large(count * self.count_bytes, (), found, "take fewer neurons")
            return
        found = f"{format_ns(over)} in parts of {format_ns(part)} are {count} counts{of_copies(copies)}"
        refused = list(too_large(count * self.count_bytes, ("every",), found, _LESS))
        yield from refused
        if not refused and count * 1e9 / every > _ADDED_A_SECOND:
            found = (
                f"every answer adds up {count} counts{of_copies(copies)}, which takes longer than {format_ns(every)}"
            )
            yield Problem(("every",), found, _LESS, warning=True)

    def start(self, size: int) -> None:
        """Nothing has been counted."""
        dt_ns = self.context.grid.dt_ns
        over, every = (time // dt_ns for time in self._times())
        super().start(size)
        self._answers_every = every // self._part_ticks
        self._sharing = size // self.context.copies if self._pooled() else 1  # neurons that count as one channel
        self._channels = size // self._sharing
        self.counted = np.zeros((over // self._part_ticks, self._channels))

    @abstractmethod
    def _times(self) -> tuple[int, int]:
        """Over how long it counts, and how often it answers (ns)."""

    @abstractmethod
    def read(self, counts: Floats) -> tuple[Indices, Values] | None:
        """What is said of [channels] counts: channels, ascending, and values."""

    def _pooled(self) -> bool:
        """Whether all neurons count as one."""
        return False

    def _ticks_of_a_part(self) -> int:
        return gcd(*self._times()) // self.context.grid.dt_ns

    @property
    def _place(self) -> int:
        """The row of the counts of this part."""
        return int(self.number % len(self.counted))

    def gather(self, tick: Times, index: Indices, value: Values | None) -> Iterable[Answer]:
        """Count, one by one and in order: the same sum however the stream is cut into windows."""
        if value is None and self._channels == 1:
            self.counted[self._place, 0] += len(index)  # a whole number, as if they had been added one by one
            return ()
        where = index if self._sharing == 1 else index // self._sharing
        np.add.at(self.counted[self._place], where, 1.0 if value is None else value)
        return ()

    def answer(self) -> tuple[Indices, Values] | None:
        """What there is to say, where an answer is due."""
        if (self.number + 1) % self._answers_every:
            return None
        return self.read(added_up(self.counted))

    def enter(self, number: int) -> None:
        """Begin a part, in the place of the oldest one."""
        rows = len(self.counted)
        for entered in range(max(self.number + 1, number - rows + 1), number + 1):
            self.drop(entered % rows)

    def drop(self, row: int) -> None:
        """Forget the counts of a part that is too old."""
        self.counted[row] = 0.0

    def answers_at(self, ticks: int) -> Sequence[int] | None:
        """The ticks at which it answers on so many ticks."""
        step = self._answers_every * self._part_ticks
        return range(step, ticks + 1, step)


class Readout(Counted):
    """A decoder that weighs neurons by how often they spiked, or channels by the value that each holds.

    Spikes are counted over frames, or over a time that slides; samples are taken as they come, at each tick that has
    some. All copies are weighed at once; of samples those that have some at the tick.
    """

    elementwise: ClassVar[bool] = True
    takes: ClassVar[tuple[Kind, ...]] = ("spikes", "samples")
    dated: ClassVar[bool] = False
    """Whether `since` is kept."""

    frame: Annotated[Nanoseconds, Field(gt=0)] | None = Field(
        None,
        description="count spikes over frames of this length; whole ticks. Frames count from the origin, or from where "
        "the node forgot",
    )
    over: Annotated[Nanoseconds, Field(gt=0)] | None = Field(
        None, description="in place of frames: count spikes over so much time just past; whole ticks"
    )
    every: Annotated[Nanoseconds, Field(gt=0)] | None = Field(
        None, description="beside `over`: how often there is an answer; whole ticks; `over` where it is not said"
    )

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """Times that are not whole ticks, too many of them, or too few."""
        yield from not_whole(grid, frame=self.frame, over=self.over, every=self.every)
        given = [name for name in ("frame", "over", "every") if getattr(self, name) is not None]
        if inputs[0].kind == "samples":
            for name in given:
                hint = "leave it out; `max_membrane` before it takes the largest of a frame"
                yield Problem((name,), f"{name} on samples, which are taken as they come", hint)
        elif self.frame is not None:
            for name in given[1:]:
                yield Problem((name,), f"both frame and {name}", "keep frame, or write over and every")
        elif self.over is None:
            found = "spikes are counted over no time"
            yield Problem((), found, "write frame: 100 ms, or over: 100 ms and every: 10 ms")
        yield from self.check_copies(1, inputs, grid)

    def check_copies(self, copies: int, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """More counts than there is memory for."""
        if inputs[0].kind == "spikes" and (self.frame or self.over) is not None:
            yield from super().check_copies(copies, inputs, grid)

    def _times(self) -> tuple[int, int]:
        over = self.frame or self.over
        if over is None:
            return self.context.grid.dt_ns, self.context.grid.dt_ns
        return over, self.every or over

    def start(self, size: int) -> None:
        """Nothing has been counted, and no channel holds a value."""
        super().start(size)
        self._copies = self.context.copies
        self._every_copy = np.arange(self._copies)
        self._given = self.context.outlet.size // self._copies  # channels that a copy gives
        self._on_samples = self.context.inputs[0].kind == "samples"
        if self._on_samples:
            self.held = np.full(size, np.nan)
            self.held_tick = np.full(size, NEVER)
        elif self.dated:
            self.first = np.full(self.counted.shape, NEVER)

    @abstractmethod
    def weigh(self, weight: Floats, copies: Copies, tick: int) -> tuple[Chosen, Floats]:
        """What is said of copies at `tick`.

        Args:
            weight: [m, size of one copy] counts, or values, NaN where a channel has had none.
            copies: [m] which copies they are, ascending.
            tick: the tick of the answer.

        Returns:
            [m, channels of one copy] which channels have a sample, and their values.
        """

    def read(self, counts: Floats) -> tuple[Indices, Values] | None:
        """What is said of counts."""
        return self._said(counts.reshape(self._copies, -1), self._every_copy, self.part_tick + self._part_ticks)

    def _said(self, weight: Floats, copies: Copies, tick: int) -> tuple[Indices, Values] | None:
        """The answers of copies, with their channels counted over all copies; None where there is none."""
        chosen, value = self.weigh(weight, copies, tick)
        row, channel = np.nonzero(chosen)
        if not len(row):
            return None
        return (copies[row] * self._given + channel).astype(np.uint32), value[row, channel]

    def gather(self, tick: Times, index: Indices, value: Values | None) -> Iterable[Answer]:
        """Count."""
        if self.dated:
            np.minimum.at(self.first[self._place], index, tick)
        return super().gather(tick, index, value)

    def drop(self, row: int) -> None:
        """Forget the counts of a part that is too old."""
        super().drop(row)
        if self.dated:
            self.first[row] = NEVER

    def since(self, copies: Copies) -> npt.NDArray[np.int64]:
        """[m, size of one] the tick of the first spike that is counted, or of the sample held; NEVER without one."""
        since: npt.NDArray[np.int64] = self.held_tick if self._on_samples else self.first.min(axis=0)
        since = since.reshape(self._copies, -1)
        return since if len(copies) == self._copies else since[copies]

    def decode(self, spikes: pa.RecordBatch) -> pa.RecordBatch:
        """Decode one window.

        Args:
            spikes: [n] rows of `t`, `neuron` or `channel`, and perhaps `value`, in time order.

        Returns:
            [m] rows of `t` (starts of ticks), `channel` and `value`.
        """
        if not self._on_samples:
            return super().decode(spikes)
        t_ns, index, value = finite(self, spikes)
        if not len(t_ns) or value is None:
            return empty(self.context.outlet.plain)
        tick = self.context.grid.ticks(t_ns)
        edges = np.flatnonzero(np.diff(tick, append=-1)) + 1
        found: list[Answer] = []
        size = np.uint32(len(self.held) // self._copies)
        low = 0
        for high in edges.tolist():
            now, where = int(tick[low]), index[low:high]
            self.held[where] = value[low:high]  # of equal places the last one stays
            self.held_tick[where] = now
            if self._copies == 1:
                copies, held = self._every_copy, self.held[None]
            else:
                copies = np.unique(where // size).astype(np.intp)
                held = self.held.reshape(-1, size)[copies]
            if (answer := self._said(held, copies, now)) is not None:
                found.append((now, *answer))
            low = high
        return samples_of(self, found)

    def answers_at(self, ticks: int) -> Sequence[int] | None:
        """The ticks at which it answers on so many ticks."""
        return range(ticks) if self._on_samples else super().answers_at(ticks)
