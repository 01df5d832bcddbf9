"""Packets of MQTT, as they are written."""

from __future__ import annotations


def length(number: int) -> bytes:
    """A length as MQTT writes it."""
    found = b""
    while True:
        number, low = divmod(number, 128)
        found += bytes([low | (128 if number else 0)])
        if not number:
            return found
