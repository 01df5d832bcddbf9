"""Frames: what the engine's process sends to the process that draws, as length, JSON, and raw counts."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import orjson

Counts = npt.NDArray[np.uint16]
"""[columns, rows] spikes of a raster."""

_HEAD = struct.Struct("<II")


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
    facts = {"kind": frame.kind, "shape": frame.counts.shape, **frame.facts}
    text = orjson.dumps(facts, option=orjson.OPT_SERIALIZE_NUMPY, default=str)
    raw = np.ascontiguousarray(frame.counts, "<u2").tobytes()
    return _HEAD.pack(len(text), len(raw)) + text + raw


def read(stream: IO[bytes]) -> Frame | None:
    """The next frame; None where the stream has ended, be it in the midst of one."""
    head = _exactly(stream, _HEAD.size)
    if head is None:
        return None
    text_size, raw_size = _HEAD.unpack(head)
    text, raw = _exactly(stream, text_size), _exactly(stream, raw_size)
    if text is None or raw is None:
        return None
    facts = orjson.loads(text)
    kind, shape = facts.pop("kind"), facts.pop("shape")
    return Frame(kind, facts, np.frombuffer(raw, "<u2").reshape(shape))


def _exactly(stream: IO[bytes], size: int) -> bytes | None:
    """`size` bytes of a stream that may give fewer at a time."""
    found = b""
    while len(found) < size:
        part = stream.read(size - len(found))
        if not part:
            return None
        found += part
    return found


def row_sizes(size: int, rows: int) -> npt.NDArray[np.int64]:
    """[rows] neurons that share each row."""
    return np.bincount(np.arange(size, dtype=np.int64) * rows // size, minlength=rows)
