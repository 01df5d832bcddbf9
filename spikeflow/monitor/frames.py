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
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    text_size, raw_size = _HEAD.unpack(head)
    text, raw = stream.read(text_size), stream.read(raw_size)
    if len(text) < text_size or len(raw) < raw_size:
        return None
    facts = orjson.loads(text)
    kind, shape = facts.pop("kind"), facts.pop("shape")
    return Frame(kind, facts, np.frombuffer(raw, "<u2").reshape(shape))
