"""A run that is on, looked at from outside: its figures, and one stream of its spikes, as a picture that grows."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from spikeflow.errors import ConnectError, ParameterError, nearest
from spikeflow.events import Batch, Grid, Window, raw_columns
from spikeflow.monitor.draw import Picture
from spikeflow.monitor.frames import Frame
from spikeflow.monitor.raster import MOST_ROWS, Curve, Raster
from spikeflow.runtime.runs import Attached
from spikeflow.runtime.taps import ticks_of

COLUMN_S = 0.1
KEPT = 6000
"""Columns to go back to: ten minutes."""
_FIGURES_S = 0.2


def rated(figures: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
    """What a run tells, with rates since the time before, in the words of `Figures.look`."""
    nodes = figures["nodes"]
    seconds = figures["t"] - before["t"] if before is not None else 0.0
    for name, one in nodes.items():
        for way in ("in", "out"):
            old = before["nodes"].get(name, {}).get(f"events_{way}", 0) if before is not None else 0
            grown = one[f"events_{way}"] - old
            one[f"{way}_per_s"] = round(grown / seconds, 1) if seconds > 0 else 0.0
    return {
        "elapsed": round(figures["elapsed"], 3),
        "progress": None,
        "events_per_s": round(sum(one["out_per_s"] for one in nodes.values()), 1),
        "lag_ms": max((one["lag_ms"] for one in nodes.values()), default=0.0),
        "nodes": nodes,
    }


def once(path: Path, seconds: float = 1.0) -> dict[str, Any]:
    """The figures of a run, with rates over the last `seconds`.

    Raises:
        ConnectError: the run does not answer.
    """
    with Attached(path) as run:
        graph = run.ask("info")["graph"]
        before = run.ask("figures")
        time.sleep(seconds)
        figures = run.ask("figures")
    return {"t": figures["t"], "run": path.stem, "graph": graph, **rated(figures, before)}


class Watched:
    """A run that is looked at; one stream of spikes at a time. What comes is read in a thread of its own.

    Args:
        path: the socket of the run.
        view: whose spikes to show first; the last population's unless said.

    Attributes:
        graph: the name of the graph.
        outlets: what carries spikes.
        view: whose spikes are shown; None where there are none at all.
        picture: what there is to see.
        ended: whether the run has told all that it ever will.

    Raises:
        ConnectError: the run does not answer.
        ParameterError: no spikes flow from `view`.
    """

    def __init__(self, path: Path, view: str | None = None) -> None:
        self._run = Attached(path)
        info = self._run.ask("info")
        self.graph: str = info["graph"]
        self._grid = Grid(info["origin_ns"], info["dt_ns"], max(1, info["window_ns"] // info["dt_ns"]))
        self._column = max(1, round(COLUMN_S * 1e9 / info["dt_ns"]))
        flowing = {name: outlet for name, outlet in info["outlets"].items() if outlet["flows"]}
        self._sizes = {name: outlet["size"] for name, outlet in flowing.items() if outlet["kind"] == "spikes"}
        self.outlets: Sequence[str] = list(self._sizes)
        if view is not None and view not in self._sizes:
            raise ParameterError(f"--view {view}: no spikes flow there", nearest(view, self._sizes))
        roles = {name: info["nodes"][name.partition(".")[0]]["role"] for name in flowing}
        neurons = [name for name in self._sizes if roles[name] == "neuron"]
        decoders = [name for name, role in roles.items() if role == "decoder" and flowing[name]["kind"] == "samples"]
        self._decoder = next(reversed(decoders), None) if self._sizes else None
        self._lock = threading.Lock()
        self._taps: dict[int, str] = {}
        self._schemas: dict[int, pa.Schema] = {}
        self._before: dict[str, Any] | None = None
        self._facts: dict[str, Any] = rated(self._run.ask("figures"), None)
        self._new_lines: list[str] = []
        self.ended = False
        self.view: str | None = None
        self.picture = Picture()
        self.choose(view or next(reversed(neurons or list(self._sizes)), None))

    def choose(self, view: str | None) -> None:
        """Begin a picture of this stream's spikes."""
        with self._lock:
            self.view = view
            size = self._sizes.get(view or "", 0)
            hello = {"graph": self.graph, "view": view, "decoder": self._decoder, "size": size}
            hello |= {"rows": min(size, MOST_ROWS), "column_s": self._column * self._grid.dt_ns / 1e9}
            self.picture, self.picture.lines = Picture(KEPT), self.picture.lines
            self.picture.take(Frame("hello", hello))
            self._raster: Raster | None = None
            self._curve = Curve(self._column)
            chosen = [name for name in (view, self._decoder) if name is not None]
            with contextlib.suppress(ConnectError):  # it has just ended, and the thread that reads says so
                for number in self._taps:
                    self._run.send("cancel", of=number)
                self._taps = {
                    self._run.send("tap", outlet=name, together=COLUMN_S, form="ticks"): name for name in chosen
                }
        self.look()

    def begin(self) -> None:
        """Ask for figures, and read all that comes until the run ends."""
        self._run.send("figures", every=_FIGURES_S)
        threading.Thread(target=self._read, name="frames", daemon=True).start()

    def look(self) -> None:
        """Put what is new into the picture."""
        with self._lock:
            first, counts = self._raster.take() if self._raster is not None else (0, np.zeros((0, 0), np.uint16))
            curve = self._curve.take(first, len(counts))
            lines, self._new_lines = self._new_lines, []
            self.picture.take(Frame("look", self._facts | {"log": lines, "curve": curve}, counts))

    # What the run tells.

    def _read(self) -> None:
        try:
            for facts, raw in self._run.frames():
                with self._lock:
                    self._take(facts, raw)
        except (ConnectError, ParameterError, OSError, ValueError) as error:
            with self._lock:
                self._new_lines.append(str(error))
        self.ended = True

    def _take(self, facts: dict[str, Any], raw: bytes) -> None:
        kind = facts.get("kind")
        if kind == "figures":
            lines = [f"{line['node']}: {line['text']}" for line in facts["log"]]
            self._facts, self._before = rated(facts, self._before), facts
            self._new_lines += lines
        elif facts.get("id") not in self._taps:
            return  # of a stream that was chosen before
        elif kind == "stream":
            self._schemas[facts["id"]] = pa.ipc.read_schema(pa.py_buffer(raw))
        elif kind in ("batch", "ticks"):
            self._note(facts, raw)

    def _note(self, facts: dict[str, Any], raw: bytes) -> None:
        """Count the events of a tap."""
        schema = self._schemas[facts["id"]]
        window = Window.at(self._grid, facts["first"], max(1, facts["end"] - facts["first"]))
        if facts["kind"] == "ticks":
            tick, neuron = ticks_of(facts, raw)
            batch = Batch(window, schema, tick * self._grid.dt_ns + self._grid.origin_ns, neuron, None)
        elif raw:
            batch = Batch(window, schema, *raw_columns(pa.ipc.read_record_batch(pa.py_buffer(raw), schema)))
        else:
            batch = Batch(window, schema, np.zeros(0, np.int64), np.zeros(0, np.uint32), None)
        name = self._taps[facts["id"]]
        if name == self._decoder:
            self._curve.watch(batch)
            return
        if self._raster is None:  # what came before is not known
            self._raster = Raster(self._sizes[name], self._column, first=-(-facts["first"] // self._column))
        self.picture.missed = facts["lost"]
        self._raster.watch(batch)
