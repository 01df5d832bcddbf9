"""One node on the bench: bound to what arrives, and stepped window by window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from spikeflow.errors import EventError, ParameterError
from spikeflow.events import Batch, Grid, Stream, Window, split, verify
from spikeflow.node import Context, Counters, Node, Stepper
from spikeflow.runtime.copies import serving
from spikeflow.testing.clock import VirtualClock
from spikeflow.testing.records import GRID, joined


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node stands in a graph of its own.

    Attributes:
        inputs: the stream of each of its inputs.
        internal: the inputs that come from the node itself.
        feeds: the streams from outside, each once.
        outlets: port to stream, with the names filled in.
    """

    inputs: tuple[Stream, ...]
    internal: frozenset[int]
    feeds: tuple[Stream, ...]
    outlets: dict[str, Stream]

    @property
    def order(self) -> list[int]:
        """For each input from outside the feed that it takes."""
        at = {stream.name: place for place, stream in enumerate(self.feeds)}
        return [at[stream.name] for index, stream in enumerate(self.inputs) if index not in self.internal]


def feed_names(node: Node, count: int, name: str) -> list[str]:
    """What the node calls the streams that arrive from outside: as its inputs say, else by number.

    Raises:
        ParameterError: another number of streams than it has inputs.
    """
    named = list(dict.fromkeys(one.source for one in node.inputs if one.node != name))
    if not named and count and not node.inputs and "inputs" not in node.model_fields_set:
        most = type(node).most_inputs
        if (most is not None and count > most) or node.role == "neuron":
            hint = "name its inputs" if most is None else f"it has at most {most}"
            raise ParameterError(f"{count} streams for {type(node).__name__}, which names no inputs", hint)
        return ["input"] if count == 1 else [f"input{place}" for place in range(count)]
    if len(named) != count:
        raise ParameterError(f"{count} streams arrive, the node names {len(named)} inputs", "give one for each input")
    return named


def placed(node: Node, feeds: Sequence[Stream], name: str, grid: Grid) -> Place:
    """Give a node its place, and hold its fields to what arrives.

    Raises:
        ParameterError: there is something wrong with its fields.
    """
    node.__dict__["_name"] = name
    by_name = {stream.name: stream for stream in feeds}
    sources = [one.source for one in node.inputs] or list(by_name)
    copies = max((stream.copies for stream in feeds), default=1) if isinstance(node, Stepper) else 1
    outlets = {
        port: replace(stream.times(copies), name=f"{name}.{port}" if port else name)
        for port, stream in node.outlets([by_name[source].one for source in sources if source in by_name]).items()
    }
    own = {stream.name: stream for stream in outlets.values()}
    if unknown := [source for source in sources if source not in by_name | own]:
        raise ParameterError(f"an input from {unknown[0]!r}", f"the node has the outlets {', '.join(own)}")
    inputs = tuple((by_name | own)[source] for source in sources)
    seen = [stream.one for stream in inputs] if isinstance(node, Stepper) else inputs
    wrong = [problem for problem in node.check(seen, grid) if not problem.warning]
    wrong += node.check_copies(copies, seen, grid) if copies > 1 else ()
    if wrong:
        at = ".".join(map(str, wrong[0].path))
        raise ParameterError(f"{at}: {wrong[0].found}" if at else wrong[0].found, wrong[0].hint)
    internal = frozenset(index for index, source in enumerate(sources) if source in own)
    return Place(inputs, internal, tuple(feeds), outlets)


class Bench:
    """A node that is stepped, in a run of its own; all of its ports are listened to.

    Args:
        node: an encoder, a decoder, or neurons.
        feeds: what arrives from outside.
        grid: ticks and windows.
        name: the node's name in the run; an input from it is the node itself.
        seed: the run's seed.

    Raises:
        ParameterError: there is something wrong with the node's fields.
    """

    def __init__(
        self, node: Stepper, feeds: Sequence[Stream], grid: Grid = GRID, *, name: str = "node", seed: int = 0
    ) -> None:
        self.grid = grid
        self.place = placed(node, feeds, name, grid)
        place, clock = self.place, VirtualClock(grid.origin_ns)
        lags = tuple(0 for _ in place.inputs)
        context = Context(name, grid, clock, place.inputs, dict(place.outlets), place.internal, lags, seed=seed)
        served = serving(node, context)
        assert isinstance(served, Stepper)
        self.node = served
        served.bind(context)

    @property
    def counters(self) -> Counters:
        """What the node has counted."""
        return self.node.context.counters

    def step(self, window: Window, arriving: Sequence[pa.RecordBatch]) -> list[pa.RecordBatch]:
        """One window: a record batch for each outlet from one for each feed.

        Raises:
            EventError: the node broke the rules of an outlet.
        """
        batches = [
            Batch.of(window, self.place.feeds[feed].schema(self.grid), arriving[feed]) for feed in self.place.order
        ]
        sent = self.node.step(window, batches)
        if len(sent) != len(self.place.outlets):
            raise EventError(f"{len(sent)} batches for {len(self.place.outlets)} outlets; send one for each")
        found = []
        for batch, stream in zip(sent, self.place.outlets.values(), strict=True):
            if batch.window[:2] != window[:2]:
                own, due = (f"of ticks {at.first_tick} to {at.first_tick + at.ticks}" for at in (batch.window, window))
                raise EventError(f"stream {stream.name!r} answered the window {due} with one {own}")
            record = batch.record
            verify(record, stream, window)
            found.append(pa.RecordBatch.from_arrays(record.columns, schema=stream.plain))
        return found

    def run(
        self,
        arriving: Sequence[pa.RecordBatch],
        first_tick: int,
        end_tick: int,
        after: Callable[[Window, list[pa.RecordBatch]], None] | None = None,
    ) -> list[pa.RecordBatch]:
        """All windows of [first_tick, end_tick): a record batch for each outlet.

        Args:
            arriving: a record batch for each feed; what lies outside of the ticks is left out.
            first_tick: the start of a window.
            end_tick: where the last window is cut.
            after: called after each window with what the node sent.
        """
        found: list[list[pa.RecordBatch]] = [[] for _ in self.place.outlets]
        for window, parts in windows(arriving, self.grid, first_tick, end_tick):
            sent = self.step(window, parts)
            if after is not None:
                after(window, sent)
            for one, record in zip(found, sent, strict=True):
                one.append(record)
        return [joined(one, stream.plain) for one, stream in zip(found, self.place.outlets.values(), strict=True)]


def windows(
    arriving: Sequence[pa.RecordBatch], grid: Grid, first_tick: int, end_tick: int
) -> list[tuple[Window, list[pa.RecordBatch]]]:
    """The windows of [first_tick, end_tick), each with its part of every record batch."""
    if not arriving:
        return []
    cut = [list(split(record, grid, first_tick, end_tick)) for record in arriving]
    return [(same[0][0], [part for _, part in same]) for same in zip(*cut, strict=True)]
