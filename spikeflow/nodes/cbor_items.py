"""CBOR from strangers: no message takes longer, or more memory, than its own length explains."""

from __future__ import annotations

from typing import Any

from spikeflow.errors import PayloadError
from spikeflow.nodes.wanted import wanted

_DEEPEST = 100
_SMALL = 16_384
_WIDEST = 32
_EXOTIC = (30, 35, 36, 37, 52, 54, 258, 260, 261)
"""Tags of fractions, regular expressions, mail, identifiers, addresses and sets: nothing here, and some cost much."""


def load_cbor(data: bytes, text_keys_above: int = _SMALL) -> Any:
    """The tree in the bytes; what exotic tags hold stands for itself.

    Args:
        data: the bytes.
        text_keys_above: in longer messages only texts may be keys: keys of other types can be chosen such that finding
            each takes as long as there are keys.

    Raises:
        PayloadError: they are no CBOR, or a key is there twice.
    """
    cbor2 = wanted("cbor2", "formats")
    try:
        return cbor2.loads(
            data,
            max_depth=_DEEPEST,
            allow_duplicate_keys=False,
            strict_hashable_types=len(data) > text_keys_above,
            semantic_decoders=_TAGS,
        )
    except (cbor2.CBORError, ValueError, TypeError, ArithmeticError, RecursionError):
        found = f"{data[:40]!r}" + ("…" if len(data) > 40 else "")
        raise PayloadError("not cbor", found if data else "it is empty") from None


def _content(content: Any, *_: Any) -> Any:
    return content


def _natural(content: Any, *_: Any) -> int:
    """A large number; one of a million digits would take minutes to become a decimal."""
    if not isinstance(content, bytes) or len(content) > _WIDEST:
        raise ValueError("a number that is too large")
    return int.from_bytes(content, "big")


def _negative(content: Any, *_: Any) -> int:
    return -1 - _natural(content)


_TAGS = {2: _natural, 3: _negative} | dict.fromkeys(_EXOTIC, _content)

__all__ = ["load_cbor"]
