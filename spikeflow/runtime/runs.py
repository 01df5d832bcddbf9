"""Runs: where each one listens, which there are, and a connection to one."""

from __future__ import annotations

import os
import re
import socket
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from spikeflow import wire
from spikeflow.errors import ConnectError, ParameterError, nearest

_NAME = re.compile(r"(\d+)(-\d+)?\.sock")
_PATIENCE_S = 5.0
_LONGEST_PATH = 100
"""A socket's path must not be much longer anywhere."""


def folder() -> Path:
    """The folder of the sockets of this user's runs, which nobody else can enter; made where it is missing.

    Raises:
        ConnectError: it cannot be made, or is somebody else's.
    """
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    own = Path(base) / "spikeflow" if base and Path(base).is_dir() else None
    place = own or Path(tempfile.gettempdir()) / f"spikeflow-{os.getuid()}"
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        found = place.lstat()
    except OSError as error:
        raise ConnectError(f"{place}: {error.strerror}; set XDG_RUNTIME_DIR to a folder of your own") from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ConnectError(f"{place} is not a folder of yours; set XDG_RUNTIME_DIR to one that is")
    if stat.S_IMODE(found.st_mode) & 0o077:
        place.chmod(0o700)
    return place


def listening() -> socket.socket:
    """A new socket that listens in the folder, for its owner alone.

    Raises:
        ConnectError: there can be none.
    """
    place = folder()
    number = 0
    while (path := place / (f"{os.getpid()}-{number}.sock" if number else f"{os.getpid()}.sock")).exists():
        if not _answers(path):
            path.unlink(missing_ok=True)  # of a process that had this number before
            break
        number += 1
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise ConnectError(f"{path}: this path is too long for a socket; set XDG_RUNTIME_DIR to a shorter one")
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.bind(str(path))
        path.chmod(0o600)
        made.listen(64)
        made.setblocking(False)
    except OSError as error:
        made.close()
        raise ConnectError(f"{path}: {error.strerror}") from None
    return made


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.settimeout(_PATIENCE_S)
        try:
            one.connect(str(path))
        except OSError:
            return False
    return True


def paths() -> list[Path]:
    """The sockets of this user's runs; those whose run has died are removed."""
    found = []
    for path in sorted(folder().iterdir()):
        if _NAME.fullmatch(path.name):
            if _answers(path):
                found.append(path)
            else:
                path.unlink(missing_ok=True)
    return found


@dataclass(frozen=True, slots=True)
class Found:
    """A run that is on.

    Attributes:
        path: its socket.
        facts: what it says of itself, as `Control` tells.
    """

    path: Path
    facts: dict[str, Any]

    @property
    def name(self) -> str:
        """What tells it from others: the number of its process, and of the run where that has several."""
        return self.path.stem


def runs() -> tuple[list[Found], list[str]]:
    """The runs of this user that are on, and the names of those that do not answer in time, being busy or stopped."""
    found, mute = [], []
    for path in paths():
        try:
            with Attached(path) as run:
                found.append(Found(path, run.ask("info")))
        except ConnectError:
            if path.exists():
                mute.append(path.stem)
    return found, mute


def one_run(wish: str | None) -> Path:
    """The socket of the run that is meant: by its number, by the name of its graph, or by its path.

    Raises:
        ConnectError: no run is on.
        ParameterError: there is no such run, or it is not clear which.
    """
    if wish is not None and "/" in wish:
        return Path(wish)
    there, mute = runs()
    if mute and (wish in mute or not there):
        raise ConnectError(f"run {', '.join(mute)} does not answer; it is busy, or has been stopped")
    if not there:
        raise ConnectError("no graph runs; spikeflow run GRAPH starts one")
    names = {found.name: found for found in there}
    if wish is None:
        if len(there) == 1:
            return there[0].path
        said = ", ".join(f"{one.name} ({one.facts['graph']})" for one in there)
        raise ParameterError(f"{len(there)} graphs run", f"say which: {said}")
    if wish in names:
        return names[wish].path
    called = [one for one in there if one.facts["graph"] == wish]
    if len(called) == 1:
        return called[0].path
    if called:
        said = ", ".join(one.name for one in called)
        raise ParameterError(f"{len(called)} runs of {wish!r}", f"say which: {said}")
    raise ParameterError(f"no run {wish!r}", nearest(wish, [*names, *(one.facts["graph"] for one in there)]))


class Attached:
    """A connection to a run, for programs that wait for its answers.

    Raises:
        ConnectError: nothing listens there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_PATIENCE_S)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise ConnectError(f"{path}: {error.strerror or error}; does its graph still run?") from None
        self._stream = self._socket.makefile("rb")
        self._asked = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stream.close()
        self._socket.close()

    def send(self, op: str, **facts: Any) -> int:
        """Ask for something; the number that its answers carry.

        Raises:
            ConnectError: the run has gone.
        """
        self._asked += 1
        try:
            self._socket.sendall(wire.pack({"op": op, "id": self._asked, **facts}))
        except OSError as error:
            raise ConnectError(f"{self.path}: {error.strerror or error}; does its graph still run?") from None
        return self._asked

    def ask(self, op: str, **facts: Any) -> dict[str, Any]:
        """The one answer to a question.

        Raises:
            ConnectError: the run does not answer.
            ParameterError: it refuses.
        """
        number = self.send(op, **facts)
        for answer, _ in self.frames(_PATIENCE_S):
            if answer.get("id") == number:
                return answer
        raise ConnectError(f"{self.path}: the run has ended")

    def frames(self, patience: float | None = None) -> Iterator[tuple[dict[str, Any], bytes]]:
        """What the run tells, until it ends.

        Raises:
            ConnectError: nothing comes for `patience` seconds, or what comes is no frame.
            ParameterError: the run refuses something.
        """
        self._socket.settimeout(patience)
        while True:
            try:
                found = wire.read(self._stream)
            except TimeoutError:
                raise ConnectError(f"{self.path}: the run did not answer in {patience:g} s") from None
            except ConnectionError:
                return
            except wire.WireError as error:
                raise ConnectError(f"{self.path}: {error}") from None
            if found is None:
                return
            if found[0].get("kind") == "refused":
                raise ParameterError(found[0]["found"], found[0]["hint"])
            yield found
