"""Burst."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spikeflow.events import Stream
from spikeflow.nodes.encoders.burst import Burst
from spikeflow.testing import GRID, run_node
from tests.nodes.conftest import Examples

EXAMPLES: Examples = [
    (lambda _: Burst(frame="20 ms"), {}),
    (lambda _: Burst(frame="7 ms", most=3, shortest="1 ms", low=-1.0), {"events": 300}),
    (lambda _: Burst(frame="100 ms", most=30, longest="13 ms", low=-1.0), {"size": 100, "events": 2000}),
]


def spikes(value: float, **fields: Any) -> list[int]:
    """Ticks of the first frame."""
    ran = run_node(Burst(frame="50 ms", **fields), np.array([[value]]), ticks=50)
    return [tick for tick, _, _ in ran.rows()]


def test_the_larger_a_value_the_more_spikes_and_the_closer_together() -> None:
    assert spikes(1.0) == [0, 2, 4, 6, 8]
    assert spikes(0.5) == [0, 6, 12]
    assert spikes(0.01) == [0]
    assert spikes(0.0) == []


def test_spikes_past_the_end_of_a_frame_are_left_out() -> None:
    assert spikes(0.9, longest="40 ms", shortest="20 ms") == [0, 22, 44]


@given(value=st.floats(0, 1, width=32), most=st.integers(1, 10))
def test_the_count_is_that_of_the_published_form(value: float, most: int) -> None:
    found = spikes(value, most=most, shortest="1 ms")
    assert len(found) == np.ceil(most * value)
    longest = 50 // most if most * (50 // most) == 50 else 50 / most
    if len(found) > 1:
        assert set(np.diff(found)) == {int(np.ceil(longest - (longest - 1) * value))}


def test_times_are_held_at_check() -> None:
    stream = Stream("x", "samples", 1)

    def problems(**fields: Any) -> list[tuple[tuple[str | int, ...], bool]]:
        return [(one.path, one.warning) for one in Burst(**fields).check([stream], GRID)]

    assert problems(frame="50 ms", shortest="1500 us") == [(("shortest",), False)]
    assert problems(frame="50 ms", shortest="20 ms", most=5) == [(("shortest",), False)]
    assert problems(frame="50 ms", shortest="20 ms", longest="30 ms", most=5) == [(("most",), True)]
    assert problems(frame="50 ms") == []
