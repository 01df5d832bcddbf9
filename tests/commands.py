"""`spikeflow run` as a process of its own, whose lines can be waited for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

PATIENCE_S = 40.0


class Running:
    """A graph that runs in a folder.

    Args:
        folder: the working directory.
        arguments: what follows `spikeflow run`.
        env: variables of the environment.

    Attributes:
        said: the lines of standard error so far.
        lines: the JSON lines of standard output so far.
    """

    def __init__(self, folder: Path, *arguments: str, **env: str) -> None:
        self.said: list[str] = []
        self.lines: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "spikeflow", "run", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**os.environ, **env},
        )
        assert self.process.stdout is not None and self.process.stderr is not None
        takes = ((self.process.stdout, self._put_line), (self.process.stderr, self.said.append))
        self._readers = [threading.Thread(target=self._read, args=take, daemon=True) for take in takes]
        for reader in self._readers:
            reader.start()

    def _put_line(self, line: str) -> None:
        self.lines.append(json.loads(line))

    def _read(self, stream: IO[str], put: Callable[[str], None]) -> None:
        for line in stream:
            with self._news:
                put(line.rstrip("\n"))
                self._news.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.kill()
        self.end()

    def says(self, part: str, times: int = 1) -> str:
        """The line of standard error that is the n-th one with `part` in it, once it is there."""
        return str(self._wait(lambda: [line for line in self.said if part in line], times, part))

    def shows(self, when: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The nodes of the first JSON line, of those to come, for which `when` holds."""
        first = len(self.lines)
        found: dict[str, Any] = self._wait(
            lambda: [line["nodes"] for line in self.lines[first:] if "nodes" in line and when(line["nodes"])],
            1,
            "lines",
        )
        return found

    def _wait(self, look: Callable[[], list[Any]], times: int, what: str) -> Any:
        with self._news:
            there = self._news.wait_for(lambda: len(look()) >= times, PATIENCE_S)
            assert there, f"waited for {what!r} in vain; what was said:\n" + "\n".join(self.said)
            return look()[times - 1]

    def end(self) -> int:
        """The exit code, once the process is gone and all its lines are read."""
        code: int = self.process.wait(PATIENCE_S)
        for reader in self._readers:
            reader.join(PATIENCE_S)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return code

    @property
    def report(self) -> dict[str, Any]:
        """The report, once it has ended."""
        found: dict[str, Any] = self.lines[-1]["report"]
        return found


def accounted(counts: dict[str, Any]) -> int:
    """What became of the events that a node accepted: processed, rejected and dropped."""
    lost = (*counts.get("rejected", {}).values(), *counts.get("dropped", {}).values())
    return int(counts["processed"] + sum(lost))
