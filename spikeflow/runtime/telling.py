"""Telling: what a graph is and what it does, as plain facts for those who look on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel

from spikeflow.runtime.meters import RECENT
from spikeflow.runtime.sinks import SinkStage
from spikeflow.runtime.stages import SourceStage
from spikeflow.runtime.taps import Message, Subscription
from spikeflow.spec import GraphSpec, Link

if TYPE_CHECKING:
    from spikeflow.runtime.engine import Engine

_LONGEST = 200
_MOST_VALUES = 32
_MOST_NAMES = 256


def info(engine: Engine, started: float) -> dict[str, Any]:
    """What the graph is: nodes with their parameters, edges, outlets, and the grid of time."""
    spec, wired = engine.spec, engine.wired
    assert wired is not None
    streams = {f"{n}.{p}" if p else n: s for n, node in spec.nodes.items() for p, s in node.outlets.items()}
    return {
        "graph": spec.name,
        "file": spec.file,
        "process": os.getpid(),
        "started": started,
        "live": engine.live,
        "dt_ns": spec.dt_ns,
        "window_ns": spec.window_ns,
        "origin_ns": engine.grid.origin_ns,
        "nodes": {
            name: {
                "role": node.role,
                "kind": node.kind,
                "block": node.block,
                "device": getattr(node.node, "device", None),
                "opens": type(node.node).opens,
                "parameters": _parameters(node.node),
            }
            for name, node in spec.nodes.items()
        },
        "edges": [
            {
                "from": link.stream,
                "to": to,
                "loop": link.on_loop,
                "delay_ms": link.delay_ticks * spec.dt_ns / 1e6,
                "forgets": link not in spec.nodes[to].links,
            }
            for to, link in links(spec)
        ],
        "outlets": {
            name: {"kind": s.kind, "size": s.size, "valued": s.valued, "copies": s.copies, "flows": name in wired.fans}
            for name, s in streams.items()
        },
    }


def links(spec: GraphSpec) -> list[tuple[str, Link]]:
    """Every edge, as the node it leads to and the link."""
    return [(name, link) for name, node in spec.nodes.items() for link in node.all_links]


def _parameters(node: BaseModel) -> dict[str, Any]:
    """The fields of a node, but for its inputs, as people write them; nothing secret is among them."""
    return {name: plain(getattr(node, name)) for name in type(node).model_fields if name != "inputs"}


def plain(value: Any) -> Any:
    """A value as JSON has it: numbers and texts as they are, long ones cut short."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, np.ndarray):
        return f"{value.size} values from {value.min():g} to {value.max():g}" if value.size else "no values"
    if isinstance(value, BaseModel):
        return {
            name: plain(getattr(value, name)) for name in type(value).model_fields if name in value.model_fields_set
        }
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in list(value.items())[:_MOST_VALUES]}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value[:_MOST_VALUES]]
    text = str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


class Figures(Subscription):
    """What every node and edge did so far, again and again."""

    def __init__(self, engine: Engine, every: float) -> None:
        self._engine, self._every = engine, every
        self.once = not every
        self._is_due = True
        self._line = 0
        self._windows: dict[str, int] = {}
        self._links = links(engine.spec)
        self._channels: dict[str, list[str]] = {}

    def begin(self, soon: Callable[[float], None]) -> None:
        """Tell at once, and then again."""
        super().begin(soon)
        soon(0.0)

    def flushed(self) -> None:
        """The next time."""
        self._is_due = True
        if not self.once:
            self._soon(self._every)

    def take(self, to_the_end: bool = False) -> Message | None:
        """One look; the raw bytes are the times (int64, ns) that the newest windows of each stage took."""
        if not self._is_due:
            return None
        self._is_due = False
        engine, wired = self._engine, self._engine.wired
        assert wired is not None
        times, counts = self._times()
        lines = [line for line in engine.lines if line["number"] > self._line]
        self._line = lines[-1]["number"] if lines else self._line
        facts = {
            "kind": "figures",
            "t": time.time(),
            "elapsed": time.monotonic() - engine.began,
            "nodes": engine.snapshot(),
            "edges": [self._edge(to, link) for to, link in self._links],
            "outlets": {name: fan.events for name, fan in wired.fans.items()},
            "channels": self._names(),
            "open": {stage.name: self._is_open(stage) for stage in wired.stages if self._is_open(stage) is not None},
            "stopping": engine.stopping,
            "log": lines,
            "times": counts,
        }
        return facts, times

    def _names(self) -> dict[str, list[str]]:
        """What the first channels of sources are called, where they have names; new ones may come at any time."""
        for name, node in self._engine.spec.nodes.items():
            stream, ask = node.outlets.get(""), getattr(node.node, "channel_names", None)
            if ask is None or stream is None or stream.copies > 1:
                continue
            if len(self._channels.get(name, ())) < min(stream.size, _MOST_NAMES):
                self._channels[name] = [plain(one) for one in ask()[:_MOST_NAMES]]
        return {name: names for name, names in self._channels.items() if names}

    def _edge(self, to: str, link: Link) -> dict[str, Any]:
        wired = self._engine.wired
        assert wired is not None
        fan = wired.fans.get(link.stream)
        one: dict[str, Any] = {"events": fan.events if fan else 0}
        for entry in wired.stage_of[to].entries:
            if entry.member in (to, "") and entry.channel.stream.name == link.stream:
                channel = entry.channel
                one |= {"queue": len(channel.queue), "capacity": channel.capacity, "waits": channel.waits}
                break
        return one

    def _times(self) -> tuple[bytes, dict[str, int]]:
        wired = self._engine.wired
        assert wired is not None
        found, counts = [], {}
        for stage in wired.stages:
            meter = stage.meter
            new = min(meter.windows - self._windows.get(stage.name, 0), RECENT)
            self._windows[stage.name] = meter.windows
            if new > 0 and not isinstance(stage, SourceStage):
                at = meter.windows
                found += [meter.recent[k & (RECENT - 1)] for k in range(at - new, at)]
                counts[stage.name] = new
        return np.array(found, "<i8").tobytes(), counts

    @staticmethod
    def _is_open(stage: Any) -> bool | None:
        """Whether the connection of a source or sink stands; None where there is none."""
        if not any(type(node).opens for node in (getattr(stage, "node", None),) if node is not None):
            return None
        if isinstance(stage, SourceStage):
            return stage.outlet.is_open.is_set()
        return stage.inlet.is_open.is_set() if isinstance(stage, SinkStage) else None
