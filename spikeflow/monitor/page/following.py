"""Following: keeps what a run tells, and comes back to it where the connection breaks."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from spikeflow import wire
from spikeflow.events import raw_columns
from spikeflow.layers import layers
from spikeflow.monitor.page.history import Budget, Samples, Spikes
from spikeflow.monitor.page.latencies import Histogram
from spikeflow.runtime.taps import ticks_of

BUDGET = 256 * 1024 * 1024
"""Bytes for single spikes."""
MOST_CHANNELS = 8
"""Channels of a stream of samples that are drawn."""
MOST_LOOKS = 32
TOGETHER_S = 0.05
FIGURES_S = 0.5
_LINES = 200
_RETRY_S = 0.2
_READ = 1 << 20


@dataclass(slots=True)
class Looked:
    """State variables that viewers look at together."""

    samples: Samples
    number: int
    viewers: int = 1
    refused: str = ""


@dataclass
class Following:
    """Everything that is known of one run.

    Attributes:
        path: its socket; None as long as it does not listen.
        info: what the graph is; empty until it has told.
        figures: what every node did, as it told last, with rates.
        spikes: the streams of spikes, by outlet.
        samples: the streams of samples, by outlet.
        looks: the state variables that somebody looks at, by what they are called here.
        lost: events that were lost on the way here, by outlet.
        lines: the last lines of the log.
        connected: whether the run is there.
        window_times: seconds a window took, by node; latencies: seconds behind the clock, by sink.
    """

    path: Path | None = None
    budget: Budget = field(default_factory=lambda: Budget(BUDGET))
    info: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    spikes: dict[str, Spikes] = field(default_factory=dict)
    samples: dict[str, Samples] = field(default_factory=dict)
    looks: dict[str, Looked] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    lines: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_LINES))
    connected: bool = False
    window_times: dict[str, Histogram] = field(default_factory=dict)
    latencies: dict[str, Histogram] = field(default_factory=dict)
    on_figures: Callable[[], None] = lambda: None
    _writer: asyncio.StreamWriter | None = None
    _asked: int = 0
    _taps: dict[int, str] = field(default_factory=dict)
    _schemas: dict[int, pa.Schema] = field(default_factory=dict)

    async def run(self) -> None:
        """Follow the run until it is cancelled."""
        while True:
            with contextlib.suppress(OSError, wire.WireError, asyncio.IncompleteReadError):
                if self.path is not None:
                    await self._attend(self.path)
            self.connected, self._writer = False, None
            self.on_figures()
            await asyncio.sleep(_RETRY_S)

    async def _attend(self, path: Path) -> None:
        reader, self._writer = await asyncio.open_unix_connection(str(path), limit=_READ)
        parser = wire.Parser()
        self._taps.clear()
        self._ask("info")
        try:
            while data := await reader.read(_READ):
                for facts, raw in parser.feed(data):
                    self._take(facts, raw)
        finally:
            self._writer.close()

    def _ask(self, op: str, **facts: Any) -> int:
        self._asked += 1
        if self._writer is not None:
            self._writer.write(wire.pack({"op": op, "id": self._asked, **facts}))
        return self._asked

    # What the run tells.

    def _take(self, facts: dict[str, Any], raw: bytes) -> None:
        kind = facts.get("kind")
        if kind in ("batch", "ticks"):
            self._batch(facts, raw)
        elif kind == "figures":
            self._figures(facts, raw)
        elif kind == "stream":
            self._schemas[facts["id"]] = pa.ipc.read_schema(pa.py_buffer(raw))
        elif kind == "info":
            self._begin(facts)
        elif kind == "refused":
            look = next((look for look in self.looks.values() if look.number == facts["id"]), None)
            if look is not None:
                look.refused = f"{facts['found']} — {facts['hint']}"

    def _begin(self, facts: dict[str, Any]) -> None:
        """A connection stands: ask for everything. What was there before belongs to the same run."""
        known = bool(self.info)
        edges = [(edge["from"].partition(".")[0], edge["to"]) for edge in facts["edges"]]
        drawing = layers(list(facts["nodes"]), edges)
        self.info = facts | {"drawing": {"columns": drawing.columns, "back": sorted(drawing.back)}}
        self.connected = True
        dt_s = facts["dt_ns"] / 1e9
        for name, outlet in facts["outlets"].items():
            if "." in name and not outlet["flows"]:
                continue
            if outlet["kind"] == "spikes":
                if not known:
                    self.spikes[name] = Spikes(outlet["size"], dt_s, self.budget)
                self._taps[self._ask("tap", outlet=name, together=TOGETHER_S, form="ticks")] = name
            else:
                chosen = list(range(min(outlet["size"], MOST_CHANNELS)))
                if not known:
                    self.samples[name] = Samples(chosen)
                self._taps[self._ask("tap", outlet=name, together=TOGETHER_S, indices=chosen)] = name
        for name, look in self.looks.items():
            look.number = self._ask("tap", together=TOGETHER_S, **json.loads(name))
            self._taps[look.number] = name
        self._ask("figures", every=FIGURES_S)

    def _batch(self, facts: dict[str, Any], raw: bytes) -> None:
        name = self._taps.get(facts["id"], "")
        self.lost[name] = facts["lost"]
        tick, index, value = self._ticks(facts, raw)
        if name in self.spikes:
            self.spikes[name].add(tick, index, facts["end"])
        elif name in self.looks:
            self.looks[name].samples.add(tick, index, value, facts["end"])
        elif name in self.samples:
            self.samples[name].add(tick, index, value, facts["end"])

    def _ticks(self, facts: dict[str, Any], raw: bytes) -> tuple[Any, Any, Any]:
        if facts["kind"] == "ticks":
            return *ticks_of(facts, raw), None
        if not raw:
            return np.zeros(0, np.int64), np.zeros(0, np.uint32), np.zeros(0, np.float32)
        t_ns, index, value = raw_columns(pa.ipc.read_record_batch(pa.py_buffer(raw), self._schemas[facts["id"]]))
        return (t_ns - self.info["origin_ns"]) // self.info["dt_ns"], index, value

    def _figures(self, facts: dict[str, Any], raw: bytes) -> None:
        before, self.figures = self.figures, facts
        seconds = facts["t"] - before["t"] if before else 0.0
        for name, one in facts["nodes"].items():
            for way in ("in", "out"):
                old = before["nodes"].get(name, {}).get(f"events_{way}", 0) if before else 0
                one[f"{way}_per_s"] = max(0.0, (one[f"events_{way}"] - old) / seconds) if seconds > 0 else 0.0
        for place, edge in enumerate(facts["edges"]):
            old = before["edges"][place]["events"] if before else 0
            edge["per_s"] = max(0.0, (edge["events"] - old) / seconds) if seconds > 0 else 0.0
        self.lines += facts["log"]
        times, at = np.frombuffer(raw, "<i8") / 1e9, 0
        for stage, count in facts["times"].items():
            self.window_times.setdefault(stage, Histogram()).add(times[at : at + count])
            at += count
        for name, node in self.info["nodes"].items():
            one = facts["nodes"].get(name, {})
            if node["role"] == "sink" and self.info["live"] and one.get("windows"):
                self.latencies.setdefault(name, Histogram()).add(np.array([max(0.0, one["lag_ms"] / 1e3)]))
        self.on_figures()

    # What viewers want besides.

    @property
    def now(self) -> int:
        """The tick up to which something is known."""
        ends = [*(stream.end for stream in self.spikes.values()), *(stream.end for stream in self.samples.values())]
        return max(ends, default=0)

    def look(self, outlet: str, indices: Sequence[int]) -> str:
        """Look at state variables of some neurons; the name to ask for them by.

        Raises:
            ValueError: too many are looked at already.
        """
        name = json.dumps({"outlet": outlet, "indices": list(indices)})
        if name in self.looks:
            self.looks[name].viewers += 1
            return name
        if len(self.looks) >= MOST_LOOKS:
            raise ValueError(f"{MOST_LOOKS} traces are looked at already")
        number = self._ask("tap", outlet=outlet, indices=list(indices), together=TOGETHER_S)
        self.looks[name] = Looked(Samples(list(indices)), number)
        self._taps[number] = name
        return name

    def look_away(self, name: str) -> None:
        """A viewer looks there no more."""
        look = self.looks.get(name)
        if look is None:
            return
        look.viewers -= 1
        if look.viewers <= 0:
            del self.looks[name]
            self._ask("cancel", of=look.number)
