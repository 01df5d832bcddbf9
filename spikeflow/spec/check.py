"""What is wrong between the nodes of a graph: who listens to whom, sizes, kinds, and loops."""

from __future__ import annotations

import numbers
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from spikeflow.catalog import article
from spikeflow.copies import ChannelMap
from spikeflow.errors import ParameterError, Problem, nearest, said
from spikeflow.events import Grid, Stream
from spikeflow.machine import gigabytes, memory
from spikeflow.node import Neuron, Node, Source
from spikeflow.spec.draft import Draft, Wish, copies_of, replicated
from spikeflow.spec.loops import BadLoop, Edge, Loops, analyse
from spikeflow.spec.model import DT_NS, WINDOW_NS
from spikeflow.spec.phrases import locate, show
from spikeflow.spec.rejects import check_rejects
from spikeflow.spec.tree import Item, Place, Report
from spikeflow.units import format_ns

T = TypeVar("T")
_NEURON_BYTES = 12
_VARIABLE_BYTES = 8
_MOST = 2**32 - 1
"""Less than what a neuron of any model, and each of its variables, were measured to take."""


def _no_streams(outlets: Any) -> str | None:
    """What is wrong with what a class says of its outlets, as a whole."""
    if not isinstance(outlets, Mapping):
        return f"{show(outlets)} instead of a stream for each port"
    for stream in outlets.values():
        if not isinstance(stream, Stream):
            return f"{show(stream)} instead of a stream"
        if not isinstance(stream.size, numbers.Integral) or isinstance(stream.size, bool):
            return f"a stream of the size {show(stream.size)}, which is no whole number"
    return None


