"""CBOR."""

from __future__ import annotations

from typing import Any, ClassVar

from spikeflow.errors import PayloadError
from spikeflow.nodes.payload import start_of
from spikeflow.nodes.payload_trees import TreeFormat, plain
from spikeflow.nodes.wanted import wanted

_DEEPEST = 100


class Cbor(TreeFormat):
    """CBOR (RFC 8949); paths and shapes are those of `json`, and a key may be a whole number: `$[1]`.

    Dates and times (tags 0 and 1) are read in any `time_unit`, decimal fractions as numbers. A key that is there
    twice makes a message unreadable.
    """

    needs: ClassVar[str | None] = "cbor2"

    def unpack(self, data: bytes) -> Any:
        """The tree."""
        cbor2 = wanted("cbor2", "formats")
        try:
            return cbor2.loads(data, max_depth=_DEEPEST, allow_duplicate_keys=False)
        except (cbor2.CBORError, ValueError, TypeError, ArithmeticError, RecursionError):
            raise PayloadError("not cbor", start_of(data)) from None

    def pack(self, tree: Any) -> bytes:
        """The bytes."""
        packed: bytes = wanted("cbor2", "formats").dumps(tree, default=lambda encoder, one: encoder.encode(plain(one)))
        return packed
