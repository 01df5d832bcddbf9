"""The kind `spike_latency_lif`."""

from __future__ import annotations

from spikeflow.nodes.encoders.spike_latency_lif import SpikeLatencyLif
from tests.nodes.conftest import Examples

EXAMPLES: Examples = [
    (lambda _: SpikeLatencyLif(), {"values": (0.0, 4.0)}),
    (lambda _: SpikeLatencyLif(frame="30 ms", tau_mem="5 ms"), {"values": (0.0, 4.0)}),
]
