"""The first spike."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeflow.events import Stream
from spikeflow.nodes.decoders.first_spike import FirstSpike
from spikeflow.testing import run_node
from tests.nodes.conftest import Examples
from tests.nodes.decoders.arrays import GRID, answers, spikes


def made(frame: str, at: str, _: Path) -> FirstSpike:
    return FirstSpike.model_validate({"frame": frame, "at": at})


EXAMPLES: Examples = [
    (partial(made, frame, at), {"inputs": [Stream("", "spikes", 5, valued=True)], "events": 60})
    for frame in ("1 ms", "13 ms", "100 ms")
    for at in ("end", "spike")
]


def rows(array: np.ndarray[Any, Any], **fields: Any) -> list[tuple[int, int, float]]:
    stream = answers(FirstSpike(**fields), array)
    return [
        (tick, channel, round(value, 6))
        for tick, line in zip(*stream, strict=True)
        for channel, value in enumerate(line.tolist())
        if not np.isnan(value)
    ]


def test_the_first_neuron_of_a_frame_is_named_with_its_latency() -> None:
    found = rows(spikes(30, 4, (13, 3), (14, 1), (22, 0)), frame="10 ms")
    assert found == [(10, 0, -1), (20, 0, 3), (20, 1, 0.003), (30, 0, 0), (30, 1, 0.002)]


def test_of_several_at_an_instant_the_lowest_counts() -> None:
    assert rows(spikes(10, 4, (5, 3), (5, 2)), frame="10 ms") == [(10, 0, 2), (10, 1, 0.005)]


def test_an_answer_may_come_with_the_spike() -> None:
    found = rows(spikes(30, 4, (13, 3), (14, 1), (22, 0)), frame="10 ms", at="spike")
    assert found == [(13, 0, 3), (13, 1, 0.003), (22, 0, 0), (22, 1, 0.002)]


def test_a_frame_without_spikes_has_no_latency() -> None:
    ran = run_node(FirstSpike(frame="10 ms"), spikes(11, 2))
    assert ran.rows() == [(10, 0, -1.0)]


@given(
    at=st.lists(st.tuples(st.integers(0, 59), st.integers(0, 4)), max_size=30),
    frame=st.integers(1, 25),
)
def test_it_is_the_first_of_the_frame(at: list[tuple[int, int]], frame: int) -> None:
    array = spikes(60, 5, *at)
    found = {(tick, channel): value for tick, channel, value in rows(array, frame=frame * GRID.dt_ns)}
    for end in range(frame, 61, frame):
        tick, neuron = np.nonzero(array[end - frame : end])
        assert found.pop((end, 0)) == (neuron[0] if len(neuron) else -1)
        assert found.pop((end, 1), None) == (pytest.approx(tick[0] * 1e-3) if len(tick) else None)
    assert not found


def test_a_frame_that_is_not_whole_ticks_is_named_at_check() -> None:
    problems = list(FirstSpike(frame="1500 us").check([Stream("x", "spikes", 2)], GRID))
    assert [problem.path for problem in problems] == [("frame",)]
