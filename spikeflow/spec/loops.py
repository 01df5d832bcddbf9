"""Loops of a graph: what is stepped as one block, which inputs may be late, and which loops cannot work."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Edge:
    """An input of a node, seen from the graph.

    Attributes:
        source: the node that sends.
        target: the node that receives.
        index: which of the target's inputs it is; -1 for the hidden one of `forget: {on: …}`.
        delay: ticks by which it is delayed at least.
        fuses: True for spikes from one population to another, which one task can step tick by tick.
        delays: True where the input could be given a delay.
    """

    source: str
    target: str
    index: int
    delay: int = 0
    fuses: bool = False
    delays: bool = False


@dataclass(frozen=True, slots=True)
class BadLoop:
    """A loop without enough delay.

    Attributes:
        edges: around the loop; the first one is where to mend it.
        needs: a whole window of delay in one input, or one tick along the loop.
    """

    edges: tuple[Edge, ...]
    needs: Literal["window", "tick"]


@dataclass(slots=True)
class Loops:
    """What the loops of a graph come to.

    Attributes:
        blocks: node to the name of the block that steps it.
        lags: inputs that close a loop to the windows by which they are late.
        internal: inputs inside a block.
        on_loop: inputs whose sender depends on the receiver.
        bad: loops without enough delay.
    """

    blocks: dict[str, str] = field(default_factory=dict)
    lags: dict[Edge, int] = field(default_factory=dict)
    internal: set[Edge] = field(default_factory=set)
    on_loop: set[Edge] = field(default_factory=set)
    bad: list[BadLoop] = field(default_factory=list)


def analyse(nodes: Sequence[str], edges: Sequence[Edge], window_ticks: int) -> Loops:
    """Find blocks, late inputs and bad loops.

    Inputs with a delay of a window or more can be late. What remains of the loops without them has to be populations
    alone: each such group is a block. Then as few inputs as possible are made late, those that lead back in the file
    first, so that nothing feed-forward ever is.

    Args:
        nodes: names in the order of the file.
        edges: in the order of the file.
        window_ticks: ticks in a window.
    """
    found = Loops()
    order = {name: place for place, name in enumerate(nodes)}
    whole = components(nodes, edges)
    found.on_loop = {edge for edge in edges if whole[edge.source] == whole[edge.target]}
    short = [edge for edge in edges if edge.delay < window_ticks]
    group = components(nodes, short)
    inside = [edge for edge in short if group[edge.source] == group[edge.target]]
    for number in sorted({group[edge.source] for edge in inside}):
        own = [edge for edge in inside if group[edge.source] == number]
        members = [name for name in nodes if group[name] == number]
        bad = _without_window(own, order)
        found.bad += bad or _without_tick(members, own, order)
        if not bad:
            found.blocks |= dict.fromkeys(members, "+".join(members))
    found.internal = {
        edge
        for edge in edges
        if edge.fuses and group[edge.source] == group[edge.target] and edge.source in found.blocks
    }
    kept = [(group[edge.source], group[edge.target]) for edge in short if group[edge.source] != group[edge.target]]
    late = [edge for edge in edges if edge.delay >= window_ticks and edge not in found.internal]
    for edge in sorted(late, key=lambda e: order[e.source] >= order[e.target]):
        start, end = group[edge.source], group[edge.target]
        if start == end or _reaches(kept, end, start):
            found.lags[edge] = edge.delay // window_ticks
        else:
            kept.append((start, end))
    return found


def components(nodes: Iterable[str], edges: Iterable[Edge]) -> dict[str, int]:
    """Node to the number of its strongly connected component (Tarjan 1972, without recursion)."""
    after: dict[str, list[str]] = {name: [] for name in nodes}
    for edge in edges:
        after[edge.source].append(edge.target)
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    component: dict[str, int] = {}
    stack: list[str] = []
    for root, first in after.items():
        if root in number:
            continue
        work = [(root, iter(first))]
        number[root] = low[root] = len(number)
        stack.append(root)
        while work:
            name, rest = work[-1]
            for target in rest:
                if target not in number:
                    number[target] = low[target] = len(number)
                    stack.append(target)
                    work.append((target, iter(after[target])))
                    break
                if target not in component:
                    low[name] = min(low[name], number[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == number[name]:
                    while name not in component:
                        component[stack.pop()] = number[name]
    return component


def _without_window(edges: list[Edge], order: dict[str, int]) -> list[BadLoop]:
    """The loops through something else than populations, each with its input where a delay would be put."""
    bad: list[BadLoop] = []
    rest = list(edges)
    for edge in edges:
        if edge.fuses or edge not in rest:
            continue
        back = _path(rest, edge.target, edge.source)
        if back is None:
            continue
        loop = (edge, *back)
        bad.append(BadLoop(_turned(loop, order), "window"))
        rest = [other for other in rest if other not in (edge, bad[-1].edges[0])]
    return bad


def _without_tick(members: list[str], edges: list[Edge], order: dict[str, int]) -> list[BadLoop]:
    """The loops inside of a block that have no delay at all."""
    bad: list[BadLoop] = []
    rest = [edge for edge in edges if edge.delay == 0]
    for edge in list(rest):
        back = _path(rest, edge.target, edge.source) if edge in rest else None
        if back is not None:
            bad.append(BadLoop(_turned((edge, *back), order), "tick"))
            rest = [other for other in rest if other not in (edge, bad[-1].edges[0])]
    return bad


def _turned(loop: tuple[Edge, ...], order: dict[str, int]) -> tuple[Edge, ...]:
    """The loop from the input on that should be delayed: one of a population, that leads back in the file."""
    start = max(
        range(len(loop)),
        key=lambda at: (loop[at].delays, order[loop[at].source] - order[loop[at].target]),
    )
    return loop[start:] + loop[:start]


def _path(edges: list[Edge], start: str, end: str) -> tuple[Edge, ...] | None:
    """A shortest way from one node to another; None where there is none."""
    came: dict[str, Edge | None] = {start: None}
    queue = deque([start])
    while queue:
        name = queue.popleft()
        if name == end:
            way: list[Edge] = []
            edge = came[name]
            while edge is not None:
                way.append(edge)
                edge = came[edge.source]
            return tuple(reversed(way))
        for edge in edges:
            if edge.source == name and edge.target not in came:
                came[edge.target] = edge
                queue.append(edge.target)
    return None


def _reaches(edges: list[tuple[int, int]], start: int, end: int) -> bool:
    seen, queue = {start}, [start]
    while queue:
        at = queue.pop()
        if at == end:
            return True
        for source, target in edges:
            if source == at and target not in seen:
                seen.add(target)
                queue.append(target)
    return False
