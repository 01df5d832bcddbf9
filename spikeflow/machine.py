"""This machine: how much fits into its memory."""

from __future__ import annotations

from functools import cache

import psutil


@cache
def memory() -> int:
    """The memory of this machine (bytes)."""
    return int(psutil.virtual_memory().total)


def gigabytes(count: float) -> str:
    """Bytes for people: ``24_000_000_000`` gives ``"24 GB"``."""
    return f"{count / 1e9:.3g} GB" if count < 1e12 else f"{count / 1e9:,.0f} GB"


__all__ = ["gigabytes", "memory"]
