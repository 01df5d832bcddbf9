"""Why a row misses its goal, and what was tried: a key of a row to a sentence or two."""

from __future__ import annotations

REASONS: dict[str, str] = {}
