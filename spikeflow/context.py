"""What a node gets from the run: its context, the clock, counters, and where it sends and receives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from spikeflow.copies import ChannelMap
from spikeflow.events import Batch, Grid, Indices, Stream, Values, Window


class Clock(Protocol):
    """Where a run gets its time from."""

    def now_ns(self) -> int:
        """Nanoseconds since 1970, UTC; never goes back."""

    async def sleep_until(self, t_ns: int) -> None:
        """Return once `t_ns` has come."""


@dataclass(slots=True)
class Counters:
    """What became of the events that a node accepted: accepted = processed + rejected + dropped + buffered."""

    accepted: int = 0
    processed: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    noted: dict[str, int] = field(default_factory=dict)

    def reject(self, reason: str, count: int = 1) -> None:
        """Count events that cannot be used."""
        self.rejected[reason] = self.rejected.get(reason, 0) + count

    def drop(self, reason: str, count: int = 1) -> None:
        """Count usable events that were given up."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count

    def note(self, what: str, count: int = 1) -> None:
        """Count something that loses nothing: a clamped event, a forced window, a reconnection."""
        self.noted[what] = self.noted.get(what, 0) + count

    @property
    def buffered(self) -> int:
        """Events accepted and not yet handed on."""
        return self.accepted - self.processed - sum(self.rejected.values()) - sum(self.dropped.values())

    def as_dict(self) -> dict[str, Any]:
        """The counts for people and scripts; what never happened is left out."""
        found: dict[str, Any] = {"accepted": self.accepted, "processed": self.processed, "buffered": self.buffered}
        for name, reasons in (("rejected", self.rejected), ("dropped", self.dropped), ("noted", self.noted)):
            if reasons:
                found[name] = dict(reasons)
        return found


def _quiet(level: str, text: str) -> None:
    """Log nothing."""


@dataclass(slots=True)
class Context:
    """What a node knows of the run it is in.

    Attributes:
        name: the node's name in the graph.
        grid: origin, dt and window.
        window: the window being handled (encoders, neurons and decoders).
        inputs: the streams that arrive, in the order of the graph file.
        outlets: port name to stream, for the default outlet ``""`` and every port that somebody listens to.
        internal: the inputs that a block of neurons serves itself.
        lags: by how many windows each input is behind; above zero only where it closes a loop.
        seed: the graph's seed.
        graph: the graph's name.
        clock: the run's clock.
        counters: what became of the node's events.
        log: ``log(level, text)`` puts a line in the run's log.
        named: key to the names of its copies, the same ones for all nodes of the run; ask `names`.
        collect: ``collect(reason, topic, t_ns, payload)`` hands what could not be read to the sink that `rejects`
            names; None where there is none.
        look: how the node's connection is, for people and scripts; set by a node that has one.
    """

    name: str
    grid: Grid
    clock: Clock
    inputs: tuple[Stream, ...] = ()
    outlets: dict[str, Stream] = field(default_factory=dict)
    internal: frozenset[int] = frozenset()
    lags: tuple[int, ...] = ()
    seed: int = 0
    graph: str = "graph"
    counters: Counters = field(default_factory=Counters)
    log: Callable[[str, str], None] = _quiet
    collect: Callable[[str, str, int, bytes], None] | None = None
    window: Window = field(default_factory=lambda: Window(0, 0, 0, 0))
    named: dict[str, ChannelMap] = field(default_factory=dict)
    look: Callable[[], dict[str, Any]] | None = None

    @property
    def copies(self) -> int:
        """How many copies of the node there are, where a source upstream has a copy for each of its keys."""
        return max((stream.copies for stream in self.outlets.values()), default=1)

    def names(self, stream: Stream) -> ChannelMap:
        """The names of a stream's copies: the source that hears a new one gives it a place, and all others see it.

        A copy has its name before any event of that name comes. It keeps it for the whole run, and over a checkpoint.
        """
        if not stream.key:
            return ChannelMap(0)
        return self.named.setdefault(stream.key, ChannelMap(stream.copies))

    @property
    def outlet(self) -> Stream:
        """The default outlet's stream."""
        return self.outlets[""]


class Outlet(Protocol):
    """Where a source pushes its events; the run cuts them into windows."""

    def now_ns(self) -> int:
        """The run's time (ns since 1970, UTC), for events stamped on arrival."""

    async def send(self, events: pa.RecordBatch) -> None:
        """Push events. Waits while the graph is behind and the source may be slowed."""

    async def push(self, index: int, value: float = 1.0, t_ns: int | None = None) -> None:
        """Push one event; stamped on arrival unless `t_ns` says otherwise."""

    async def push_all(
        self,
        index: Sequence[int] | Indices,
        value: Sequence[float] | Values,
        t_ns: Sequence[int | None] | None = None,
        ends: Sequence[int] = (),
    ) -> None:
        """Push events, as `push` does one: all are taken before it waits. Those without a time are
        stamped now. Arrays are taken as they are, lists where events are few. They are one message, or
        several, each of which ends before the row that `ends` says: what two of them say of one channel
        and time is a duplicate."""

    def when_handed_on(self, call: Callable[[], None]) -> None:
        """Call once all that was pushed since the last such wish has been handed on; at once where none of it is held.

        It has been handed on when every sink behind the source is done with its window.
        """

    @property
    def awaited(self) -> int:
        """How many such wishes wait for a window that is still open."""

    async def force(self) -> None:
        """Close the oldest window that holds events at once, whatever may still come for it."""

    async def settle(self) -> None:
        """In a run that drains: return once all that was pushed has been handed on."""

    async def advance(self, t_ns: int) -> None:
        """Promise that no event before `t_ns` will come any more, so that the windows before it can go."""

    async def send_window(self, events: pa.RecordBatch) -> None:
        """Hand on the next whole window, with these events: the shortest way for sources that make windows."""

    def reject(self, reason: str, count: int = 1, detail: str = "") -> None:
        """Count events that could not be read; each reason is logged at most once a minute."""

    def opened(self) -> None:
        """Say that the connection stands; the run waits for it where the class says `opens = True`."""


class Inlet(Protocol):
    """Where a sink receives: one record batch a window from each input, in the order of the inputs.

    A record batch may be a slice of a larger one: who keeps few of many, or pickles them, takes a copy of its columns.
    """

    streams: tuple[Stream, ...]

    def opened(self) -> None:
        """Say that the connection stands; the run waits for it where the class says `opens = True`."""

    async def take(self) -> Batch:
        """The next batch with its window, in turn of the inputs; StopAsyncIteration once all have ended."""

    def __aiter__(self) -> AsyncIterator[pa.RecordBatch]: ...
