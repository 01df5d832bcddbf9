"""Wiring: a checked graph to stages, joined by channels."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from spikeflow.copies import ChannelMap
from spikeflow.events import Batch, Grid, Stream, Window
from spikeflow.node import Clock, Context, Neuron, Node, Rejecting, Sink, Source, Stepper
from spikeflow.runtime.blame import blamed
from spikeflow.runtime.channel import Channel, Fan
from spikeflow.runtime.collecting import CollectingInlet, CollectingStage
from spikeflow.runtime.copies import serving
from spikeflow.runtime.live import LiveOutlet
from spikeflow.runtime.meters import Meter
from spikeflow.runtime.sinks import SinkStage
from spikeflow.runtime.stages import Entry, Shared, SourceStage, Stage
from spikeflow.runtime.stepping import StepStage
from spikeflow.runtime.windows import SourceOutlet, TimedOutlet
from spikeflow.spec import GraphSpec, Link, NodeSpec

Log = Callable[[str, str, str], None]
"""``log(node, level, text)``."""


@dataclass(slots=True)
class Plan:
    """How a graph is to be run.

    Attributes:
        grid: origin, dt and window.
        clock: the run's clock.
        shared: what the stages share.
        capacity: windows that a channel holds.
        pace: waits until a window may leave a timed source; None where it may at once.
        ports: ports that are tapped, by node.
        log: where lines go.
    """

    grid: Grid
    clock: Clock
    shared: Shared
    capacity: int
    pace: Callable[[int], Awaitable[None]] | None
    log: Log
    ports: Mapping[str, Iterable[str]] = field(default_factory=dict)


@dataclass(slots=True)
class Wired:
    """A graph that is ready to run: stages in the order of the file, outlets, counters and bound nodes by name.

    Attributes:
        grid: origin, dt and window.
        copies: key to the names of its copies; all sources that have this key share them.
    """

    grid: Grid
    stages: list[Stage] = field(default_factory=list)
    fans: dict[str, Fan] = field(default_factory=dict)
    contexts: dict[str, Context] = field(default_factory=dict)
    stage_of: dict[str, Stage] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    copies: dict[str, ChannelMap] = field(default_factory=dict)

    def take(self, copies: Mapping[str, Sequence[str]]) -> None:
        """Give copies the names that they had in an earlier run."""
        for key, names in copies.items():
            if key in self.copies:
                self.copies[key].take(names)

    @property
    def sources(self) -> list[SourceStage]:
        """The stages that feed the graph."""
        return [stage for stage in self.stages if isinstance(stage, SourceStage)]


def wire(spec: GraphSpec, plan: Plan) -> Wired:
    """Bind every node and make its stage, then join them."""
    wired = Wired(plan.grid, copies=_named(spec))
    for node_spec in spec.nodes.values():
        context = _context(spec, node_spec, plan)
        context.named = wired.copies
        with blamed(node_spec.name):
            node = wired.nodes[node_spec.name] = serving(node_spec.node, context)
            node.bind(context)
        wired.contexts[node_spec.name] = context
        for port, stream in context.outlets.items():
            wired.fans[_outlet_name(node_spec.name, port)] = Fan(stream)
    for members in _groups(spec):
        stage = _stage(members, wired, plan)
        wired.stages.append(stage)
        for member in members:
            wired.stage_of[member.name] = stage
            fans = [_outlet_name(member.name, port) for port in wired.contexts[member.name].outlets]
            stage.fans += [wired.fans[name] for name in fans]
    for members in _groups(spec):
        stage = wired.stage_of[members[0].name]
        for member in members:
            for link in member.links:
                if not link.internal:
                    stage.entries.append(_entry(link, wired, plan, member.name))
            if member.forget_link is not None:
                entry = _entry(member.forget_link, wired, plan, "")
                entry.forgets, entry.stepped = member.name, False
                stage.entries.append(entry)
        if isinstance(stage, SinkStage):
            stage.prepare()
    for loop in _loops(spec):
        _end_together(loop, spec, wired, plan)
    _set_depths(wired)
    _follow(spec, wired)
    _collect(wired)
    return wired


def _collect(wired: Wired) -> None:
    """Let what sources cannot read go to the sinks that they name."""
    for source in wired.sources:
        if isinstance(source.node, Rejecting) and source.node.rejects is not None:
            stage: Any = wired.stage_of[source.node.rejects]
            inlet: CollectingInlet = stage.inlet
            inlet.joined()
            source.leaves.append(inlet.left)
            source.contexts[0].collect = partial(inlet.offer, source.name)


def _follow(spec: GraphSpec, wired: Wired) -> None:
    """Let every source that wants to know hear how far the sinks behind it have come."""
    for source in wired.sources:
        if not source.node.follows:
            continue
        behind, waiting = {source.name}, [source.name]
        while waiting:
            above = waiting.pop()
            below = {name for name, node in spec.nodes.items() if any(link.node == above for link in node.all_links)}
            waiting += sorted(below - behind)
            behind |= below
        sinks = [stage for stage in wired.stages if isinstance(stage, SinkStage) and stage.name in behind]
        source.outlet.followed = bool(sinks)
        for sink in sinks:
            sink.followers.append(partial(_tell, source, sinks))


def _tell(source: SourceStage, sinks: list[SinkStage]) -> None:
    source.outlet.handed_on(min(sink.done_tick for sink in sinks))


def _set_depths(wired: Wired) -> None:
    """How many plain stages follow one another down to each; a loop has a stage that is not plain."""
    for stage in wired.stages:
        way: list[StepStage] = []
        while isinstance(stage, StepStage) and stage.is_plain and not stage.depth:
            way.append(stage)
            stage = wired.stage_of[stage.entries[0].channel.stream.name.partition(".")[0]]
        above = stage.depth if isinstance(stage, StepStage) else 0
        for depth, below in enumerate(reversed(way), above + 1):
            below.depth = depth


def _end_together(loop: set[str], spec: GraphSpec, wired: Wired, plan: Plan) -> None:
    """Let every stage of a loop hear all that feeds the loop from outside, so that all end at the same tick.

    Else the end of a node would depend on whether its loop is shorter than a window, which makes it one block.
    """
    feeds = {link.stream: link for name in spec.nodes if name in loop for link in spec.nodes[name].all_links}
    feeds = {stream: link for stream, link in feeds.items() if link.node not in loop}
    for stage in {id(wired.stage_of[name]): wired.stage_of[name] for name in loop}.values():
        heard = {entry.channel.stream.name for entry in stage.entries}
        for stream, link in feeds.items():
            if stream not in heard:
                entry = _entry(link, wired, plan, "")
                entry.stepped = False
                stage.entries.append(entry)


def _loops(spec: GraphSpec) -> list[set[str]]:
    """The sets of nodes that depend on one another."""
    loops: list[set[str]] = []
    for node_spec in spec.nodes.values():
        own = {node_spec.name, *(link.node for link in node_spec.all_links if link.on_loop)}
        joined = [loop for loop in loops if loop & own]
        loops = [loop for loop in loops if not loop & own] + [own.union(*joined)]
    return [loop for loop in loops if len(loop) > 1]


def _named(spec: GraphSpec) -> dict[str, ChannelMap]:
    """The names of the copies that sources know before the run, by key."""
    found: dict[str, ChannelMap] = {}
    for name, node_spec in spec.nodes.items():
        source = node_spec.node
        for stream in node_spec.outlets.values():
            if stream.key and isinstance(source, Source):
                with blamed(name):
                    found.setdefault(stream.key, ChannelMap(stream.copies)).take(source.copy_names())
    return found


def _outlet_name(node: str, port: str) -> str:
    return f"{node}.{port}" if port else node


def _context(spec: GraphSpec, node_spec: NodeSpec, plan: Plan) -> Context:
    wanted = {"", *node_spec.wanted, *plan.ports.get(node_spec.name, ())}
    return Context(
        name=node_spec.name,
        grid=plan.grid,
        clock=plan.clock,
        inputs=node_spec.inputs,
        outlets={port: stream for port, stream in node_spec.outlets.items() if port in wanted},
        internal=frozenset(k for k, link in enumerate(node_spec.links) if link.internal),
        lags=tuple(link.lag_windows for link in node_spec.links),
        seed=spec.seed,
        graph=spec.name,
        log=lambda level, text: plan.log(node_spec.name, level, text),
    )


def _groups(spec: GraphSpec) -> list[list[NodeSpec]]:
    """The nodes of each stage: a block's members together, at the place of the first."""
    blocks: dict[str, list[NodeSpec]] = {}
    groups = []
    for node_spec in spec.nodes.values():
        if node_spec.block is None:
            groups.append([node_spec])
        elif node_spec.block in blocks:
            blocks[node_spec.block].append(node_spec)
        else:
            blocks[node_spec.block] = [node_spec]
            groups.append(blocks[node_spec.block])
    return groups


