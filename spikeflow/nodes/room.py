"""Room: what would take more memory than this machine has is refused before anything starts."""

from __future__ import annotations

from collections.abc import Iterator

from spikeflow.errors import Problem
from spikeflow.machine import gigabytes, memory


def too_large(need: float, path: tuple[str | int, ...], found: str, hint: str) -> Iterator[Problem]:
    """A problem where `found`, several things, takes `need` bytes, which this machine has not."""
    if need > memory():
        yield Problem(path, f"{found}, which take {gigabytes(need)}", f"this machine has {gigabytes(memory())}; {hint}")


def of_copies(copies: int) -> str:
    """What to put behind a number of things that there are for each of several copies."""
    return f" for {copies} copies" if copies > 1 else ""
