"""CBOR."""

from __future__ import annotations

from typing import Any, ClassVar

from spikeflow.nodes.cbor_items import load_cbor
from spikeflow.nodes.payload_trees import TreeFormat, plain
from spikeflow.nodes.wanted import wanted


class Cbor(TreeFormat):
    """CBOR (RFC 8949); paths and shapes are those of `json`, and a key may be a whole number: `$[1]`.

    Dates and times (tags 0 and 1) are read in any `time_unit`, decimal fractions as numbers. A key that is there
    twice makes a message unreadable; in messages longer than 16 kB only texts can be keys.
    """

    needs: ClassVar[str | None] = "cbor2"

    def unpack(self, data: bytes) -> Any:
        """The tree."""
        return load_cbor(data)

    def pack(self, tree: Any) -> bytes:
        """The bytes."""
        packed: bytes = wanted("cbor2", "formats").dumps(tree, default=lambda encoder, one: encoder.encode(plain(one)))
        return packed
