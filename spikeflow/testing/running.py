"""One node run from end to end, without a graph file."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import pyarrow as pa

from spikeflow.errors import ParameterError
from spikeflow.events import Batch, Grid, Kind, Stream, Window, columns, verify
from spikeflow.node import Clock, Counters, Node, Outlet, Source
from spikeflow.runtime.engine import Engine, Options, Report
from spikeflow.spec import GraphSpec
from spikeflow.spec.model import Link, NodeSpec
from spikeflow.testing.bench import feed_names, placed
from spikeflow.testing.clock import VirtualClock, run_virtually
from spikeflow.testing.records import GRID, Given, joined, taken


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a run of one node.

    Attributes:
        grid: ticks and windows, counted from where the run began.
        streams: port to what left it; the default outlet is ``""``.
        windows: port to its batches, one a window.
        counters: what the node counted.
        report: how the run ended.
        log: the lines of the run's log, as (level, text).
    """

    grid: Grid
    streams: dict[str, Stream]
    windows: dict[str, list[Batch]]
    counters: Counters
    report: Report
    log: list[tuple[str, str]] = field(default_factory=list)

    @property
    def events(self) -> pa.RecordBatch:
        """All events of the default outlet."""
        return self.port("")

    def port(self, name: str) -> pa.RecordBatch:
        """All events of a port."""
        return joined([batch.record for batch in self.windows[name]], self.streams[name].plain)

    def rows(self, port: str = "") -> list[tuple[int, int, float]]:
        """The events of a port as (tick, index, value); plain spikes have the value 1."""
        t_ns, index, value = columns(self.port(port))
        return list(zip(self.grid.ticks(t_ns).tolist(), index.tolist(), value.tolist(), strict=True))

    @property
    def ticks(self) -> int:
        """Where the default outlet ended."""
        last = self.windows[""][-1].window if self.windows[""] else Window(0, 0, 0, 0)
        return last.first_tick + last.ticks


class Feed(Source):
    """Gives the events of a record batch, for so many ticks."""

    gives: ClassVar[tuple[Kind, ...]] = ("samples", "spikes")
    timed: ClassVar[bool] = True
    trusted: ClassVar[bool] = True

    record: Any
    stream: Any
    origin: int
    length: int

    @property
    def finite(self) -> bool:
        """A record batch ends."""
        return True

    def origin_ns(self) -> int:
        """That of the grid."""
        return self.origin

    def length_ns(self) -> int:
        """So many ticks."""
        return self.length

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """The stream of the record batch."""
        return {"": self.stream}

    async def produce(self, outlet: Outlet) -> None:
        """Send all."""
        await outlet.send(self.record)


def run_node(
    node: Node,
    *arriving: Given,
    ticks: int | None = None,
    grid: Grid = GRID,
    ports: Sequence[str] = (),
    name: str = "node",
    seed: int = 0,
    seconds: float | None = None,
    clock: Clock | None = None,
) -> Ran:
    """Run one node of any role on events, as a graph would.

    Args:
        node: the node; neurons name their inputs, other nodes need not.
        arriving: what each input gets: an array [ticks, size] of samples (numbers; NaN is none) or spikes (booleans),
            or record batches, perhaps with their stream.
        ticks: how long the inputs last; one tick past the last event unless said otherwise.
        grid: ticks and windows. A source that knows its own origin counts from that.
        ports: ports to listen to beside the default outlet, such as ``("v",)``.
        name: the node's name; an input from it is the node itself.
        seed: the run's seed.
        seconds: how long a source runs that does not end by itself.
        clock: the run's clock; unless given, one that stands at the grid's origin and jumps.

    Raises:
        ParameterError: there is something wrong with the node's fields, or with what arrives.
        EventError: the node, or what arrives, broke the rules of a stream.
        NodeError: the node failed.

    >>> import numpy as np
    >>> from spikeflow.nodes.encoders.level_crossing import LevelCrossing
    >>> samples = np.array([[0.9], [3.1], [3.2], [0.9]], np.float32)
    >>> run_node(LevelCrossing(threshold=1.0), samples).rows()
    [(1, 0, 3.0), (3, 0, -3.0)]
    """
    if isinstance(node, Source) and not node.finite and seconds is None:
        raise ParameterError("a source that does not end by itself", "say how long it runs: seconds=1.0")
    given = [taken(*pair, grid) for pair in zip(arriving, feed_names(node, len(arriving), name), strict=True)]
    place = placed(node, [stream for stream, _, _ in given], name, grid)
    end_tick = max((end for _, _, end in given), default=0) if ticks is None else ticks
    nodes = {}
    for stream, record, _ in given:
        feed = Feed(record=record, stream=stream, origin=grid.origin_ns, length=max(1, end_tick) * grid.dt_ns)
        nodes[stream.name] = NodeSpec(stream.name, "source", "feed", feed, outlets={"": stream})
    links = tuple(
        Link(name, internal=True, on_loop=True, delay_ticks=1) if index in place.internal else Link(stream.name)
        for index, stream in enumerate(place.inputs)
    )
    nodes[name] = NodeSpec(
        name, node.role, type(node).__name__, node, place.inputs, place.outlets, frozenset(ports), links,
        block=name if place.internal else None,
    )  # fmt: skip
    if node.forget is not None and node.forget.on is not None:
        raise ParameterError(f"forget on {node.forget.on!r}", "run a node that forgets with another in a graph")
    log: list[tuple[str, str]] = []
    used = VirtualClock(grid.origin_ns) if clock is None else clock
    spec = GraphSpec("test", grid.dt_ns, grid.window_ns, seed, nodes)
    engine = Engine(spec, Options(seconds=seconds, clock=used, log=lambda _, level, text: log.append((level, text))))
    windows: dict[str, list[Batch]] = {}
    for port in dict.fromkeys((*([""] if place.outlets else []), *ports)):
        windows[port] = []
        engine.watch(f"{name}.{port}" if port else name, partial(_keep, windows[port]))
    report = run_virtually(engine.run(), used) if isinstance(used, VirtualClock) else asyncio.run(engine.run())
    assert engine.wired is not None
    context = engine.wired.contexts[name]
    for port, batches in windows.items():
        for batch in batches:
            verify(batch.record, context.outlets[port], batch.window)
    return Ran(context.grid, {port: context.outlets[port] for port in windows}, windows, context.counters, report, log)


def _keep(batches: list[Batch], batch: Batch) -> None:
    batches.append(batch)


__all__ = ["Feed", "Ran", "run_node"]
