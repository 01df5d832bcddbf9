"""Make docs/terminal.svg: the terminal view of a real run of graphs/host.yaml, in whose midst a core gets busy.

python docs/terminal_picture.py
"""

from __future__ import annotations

import asyncio
import io
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from spikeflow.monitor.draw import Picture
from spikeflow.monitor.feed import Feed
from spikeflow.monitor.frames import Frame
from spikeflow.runtime.engine import Engine, Options, fast_loop
from spikeflow.spec import load

HERE = Path(__file__).parent
WIDTH, HEIGHT = 100, 30
BEFORE_S, BUSY_S, AFTER_S = 7.0, 3.0, 2.5
BUSY = "import time\nend = time.monotonic() + float(__import__('sys').argv[1])\nwhile time.monotonic() < end: pass"


class Recorder:
    """Takes frames where a run's screen would."""

    def __init__(self) -> None:
        self.alive = True
        self.picture = Picture()

    def ready(self) -> bool:
        """Always."""
        return True

    def send(self, frame: Frame) -> None:
        """Take a frame in."""
        self.picture.take(frame)

    def close(self, frame: Frame | None = None) -> None:
        """Nothing to end."""


async def watch() -> Picture:
    """Run the graph; one core is busy for a while."""
    engine = Engine(load(HERE.parent / "graphs" / "host.yaml", env={}), Options(seconds=BEFORE_S + BUSY_S + AFTER_S))
    recorder = Recorder()
    shown = asyncio.create_task(Feed(engine, recorder, "hidden").run())
    run = asyncio.create_task(engine.run())
    await asyncio.sleep(BEFORE_S)
    with subprocess.Popen([sys.executable, "-c", BUSY, str(BUSY_S)]) as busy:  # noqa: ASYNC220 - a script
        await asyncio.sleep(BUSY_S + AFTER_S - 0.3)
        picture = recorder.picture
        shown.cancel()
        await run
        busy.wait()
    return picture


def main() -> None:
    """Draw the last frame as an SVG that needs no font from elsewhere."""
    with fast_loop() as runner:
        picture = runner.run(watch())
    console = Console(
        record=True, width=WIDTH, height=HEIGHT, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(picture, end="")
    svg = console.export_svg(title="spikeflow run graphs/host.yaml", theme=MONOKAI)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    (HERE / "terminal.svg").write_text(svg)


if __name__ == "__main__":
    main()
