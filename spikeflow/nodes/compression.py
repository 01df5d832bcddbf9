"""Compression around a message: gzip and zstd, undone within bounds."""

from __future__ import annotations

import gzip
import zlib
from typing import Literal, TypeAlias

import pyarrow as pa

from spikeflow.errors import PayloadError

Compression: TypeAlias = Literal["gzip", "zstd"]

_GZIP_ONLY = 31


def compressed(data: bytes, compression: Compression) -> bytes:
    """The bytes, smaller."""
    if compression == "gzip":
        return gzip.compress(data, 6, mtime=0)
    packed: bytes = pa.Codec("zstd").compress(data, asbytes=True)
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
    try:
        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            found: bytes = stream.read(most + 1)
    except OSError as error:
        raise PayloadError("not zstd", str(error)) from None
    if not found and not data:
        raise PayloadError("not zstd", "it is empty")
    return found


__all__ = ["Compression", "compressed", "uncompressed"]
