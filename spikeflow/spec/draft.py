"""Drafts: the nodes of a graph while it is checked, and the copies that each is to have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from spikeflow.errors import Problem
from spikeflow.events import Stream
from spikeflow.node import Node
from spikeflow.spec.tree import Item, Place


@dataclass(slots=True)
class Wish:
    """An input as the file names it.

    Attributes:
        text: `node` or `node.port`.
        item: where it stands.
        settled: the stream, once it is known to be there.
    """

    text: str
    item: Item
    settled: Stream | None = None

    @property
    def node(self) -> str:
        """The node's name, without the port."""
        return self.text.partition(".")[0]

    @property
    def port(self) -> str:
        """The port's name; ``""`` is the default outlet."""
        return self.text.partition(".")[2]


@dataclass(slots=True)
class Draft:
    """A node while it is checked; what could not be found out is None.

    Attributes:
        partial: whether its outlets are those that it has whatever arrives, or by the inputs known until then.
        asked: how many of these were known when it was asked for them last.
    """

    name: str
    item: Item
    place: Place
    role: str = ""
    kind: str = ""
    cls: type[Node] | None = None
    node: Node | None = None
    wishes: list[Wish] = field(default_factory=list)
    forget: Wish | None = None
    copies: int = 1
    key: str = ""
    outlets: dict[str, Stream] | None = None
    partial: bool = False
    asked: int = -1
    faulty: bool = False

    @property
    def known(self) -> int:
        """How many of its inputs are known."""
        return sum(wish.settled is not None for wish in self.wishes)

    @property
    def inputs(self) -> list[Stream] | None:
        """The streams that arrive, of one copy where there are several of the node; None while one is unknown."""
        found = [wish.settled for wish in self.wishes if wish.settled is not None]
        if len(found) < len(self.wishes):
            return None
        return found if self.role in ("sink", "") else [stream.one for stream in found]


@dataclass(slots=True)
class Copies:
    """What is found out about the copies of a node.

    Attributes:
        stream: one that has as many; None where there are none.
        problem: why there cannot be copies, and the input that says so.
    """

    stream: Stream | None = None
    problem: tuple[Wish, Problem] | None = None


def copies_of(drafts: Mapping[str, Draft], draft: Draft) -> Copies:
    """The copies of a node: as many as a source upstream has."""
    fed = {wish.node: replicated(drafts, wish.node) for wish in draft.wishes}
    found = {whose: stream for streams in fed.values() for whose, stream in streams.items()}
    copies = Copies(next(iter(found.values()), None))
    if len(found) > 1 and all(len(streams) < len(found) for streams in fed.values()):
        one, other = list(found)[:2]
        wish = next(wish for wish in draft.wishes if other in fed[wish.node])
        what = f"copies for the keys of {found[one].name!r} meet copies for those of {found[other].name!r}"
        hint = "let both sources call their key alike ('replicate'), or replicate one of them alone"
        copies.problem = wish, Problem((), what, hint)
    return copies


def replicated(drafts: Mapping[str, Draft], name: str) -> dict[tuple[str, str], Stream]:
    """A stream of each source with copies that a node depends on; sources with the same key count as one."""
    found: dict[tuple[str, str], Stream] = {}
    waiting, seen = [name], {name}
    while waiting:
        draft = drafts.get(waiting.pop())
        if draft is None:
            continue
        if draft.role == "source":
            for stream in (draft.outlets or {}).values():
                if stream.copies > 1 or stream.key:
                    found.setdefault((stream.key, "" if stream.key else draft.name), stream)
        new = {wish.node for wish in draft.wishes} - seen
        seen |= new
        waiting += sorted(new)
    return dict(sorted(found.items()))
