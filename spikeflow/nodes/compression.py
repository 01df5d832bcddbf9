"""Compression around a message: gzip and zstd, undone within bounds."""

from __future__ import annotations

import gzip
import threading
import zlib
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from spikeflow.errors import PayloadError
from spikeflow.nodes.wanted import wanted

Compression: TypeAlias = Literal["gzip", "zstd"]

NEEDS: dict[Compression, str] = {"zstd": "zstandard"}
"""The package of a compression that is in the extra `formats`."""
_GZIP_ONLY = 31
_WIDEST_WINDOW = 1 << 23
"""Bytes that a decoder must be ready to hold (RFC 8878 recommends it)."""


def compressed(data: bytes, compression: Compression) -> bytes:
    """The bytes, smaller."""
    if compression == "gzip":
        return gzip.compress(data, 6, mtime=0)
    packed: bytes = wanted("zstandard", "formats").compress(data)
    return packed


def uncompressed(data: bytes, compression: Compression, most: int) -> bytes:
    """The bytes as they were; no more than `most` of them, and a byte, are ever held.

    Raises:
        PayloadError: not such bytes, cut short, or too many of them.
    """
    found = _gunzipped(data, most) if compression == "gzip" else _unzstd(data, most)
    if len(found) > most:
        raise PayloadError("too large", f"more than {most} bytes once {compression} is undone")
    return found


def _gunzipped(data: bytes, most: int) -> bytes:
    found = b""
    try:
        while True:  # a file of several members is all of them
            member = zlib.decompressobj(_GZIP_ONLY)
            found += member.decompress(data, most + 1 - len(found))
            if len(found) > most:
                return found
            if not member.eof:
                raise PayloadError("not gzip", "it is cut short")
            data = member.unused_data
            if not data:
                return found
    except zlib.error as error:
        raise PayloadError("not gzip", str(error)) from None


def _unzstd(data: bytes, most: int) -> bytes:
    # neither pyarrow's stream, which keeps 4 kB of every message that it cannot read, nor this library's, which ends
    # quietly where a message is cut short
    zstandard = wanted("zstandard", "formats")
    try:
        size = zstandard.frame_content_size(data)
        if size > most:
            raise PayloadError("too large", f"{size} bytes once zstd is undone, and {most} are the most")
        decompressor = _decompressor(threading.get_ident())
        found: bytes = decompressor.decompress(data, max_output_size=most + 1, allow_extra_data=False)
        return found
    except zstandard.ZstdError as error:
        raise PayloadError("not zstd", f"{error}" + (f", or more than {most} bytes" if data else "")) from None


@lru_cache(maxsize=64)
def _decompressor(_thread: int) -> Any:
    """What undoes zstd in a thread: no two may use one at once, and making it takes longer than a message."""
    return wanted("zstandard", "formats").ZstdDecompressor(max_window_size=_WIDEST_WINDOW)


__all__ = ["NEEDS", "Compression", "compressed", "uncompressed"]
