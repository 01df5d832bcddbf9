"""Layers: where the nodes of a graph stand when it is drawn, from left to right, with what closes a loop marked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_SWEEPS = 4


@dataclass(frozen=True, slots=True)
class Layers:
    """Places of nodes.

    Attributes:
        columns: the nodes of each layer, from left to right, each from top to bottom.
        back: edges, as the nodes they lead from and to, that close a loop and so run from right to left.
    """

    columns: tuple[tuple[str, ...], ...]
    back: frozenset[tuple[str, str]]

    def places(self) -> dict[str, tuple[int, float]]:
        """Layer of each node, and how many nodes below (or, negative, above) the middle it stands there."""
        return {
            name: (layer, place - (len(column) - 1) / 2)
            for layer, column in enumerate(self.columns)
            for place, name in enumerate(column)
        }


def layers(names: Sequence[str], edges: Iterable[tuple[str, str]]) -> Layers:
    """Each node one layer behind the last of those it hears; in a layer, near those it is joined to.

    Args:
        names: nodes; where nothing else decides, they keep their order.
        edges: node from which, and node to which.
    """
    heard: dict[str, list[str]] = {name: [] for name in names}
    hears: dict[str, list[str]] = {name: [] for name in names}
    for source, target in edges:
        if source != target:
            heard[target].append(source)
            hears[source].append(target)
    layer, back = _depths(names, heard, hears)
    columns: list[list[str]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for name in names:
        columns[layer[name]].append(name)
    place: dict[str, float] = {}
    _note(columns, place)
    for sweep in range(_SWEEPS):  # each node towards the middle of those it hears, or is heard by
        near = hears if sweep % 2 else heard
        for column in reversed(columns) if sweep % 2 else columns:
            pull = {
                name: sum(place[other] for other in near[name]) / len(near[name]) if near[name] else place[name]
                for name in column
            }
            column.sort(key=pull.__getitem__)
        _note(columns, place)
    return Layers(tuple(map(tuple, columns)), back)


def _note(columns: Iterable[Sequence[str]], place: dict[str, float]) -> None:
    for column in columns:
        place |= {name: at - (len(column) - 1) / 2 for at, name in enumerate(column)}


def _depths(
    names: Sequence[str], heard: dict[str, list[str]], hears: dict[str, list[str]]
) -> tuple[dict[str, int], frozenset[tuple[str, str]]]:
    """How many nodes are before each one, and the edges that had to be left out because they close a loop."""
    back: set[tuple[str, str]] = set()
    done: dict[str, None] = {}
    for first in sorted(names, key=lambda name: bool(heard[name])):  # from the sources on
        path = {} if first in done else {first: iter(hears[first])}  # who is met among them closes a loop
        while path:
            name = next(reversed(path))
            after = next(path[name], None)
            if after is None:
                del path[name]
                done[name] = None
            elif after in path:
                back.add((name, after))
            elif after not in done:
                path[after] = iter(hears[after])
    layer: dict[str, int] = {}
    for name in reversed(done):  # each one after all that it hears
        layer[name] = max((layer[other] + 1 for other in heard[name] if (other, name) not in back), default=0)
    return layer, frozenset(back)
