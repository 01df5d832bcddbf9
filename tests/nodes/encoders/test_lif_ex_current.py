"""The kind `lif_ex_current`."""

from __future__ import annotations

from spikeflow.nodes.encoders.lif_ex_current import LifExCurrent
from tests.nodes.conftest import Examples

EXAMPLES: Examples = [
    (lambda _: LifExCurrent(), {"values": (0.0, 4.0)}),
    (lambda _: LifExCurrent(frame="30 ms", tau_mem="5 ms"), {"values": (0.0, 4.0)}),
]
