"""The screen: the process that draws, seen from the run, which never waits for it; and what there is to show."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time

from spikeflow.errors import ParameterError, nearest
from spikeflow.events import Stream
from spikeflow.monitor.frames import Frame, pack
from spikeflow.spec import GraphSpec

_COMMAND = ("-m", "spikeflow.monitor.terminal")
_PATIENCE_S = 2.0
_RESTORE = "\x1b[?1049l\x1b[?25h\x1b[0m"


class Screen:
    """The process that draws; started early, so that it is ready when the graph is."""

    def __init__(self, *, debug: bool = False) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *_COMMAND],
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


def restore_terminal() -> None:
    """Leave the second screen and show the cursor, for one who could not do so itself."""
    if sys.stdout.isatty():
        sys.stdout.write(_RESTORE)
        sys.stdout.flush()


def outlets(spec: GraphSpec) -> dict[str, Stream]:
    """Every outlet of a graph: ``node`` or ``node.port``, and its stream."""
    return {
        f"{name}.{port}" if port else name: s for name, node in spec.nodes.items() for port, s in node.outlets.items()
    }


def view_outlet(spec: GraphSpec, wish: str | None) -> str | None:
    """The spikes to show: those that are asked for, else the last population's, else the last ones there are.

    Raises:
        ParameterError: there is no such outlet, or it carries no spikes.
    """
    found = {name: stream for name, stream in outlets(spec).items() if stream.kind == "spikes"}
    if wish is not None:
        if wish in found:
            return wish
        if wish in outlets(spec):
            raise ParameterError(f"--view {wish}: it carries samples, not spikes", nearest("", found))
        raise ParameterError(f"--view {wish}: there is no such node", nearest(wish, found))
    neurons = [name for name in found if spec.nodes[name.partition(".")[0]].role == "neuron"]
    return next(reversed(neurons or list(found)), None)


def curve_outlet(spec: GraphSpec) -> str | None:
    """The samples to draw as a curve: those of the last decoder."""
    return next((name for name, node in reversed(spec.nodes.items()) if node.role == "decoder"), None)
