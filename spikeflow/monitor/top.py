"""`spikeflow top`: the terminal view of a run that is on already, fed through its control endpoint."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console

from spikeflow.errors import ConnectError, ParameterError, nearest
from spikeflow.events import raw_columns
from spikeflow.monitor.draw import Picture
from spikeflow.monitor.frames import Frame
from spikeflow.monitor.page.history import Budget, Part, Spikes
from spikeflow.monitor.raster import MOST_ROWS
from spikeflow.monitor.terminal import Paper
from spikeflow.runtime.runs import Attached

COLUMN_S = 0.1
_FIGURES_S = 0.2
_BUDGET = 64 * 1024 * 1024
_KEYS = "q leaves · space pauses · n and p choose whose spikes are shown"


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


class Top:
    """The view of one run; looks at one stream of spikes at a time."""

    def __init__(self, path: Path, view: str | None, console: Console) -> None:
        self._run = Attached(path)
        self._console = console
        self._info = self._run.ask("info")
        flowing = {name: outlet for name, outlet in self._info["outlets"].items() if outlet["flows"]}
        self._sizes = {name: outlet["size"] for name, outlet in flowing.items() if outlet["kind"] == "spikes"}
        if view is not None and view not in self._sizes:
            raise ParameterError(f"--view {view}: no spikes flow there", nearest(view, self._sizes))
        neurons = [name for name in self._sizes if self._info["nodes"][name.partition(".")[0]]["role"] == "neuron"]
        self._view = view or next(reversed(neurons or list(self._sizes)), None)
        self._lock = threading.Lock()
        self._tapped = 0
        self._ended = False
        self._paused = False
        self._before: dict[str, Any] | None = None
        self._facts: dict[str, Any] = rated(self._run.ask("figures"), None)
        self._new_lines: list[str] = [_KEYS]
        self._show()

    def _show(self) -> None:
        """Begin a picture of the stream that is chosen."""
        self.picture = Picture()
        column = max(1, round(COLUMN_S * 1e9 / self._info["dt_ns"]))
        size = self._sizes.get(self._view or "", 0)
        self._column, self._rows, self._next = column, min(size, MOST_ROWS), -1
        hello = {"graph": self._info["graph"], "view": self._view, "decoder": None, "size": size, "rows": self._rows}
        self.picture.take(Frame("hello", hello | {"column_s": column * self._info["dt_ns"] / 1e9}))
        self._spikes = Spikes(max(1, size), self._info["dt_ns"] / 1e9, Budget(_BUDGET))
        self._schema: pa.Schema | None = None
        if self._tapped:
            self._run.send("cancel", of=self._tapped)
        if self._view is not None:
            self._tapped = self._run.send("tap", outlet=self._view, together=COLUMN_S)

    def choose(self, step: int) -> None:
        """Look at the stream of spikes that comes after, or before."""
        names = list(self._sizes)
        if len(names) > 1 and self._view is not None:
            with self._lock:
                self._view = names[(names.index(self._view) + step) % len(names)]
                self._show()

    # What the run tells.

    def read(self) -> None:
        """Take all that comes, until the run ends; for a thread."""
        try:
            for facts, raw in self._run.frames():
                with self._lock:
                    self._take(facts, raw)
        except (ConnectError, ParameterError, OSError, ValueError) as error:
            self._new_lines.append(str(error))
        self._ended = True

    def _take(self, facts: dict[str, Any], raw: bytes) -> None:
        kind = facts.get("kind")
        if kind == "figures":
            lines = [f"{line['node']}: {line['text']}" for line in facts["log"]]
            self._facts, self._before = rated(facts, self._before), facts
            self._new_lines += lines
        elif facts.get("id") != self._tapped:
            return  # of a stream that was chosen before
        elif kind == "stream":
            self._schema = pa.ipc.read_schema(pa.py_buffer(raw))
        elif kind == "batch":
            tick, neuron = np.zeros(0, np.int64), np.zeros(0, np.uint32)
            if raw and self._schema is not None:
                t_ns, neuron, _ = raw_columns(pa.ipc.read_record_batch(pa.py_buffer(raw), self._schema))
                tick = (t_ns - self._info["origin_ns"]) // self._info["dt_ns"]
            if self._next < 0:  # what came before is not known
                self._next = -(-facts["first"] // self._column)
            self._spikes.add(tick, neuron, facts["end"])

    def frame(self) -> Frame:
        """What is new."""
        with self._lock:
            stop = self._spikes.end // self._column
            counts = np.zeros((0, self._rows), np.uint16)
            if self._rows and 0 <= self._next < stop:
                first = max(self._next, stop - 512)
                part = Part(0, self._spikes.size, self._rows, self._column, first, stop - first)
                counts, self._next = self._spikes.counts(part), stop
            lines, self._new_lines = self._new_lines, []
            return Frame("look", self._facts | {"log": lines, "curve": [None] * len(counts)}, counts)

    # Showing.

    def show(self) -> None:
        """Draw until the run ends or a key says so."""
        self._run.send("figures", every=_FIGURES_S)
        threading.Thread(target=self.read, name="frames", daemon=True).start()
        with _keys() as keys, Paper(self._console) as paper:
            while not self._ended:
                began = time.monotonic()
                frame = self.frame()
                if not self._paused:
                    self.picture.take(frame)
                    paper.paint(self.picture)
                rest = max(COLUMN_S - (time.monotonic() - began), 3 * (time.monotonic() - began))
                if not self._heed(keys(rest)):
                    break
        said = "the run has ended" if self._ended else "left; the run goes on"
        self._console.print(f"{self._info['graph']}: {said}", highlight=False)

    def _heed(self, key: str) -> bool:
        """Do what a key says; False where that is to leave."""
        if key in ("q", "\x03", "\x1b"):
            return False
        if key == " ":
            self._paused = not self._paused
        elif key in ("n", "p"):
            self.choose(1 if key == "n" else -1)
        return True


def _nothing(rest: float) -> str:
    time.sleep(rest)
    return ""


@contextlib.contextmanager
def _keys() -> Iterator[Any]:
    """A function that waits so many seconds for a key, and gives it as it is pressed; none where no terminal is."""
    number = sys.stdin.fileno()
    if not os.isatty(number):
        yield _nothing
        return
    before = termios.tcgetattr(number)
    tty.setcbreak(number)
    try:
        yield lambda rest: os.read(number, 1).decode("latin-1") if select.select([number], [], [], rest)[0] else ""
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)
