"""Where sources send what they could not read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from spikeflow.errors import nearest
from spikeflow.node import Rejecting, Sink
from spikeflow.spec.draft import Draft
from spikeflow.spec.tree import Item, Place

Fault = Callable[[Draft, Item | Place, str, str], None]


def check_rejects(drafts: Mapping[str, Draft], fault: Fault) -> None:
    """Every `rejects` names a sink that takes such things, and every such sink is named."""
    named: set[str] = set()
    for draft in drafts.values():
        if not isinstance(draft.node, Rejecting) or draft.node.rejects is None:
            continue
        name = draft.node.rejects
        named.add(name)
        at = draft.item.get("rejects") or draft.place
        sink = drafts.get(name)
        if sink is None:
            hint = nearest(name, list(_collectors(drafts))) if any(_collectors(drafts)) else _EXAMPLE.format(name=name)
            fault(draft, at, f"unknown node {name!r}", hint)
        elif sink.cls is not None and not _collects(sink):
            fault(draft, at, f"{name!r} takes no rejects", _EXAMPLE.format(name="bad"))
    for draft in drafts.values():
        if _collects(draft) and draft.name not in named:
            fault(draft, draft.place, "no source sends it anything", f"write 'rejects: {draft.name}' at a source")


_EXAMPLE = "add one: {name}: {{sink: rejects, path: rejects.arrows}}"


def _collects(draft: Draft) -> bool:
    return draft.cls is not None and issubclass(draft.cls, Sink) and draft.cls.collects


def _collectors(drafts: Mapping[str, Draft]) -> Iterable[str]:
    return (draft.name for draft in drafts.values() if _collects(draft))
