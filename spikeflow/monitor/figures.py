"""Figures: what a run does each second, from the engine's counts."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from spikeflow.node import Source
from spikeflow.runtime.engine import Engine

_OVER_S = 1.0


class Figures:
    """Rates and progress of one run; each look is cheap enough for ten a second.

    Attributes:
        length_ns: how long the run lasts in event time (ns), where all sources know.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.began = time.monotonic()
        self._past: deque[tuple[float, dict[str, tuple[int, int]]]] = deque()
        sources = [n.node for n in engine.spec.nodes.values() if isinstance(n.node, Source)]
        lengths = [source.length_ns() for source in sources]
        known = [length for length in lengths if length is not None]
        self.length_ns = max(known) if known and len(known) == len(lengths) else None
        self._last_nodes = _ends(engine)

    def look(self) -> dict[str, Any]:
        """Elapsed time (s), progress (0 to 1, or None), events/s, lag (ms), and every node's figures."""
        now = time.monotonic()
        nodes = self.engine.snapshot()
        counts = {name: (one["events_in"], one["events_out"]) for name, one in nodes.items()}
        past = self._past
        past.append((now, counts))
        while len(past) > 2 and now - past[1][0] >= _OVER_S:
            past.popleft()
        then, before = past[0]
        seconds = now - then
        for name, one in nodes.items():
            came, went = before.get(name, (0, 0))
            one["in_per_s"] = _rate(one["events_in"] - came, seconds)
            one["out_per_s"] = _rate(one["events_out"] - went, seconds)
        return {
            "elapsed": round(now - self.began, 3),
            "progress": self._progress(now, nodes),
            "events_per_s": round(sum(one["out_per_s"] for one in nodes.values()), 1),
            "lag_ms": max((one["lag_ms"] for one in nodes.values()), default=0.0),
            "nodes": nodes,
        }

    def _progress(self, now: float, nodes: dict[str, dict[str, Any]]) -> float | None:
        """How much of a run of known length is done."""
        done = []
        if self.engine.options.seconds:
            done.append((now - self.began) / self.engine.options.seconds)
        if self.length_ns:
            windows = max((nodes[name]["windows"] for name in self._last_nodes if name in nodes), default=0)
            done.append(windows * self.engine.spec.window_ns / self.length_ns)
        return round(min(1.0, max(done)), 4) if done else None


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds > 0 else 0.0


def _ends(engine: Engine) -> list[str]:
    """The nodes that nobody listens to."""
    heard = {link.node for node in engine.spec.nodes.values() for link in node.links}
    return [name for name in engine.spec.nodes if name not in heard]
