"""From `import spikeflow` to the first window of a graph with neurons, each time in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from tests.benchmarks.kernels import Found
from tests.benchmarks.measured import Measured

_SCRIPT = """
import time
began = time.perf_counter()
import spikeflow
from spikeflow.runtime.engine import Engine, fast_loop

graph = {
    "name": "first",
    "nodes": {
        "wave": {"source": "synthetic", "signal": "sine", "frequency": "2 Hz", "rate": "1 kHz", "length": "100 ms"},
        "edges": {"encoder": "level_crossing", "input": "wave", "threshold": 0.1},
        "hidden": {"neuron": "lif", "size": 256, "inputs": [
            {"from": "edges", "weights": {"normal": {"mean": 0.3, "std": 0.1}}},
            {"from": "hidden", "connect": {"probability": 0.2}, "weights": 0.01},
        ]},
        "rate": {"decoder": "rate", "input": "hidden", "over": "100 ms"},
        "out": {"sink": "console", "input": "rate"},
    },
}
engine = Engine(spikeflow.load(graph))
at = []
engine.watch("hidden", lambda batch: at.append(time.perf_counter()))
with fast_loop() as runner:
    runner.run(engine.run())
import sys
print("FIRST", at[0] - began, file=sys.stderr)
"""


def startup(cold: bool, repetitions: int = 7) -> Found:
    """Seconds to the first window, with the compiled loops in the cache or with an empty one."""
    took = []
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        for k in range(repetitions + 1):
            cache = f"{folder}/{k if cold else 0}"
            done = subprocess.run(
                [sys.executable, "-c", _SCRIPT],
                env={**usual, "SPIKEFLOW_CACHE": cache},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                check=True,
                timeout=300,
            )
            [said] = [line for line in done.stderr.splitlines() if line.startswith("FIRST ")]
            took.append(float(said.split()[1]))
    return {"s": Measured(took[1:])}  # the first one fills the cache, and reads everything from the disk
