"""The one promise: what a graph computes depends on its events alone."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, given, settings

import tests.kernels.cuda_host  # noqa: F401 - registers the backend
from spikeflow.runtime import sinks
from tests.runtime.random_graphs import collected, graphs

PHASES = [Phase.explicit, Phase.reuse, Phase.generate]  # shrinking such graphs takes minutes
CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def agree(nodes: dict[str, Any]) -> None:
    """Hold every window, backend, loop and capacity to one reference."""
    reference = collected(nodes, window="10 ms", backend="numpy")
    for window, backend, capacity, fast, apart_ns in (
        ("1 ms", "numba", 1, True, -1),
        ("7 ms", "numba", 16, False, sinks.APART_NS),
        ("10 ms", "cuda_host", 1, False, 1 << 62),
        ("100 ms", "numba", 2, True, -1),
        ("7 ms", "numpy", 1, True, sinks.APART_NS),
    ):
        with patch.object(sinks, "APART_NS", apart_ns):  # how far apart batches are that a sink takes where it is sent
            found = collected(nodes, window=window, backend=backend, capacity=capacity, fast=fast)
        for name in reference.keys() & found.keys():
            assert found[name] == reference[name], (name, window, backend)


@pytest.mark.timeout(300)
@settings(max_examples=10, deadline=None, phases=PHASES, suppress_health_check=CHECKS)
@given(nodes=graphs())
def test_every_window_backend_loop_and_capacity_gives_the_same_events(nodes: dict[str, Any]) -> None:
    agree(nodes)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=60, deadline=None, phases=PHASES, suppress_health_check=CHECKS)
@given(nodes=graphs())
def test_every_window_backend_loop_and_capacity_gives_the_same_events_on_many_graphs(nodes: dict[str, Any]) -> None:
    agree(nodes)
