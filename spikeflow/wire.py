"""Frames between processes of one machine: two lengths, facts as JSON, and raw bytes."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import IO, Any

import orjson

HEAD = struct.Struct("<II")
MOST_FACTS = 1 << 24
MOST_RAW = 1 << 28


class WireError(ValueError):
    """Bytes that are no frame."""


def pack(facts: Mapping[str, Any], raw_size: int = 0) -> bytes:
    """The beginning of a frame, which `raw_size` bytes follow."""
    text = orjson.dumps(facts, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS, default=str)
    return HEAD.pack(len(text), raw_size) + text


def read(stream: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """The next frame's facts and raw bytes; None where the stream has ended, be it in the midst of one.

    Raises:
        WireError: what comes is no frame.
    """
    head = _exactly(stream, HEAD.size)
    if head is None:
        return None
    text_size, raw_size = sizes(head)
    text, raw = _exactly(stream, text_size), _exactly(stream, raw_size)
    if text is None or raw is None:
        return None
    return facts_of(text), raw


def sizes(head: bytes, most_facts: int = MOST_FACTS, most_raw: int = MOST_RAW) -> tuple[int, int]:
    """The lengths that a frame begins with.

    Raises:
        WireError: no frame is so long.
    """
    text_size, raw_size = HEAD.unpack(head)
    if text_size > most_facts or raw_size > most_raw:
        raise WireError(f"a frame of {text_size} and {raw_size} bytes; the most are {most_facts} and {most_raw}")
    return text_size, raw_size


def facts_of(text: bytes) -> dict[str, Any]:
    """The facts of a frame.

    Raises:
        WireError: they are no JSON object.
    """
    try:
        facts = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise WireError(f"a frame whose facts are no JSON: {error}") from None
    if not isinstance(facts, dict):
        raise WireError("a frame whose facts are no JSON object")
    return facts


class Parser:
    """Cuts frames out of bytes that come in pieces of any size."""

    def __init__(self, most_facts: int = MOST_FACTS, most_raw: int = MOST_RAW) -> None:
        self._most = most_facts, most_raw
        self._held = bytearray()

    def feed(self, data: bytes) -> list[tuple[dict[str, Any], bytes]]:
        """The frames that are complete now.

        Raises:
            WireError: what comes is no frame.
        """
        self._held += data
        found, at = [], 0
        while len(self._held) - at >= HEAD.size:
            text_size, raw_size = sizes(bytes(self._held[at : at + HEAD.size]), *self._most)
            begin = at + HEAD.size
            end = begin + text_size + raw_size
            if len(self._held) < end:
                break
            text, raw = bytes(self._held[begin : begin + text_size]), bytes(self._held[begin + text_size : end])
            found.append((facts_of(text), raw))
            at = end
        del self._held[:at]
        return found


def _exactly(stream: IO[bytes], size: int) -> bytes | None:
    """`size` bytes of a stream that may give fewer at a time."""
    found = bytearray()
    while len(found) < size:
        part = stream.read(size - len(found))
        if not part:
            return None
        found += part
    return bytes(found)
