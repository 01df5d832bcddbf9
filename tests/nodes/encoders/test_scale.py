"""Scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikeflow.events import Stream, columns, sample_batch
from spikeflow.nodes.encoders.scale import Scale
from spikeflow.testing import GRID, run_node
from tests.nodes.conftest import Examples

EXAMPLES: Examples = [
    (lambda _: Scale(gain=2.0, offset=-0.5), {}),
    (lambda _: Scale(gain=[1.0, 2.0, 3.0, 4.0, 5.0]), {}),
    (lambda _: Scale(from_range=[-1, 1]), {"inputs": [Stream("", "samples", 5, double=True)]}),
]


def scaled(values: list[list[float]], **fields: Any) -> list[float]:
    return [row[2] for row in run_node(Scale(**fields), np.array(values)).rows()]


def test_samples_are_multiplied_and_then_moved() -> None:
    assert scaled([[1.0], [-2.0]], gain=3.0, offset=0.5) == [3.5, -5.5]
    assert scaled([[1.0, 1.0]], gain=[2.0, 3.0], offset=[0.0, 1.0]) == [2.0, 4.0]


def test_a_range_becomes_another_one() -> None:
    assert scaled([[0.0], [1024.0], [512.0]], from_range=[0, 1024]) == [0.0, 1.0, 0.5]
    assert scaled([[0.0], [10.0], [20.0]], from_range=[0, 10], to_range=[5, -5]) == [5.0, -5.0, -15.0]


def test_times_stay_and_samples_that_are_not_finite_go() -> None:
    record = sample_batch([3, 4, 5], [0, 1, 0], np.array([1.0, np.nan, 2.0], np.float32))
    ran = run_node(Scale(gain=2.0), (Stream("", "samples", 2, shape=(1, 2)), record), grid=GRID)
    assert columns(ran.events)[0].tolist() == [3, 5]
    assert columns(ran.events)[2].tolist() == [2.0, 4.0]
    assert (ran.streams[""].shape, ran.counters.noted) == ((1, 2), {"not finite": 1})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"to_range": [0, 1]}, "to_range without from_range"),
        ({"from_range": [0, 1], "gain": 2.0}, "both a range and a gain"),
        ({"from_range": [2, 2]}, "two different values"),
        ({"gain": float("inf")}, "gain"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Scale(**fields)


def test_numbers_for_other_channels_are_named_at_check() -> None:
    [problem] = Scale(gain=[1.0, 2.0]).check([Stream("x", "samples", 3)], GRID)
    assert str(problem) == "gain has 2 numbers for 3 channels — give one number, or one a channel"
