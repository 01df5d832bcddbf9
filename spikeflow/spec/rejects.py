"""Where sources send what they could not read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from spikeflow.errors import nearest
from spikeflow.node import Rejecting, Sink, Source
from spikeflow.spec.draft import Draft
from spikeflow.spec.tree import Item, Place

Fault = Callable[[Draft, Item | Place, str, str], None]


def check_rejects(drafts: Mapping[str, Draft], fault: Fault) -> None:
    """Every `rejects` names a sink that takes such things, every such sink is named, and nothing goes round."""
    named: set[str] = set()
    for draft in drafts.values():
        name = _rejects_to(draft)
        if name is None:
            continue
        named.add(name)
        at = draft.item.get("rejects") or draft.place
        sink = drafts.get(name)
        if sink is None:
            hint = nearest(name, list(_collectors(drafts))) if any(_collectors(drafts)) else _EXAMPLE.format(name=name)
            fault(draft, at, f"unknown node {name!r}", hint)
        elif sink.cls is not None and not _collects(sink):
            fault(draft, at, f"{name!r} takes no rejects", _EXAMPLE.format(name="bad"))
        elif (way := _way_back(draft, drafts)) is not None:
            by = f"by way of {', '.join(map(repr, way))}" if way else "again"
            found = f"what {draft.name!r} cannot read would come to it {by}, and never end"
            fault(draft, at, found, f"let {name!r} publish where no source that sends it anything listens")
    for draft in drafts.values():
        if _collects(draft) and draft.name not in named:
            fault(draft, draft.place, "no source sends it anything", f"write 'rejects: {draft.name}' at a source")


def _way_back(draft: Draft, drafts: Mapping[str, Draft]) -> list[str] | None:
    """The sources on the shortest way that leads back to a source; None where there is none."""
    ways: dict[str, list[str]] = {draft.name: []}
    waiting = [draft]
    while waiting:
        above = waiting.pop(0)
        for below in _heard_by(above, drafts):
            if below is draft:
                return ways[above.name]
            if below.name not in ways:
                ways[below.name] = [*ways[above.name], below.name]
                waiting.append(below)
    return None


def _heard_by(draft: Draft, drafts: Mapping[str, Draft]) -> Iterable[Draft]:
    """The sources that hear what a source could not read."""
    sink = drafts.get(_rejects_to(draft) or "")
    if sink is None or not isinstance(sink.node, Sink) or not isinstance(draft.node, Source):
        return
    for other in drafts.values():
        if isinstance(other.node, Source) and sink.node.brings_back(draft.name, draft.node, other.node):
            yield other


_EXAMPLE = "add one: {name}: {{sink: rejects, path: rejects.arrows}}"


def _rejects_to(draft: Draft) -> str | None:
    return draft.node.rejects if isinstance(draft.node, Rejecting) else None


def _collects(draft: Draft) -> bool:
    return draft.cls is not None and issubclass(draft.cls, Sink) and draft.cls.collects


def _collectors(drafts: Mapping[str, Draft]) -> Iterable[str]:
    return (draft.name for draft in drafts.values() if _collects(draft))
