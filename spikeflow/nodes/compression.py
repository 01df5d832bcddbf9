"""Compression around a message: gzip and zstd, undone within bounds."""

from __future__ import annotations

import gzip
import zlib
from typing import Literal, TypeAlias

import pyarrow as pa

from spikeflow.errors import PayloadError

Compression: TypeAlias = Literal["gzip", "zstd"]

_GZIP_ONLY = 31
_ZSTD = pa.Codec("zstd")
_MAGIC = b"\x28\xb5\x2f\xfd"


def compressed(data: bytes, compression: Compression) -> bytes:
    """The bytes, smaller."""
    if compression == "gzip":
        return gzip.compress(data, 6, mtime=0)
    packed: bytes = _ZSTD.compress(data, asbytes=True)
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
    size = _said_size(data)
    if size is not None and size <= most:
        try:
            whole: bytes = _ZSTD.decompress(data, size, asbytes=True)
            return whole
        except OSError:
            pass  # it is wrong, or more follows: which, the stream tells
    try:
        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            found: bytes = stream.read(most + 1)
    except OSError as error:
        raise PayloadError("not zstd", str(error)) from None
    if not found and not data:
        raise PayloadError("not zstd", "it is empty")
    return found


def _said_size(data: bytes) -> int | None:
    """How many bytes a frame of zstd says that it holds (RFC 8878, section 3.1.1.1); a stream costs a buffer."""
    if len(data) < 6 or data[:4] != _MAGIC:
        return None
    descriptor = data[4]
    is_whole = descriptor >> 5 & 1
    width = (is_whole, 2, 4, 8)[descriptor >> 6]
    at = 6 - is_whole + (0, 1, 2, 4)[descriptor & 3]
    if not width or len(data) < at + width:
        return None
    return int.from_bytes(data[at : at + width], "little") + (256 if width == 2 else 0)


__all__ = ["Compression", "compressed", "uncompressed"]
