"""Frames: what the engine's process sends to the process that draws, as length, JSON, and raw counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from spikeflow import wire

Counts = npt.NDArray[np.uint16]
"""[columns, rows] spikes of a raster."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message.

    Attributes:
        kind: ``hello`` (once, first), ``look`` (ten a second) or ``end`` (once, last).
        facts: what it says.
        counts: [columns, rows] spikes of the raster's new columns.
    """

    kind: str
    facts: Mapping[str, Any]
    counts: Counts = field(default_factory=lambda: np.zeros((0, 0), np.uint16))


def pack(frame: Frame) -> bytes:
    """The bytes of a frame."""
    raw = np.ascontiguousarray(frame.counts, "<u2").tobytes()
    return wire.pack({"kind": frame.kind, "shape": frame.counts.shape, **frame.facts}, len(raw)) + raw


def read(stream: IO[bytes]) -> Frame | None:
    """The next frame; None where the stream has ended, be it in the midst of one."""
    found = wire.read(stream)
    if found is None:
        return None
    facts, raw = found
    kind, shape = facts.pop("kind"), facts.pop("shape")
    return Frame(kind, facts, np.frombuffer(raw, "<u2").reshape(shape))


def row_sizes(size: int, rows: int) -> npt.NDArray[np.int64]:
    """[rows] neurons that share each row."""
    return np.bincount(np.arange(size, dtype=np.int64) * rows // size, minlength=rows)
