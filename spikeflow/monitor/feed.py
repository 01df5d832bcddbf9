"""The feed: shows a run on the terminal by telling a process of its own what to draw, without ever waiting for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import select
import subprocess
import sys
import time
from collections import deque
from typing import Any

import numpy as np

from spikeflow.errors import ParameterError, nearest
from spikeflow.monitor.figures import Figures
from spikeflow.monitor.frames import Frame, pack
from spikeflow.monitor.raster import Curve, Raster
from spikeflow.runtime.engine import Engine
from spikeflow.spec import GraphSpec

FRAMES_PER_S = 10
_COLUMN_S = 0.1
_COLUMNS_OF_A_RUN = 160
_LOG_LINES = 20
_PATIENCE_S = 2.0
_RESTORE = "\x1b[?1049l\x1b[?25h\x1b[0m"


class Screen:
    """The process that draws; started early, so that it is ready when the graph is."""

    def __init__(self, *, debug: bool = False) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "spikeflow.monitor.terminal"],
            stdin=subprocess.PIPE,
            stderr=None if debug else subprocess.DEVNULL,
            start_new_session=True,  # ctrl-C is for the run, which tells the screen when to go
        )
        assert self._process.stdin is not None
        self._pipe = self._process.stdin.fileno()
        os.set_blocking(self._pipe, False)
        self._rest = b""
        self.alive = True
        self.begun = False

    def ready(self) -> bool:
        """Whether it takes a frame now; one that is behind does not, and nobody waits for it."""
        return self.alive and self._flush()

    def send(self, frame: Frame) -> None:
        """Hand a frame over to a screen that is ready."""
        self._rest += pack(frame)
        self.begun = True
        self._flush()

    def _flush(self) -> bool:
        """Whether nothing is left to write."""
        while self._rest:
            try:
                written = os.write(self._pipe, self._rest)
            except BlockingIOError:
                return False
            except OSError:
                self.lost()
                return False
            self._rest = self._rest[written:]
        return True

    def lost(self) -> None:
        """The process has died: give the terminal back."""
        if self.alive:
            self.alive = False
            if self.begun:
                restore_terminal()

    def close(self, frame: Frame | None = None) -> None:
        """Show the last frame, and end the process; kills it where it does not end by itself."""
        deadline = time.monotonic() + _PATIENCE_S
        for last in (b"", pack(frame) if frame is not None else b""):
            self._rest += last
            while self.alive and not self._flush() and time.monotonic() < deadline:
                select.select((), (self._pipe,), (), 0.1)
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            ended_well = self._process.wait(max(0.1, deadline - time.monotonic())) == 0
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            ended_well = False
        if not ended_well:
            self.lost()
        self.alive = False

    @property
    def process_id(self) -> int:
        """The id of the process that draws."""
        return self._process.pid


class Feed:
    """Looks at a run ten times a second and sends what it sees to a screen."""

    def __init__(self, engine: Engine, screen: Screen, view: str | None) -> None:
        self.screen = screen
        self.figures = Figures(engine)
        self._new_lines: list[str] = []
        self._raster: Raster | None = None
        spec = engine.spec
        column_ticks = _column_ticks(engine, self.figures.length_ns)
        if view is not None:
            self._raster = Raster(_outlets(spec)[view].size, column_ticks)
            engine.watch(view, self._raster.watch)
        decoder = curve_outlet(spec) if view is not None else None
        self._curve = Curve(column_ticks)
        if decoder is not None:
            engine.watch(decoder, self._curve.watch)
        facts = {"graph": spec.name, "view": view, "decoder": decoder, "column_s": column_ticks * spec.dt_ns / 1e9}
        facts |= {"size": self._raster.size, "rows": self._raster.rows} if self._raster else {"size": 0, "rows": 0}
        screen.send(Frame("hello", facts))

    async def run(self) -> None:
        """Send a frame ten times a second, until it is cancelled or the screen is gone."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while self.screen.alive:
            if self.screen.ready():
                self.screen.send(self._frame("look"))
            due = max(due + 1 / FRAMES_PER_S, loop.time())
            await asyncio.sleep(due - loop.time())

    def _frame(self, kind: str, **more: Any) -> Frame:
        first, counts = self._raster.take() if self._raster else (0, np.zeros((0, 0), np.uint16))
        curve = self._curve.take(first, len(counts))
        facts = self.figures.look() | {"first": first, "curve": curve, "log": self._new_lines, **more}
        self._new_lines = []
        return Frame(kind, facts, counts)

    def log(self, line: str) -> None:
        """Show a line of the log."""
        self._new_lines = [*self._new_lines, line][-_LOG_LINES:]

    def close(self, ended: str) -> None:
        """Send the last frame, and leave its table on the terminal."""
        self.screen.close(self._frame("end", ended=ended))


class LogLines(logging.Handler):
    """Puts the log into the view, where it would else tear the picture.

    Attributes:
        kept: the last warnings and errors, for when the view is gone.
    """

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self.kept: deque[str] = deque(maxlen=_LOG_LINES)
        self._feed = feed
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record."""
        line = "".join(c if c.isprintable() else "�" for c in self.format(record))
        self._feed.log(line)
        if record.levelno >= logging.WARNING:
            self.kept.append(line)


def _outlets(spec: GraphSpec) -> dict[str, Any]:
    return {
        f"{name}.{port}" if port else name: s for name, node in spec.nodes.items() for port, s in node.outlets.items()
    }


def view_outlet(spec: GraphSpec, wish: str | None) -> str | None:
    """The spikes to show: those that are asked for, else the last population's, else the last ones there are.

    Raises:
        ParameterError: there is no such outlet, or it carries no spikes.
    """
    found = {name: stream for name, stream in _outlets(spec).items() if stream.kind == "spikes"}
    if wish is not None:
        if wish in found:
            return wish
        if wish in _outlets(spec):
            raise ParameterError(f"--view {wish}: it carries samples, not spikes", nearest("", found))
        raise ParameterError(f"--view {wish}: there is no such node", nearest(wish, found))
    neurons = [name for name in found if spec.nodes[name.partition(".")[0]].role == "neuron"]
    return next(reversed(neurons or list(found)), None)


def curve_outlet(spec: GraphSpec) -> str | None:
    """The samples to draw as a curve: those of the last decoder."""
    return next((name for name, node in reversed(spec.nodes.items()) if node.role == "decoder"), None)


def _column_ticks(engine: Engine, length_ns: int | None) -> int:
    """Ticks of a column: a tenth of a second as the clock goes; where the run goes as fast as it can, part of it."""
    speed = engine.options.speed
    column_ns = _COLUMN_S * 1e9
    if engine.live or (speed is not None and math.isfinite(speed)):
        column_ns *= speed or 1.0
    elif length_ns is not None:
        column_ns = min(column_ns, length_ns / _COLUMNS_OF_A_RUN)
    return max(1, round(column_ns / engine.spec.dt_ns))


def restore_terminal() -> None:
    """Leave the second screen and show the cursor, for one who could not do so itself."""
    if sys.stdout.isatty():
        sys.stdout.write(_RESTORE)
        sys.stdout.flush()
