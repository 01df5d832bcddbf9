"""The error tree: every error says where it is, what was found and what would work."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError


class SpikeflowError(Exception):
    """The base of every error that spikeflow raises on purpose."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a graph file; lines and columns count from one."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, as a node or a model reports it before anything starts.

    Attributes:
        path: keys and indices that lead from the node to the value, such as ``("inputs", 0, "weights")``.
        found: what is there.
        hint: what would work.
        warning: True where the graph runs all the same.
    """

    path: tuple[str | int, ...]
    found: str
    hint: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.found} — {self.hint}"


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem at its place in a graph."""

    found: str
    hint: str
    at: Position | None = None
    node: str | None = None

    def __str__(self) -> str:
        place = f"{self.at}: " if self.at else ""
        node = f'node "{self.node}": ' if self.node else ""
        return f"{place}{node}{self.found} — {self.hint}"


class GraphError(SpikeflowError):
    """A graph that cannot start; holds every finding, in the order of the file."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


class ParameterError(SpikeflowError, ValueError):
    """A value that a field, a model or a projection cannot take; raised inside pydantic validators too."""

    def __init__(self, found: str, hint: str) -> None:
        self.found, self.hint = found, hint
        super().__init__(f"{found} — {hint}")


class EventError(SpikeflowError, ValueError):
    """Events that break the rules of their stream: schema, order, bounds."""


class PayloadError(SpikeflowError, ValueError):
    """Bytes from the world that cannot be read as events; `reason` is the key they are counted under."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}" if detail else reason)


class ConnectError(SpikeflowError):
    """A broker, file or device that could not be opened in time."""


class RefusedError(ConnectError):
    """A broker that says no, and would say so again."""


class NodeError(SpikeflowError):
    """A node failed while the graph ran."""

    def __init__(self, node: str, cause: BaseException) -> None:
        self.node, self.cause = node, cause
        super().__init__(f'node "{node}": {told(cause)}')


def first_of(error: ValidationError, path: str = "") -> ParameterError:
    """The first thing that is wrong with fields given from Python, in our words; `path` says whose they are."""
    first = error.errors()[0]
    if first["type"] == "missing":
        name = ".".join(map(str, dict.fromkeys((first["loc"][0], first["loc"][-1]))))
        return ParameterError(f"{path}{name} is missing", "give it too")
    path += "".join(f"{part}: " for part in first["loc"][:1])
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, ParameterError):
        return ParameterError(path + cause.found, cause.hint)
    return ParameterError(f"{path}{first['input']!r}", first["msg"][:1].lower() + first["msg"][1:])


def said(error: BaseException) -> str:
    """An error of somebody else's code in one line: its type and the first line of its text."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines and lines[0] else type(error).__name__


def told(error: BaseException) -> str:
    """Why a node failed, in one line; errors that are sentences by themselves need no type before them."""
    if isinstance(error, MemoryError):
        lines = str(error).splitlines()
        return "there is not enough memory" + (f": {lines[0]}" if lines else "")
    if isinstance(error, SpikeflowError | OSError) and str(error).strip():
        return str(error).strip().splitlines()[0]
    return said(error)


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th …, 11th …, 32nd."""
    ending = "th" if number // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def many(number: int, word: str) -> str:
    """1 event, 2 events."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def why(error: BaseException) -> str:
    """What the system or a library says of a file, in one line and without the file's name."""
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def shown(path: Path) -> str:
    """A path as people write it: from the working directory where it lies below that."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def instead(path: Path, endings: Iterable[str]) -> str:
    """What would work instead of a file that is not there: the nearest one beside it with such an ending."""
    folder = path.parent
    if not folder.is_dir():
        return f"the folder {shown(folder)} does not exist"
    there = [found.name for found in folder.iterdir() if found.suffix in endings]
    if not there:
        return f"the folder {shown(folder)} has no {' or '.join(endings)} file"
    return nearest(path.name, there)


def nearest(name: str, valid: Iterable[str], *, most: int = 12) -> str:
    """What would work instead of `name`: the nearest valid name, else the valid ones."""
    names = sorted(set(valid))
    close = difflib.get_close_matches(name, names, n=5, cutoff=0.6)
    if close:
        close.sort(key=lambda found: sorted(found) != sorted(name))  # swapped letters are the commonest slip
        return f"did you mean {close[0]!r}?"
    if not names:
        return "there is nothing to choose from"
    shown = ", ".join(names[:most])
    return f"valid: {shown}" + (", …" if len(names) > most else "")
