"""The kind `lif_adex_current`."""

from __future__ import annotations

from spikeflow.nodes.encoders.lif_adex_current import LifAdexCurrent
from tests.nodes.conftest import Examples

EXAMPLES: Examples = [
    (lambda _: LifAdexCurrent(), {"values": (0.0, 4.0)}),
    (lambda _: LifAdexCurrent(frame="30 ms", tau_mem="5 ms"), {"values": (0.0, 4.0)}),
    (lambda _: LifAdexCurrent(compatibility="norse", tau_ada="2 s", adaptation_current=0.8), {"values": (0.0, 4.0)}),
]
