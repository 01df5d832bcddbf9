"""The feed: shows a run on the terminal by telling the screen what to draw, ten times a second."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from typing import Any, Protocol

import numpy as np

from spikeflow.monitor.figures import Figures
from spikeflow.monitor.frames import Frame
from spikeflow.monitor.raster import Curve, Raster
from spikeflow.monitor.screen import curve_outlet, outlets
from spikeflow.runtime.engine import Engine

FRAMES_PER_S = 10
_COLUMN_S = 0.1
_COLUMNS_OF_A_RUN = 160
_LOG_LINES = 20


class Shows(Protocol):
    """What takes frames; a `Screen` does."""

    alive: bool

    def ready(self) -> bool:
        """Whether it takes a frame now."""

    def send(self, frame: Frame) -> None:
        """Take a frame."""

    def close(self, frame: Frame | None = None) -> None:
        """Take the last one."""


class Feed:
    """Looks at a run ten times a second and sends what it sees to a screen."""

    def __init__(self, engine: Engine, screen: Shows, view: str | None) -> None:
        self.screen = screen
        self.figures = Figures(engine)
        self._new_lines: list[str] = []
        self._raster: Raster | None = None
        spec = engine.spec
        column_ticks = _column_ticks(engine, self.figures.length_ns)
        if view is not None:
            self._raster = Raster(outlets(spec)[view].size, column_ticks)
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


def _column_ticks(engine: Engine, length_ns: int | None) -> int:
    """Ticks of a column: a tenth of a second as the clock goes; where the run goes as fast as it can, part of it."""
    speed = engine.options.speed
    column_ns = _COLUMN_S * 1e9
    if engine.live or (speed is not None and math.isfinite(speed)):
        column_ns *= speed or 1.0
    elif length_ns is not None:
        column_ns = min(column_ns, length_ns / _COLUMNS_OF_A_RUN)
    return max(1, round(column_ns / engine.spec.dt_ns))
