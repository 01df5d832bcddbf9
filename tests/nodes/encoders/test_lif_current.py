"""The kind `lif_current`."""

from __future__ import annotations

from spikeflow.nodes.encoders.lif_current import LifCurrent
from tests.nodes.conftest import Examples

EXAMPLES: Examples = [
    (lambda _: LifCurrent(), {"values": (0.0, 4.0)}),
    (lambda _: LifCurrent(frame="30 ms", tau_mem="5 ms"), {"values": (0.0, 4.0)}),
]
