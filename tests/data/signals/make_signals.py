"""Make the signals in this folder: accelerometers out of the package aeon, telemetry of the machine that it runs on.

pip install aeon && python tests/data/signals/make_signals.py motions
python tests/data/signals/make_signals.py host
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

import spikeflow

HERE = Path(__file__).parent
MOTIONS_NS = 100_000_000  # from sample to sample: "sampled once every tenth of a second", says the data's own header
BEFORE_S, BUSY_S, AFTER_S = 4.0, 6.0, 6.0
BUSY = """
import sys, time
end, held = time.monotonic() + float(sys.argv[1]), []
while time.monotonic() < end:
    held.append(bytearray(b"x" * 4_000_000))  # so that memory rises, too
    pause = time.monotonic() + 0.05
    while time.monotonic() < pause:
        pass
"""


def motions() -> None:
    """The first training case of each activity of BasicMotions: x, y and z of the accelerometer, 10 s at 10 Hz."""
    from aeon.datasets import load_basic_motions

    cases, activities = load_basic_motions(split="train")
    first = [list(activities).index(activity) for activity in ("standing", "walking", "running", "badminton")]
    value = np.concatenate([cases[place, :3] for place in first]).T  # [samples, channels]
    samples, channels = value.shape
    lines = [f"{k * MOTIONS_NS},{c},{value[k, c]:.6f}" for k in range(samples) for c in range(channels)]
    (HERE / "motions.csv").write_text("\n".join(["t,channel,value", *lines, ""]))


def host() -> None:
    """What the source `host` tells in a few seconds, in whose midst another process keeps a core busy."""
    path = HERE / "host.parquet"
    nodes = {
        "host": {"source": "host", "rate": "20 Hz", "fields": ["cpu", "memory", "network", "load"]},
        "tape": {"sink": "file", "input": "host", "path": str(path), "compression": "zstd"},
    }
    waiting = f"import time; time.sleep({BEFORE_S})"
    with subprocess.Popen([sys.executable, "-c", waiting + BUSY, str(BUSY_S)]) as busy:
        spikeflow.run_blocking({"spikeflow": 1, "nodes": nodes}, seconds=BEFORE_S + BUSY_S + AFTER_S)
        busy.wait()


if __name__ == "__main__":
    {"motions": motions, "host": host}[sys.argv[1]]()
