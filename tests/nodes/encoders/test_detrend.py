"""Detrend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from spikeflow.events import Stream, columns
from spikeflow.nodes.encoders.detrend import Detrend
from spikeflow.testing import run_node
from tests.nodes.conftest import Examples
from tests.nodes.encoders.round_trip import recorded, streams

DOUBLE = {"inputs": [Stream("", "samples", 5, double=True)]}
EXAMPLES: Examples = [
    (lambda _: Detrend(over=0.02), {}),
    (lambda _: Detrend(over=0.02, by="line"), DOUBLE),
    (lambda _: Detrend(over=0.005, by="line"), {"size": 300, "events": 9000}),
    (lambda _: Detrend(over=1.0), {"size": 1, "events": 3000}),
]


def left(values: Any, **fields: Any) -> Any:
    """What is left of one channel that is sampled once a tick."""
    return columns(run_node(Detrend(**fields), np.asarray(values, float)[:, None]).events)[2]


def expected(age: Any, x: Any, by: str) -> float:
    """What is left of the last of some samples of some ages (in time constants), by the sums of the docstring."""
    w = np.exp(-age)
    if by == "mean" or len(np.unique(age)) < 2:
        return float(x[-1] - (w * x).sum() / w.sum())
    return float(x[-1] - np.polyfit(age, x, 1, w=np.sqrt(w))[1])


@given(samples=streams)
@pytest.mark.parametrize("by", ["mean", "line"])
def test_what_is_left_is_what_the_weights_say(by: Any, samples: list[Any]) -> None:
    record = recorded([(step, value if abs(value) < 1e3 else float("nan")) for step, value in samples])
    use = np.isfinite(columns(record)[2])
    t_ns, channel, value = (column[use] for column in columns(record))
    found = columns(run_node(Detrend(over=0.01, by=by), (Stream("", "samples", 3, double=True), record)).events)[2]
    for row in range(len(t_ns)):
        own = np.flatnonzero(channel[: row + 1] == channel[row])
        age = (t_ns[row] - t_ns[own]) / 1e7
        if age[0] < 7.0:  # else a fit is badly posed
            assert found[row] == pytest.approx(expected(age, value[own], by), abs=1e-6)


def test_an_offset_goes_and_what_is_fast_stays() -> None:
    wave = np.sin(2 * np.pi * np.arange(2000) / 20)
    assert np.abs(left(100.0 + wave, over=0.5)[1000:] - wave[1000:]).max() < 0.05


def test_a_ramp_is_a_line_and_goes_from_its_first_sample_on() -> None:
    ramp = 5.0 + 0.3 * np.arange(500)
    assert np.abs(left(ramp, over=0.1, by="line")).max() < 1e-9
    assert left(ramp, over=0.1)[-1] == pytest.approx(0.3 * 100, rel=0.05)


def test_the_time_constant_is_a_time() -> None:
    with pytest.raises(ValueError, match="over"):
        Detrend(over=0.0)
    assert Detrend.model_validate({"over": "20 ms"}).over == 0.02
