"""Programs on a terminal of their own, for tests that look at what a person would see."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_PATIENCE_S = 60.0
_COLOURS = re.compile("\x1b\\[[0-9;]*m")
_DRAWN = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONUNBUFFERED": "1"}


class Terminal:
    """A program whose standard output and error are a terminal.

    Attributes:
        process: the program.
        seen: all that it has written so far.
    """

    def __init__(
        self, command: Sequence[str], *, width: int = 80, height: int = 24, stdin: Any = None, **env: str
    ) -> None:
        self._main, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdin=other if stdin is None else stdin,
            stdout=other,
            stderr=other,
            env=environment | _DRAWN | env,
            cwd=Path(__file__).parent.parent,
            start_new_session=True,
        )
        os.close(other)
        self.seen = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._main)

    @property
    def text(self) -> str:
        """What was written, without colours."""
        return _COLOURS.sub("", self.seen)

    def _more(self, deadline: float) -> bool:
        """Read what is there; False once nobody can write any more."""
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self._main], [], [], left)[0]:
            raise AssertionError(f"nothing more came; so far:\n{self.seen[-4000:]}")
        try:
            data = os.read(self._main, 65536)
        except OSError:  # Linux says so when the last one that could write has gone
            return False
        self.seen += data.decode("utf-8", "replace")
        return bool(data)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._main, keys.encode())

    def until(self, text: str) -> str:
        """Wait until `text` has been written."""
        return self.until_matches(re.escape(text))

    def until_matches(self, pattern: str) -> str:
        """Wait until something that the pattern matches has been written."""
        deadline = time.monotonic() + _PATIENCE_S
        while not re.search(pattern, self.text):
            assert self._more(deadline), f"it ended without {pattern!r}:\n{self.seen[-4000:]}"
        return self.seen

    def end(self) -> int:
        """Wait for the end: the exit code."""
        deadline = time.monotonic() + _PATIENCE_S
        while self._more(deadline):
            pass
        return self.process.wait(max(0.1, deadline - time.monotonic()))
