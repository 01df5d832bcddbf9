"""A graph file, or a mapping, to a checked graph; or every error in it at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from spikeflow.catalog import ROLES, class_at, node_class
from spikeflow.errors import Finding, GraphError, ParameterError, nearest, said
from spikeflow.node import Node
from spikeflow.spec.check import Checker
from spikeflow.spec.draft import Draft, Wish
from spikeflow.spec.loops import Edge, Loops
from spikeflow.spec.model import GraphSpec, Header, Link, NodeSpec, TimeSection
from spikeflow.spec.phrases import rephrased, show
from spikeflow.spec.reader import place_of, read_yaml
from spikeflow.spec.substitute import Substitution, override
from spikeflow.spec.tree import Item, Place, Report, from_python, plain
from spikeflow.units import format_ns

NAME = re.compile(r"[a-z][a-z0-9_]*")

_EMPTY = "begin with 'spikeflow: 1', then 'nodes:' with a node under each name"
_ROLES = ", ".join(ROLES)


def load(
    source: str | Path | Mapping[str, Any],
    *,
    set: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
) -> GraphSpec:
    """Read and check a graph; nothing is started.

    Args:
        source: the path of a graph file, or what it would hold as a mapping. Times carry units in both.
        set: dotted path to value, put over what `source` says, such as ``{"nodes.hidden.size": "64"}``.
        env: the variables that ``${VAR}`` names; the process's own unless given.

    Raises:
        GraphError: all that is wrong with the graph, in the order of the file.
    """
    environment = os.environ if env is None else env
    if isinstance(source, Mapping):
        report = Report(None)
        return _Builder(from_python(source, report), Path.cwd(), "graph", report).graph(set or {}, environment)
    path = Path(source)
    report = Report(str(source))
    root = read_yaml(_text(path, report), report)
    if root is None or (len(report) and not isinstance(root.value, dict)):
        raise GraphError(report.errors)
    return _Builder(root, path.resolve().parent, path.stem, report).graph(set or {}, environment)


def _text(path: Path, report: Report) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        around = [found.name for found in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        hint = nearest(path.name, around) if around else "check the path"
        raise GraphError([Finding(f"there is no graph file {str(path)!r}", hint)]) from None
    except IsADirectoryError:
        raise GraphError([Finding(f"{str(path)!r} is a folder", "name a graph file in it")]) from None
    except OSError as error:
        raise GraphError([Finding(f"{str(path)!r} cannot be read: {error.strerror}", "check the path")]) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig")
        report.add(
            place_of(before + "?", len(before)),
            f"the byte 0x{data[error.start]:02x} is no UTF-8",
            "save the file as UTF-8 text",
        )
        raise GraphError(report.errors) from None


class _Builder:
    def __init__(self, root: Item, folder: Path, stem: str, report: Report) -> None:
        self.root, self.folder, self.stem, self.report = root, folder, stem, report
        self.drafts: dict[str, Draft] = {}
        self.seed, self.name = 0, stem

    def graph(self, changes: Mapping[str, Any], env: Mapping[str, str]) -> GraphSpec:
        """The checked graph."""
        report, root = self.report, self.root
        if root.value is None:
            report.add(root, "the file is empty", _EMPTY)
            self._stop()
        if not isinstance(root.value, dict):
            report.add(root, f"{show(plain(root))} at the top", _EMPTY)
            self._stop()
        self._version()
        root = override(root, changes, report)
        self.root = root = Substitution(root, env, report).graph(root)
        header = self._header()
        if header is not None:
            self.seed, self.name = header.seed, header.name or self.stem
        dt_ns, window_ns = self._time(header)
        self._nodes()
        loops, edges = Checker(self.drafts, dt_ns, window_ns, report).run()
        self._stop()
        assert header is not None and dt_ns is not None and window_ns is not None
        return GraphSpec(
            name=self.name,
            dt_ns=dt_ns,
            window_ns=window_ns,
            seed=header.seed,
            nodes=self._specs(loops, edges),
            warnings=tuple(report.warnings),
            folder=self.folder,
            params=header.params,
            file=report.file,
            monitor=header.monitor,
        )

    def _stop(self) -> None:
        if len(self.report):
            raise GraphError(self.report.errors)

    # The keys at the top.

    def _version(self) -> None:
        version = self.root.get("spikeflow")
        if version is None:
            if self.report.file is not None:
                self.report.add(self.root, "'spikeflow' is missing", "begin the file with 'spikeflow: 1'")
        elif isinstance(version.value, int) and version.value is not True and version.value > 1:
            found = f"format {version.value}, which this version of spikeflow does not know"
            self.report.add(version, found, "write 'spikeflow: 1', or install a newer spikeflow")
            self._stop()

    def _header(self) -> Header | None:
        """The keys at the top without the nodes; None where one of them is wrong."""
        top = Item({k: v for k, v in self.root.value.items() if k != "nodes"}, self.root.place, self.root.keys)
        for key in ("params", "time"):
            if key in top.value and top.value[key].value is None:
                top.value[key] = Item({}, top.value[key].place)
        header: Header | None = _validated(Header, top, {"units": "required"}, self.report, extra_keys=("nodes",))
        return header

    def _time(self, header: Header | None) -> tuple[int | None, int | None]:
        """dt and window (ns); None for what is not known because it is wrong."""
        item = self.root.get("time") or Item({})
        if header is not None:
            time = header.time
        else:
            try:
                time = TimeSection.model_validate(plain(item) or {}, context={"units": "required"})
            except ValidationError as error:
                wrong = {str(one["loc"][0]) for one in error.errors() if one["loc"]}
                dt = item.get("dt")
                if "dt" in wrong or (dt is not None and dt.is_broken()) or not isinstance(item.value, dict):
                    return None, None
                kept = {"dt": plain(dt)} if dt is not None else {}
                return TimeSection.model_validate(kept, context={"units": "required"}).dt, None
        if item.is_broken():
            return None, None
        if time.window % time.dt == 0:
            return time.dt, time.window
        below = time.window // time.dt * time.dt
        choices = [format_ns(choice) for choice in (below, below + time.dt) if choice]
        at = item.get("window") or item.get("dt") or item
        found = f"the window of {format_ns(time.window)} is no multiple of dt, {format_ns(time.dt)}"
        self.report.add(at, found, f"write 'window: {choices[0]}'" + "".join(f" or '{c}'" for c in choices[1:]))
        return time.dt, None

    # Nodes.

    def _nodes(self) -> None:
        nodes = self.root.get("nodes")
        at = self.root.keys.get("nodes", self.root.place)
        if nodes is None:
            self.report.add(self.root, "'nodes' is missing", "add 'nodes:' with a node under each name")
        elif nodes.broken:
            return
        elif nodes.value is None or nodes.value == {}:
            self.report.add(at, "no nodes", "add a source, and what listens to it")
        elif not isinstance(nodes.value, dict):
            self.report.add(
                nodes,
                f"nodes: {show(plain(nodes))}",
                "must be names of nodes, each with what it is",
            )
        else:
            for name, item in nodes.value.items():
                self.drafts[name] = self._draft(name, item, nodes.keys[name])
            if not any(d.role in ("source", "") for d in self.drafts.values()):
                self.report.add(at, "no source among the nodes", "add a node with 'source: …'; events begin there")

    def _draft(self, name: str, item: Item, place: Place) -> Draft:
        draft = Draft(name, item, place)
        if not NAME.fullmatch(name):
            self._fault(draft, place, f"the name {name!r}", "names are small letters, digits and '_', a letter first")
        if not isinstance(item.value, dict):
            if not item.broken:
                found = "is empty" if item.value is None else f"is {show(plain(item))}"
                self._fault(draft, place, found, f"write what it is under it: one of {_ROLES}, with its kind")
            return draft
        if "input" in item.value and "inputs" in item.value:
            second = max(item.keys["input"], item.keys["inputs"])
            self._fault(draft, second, "both 'input' and 'inputs'", "keep one of them")
            draft.item = item = Item({k: v for k, v in item.value.items() if k != "inputs"}, item.place, item.keys)
        draft.wishes = list(_wishes(item))
        forget = item.get("forget")
        on = forget.get("on") if forget is not None else None
        if on is not None and isinstance(on.value, str) and not on.broken:
            draft.forget = Wish(on.value, on)
        self._kind(draft)
        if draft.cls is not None:
            draft.node = self._node(draft, draft.cls)
        if draft.node is not None:
            # a population delays what it sends to itself, and draws its parameters, before anything runs
            draft.node.__dict__.update(_name=name, _seed=self.seed, _graph=self.name)
        draft.faulty |= draft.node is None
        return draft

    def _fault(self, draft: Draft, at: Item | Place, found: str, hint: str) -> None:
        draft.faulty = True
        self.report.add(at, found, hint, node=draft.name)

    def _kind(self, draft: Draft) -> None:
        """The role and the class of a node."""
        item = draft.item
        roles = [key for key in item.value if key in ROLES]
        if not roles:
            near = [(key, hint) for key in item.value if (hint := nearest(key, ROLES)).startswith("did")]
            for key, hint in near[:1]:
                self._fault(draft, item.keys[key], f"unknown key {key!r}", hint)
            if not near:
                self._fault(draft, draft.place, "does not say what it is", f"add one of {_ROLES}, with its kind")
            return
        for role in roles[1:]:
            self._fault(
                draft, item.keys[role], f"both {roles[0]!r} and {role!r}", "a node has one role; keep one of them"
            )
        if len(roles) > 1:
            return
        draft.role = role = roles[0]
        kind = item.value[role]
        if kind.broken:
            return
        if not isinstance(kind.value, str | type) or not kind.value:
            self._fault(
                draft,
                kind,
                f"{role}: {show(plain(kind))}",
                f"name the kind of {role}, such as '{role}: {_SUCH_AS[role]}'",
            )
            return
        draft.kind = kind.value if isinstance(kind.value, str) else kind.value.__name__
        try:
            draft.cls = node_class(role, kind.value, self.folder)
        except ParameterError as error:
            self._fault(draft, kind, error.found, error.hint)

    def _node(self, draft: Draft, cls: type[Node]) -> Node | None:
        """The node itself; None where one of its values is wrong."""
        fields = {key: child for key, child in draft.item.value.items() if key != draft.role}
        item = Item(fields, draft.item.place, draft.item.keys)
        context = {"units": "required", "folder": self.folder, "node": draft.name, "node_class": node_class}
        context["class_at"] = class_at
        context["file"] = self.report.file
        keys: dict[str, Any] = (
            {"extra_keys": (draft.role,), "closed_keys": ("inputs",)}
            if cls.most_inputs == 0
            else {"extra_keys": (draft.role, "input")}
        )
        node: Node | None = _validated(cls, item, context, self.report, node=draft.name, place=draft.place, **keys)
        return node

    # The result.

    def _specs(self, loops: Loops, edges: list[Edge]) -> dict[str, NodeSpec]:
        by_input = {(edge.target, edge.index): edge for edge in edges}
        wanted: dict[str, set[str]] = {}
        for draft in self.drafts.values():
            for wish in [*draft.wishes, *([draft.forget] if draft.forget else [])]:
                wanted.setdefault(wish.node, set()).add(wish.port)

        def link(draft: Draft, index: int, wish: Wish) -> Link:
            edge = by_input[draft.name, index]
            return Link(
                wish.node,
                wish.port,
                loops.lags.get(edge, 0),
                internal=edge in loops.internal,
                on_loop=edge in loops.on_loop,
                delay_ticks=edge.delay,
            )

        specs: dict[str, NodeSpec] = {}
        for name, draft in self.drafts.items():
            assert draft.node is not None and draft.outlets is not None
            specs[name] = NodeSpec(
                name=name,
                role=draft.role,
                kind=draft.kind,
                node=draft.node,
                inputs=tuple(wish.settled for wish in draft.wishes if wish.settled is not None),
                outlets=draft.outlets,
                wanted=frozenset(wanted.get(name, ())),
                links=tuple(link(draft, index, wish) for index, wish in enumerate(draft.wishes)),
                forget_link=link(draft, -1, draft.forget) if draft.forget else None,
                forget_stream=draft.forget.settled if draft.forget else None,
                block=loops.blocks.get(name),
                position=self.report.position(draft.place),
            )
        return specs


_SUCH_AS = {"source": "mqtt", "encoder": "level_crossing", "neuron": "lif", "decoder": "rate", "sink": "console"}


def _wishes(item: Item) -> list[Wish]:
    """The inputs as the file names them, whether or not the rest of the node can be read."""
    given = item.get("input") or item.get("inputs")
    if given is None:
        return []
    entries = given.value if isinstance(given.value, list) else [given]
    named = [entry.get("from") if isinstance(entry.value, dict) else entry for entry in entries]
    return [Wish(name.value, name) for name in named if name and isinstance(name.value, str) and not name.broken]


def _validated(
    model: type[Any],
    item: Item,
    context: Mapping[str, Any],
    report: Report,
    *,
    extra_keys: tuple[str, ...] = (),
    closed_keys: tuple[str, ...] = (),
    node: str | None = None,
    place: Place | None = None,
) -> Any:
    """The model of an item's value; None where it is wrong, which is then in the report.

    Args:
        model: what the value should be.
        item: the value with its places.
        context: what validators get to know.
        report: takes what is wrong.
        extra_keys: keys that are valid at the top without being fields.
        closed_keys: fields that are not for graph files.
        node: the node that the value belongs to.
        place: where to point for what has no place of its own.
    """
    try:
        found = model.model_validate(plain(item), context=dict(context))
    except ValidationError as error:
        for at, name, what, hint in rephrased(error, item, model, extra_keys, closed_keys):
            if report.file is None and name not in what:
                what = f"{name}: {what}"  # there are no lines that would say which field it is
            report.add(place if at is item and place else at, what, hint, node=node)
        return None
    except Exception as error:  # a validator of somebody's class has a bug: that is one error of this node
        fault = f"{model.__name__} failed on its fields: {said(error)}"
        report.add(place or item, fault, "mend the class", node=node)
        return None
    wrong = list(_no_numbers(item, found))
    for child in wrong:
        report.add(child, f"{show(child.value)} is no number", "write a number", node=node)
    return None if wrong or item.is_broken() else found


def _no_numbers(item: Item, found: Any) -> Iterator[Item]:
    """The `true` and `false` that were taken for 1 and 0."""
    if isinstance(item.value, bool):
        if isinstance(found, int | float) and not isinstance(found, bool):
            yield item
    elif isinstance(item.value, dict):
        values = vars(found) if isinstance(found, BaseModel) else found if isinstance(found, Mapping) else {}
        for key, child in item.value.items():
            if key in values:
                yield from _no_numbers(child, values[key])
    elif isinstance(item.value, list) and isinstance(found, list | tuple) and len(found) == len(item.value):
        for child, one in zip(item.value, found, strict=True):
            yield from _no_numbers(child, one)
