"""MessagePack."""

from __future__ import annotations

from typing import Any, ClassVar

from spikeflow.errors import PayloadError
from spikeflow.nodes.payload import start_of
from spikeflow.nodes.payload_trees import TreeFormat, plain
from spikeflow.nodes.wanted import wanted

_SMALL = 1024
_TEXT_KEYS_ABOVE = 16_384


class Msgpack(TreeFormat):
    """MessagePack; paths and shapes are those of `json`, and a key may be a whole number: `$[1]`.

    Its own timestamps are read in any `time_unit`. In messages longer than 16 kB only texts can be keys.
    """

    needs: ClassVar[str | None] = "msgpack"

    def unpack(self, data: bytes) -> Any:
        """The tree."""
        msgpack = wanted("msgpack", "formats")
        try:
            if len(data) > _SMALL:
                _hold(msgpack, data)
            # keys that are no texts can be chosen such that finding each takes as long as there are keys
            return msgpack.unpackb(data, strict_map_key=len(data) > _TEXT_KEYS_ABOVE)
        except (ValueError, TypeError, RecursionError, OverflowError):  # TypeError: an array as a key
            raise PayloadError("not msgpack", start_of(data)) from None

    def pack(self, tree: Any) -> bytes:
        """The bytes."""
        packed: bytes = wanted("msgpack", "formats").packb(tree, default=plain)
        return packed


def _hold(msgpack: Any, data: bytes) -> None:
    """Go through the bytes without making anything of them.

    The library makes room for the elements of an array before it sees them: arrays in arrays that claim more than
    there is would take gigabytes.

    Raises:
        ValueError: they do not hold what they claim.
    """
    unpacker = msgpack.Unpacker(max_buffer_size=len(data))
    unpacker.feed(data)
    try:
        unpacker.skip()
    except msgpack.OutOfData:
        raise ValueError("it is cut short") from None
