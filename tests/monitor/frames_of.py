"""Frames for tests: fixed, so that what is drawn from them is fixed too."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikeflow.monitor.frames import Frame

NODES = {
    "telemetry": ("source", "mqtt"),
    "edges": ("encoder", "level_crossing"),
    "hidden": ("neuron", "lif"),
    "rate": ("decoder", "rate"),
    "answers": ("sink", "mqtt"),
}


def hello(size: int = 64, view: str | None = "hidden", decoder: str | None = "rate") -> Frame:
    """The first frame."""
    facts = {"graph": "host", "view": view, "size": size, "rows": min(size, 256), "column_s": 0.1, "decoder": decoder}
    return Frame("hello", facts)


def figures(**changes: Any) -> dict[str, Any]:
    """What a look says of the run."""
    one = {"windows": 100, "events_in": 10, "events_out": 20, "in_per_s": 1234.5, "out_per_s": 23.4}
    one |= {"window_p50_us": 12.3, "window_p99_us": 130.4, "queue": 1, "capacity": 16, "lag_ms": 0.123}
    nodes: dict[str, dict[str, Any]] = {name: {"role": r, "kind": k, **one} for name, (r, k) in NODES.items()}
    nodes["telemetry"] |= {"queue": 0, "capacity": 0}
    return {
        "elapsed": 83.2,
        "progress": None,
        "events_per_s": 12345.6,
        "lag_ms": 3.21,
        "nodes": nodes,
        "curve": [],
    } | changes


def look(number: int, size: int = 64, **changes: Any) -> Frame:
    """One frame in which a bump of spikes wanders over the neurons."""
    rows = min(size, 256)
    centre = rows / 2 + rows / 3 * np.sin(number / 9)
    counts = np.rint(6 * np.exp(-((np.arange(rows) - centre) ** 2) / 50)).astype(np.uint16)
    facts = figures(**changes) | {"first": number, "curve": [10 + 8 * float(np.sin(number / 9))], "log": []}
    return Frame("look", facts, counts[None, :])
