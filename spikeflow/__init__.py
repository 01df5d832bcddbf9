"""spikeflow runs spiking networks on live sensor streams.

One graph file names sources, encoders, populations of neurons, decoders and sinks::

    graph = spikeflow.load("graphs/synthetic.yaml")
    report = spikeflow.run_blocking(graph)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeflow.decoding import decode
    from spikeflow.encoding import encode
    from spikeflow.errors import GraphError, NodeError, SpikeflowError
    from spikeflow.events import columns, sample_batch, spike_batch
    from spikeflow.node import Decoder, Encoder, Inlet, Outlet, Sink, Source
    from spikeflow.runtime.engine import Report
    from spikeflow.session import Run, run, run_blocking, start
    from spikeflow.simulation import Simulation, simulate
    from spikeflow.spec import GraphSpec, load

__version__ = "0.1.0"

_HOMES = {
    "spikeflow.decoding": ("decode",),
    "spikeflow.encoding": ("encode",),
    "spikeflow.errors": ("GraphError", "NodeError", "SpikeflowError"),
    "spikeflow.events": ("columns", "sample_batch", "spike_batch"),
    "spikeflow.node": ("Decoder", "Encoder", "Inlet", "Outlet", "Sink", "Source"),
    "spikeflow.runtime.engine": ("Report",),
    "spikeflow.session": ("Run", "run", "run_blocking", "start"),
    "spikeflow.simulation": ("Simulation", "simulate"),
    "spikeflow.spec": ("GraphSpec", "load"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name on its first use, so that `import spikeflow` costs nothing."""
    if name not in _HOME:
        raise AttributeError(f"module 'spikeflow' has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return found


__all__ = [
    "Decoder",
    "Encoder",
    "GraphError",
    "GraphSpec",
    "Inlet",
    "NodeError",
    "Outlet",
    "Report",
    "Run",
    "Simulation",
    "Sink",
    "Source",
    "SpikeflowError",
    "__version__",
    "columns",
    "decode",
    "encode",
    "load",
    "run",
    "run_blocking",
    "sample_batch",
    "simulate",
    "spike_batch",
    "start",
]