class Checker:
    """Checks a graph of drafts, and fills their outlets and inputs in."""

    def __init__(self, drafts: Mapping[str, Draft], dt_ns: int | None, window_ns: int | None, report: Report) -> None:
        self.drafts, self.report = drafts, report
        self.dt_known, self.window_known = dt_ns is not None, window_ns is not None
        dt_ns = dt_ns or DT_NS
        self.grid = Grid(0, dt_ns, window_ns // dt_ns if window_ns else WINDOW_NS // DT_NS)

    def run(self) -> tuple[Loops, list[Edge]]:
        """Check everything that can be checked; what is wrong is in the report."""
        for draft in self.drafts.values():
            self._names(draft)
            self._count(draft)
        self._sizes()
        for draft in self.drafts.values():
            self._takes(draft)
            if self.dt_known:
                self._own(draft)
        edges = self._edges() if self.dt_known and self.window_known else []
        loops = analyse(list(self.drafts), edges, self.grid.window_ticks)
        for bad in loops.bad:
            self._loop(bad)
        self._reach()
        self._unused()
        self._claimed()
        check_rejects(self.drafts, self._fault)
        return loops, edges

    def _fault(self, draft: Draft, at: Item | Place, found: str, hint: str) -> None:
        draft.faulty = True
        self.report.add(at, found, hint, node=draft.name)

    def _guarded(self, draft: Draft, doing: str, call: Callable[[], T]) -> T | None:
        """What a node's own code says; whatever it raises becomes one error of the node."""
        try:
            return call()
        except Exception as error:  # third parties' classes run here; a bug of theirs is no bug of the other nodes
            self._failed(draft, doing, error)
        return None

    def _failed(self, draft: Draft, doing: str, error: Exception) -> None:
        if isinstance(error, ParameterError):
            self._fault(draft, draft.place, error.found, error.hint)
        elif isinstance(error, OSError):
            found = f"{error.filename or draft.kind}: {error.strerror or error}"
            self._fault(draft, draft.place, found, "mend the path")
        else:
            self._fault(draft, draft.place, f"{doing} of {draft.kind!r} failed: {said(error)}", "mend the class")

    # Who listens to whom.

    def _names(self, draft: Draft) -> None:
        for wish in [*draft.wishes, *([draft.forget] if draft.forget else [])]:
            sender = self.drafts.get(wish.node)
            if sender is None:
                self._fault(draft, wish.item, f"unknown node {wish.node!r}", nearest(wish.node, self._senders(draft)))
            elif sender.cls is not None and sender.role == "sink":
                self._fault(draft, wish.item, f"{wish.node!r} is a sink, which gives nothing", "listen to another node")
            elif wish.text.endswith("."):
                self._fault(draft, wish.item, f"no port after the dot in {wish.text!r}", f"write {wish.node!r}")

    def _senders(self, draft: Draft) -> list[str]:
        """The nodes that this one could listen to."""
        return [
            other.name
            for other in self.drafts.values()
            if other.role != "sink" and (other is not draft or draft.role == "neuron")
        ]

    def _count(self, draft: Draft) -> None:
        cls = draft.cls
        if cls is None:
            return
        most = cls.most_inputs
        if most is not None and len(draft.wishes) > most:
            kept = f"{article(draft.role)} takes {['none', 'one'][most] if most < 2 else most}"
            many = f"{len(draft.wishes)} inputs" if len(draft.wishes) > 1 else "an input"
            self._fault(draft, draft.wishes[most].item, many, f"{kept}; remove {'it' if most == 0 else 'the others'}")
        elif most != 0 and not draft.wishes and draft.item.get("input") is draft.item.get("inputs") is None:
            self._fault(draft, draft.place, "listens to nothing", "add an input, such as 'input: name_of_a_node'")
        elif most != 0 and not draft.wishes and draft.node is not None:
            at = draft.item.get("input") or draft.item.get("inputs") or draft.item
            self._fault(draft, at, "listens to nothing", "name a node")

    # Sizes.

    def _sizes(self) -> None:
        """Ask every node for its outlets, along the graph; what declares its size resolves loops."""
        waiting = [draft for draft in self.drafts.values() if draft.node is not None]
        while waiting:
            ready = [draft for draft in waiting if self._settle(draft)]
            for draft in ready:
                self._copies(draft)
                self._outlets(draft, draft.inputs or [])
                draft.partial = False
            if not ready:
                ready = [draft for draft in waiting if isinstance(draft.node, Neuron) and draft.asked < draft.known][:1]
                if not ready:
                    break
                self._copies(ready[0])
                self._declared(ready[0])
                ready[0].partial, ready[0].asked = ready[0].outlets is not None, ready[0].known
            waiting = [draft for draft in waiting if draft not in ready or draft.partial]
        for draft in waiting:
            draft.partial = False
            self._settle(draft)
        self._shared()

    def _copies(self, draft: Draft) -> None:
        """How many copies of a node there are: as many as a source upstream has; sources themselves are known."""
        if draft.role in ("source", "sink"):
            return
        found = copies_of(self.drafts, draft)
        if found.stream is not None:
            draft.copies, draft.key = found.stream.copies, found.stream.key
        if found.problem is not None:
            wish, problem = found.problem
            self._fault(draft, wish.item, problem.found, problem.hint)

    def _shared(self) -> None:
        """Sources that share a key share its copies: there are as many, and each has the same name."""
        first: dict[str, tuple[Draft, ChannelMap]] = {}
        for draft in self.drafts.values():
            stream = (draft.outlets or {}).get("")
            if not isinstance(draft.node, Source) or stream is None or not stream.key:
                continue
            other, names = first.setdefault(stream.key, (draft, ChannelMap(stream.copies)))
            if stream.copies != names.size:
                what = f"{stream.copies} copies for {{{stream.key}}}, of which {other.name!r} has {names.size}"
                at = draft.item.get("copies") or draft.place
                self._fault(draft, at, what, "say as many, or call the keys otherwise with 'replicate'")
            elif (known := self._guarded(draft, "copy_names", draft.node.copy_names)) is not None:
                self._guarded(draft, "copy_names", partial(names.take, known))

    def _claimed(self) -> None:
        """What a node takes for itself alone is no other node's."""
        first: dict[str, Draft] = {}
        for draft in self.drafts.values():
            claims = self._guarded(draft, "claims", draft.node.claims) if draft.node is not None else None
            for key, claim in (claims or {}).items():
                other = first.setdefault(claim, draft)
                if other is not draft:
                    at = draft.item.get(key) or draft.place
                    self._fault(draft, at, f"{claim} is that of {other.name!r}, too", "give each node one of its own")

    def _settle(self, draft: Draft) -> bool:
        """Look up the streams of a node's inputs; a port that is not there is reported."""
        for wish in draft.wishes:
            sender = self.drafts.get(wish.node)
            if wish.settled is None and sender is not None and sender.outlets is not None:
                wish.settled = sender.outlets.get(wish.port)
                if (
                    wish.settled is None
                    and not sender.partial
                    and not wish.text.endswith(".")
                    and sender.role != "sink"
                ):
                    self._no_port(draft, wish, sender.outlets)
        takes_none = draft.cls is not None and draft.cls.most_inputs == 0
        return draft.inputs is not None and (bool(draft.wishes) or draft.role == "source" or takes_none)

    def _no_port(self, draft: Draft, wish: Wish, outlets: Mapping[str, Stream]) -> None:
        ports = [f"{wish.node}.{port}" if port else wish.node for port in outlets]
        if wish.port:
            self._fault(draft, wish.item, f"{wish.node!r} has no port {wish.port!r}", nearest(wish.text, ports))
        else:
            self._fault(draft, wish.item, f"{wish.node!r} has no default port", nearest(wish.text, ports))

    def _declared(self, draft: Draft) -> None:
        """The outlets of neurons on a loop, or behind a faulty node, from what they declare."""
        assert draft.node is not None
        before = len(self.report)
        try:
            found = draft.node.outlets(())
        except Exception:  # a class that needs its inputs: on a loop their sizes cannot be known
            if len(self.report) == before and not any(self._lost(wish) for wish in draft.wishes):
                self._fault(draft, draft.place, "its size is not known", "declare it: on a loop it cannot be derived")
            return
        self._fill(draft, {**self._derived(draft), **found})

    def _derived(self, draft: Draft) -> dict[str, Stream]:
        """The outlets of which the size follows from those inputs of a neuron that are known already."""
        if not draft.known:
            return {}
        unknown = Stream("", "spikes", 0)
        inputs = [unknown if wish.settled is None else wish.settled.one for wish in draft.wishes]
        try:
            found = dict(draft.node.outlets(inputs)) if draft.node is not None else {}
        except Exception:  # it needs them all
            return {}
        return {port: stream for port, stream in found.items() if isinstance(stream, Stream) and stream.size}

    def _lost(self, wish: Wish) -> bool:
        sender = self.drafts.get(wish.node)
        return sender is None or sender.faulty or sender.node is None

    def _outlets(self, draft: Draft, inputs: list[Stream]) -> None:
        node = draft.node
        assert node is not None
        try:
            found = node.outlets(inputs)
        except Exception as error:
            if not self._at_its_key(draft, node, inputs):
                self._failed(draft, "outlets", error)
            return
        self._fill(draft, found)

    def _at_its_key(self, draft: Draft, node: Node, inputs: list[Stream]) -> bool:
        """Whether a node without outlets says itself what is wrong: its `check` knows which key it is."""
        if not self.dt_known:
            return False
        try:
            problems = list(node.check(inputs, self.grid))
        except Exception:  # what keeps it from having outlets keeps it from checking
            return False
        self._problems(draft, problems)
        return any(not problem.warning for problem in problems)

    def _fill(self, draft: Draft, outlets: Mapping[str, Stream]) -> None:
        if (wrong := _no_streams(outlets)) is not None:
            self._fault(draft, draft.place, f"{draft.kind!r} gives {wrong}", "mend the class")
            return
        if any(stream.copies > 1 for stream in outlets.values()) and draft.role != "source":
            self._fault(
                draft, draft.place, f"{draft.kind!r} gives copies", "mend the class: it gives one copy's stream"
            )
            return
        draft.outlets = {
            port: replace(stream.times(draft.copies, draft.key), name=f"{draft.name}.{port}" if port else draft.name)
            for port, stream in outlets.items()
        }
        for stream in draft.outlets.values():
            if stream.size < 1:
                self._fault(draft, draft.place, f"{stream.name!r} has the size {stream.size}", "a size is at least 1")
        if isinstance(draft.node, Neuron):
            self._room(draft, draft.outlets)
        widest = max(draft.outlets.values(), key=lambda stream: stream.size, default=None)
        if widest is not None and widest.size > _MOST and not draft.faulty:
            found = f"{widest.name!r} has the size {widest.size}"
            self._fault(draft, draft.place, found, f"an index has 32 bits: make it {_MOST} or less")

    def _room(self, draft: Draft, outlets: Mapping[str, Stream]) -> None:
        """Refuse neurons whose state, of which each variable is a port, is more than this machine can hold."""
        count = outlets[""].size if "" in outlets else 0
        variables = sum(stream.size == count for stream in outlets.values())  # ports of synapses are none of them
        need = count * (_NEURON_BYTES + _VARIABLE_BYTES * variables)
        if need > memory():
            found = f"{count} neurons, which take {gigabytes(need)} at least"
            self._problems(draft, [Problem(("size",), found, f"this machine has {gigabytes(memory())}; take fewer")])

    # Each node.

    def _takes(self, draft: Draft) -> None:
        node = draft.node
        if node is None:
            return
        if draft.forget is not None and not draft.faulty:
            sender = self.drafts[draft.forget.node]
            if sender.outlets is not None:
                draft.forget.settled = sender.outlets.get(draft.forget.port)
                if draft.forget.settled is None:
                    self._no_port(draft, draft.forget, sender.outlets)
        self._settle(draft)
        for wish in draft.wishes:
            stream = wish.settled
            if stream is not None and stream.kind not in node.takes and node.takes:
                between = "an encoder" if stream.kind == "samples" else "a decoder"
                what = f"{draft.role} {draft.kind!r} takes {' or '.join(node.takes)}"
                self._fault(
                    draft, wish.item, f"{what}; {wish.text!r} gives {stream.kind}", f"put {between} between them"
                )

    def _own(self, draft: Draft) -> None:
        """What the node itself finds wrong."""
        node, inputs = draft.node, draft.inputs
        if node is None or inputs is None or draft.faulty:
            return
        self._problems(draft, self._guarded(draft, "check", lambda: list(node.check(inputs, self.grid))) or ())
        if draft.copies > 1 and not draft.faulty:
            copies = draft.copies
            self._problems(
                draft, self._guarded(draft, "check", lambda: list(node.check_copies(copies, inputs, self.grid))) or ()
            )
            if draft.forget is not None and replicated(self.drafts, draft.forget.node):
                hint = "forget every so often, or on a node that there is one of"
                self._fault(draft, draft.forget.item, f"{copies} copies that forget one by one", hint)

    def _problems(self, draft: Draft, problems: Iterable[Problem]) -> None:
        for problem in problems:
            if not isinstance(problem, Problem):
                fault = f"check of {draft.kind!r} gave {show(problem)}, not a problem"
                self._fault(draft, draft.place, fault, "mend the class")
                continue
            item, place, _ = locate(draft.item, problem.path)
            at = draft.place if item is draft.item else place
            self.report.add(at, problem.found, problem.hint, node=draft.name, warning=problem.warning)
            draft.faulty |= not problem.warning

    # Loops.

    def _edges(self) -> list[Edge]:
        """The inputs between nodes that could be read, and the hidden ones of `forget`."""
        edges: list[Edge] = []
        for draft in self.drafts.values():
            if draft.node is None:
                continue
            for index, wish in enumerate(draft.wishes):
                sender = self.drafts.get(wish.node)
                if sender is not None and sender.node is not None:
                    edge = self._edge(draft, index, wish, sender)
                    if edge is not None:
                        edges.append(edge)
            if draft.forget is not None and draft.forget.node in self.drafts:
                edges.append(Edge(draft.forget.node, draft.name, -1))
        return edges

    def _edge(self, draft: Draft, index: int, wish: Wish, sender: Draft) -> Edge | None:
        node, other = draft.node, sender.node
        assert node is not None and other is not None
        delay = self._delay(draft, index)
        if delay is None:
            return None
        both = isinstance(node, Neuron) and isinstance(other, Neuron)
        stream = sender.outlets.get(wish.port) if sender.outlets is not None else None
        if (stream is None and sender.outlets is not None) or wish.text.endswith("."):
            return None
        fuses = both and not wish.port and _fuse(node) is _fuse(other) and (stream is None or stream.kind == "spikes")
        return Edge(wish.node, draft.name, index, delay, fuses, isinstance(node, Neuron))

    def _delay(self, draft: Draft, index: int) -> int | None:
        node = draft.node
        assert node is not None
        if not draft.faulty:
            return self._guarded(draft, "delays", lambda: operator.index(node.least_delay(index, self.grid.dt_ns)))
        try:
            return operator.index(node.least_delay(index, self.grid.dt_ns))
        except Exception:  # what is wrong with the node has been reported; its delays may not be known
            return None

    def _loop(self, bad: BadLoop) -> None:
        edge = bad.edges[0]
        draft = self.drafts[edge.target]
        wish = draft.forget if edge.index < 0 else draft.wishes[edge.index]
        assert wish is not None
        loop = " → ".join([*(self._sent_by(edge) for edge in bad.edges), bad.edges[-1].target])
        tick, window = format_ns(self.grid.dt_ns), format_ns(self.grid.window_ns)
        if bad.needs == "tick":
            found, hint = f"the loop {loop} has no delay", f"give this input a delay of one tick ({tick}) or more"
        else:
            most = max(edge.delay for edge in bad.edges)
            has = f"delays an input by {format_ns(most * self.grid.dt_ns)} at most" if most else "has no delay"
            found = f"the loop {loop} {has}"
            if any(edge.delays for edge in bad.edges):
                hint = f"give this input a delay of one window ({window}) or more"
            elif any(edge.index < 0 for edge in bad.edges):
                hint = "forget on a node outside of it"
            else:
                hint = f"put a population with a delay of one window ({window}) or more on it, or cut it"
            if most:
                hint += f", or take a window of at most {format_ns(most * self.grid.dt_ns)}"
        self._fault(draft, wish.item, found, hint)

    def _sent_by(self, edge: Edge) -> str:
        """The sender of an edge with its port."""
        draft = self.drafts[edge.target]
        wish = draft.forget if edge.index < 0 else draft.wishes[edge.index]
        return wish.text if wish is not None else edge.source

    # What reaches whom.

    def _reach(self) -> None:
        """Report loops that no source feeds; the consumers of a faulty node are left alone."""
        fed = {
            d.name for d in self.drafts.values() if d.role == "source" or d.cls is None or d.node is None or d.faulty
        }
        grown = True
        while grown:
            new = {
                d.name
                for d in self.drafts.values()
                if d.name not in fed
                and (any(w.node in fed or w.node not in self.drafts for w in d.wishes) or not d.wishes)
            }
            fed |= new
            grown = bool(new)
        if not any(d.role in ("source", "") for d in self.drafts.values()):
            return  # that there is no source at all has been said
        dry = [draft for draft in self.drafts.values() if draft.name not in fed]
        if dry:
            self._fault(dry[0], dry[0].place, "no source reaches this node", "let its loop listen to a source")

    def _unused(self) -> None:
        """Warn of work that nobody sees, in graphs that show something."""
        used = {wish.node for draft in self.drafts.values() for wish in _all_wishes(draft)}
        if not any(draft.role == "sink" for draft in self.drafts.values()):
            return
        for draft in self.drafts.values():
            if draft.role in ("source", "encoder", "decoder") and draft.name not in used:
                hint = "let a node listen to it, or remove it"
                self.report.add(draft.place, "nobody listens to it", hint, node=draft.name, warning=True)


def _fuse(node: Node) -> object:
    """What steps a node in a block; populations of the same make can share one."""
    return getattr(type(node).fuse, "__func__", None) if isinstance(node, Neuron) else None


def _all_wishes(draft: Draft) -> Iterable[Wish]:
    return [*draft.wishes, draft.forget] if draft.forget is not None else draft.wishes
