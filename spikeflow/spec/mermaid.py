"""A graph as a picture: text that Mermaid draws."""

from __future__ import annotations

from spikeflow.node import Rejecting
from spikeflow.spec.model import GraphSpec, Link, NodeSpec
from spikeflow.units import format_ns

_SHAPES = {
    "source": ("([", "])"),
    "encoder": ("[/", "/]"),
    "neuron": ("((", "))"),
    "decoder": ("[\\", "\\]"),
    "sink": ("[[", "]]"),
}
_COLOURS = {
    "source": "fill:#d9ead3,stroke:#38761d,color:#1c1c1c",
    "encoder": "fill:#fff2cc,stroke:#b58900,color:#1c1c1c",
    "neuron": "fill:#cfe2f3,stroke:#1c5a94,color:#1c1c1c",
    "decoder": "fill:#fce5cd,stroke:#b45f06,color:#1c1c1c",
    "sink": "fill:#ead1dc,stroke:#8e2a5b,color:#1c1c1c",
}
_RESERVED = {"end", "graph", "flowchart", "subgraph", "style", "class", "classdef", "click", "default", "linkstyle"}


def to_mermaid(spec: GraphSpec) -> str:
    """A Mermaid flowchart: a shape and colour for each role, ports and delays on the edges, blocks as frames.

    Thick edges close a loop and are late by the windows they name; dotted ones make a node forget, or
    carry what could not be read.
    """
    lines = ["flowchart LR"]
    framed = {block: members for block, members in spec.blocks.items() if len(members) > 1}
    for node in spec.nodes.values():
        if node.block not in framed:
            lines.append(f"  {_node(node)}")
    for block, members in framed.items():
        lines.append(f'  subgraph block_{"_".join(members)}["block {block}"]')
        lines += [f"    {_node(spec.nodes[name])}" for name in members]
        lines.append("  end")
    for node in spec.nodes.values():
        lines += [f"  {_edge(node, link, spec)}" for link in node.links]
        if node.forget_link is not None:
            lines.append(
                f"  {_id(node.forget_link.node)} -. {_text(_port(node.forget_link, 'forget'))} .-> {_id(node.name)}"
            )
        if isinstance(node.node, Rejecting) and node.node.rejects is not None:
            lines.append(f"  {_id(node.name)} -. {_text('rejects')} .-> {_id(node.node.rejects)}")
    used = [role for role in _COLOURS if any(node.role == role for node in spec.nodes.values())]
    lines += [f"  classDef {role} {_COLOURS[role]}" for role in used]
    return "\n".join(lines) + "\n"


def _id(name: str) -> str:
    return f"{name}_" if name in _RESERVED else name


def _text(text: str) -> str:
    """Text in quotes, with what Mermaid would read as its own written out."""
    safe = text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
    return '"' + safe.replace("\n", "<br/>") + '"'


def _node(node: NodeSpec) -> str:
    start, end = _SHAPES[node.role]
    outlet = node.outlets.get("")
    size = f" × {outlet.size}" if outlet is not None else ""
    kind = node.kind.rpartition(":")[2]
    label = _text(f"{node.name}\n{kind}{size}")
    return f"{_id(node.name)}{start}{label}{end}:::{node.role}"


def _port(link: Link, label: str) -> str:
    return f"{link.port}, {label}" if link.port and label else link.port or label


def _edge(node: NodeSpec, link: Link, spec: GraphSpec) -> str:
    said = [format_ns(link.delay_ticks * spec.dt_ns)] if link.delay_ticks else []
    if link.lag_windows:
        said.append(f"{link.lag_windows} window{'s' if link.lag_windows > 1 else ''} late")
    label = _port(link, ", ".join(said))
    arrow = "==>" if link.lag_windows else "-->"
    return f"{_id(link.node)} {arrow}{f'|{_text(label)}|' if label else ''} {_id(node.name)}"
