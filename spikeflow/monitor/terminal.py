"""The process that draws: frames on standard input, a picture on standard output, until the frames end."""

from __future__ import annotations

import signal
import sys
import threading
import time
from queue import SimpleQueue
from types import FrameType
from typing import IO

from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment

from spikeflow.monitor.draw import Line, Look, Picture, in_ascii
from spikeflow.monitor.frames import Frame, read

_SYSTEMS = {"standard": ColorSystem.STANDARD, "256": ColorSystem.EIGHT_BIT, "truecolor": ColorSystem.TRUECOLOR}
_FEW = 12
_REST = 3.0
"""Pause after drawing, in units of the time that took: at most a quarter of a core is used."""


def main() -> int:
    """Draw until the last frame; whatever happens, the terminal is given back."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    # unbuffered: a buffer's lock, held by the thread that reads, would abort the interpreter on its way out
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as stream:
        return show(stream, Console(highlight=False))


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def show(stream: IO[bytes], console: Console) -> int:
    """Draw the frames of `stream` on `console`; what stays is the last table."""
    frames: SimpleQueue[Frame | None] = SimpleQueue()
    threading.Thread(target=_read_all, args=(stream, frames), name="frames", daemon=True).start()
    picture = Picture()
    frame = frames.get()
    if frame is None:
        return 0
    with Paper(console) as paper:
        while frame is not None and frame.kind != "end":
            picture.take(frame)
            if frames.empty():  # one that is behind draws the newest only
                began = time.monotonic()
                paper.paint(picture)
                time.sleep((time.monotonic() - began) * _REST)
            frame = frames.get()
    if frame is not None:
        picture.take(frame)
        console.print(picture.summary(console.width, Look.of(console)))
    return 0


class Paper:
    """The terminal's second screen. Lines that have not changed are left alone.

    Rich's own live display measures and crops every segment anew: 49 ms for a lively raster on 200 by 60 cells.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._system = _SYSTEMS.get(console.color_system or "")
        self._look = Look.of(console)
        self._painted: list[str] = []
        self._size: tuple[int, int] = (0, 0)

    def __enter__(self) -> Paper:
        self._console.set_alt_screen(True)
        self._console.show_cursor(False)
        return self

    def __exit__(self, *error: object) -> None:
        self._console.set_alt_screen(False)
        self._console.show_cursor(True)

    def paint(self, picture: Picture) -> None:
        """Draw a picture as large as the terminal is now."""
        width, height = self._console.size
        lines = [self._text(line, width) for line in picture.draw(width, height, self._look)]
        told = []
        if self._size != (width, height):
            self._size, self._painted = (width, height), [""] * height
            told.append("\x1b[0m\x1b[2J")
        for number, (new, old) in enumerate(zip(lines, self._painted, strict=True), start=1):
            if new != old:
                told.append(f"\x1b[{number};1H{new}")
        self._painted = lines
        self._console.file.write("".join(told))
        self._console.file.flush()

    def _text(self, line: Line, width: int) -> str:
        """A line with its colours; what stood behind its end is erased."""
        if len(line) < _FEW:  # a line of the raster is as wide as it shall be, and costly to measure
            line = Segment.adjust_line_length(line, width, pad=False)
        shown = ((s.text if self._look.blocks else in_ascii(s.text), s.style) for s in line)
        if not self._look.colour:
            shown = ((text, style.without_color if style else None) for text, style in shown)
        text = "".join(style.render(text, color_system=self._system) if style else text for text, style in shown)
        return text + "\x1b[K" if sum(len(s.text) for s in line) < width else text


def _read_all(stream: IO[bytes], frames: SimpleQueue[Frame | None]) -> None:
    while (frame := read(stream)) is not None:
        frames.put(frame)
    frames.put(None)


if __name__ == "__main__":
    sys.exit(main())
