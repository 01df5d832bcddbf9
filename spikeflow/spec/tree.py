"""The values of a graph file with their places, and the list of what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from spikeflow.errors import Finding, Position

Place: TypeAlias = tuple[int, int]
"""Line and column, from one; (0, 0) is before the file, such as the command line."""

DEEPEST = 64
"""Levels of a graph file; deeper ones are a mistake, and would overflow the stack."""


@dataclass(slots=True, eq=False)
class Item:
    """A value: a scalar, a list of items, or a mapping of keys to items.

    Attributes:
        value: scalar, ``list[Item]`` or ``dict[str, Item]``.
        place: where the value stands.
        keys: where the keys of a mapping stand.
        origin: where the value comes from if not from its place, such as ``params.tau``.
        broken: True where a substitution failed, which has been reported already.
    """

    value: Any
    place: Place = (0, 0)
    keys: dict[str, Place] = field(default_factory=dict)
    origin: str = ""
    broken: bool = False

    def get(self, key: str) -> Item | None:
        """The item under a key; None where there is none, or no mapping."""
        return self.value.get(key) if isinstance(self.value, dict) else None

    def children(self) -> Iterator[Item]:
        """The items right below."""
        if isinstance(self.value, dict):
            yield from self.value.values()
        elif isinstance(self.value, list):
            yield from self.value

    def is_broken(self) -> bool:
        """Whether a substitution failed here or below."""
        return self.broken or any(child.is_broken() for child in self.children())


def plain(item: Item) -> Any:
    """The value without places."""
    if isinstance(item.value, dict):
        return {key: plain(child) for key, child in item.value.items()}
    if isinstance(item.value, list):
        return [plain(child) for child in item.value]
    return item.value


class Report:
    """Collects what is wrong, and puts it in the order of the file.

    Args:
        file: the file's name in positions; None where the graph comes from a mapping, which has no lines.
    """

    def __init__(self, file: str | None) -> None:
        self.file = file
        self._found: list[tuple[Place, bool, Finding]] = []
        self._known: set[Finding] = set()

    def add(self, at: Item | Place, found: str, hint: str, *, node: str | None = None, warning: bool = False) -> None:
        """Note a problem at an item or a place."""
        place = at.place if isinstance(at, Item) else at
        if isinstance(at, Item) and at.origin:
            found = f"{found} (from {at.origin})"
        finding = Finding(found, hint, self.position(place), node)
        if finding not in self._known:
            self._known.add(finding)
            self._found.append((place, warning, finding))

    def position(self, place: Place) -> Position | None:
        """A place as people read it; None where there is no file."""
        return Position(self.file, *place) if self.file is not None and place[0] else None

    def __len__(self) -> int:
        """How many errors there are; warnings do not count."""
        return sum(not warning for _, warning, _ in self._found)

    @property
    def errors(self) -> list[Finding]:
        """The errors, in the order of the file."""
        return self._sorted(warnings=False)

    @property
    def warnings(self) -> list[Finding]:
        """The warnings, in the order of the file."""
        return self._sorted(warnings=True)

    def _sorted(self, warnings: bool) -> list[Finding]:
        return [f for _, w, f in sorted(self._found, key=lambda entry: entry[0]) if w == warnings]


def from_python(value: Any, report: Report) -> Item:
    """The items of a Python mapping; lines count its values, so that findings keep its order."""
    counter = iter(range(1, 1 << 62))

    def convert(found: Any, depth: int, where: str) -> Item:
        place = (next(counter), 1)
        if depth > DEEPEST:
            report.add(place, f"{where} is nested too deeply", f"a graph has at most {DEEPEST} levels")
            return Item(None, place, broken=True)
        if isinstance(found, Mapping):
            item = Item({}, place)
            for key, child in found.items():
                if not isinstance(key, str):
                    report.add(place, f"the key {key!r} is not text", "write it as text")
                    continue
                item.keys[key] = (next(counter), 1)
                item.value[key] = convert(child, depth + 1, f"{where}.{key}" if where else key)
            return item
        if isinstance(found, list | tuple):
            return Item([convert(child, depth + 1, where) for child in found], place)
        return Item(found, place)

    return convert(value, 0, "")
