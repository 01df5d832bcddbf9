"""Where results are kept: JSON lines beside the benchmarks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"
NEURONS, PEERS, GROWTH = (FOLDER / f"{name}.jsonl" for name in ("neurons", "peers", "growth"))


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a file; none where there is none."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Put the lines into a file, in place of what was there."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
