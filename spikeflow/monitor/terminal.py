"""The process that draws: frames on standard input, a picture on standard output, until the frames end."""

from __future__ import annotations

import signal
import sys
import threading
from queue import SimpleQueue
from types import FrameType
from typing import IO

from rich.console import Console
from rich.live import Live

from spikeflow.monitor.draw import Look, Picture
from spikeflow.monitor.frames import Frame, read


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
    with Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        while frame is not None and frame.kind != "end":
            picture.take(frame)
            if frames.empty():  # one that is behind draws the newest only
                live.update(picture, refresh=True)
            frame = frames.get()
    if frame is not None:
        picture.take(frame)
        console.print(picture.summary(console.width, Look.of(console)))
    return 0


def _read_all(stream: IO[bytes], frames: SimpleQueue[Frame | None]) -> None:
    while (frame := read(stream)) is not None:
        frames.put(frame)
    frames.put(None)


if __name__ == "__main__":
    sys.exit(main())
