"""Benchmarks: `python -m tests.benchmarks [NAME …]`; all of `NAMES` unless named."""

from __future__ import annotations

import importlib
import sys

NAMES = ("chain", "encoders", "idle", "tick", "synapses", "replicas", "mqtt", "neurons", "growth", "gpu", "monitor")

for name in sys.argv[1:] or NAMES:
    if name not in NAMES:
        sys.exit(f"no benchmark {name!r}; valid: {', '.join(NAMES)}")
    print(f"## {name}", flush=True)
    importlib.import_module(f"tests.benchmarks.{name}").main()
    print(flush=True)
