"""Normalize."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from spikeflow.events import Stream, columns
from spikeflow.nodes.encoders.normalize import Normalize
from spikeflow.testing import run_node
from tests.nodes.conftest import Examples
from tests.nodes.encoders.round_trip import recorded, streams

EXAMPLES: Examples = [
    (lambda _: Normalize(over=0.02), {}),
    (lambda _: Normalize(over=0.02, least=0.1), {"inputs": [Stream("", "samples", 5, double=True)]}),
    (lambda _: Normalize(over=0.1), {"size": 300, "events": 9000}),
]


@given(samples=streams)
def test_the_result_is_what_the_weights_say(samples: list[Any]) -> None:
    record = recorded([(step, value if abs(value) < 1e3 else float("nan")) for step, value in samples])
    use = np.isfinite(columns(record)[2])
    t_ns, channel, value = (column[use] for column in columns(record))
    stream = Stream("", "samples", 3, double=True)
    found = columns(run_node(Normalize(over=0.01, least=1e-3), (stream, record)).events)[2]
    for row in range(len(t_ns)):
        own = np.flatnonzero(channel[: row + 1] == channel[row])
        w = np.exp(-(t_ns[row] - t_ns[own]) / 1e7)
        mean = (w * value[own]).sum() / w.sum()
        deviation = max(1e-3, np.sqrt((w * (value[own] - mean) ** 2).sum() / w.sum()))
        assert found[row] == pytest.approx((value[row] - mean) / deviation, rel=1e-6, abs=1e-6)


def test_noise_of_any_scale_gets_mean_0_and_deviation_1() -> None:
    draw = np.random.default_rng(1)
    found = columns(run_node(Normalize(over=0.5), 1e4 + 30.0 * draw.standard_normal((5000, 1))).events)[2][2000:]
    assert abs(found.mean()) < 0.05
    assert abs(found.std() - 1.0) < 0.05


def test_a_constant_is_0() -> None:
    assert columns(run_node(Normalize(over=0.1), np.full((50, 1), 7.0)).events)[2].tolist() == [0.0] * 50
