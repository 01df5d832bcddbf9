"""The machine in words, and what its caches hold."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_USUAL = {"L1": 32 << 10, "L2": 1 << 20, "L3": 16 << 20}
"""Bytes of a cache of which the machine does not tell."""


def caches() -> dict[str, int]:
    """Bytes of the data caches that one core sees, nearest first."""
    found = {}
    for index in sorted(_CACHES.glob("index*")):
        if (index / "type").read_text().strip() != "Instruction":
            size = (index / "size").read_text().strip()
            found["L" + (index / "level").read_text().strip()] = int(size.rstrip("KM")) << (20 if "M" in size else 10)
    return {**_USUAL, **found}


def machine() -> dict[str, Any]:
    """Processor, cores, caches, memory, system, and versions of what counts."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        name = lines[0] if lines else name
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": name,
        "cores": os.cpu_count() or 1,
        "caches": caches(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "niceness": os.nice(0) if hasattr(os, "nice") else 0,
        "versions": {
            "Python": platform.python_version(),
            **{name: version(name) for name in ("spikeflow", "numpy", "numba", "pyarrow")},
        },
    }
