"""For tests of nodes and graphs: a clock that jumps, a node run on arrays, and the rules that every node keeps.

`run_node` runs one node without a graph file, `check_node` holds it to the rules. Neither needs a test framework.
"""

from __future__ import annotations

from spikeflow.testing.bench import Bench
from spikeflow.testing.clock import VirtualClock, VirtualLoop, run_virtually
from spikeflow.testing.conformance import CUTS, RULES, check_node
from spikeflow.testing.records import GRID, Given, difference, random_events
from spikeflow.testing.running import Ran, run_node

__all__ = [
    "CUTS",
    "GRID",
    "RULES",
    "Bench",
    "Given",
    "Ran",
    "VirtualClock",
    "VirtualLoop",
    "check_node",
    "difference",
    "random_events",
    "run_node",
    "run_virtually",
]
