"""Pictures of graphs: nodes in layers, arrows between them, loops below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikeflow.layers import layers
from spikeflow.plot.canvas import COLOURS, DIM, INK, blank
from spikeflow.spec import GraphSpec, Link, NodeSpec
from spikeflow.units import format_ns

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDE, _TALL, _ACROSS, _DOWN = 1.9, 0.72, 0.95, 0.38
"""Sizes (inches): of a box, and between boxes."""
_LANE, _EDGE, _BESIDE = 0.3, 0.15, 0.1
_ROLES = {"source": 2, "encoder": 1, "neuron": 3, "network": 3, "decoder": 0, "sink": 6}
_LONGEST = 22

Place = tuple[float, float]


def drawn(spec: GraphSpec) -> Figure:
    """The picture of a graph."""
    edges = [(link.node, node.name, link) for node in spec.nodes.values() for link in node.all_links]
    found = layers(list(spec.nodes), [(source, target) for source, target, _ in edges])
    at = {
        name: (layer * (_WIDE + _ACROSS), -place * (_TALL + _DOWN)) for name, (layer, place) in found.places().items()
    }
    low = min(y for _, y in at.values()) - _TALL / 2
    high = max(y for _, y in at.values()) + _TALL / 2
    lanes = [k for k, (source, target, _) in enumerate(edges) if (source, target) in found.back]
    own = any(source == target for source, target, _ in edges)
    bottom = low - (0.45 if own else 0.0) - len(lanes) * _LANE - _EDGE
    past = sum(abs(at[target][0] - at[source][0]) > _WIDE + _ACROSS for source, target, _ in edges)
    top = high + _EDGE + past * _BESIDE + (0.2 if past else 0.0)  # arrows past other nodes run above
    right = max(x for x, _ in at.values()) + _WIDE + _EDGE
    figure = blank(right + _EDGE, top - bottom)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(-_EDGE, right)
    axes.set_ylim(bottom, top)
    axes.set_axis_off()
    paths: list[float] = []
    for k, (source, target, link) in enumerate(edges):
        color = COLOURS[5] if link.on_loop or source == target else DIM
        text = _said(spec, link, spec.nodes[target])
        if source == target:
            _around(axes, at[source], text, color)
        elif k in lanes:
            _back(axes, at[source], at[target], low - (0.45 if own else 0.1) - lanes.index(k) * _LANE, text, color)
        else:
            _onwards(axes, at[source], at[target], list(at.values()), paths, text, color)
    for node in spec.nodes.values():
        _box(axes, at[node.name], node)
    return figure


def _said(spec: GraphSpec, link: Link, node: NodeSpec) -> str:
    said = [link.port] if link.port else []
    if link.delay_ticks:
        said.append(format_ns(link.delay_ticks * spec.dt_ns))
    if link.lag_windows:
        said.append(f"{link.lag_windows} window{'s' if link.lag_windows > 1 else ''} late")
    if link is node.forget_link:
        said.append("forget")
    return ", ".join(said)


def _box(axes: Axes, at: Place, node: NodeSpec) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y = at
    colour = COLOURS[_ROLES.get(node.role, 7)]
    shape = "round,pad=0,rounding_size=0.08"
    axes.add_patch(
        FancyBboxPatch((x, y - _TALL / 2), _WIDE, _TALL, shape, facecolor="white", edgecolor=colour, zorder=3)
    )
    axes.add_patch(FancyBboxPatch((x, y - _TALL / 2), 0.07, _TALL, shape, color=colour, linewidth=0, zorder=4))
    axes.text(x + 0.17, y + 0.14, _cut(node.name), fontsize=10, fontweight="bold", color=INK, va="center", zorder=5)
    outlet = node.outlets.get("")
    size = f" × {outlet.size}" if outlet is not None else ""
    about = f"{node.role} · {node.kind.rpartition(':')[2]}"
    axes.text(
        x + 0.17, y - 0.15, _cut(about, _LONGEST + 5 - len(size)) + size, fontsize=8, color=DIM, va="center", zorder=5
    )


def _cut(text: str, most: int = _LONGEST) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _arrow(axes: Axes, points: list[Place], colour: str, text: str, where: Place) -> None:
    """A smooth line through control points, four for the first curve and three for each further one."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    path = Path(points, [Path.MOVETO, *[Path.CURVE4] * (len(points) - 1)])
    tip = "-|>,head_length=0.35,head_width=0.16"
    axes.add_patch(
        FancyArrowPatch(path=path, arrowstyle=tip, mutation_scale=12, color=colour, linewidth=1.1, fill=True, zorder=2)
    )
    if text:
        ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
        axes.text(*where, text, fontsize=7, color=colour, ha="center", va="center", bbox=ground, zorder=2.5)


def _onwards(axes: Axes, a: Place, b: Place, places: list[Place], paths: list[float], text: str, colour: str) -> None:
    """To a later layer; above what lies between, and beside the paths of others."""
    x0, y0, x1, y1 = a[0] + _WIDE, a[1], b[0], b[1]
    half = _ACROSS / 2
    between = [y for x, y in places if x0 < x < x1 - _WIDE]
    if not any(min(y0, y1) - _TALL <= y <= max(y0, y1) + _TALL for y in between):
        _arrow(
            axes, [(x0, y0), (x0 + half, y0), (x1 - half, y1), (x1, y1)], colour, text, ((x0 + x1) / 2, (y0 + y1) / 2)
        )
        return
    via = max(*between, y0, y1) + _TALL / 2 + 0.16
    while any(abs(via - path) < _BESIDE / 2 for path in paths):
        via += _BESIDE
    paths.append(via)
    p, q = x0 + _ACROSS, x1 - _ACROSS
    points = [(x0, y0), (x0 + half, y0), (x0 + half, via), (p, via), (p, via), (q, via), (q, via)]
    _arrow(axes, [*points, (q + half, via), (x1 - half, y1), (x1, y1)], colour, text, ((p + q) / 2, via))


def _back(axes: Axes, a: Place, b: Place, base: float, text: str, colour: str) -> None:
    """To an earlier layer, or the same: below everything."""
    x0, x1 = a[0] + _WIDE * 0.7, b[0] + _WIDE * 0.3
    y0, y1 = a[1] - _TALL / 2, b[1] - _TALL / 2
    turn = 0.35 if x0 > x1 else -0.35
    points = [
        (x0, y0),
        (x0, base),
        (x0, base),
        (x0 - turn, base),
        (x0 - turn, base),
        (x1 + turn, base),
        (x1 + turn, base),
    ]
    _arrow(axes, [*points, (x1, base), (x1, base), (x1, y1)], colour, text, ((x0 + x1) / 2, base))


def _around(axes: Axes, at: Place, text: str, colour: str) -> None:
    """To the node itself."""
    x, y = at[0] + _WIDE / 2, at[1] - _TALL / 2
    _arrow(axes, [(x + 0.35, y), (x + 0.35, y - 0.36), (x - 0.35, y - 0.36), (x - 0.35, y)], colour, text, (x, y - 0.3))