def _stage(members: list[NodeSpec], wired: Wired, plan: Plan) -> Stage:
    first: Node = wired.nodes[members[0].name]
    contexts = [wired.contexts[member.name] for member in members]
    name = "+".join(member.name for member in members)
    meter = Meter()
    if isinstance(first, Source):
        with blamed(name):
            outlet = _source_outlet(first, contexts[0], wired.fans[members[0].name], meter, plan)
        return SourceStage(name, plan.shared, contexts, first.on_error, meter, node=first, outlet=outlet)
    if isinstance(first, Sink) and first.collects:
        return CollectingStage(name, plan.shared, contexts, first.on_error, meter, node=first)
    if isinstance(first, Sink):
        return SinkStage(name, plan.shared, contexts, first.on_error, meter, node=first)
    steppers = [wired.nodes[member.name] for member in members]
    assert all(isinstance(node, Stepper) for node in steppers)
    neurons = [node for node in steppers if isinstance(node, Neuron)]
    with blamed(name):
        stepper = type(neurons[0]).fuse(neurons) if len(members) > 1 else steppers[0]
    rule = next((node.on_error for node in steppers if node.on_error != "stop"), "stop")
    return StepStage(name, plan.shared, contexts, rule, meter, stepper=stepper, members=steppers)  # type: ignore[arg-type]


def _source_outlet(node: Source, context: Context, fan: Fan, meter: Meter, plan: Plan) -> SourceOutlet:
    if not node.timed:
        return LiveOutlet(node, context, fan, meter, plan.shared.pressure)
    own = node.origin_ns()
    shift = plan.grid.origin_ns - own if plan.shared.live and own is not None else 0
    return TimedOutlet(node, context, fan, meter, plan.shared.pressure, shift_ns=shift, pace=plan.pace)


def _entry(link: Link, wired: Wired, plan: Plan, member: str) -> Entry:
    fan = wired.fans[link.stream]
    channel = Channel(fan.stream, plan.capacity, _head(fan.stream, link.lag_windows, plan.grid))
    fan.channels.append(channel)
    return Entry(channel, member, link.lag_windows, inside=link.on_loop)


def _head(stream: Stream, windows: int, grid: Grid) -> list[Batch]:
    """The empty windows that a loop starts with, before tick 0."""
    ticks = grid.window_ticks
    return [Batch.none(Window.at(grid, -k * ticks, ticks), stream.schema(grid)) for k in range(windows, 0, -1)]
