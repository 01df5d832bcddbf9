"""Clip."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikeflow.events import Stream
from spikeflow.nodes.encoders.clip import Clip
from spikeflow.testing import GRID, run_node
from tests.nodes.conftest import Examples

EXAMPLES: Examples = [
    (lambda _: Clip(low=-0.2, high=0.3), {}),
    (lambda _: Clip(high=[0.0, 0.1, 0.2, 0.3, 0.4]), {}),
]


def clipped(values: list[list[float]], **fields: Any) -> list[float]:
    return [row[2] for row in run_node(Clip(**fields), np.array(values)).rows()]


def test_no_value_passes_its_bounds() -> None:
    assert clipped([[-3.0], [0.5], [7.0]], low=-1.0, high=2.0) == [-1.0, 0.5, 2.0]
    assert clipped([[-3.0], [7.0]], high=2.0) == [-3.0, 2.0]
    assert clipped([[1.0, 1.0]], high=[0.0, 2.0]) == [0.0, 1.0]


def test_bounds_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="neither low nor high"):
        Clip()
    stream = Stream("x", "samples", 2)
    assert [problem.found for problem in Clip(low=1.0, high=[2.0, 0.0]).check([stream], GRID)] == ["low is above high"]
    assert [problem.path for problem in Clip(low=[1.0]).check([stream], GRID)] == [("low",)]
