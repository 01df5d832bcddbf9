"""MessagePack."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from spikeflow.errors import PayloadError
from spikeflow.nodes.payload import start_of
from spikeflow.nodes.payload_trees import TreeFormat, plain
from spikeflow.nodes.wanted import wanted

_SMALL = 4096
_ARRAYS = {0xDC: 2, 0xDD: 4}
"""The bytes that begin a long array, with the width of its length."""


class Msgpack(TreeFormat):
    """MessagePack; paths and shapes are those of `json`, and a key may be a whole number: `$[1]`.

    Its own timestamps are read in any `time_unit`.
    """

    needs: ClassVar[str | None] = "msgpack"

    def unpack(self, data: bytes) -> Any:
        """The tree."""
        msgpack = wanted("msgpack", "formats")
        try:
            if len(data) > _SMALL and _claims(data) > 4 * len(data):
                return _with_care(data)
            return msgpack.unpackb(data, strict_map_key=False)
        except (ValueError, TypeError, RecursionError, OverflowError):  # TypeError: an array as a key
            raise PayloadError("not msgpack", start_of(data)) from None

    def pack(self, tree: Any) -> bytes:
        """The bytes."""
        packed: bytes = wanted("msgpack", "formats").packb(tree, default=plain)
        return packed


def _claims(data: bytes) -> int:
    """How many elements the arrays may say that they have, in all.

    The library makes room for the elements of an array before it sees them: arrays in arrays that claim too much
    would take gigabytes.
    """
    octets = np.frombuffer(data, np.uint8)
    claimed = 0
    for sign, width in _ARRAYS.items():
        at = np.flatnonzero(octets[:-width] == sign)
        length = np.zeros(len(at), np.int64)
        for place in range(width):
            length = length * 256 + octets[at + 1 + place]
        claimed += int(length[length <= len(data)].sum())
    return claimed


def _with_care(data: bytes) -> Any:
    """The tree, with room made element by element: slower."""
    unpacker = wanted("msgpack.fallback", "formats").Unpacker(strict_map_key=False, max_buffer_size=len(data))
    unpacker.feed(data)
    found = unpacker.unpack()
    if unpacker.tell() != len(data):
        raise ValueError("more follows")
    return found
