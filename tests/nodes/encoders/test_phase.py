"""Phase."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spikeflow.events import Stream
from spikeflow.nodes.encoders.phase import Phase
from spikeflow.testing import GRID, run_node
from tests.nodes.conftest import Examples

EXAMPLES: Examples = [
    (lambda _: Phase(frame="20 ms"), {}),
    (lambda _: Phase(frame="7 ms", bits=7, low=-1.0), {"events": 300}),
    (lambda _: Phase(frame="100 ms", bits=24, low=-1.0), {"size": 100, "events": 2000}),
]


def spikes(value: float, **fields: Any) -> list[tuple[int, float]]:
    """(tick, value) of the first frame."""
    frame = fields.pop("frame", "8 ms")
    ran = run_node(Phase(frame=frame, **fields), np.array([[value]]), ticks=10)
    return [(tick, weight) for tick, _, weight in ran.rows() if tick < int(frame.split()[0])]


def test_each_set_bit_is_a_spike_at_its_phase_with_its_weight() -> None:
    assert spikes(0b10110000 / 256) == [(0, 0.5), (2, 0.125), (3, 0.0625)]
    assert spikes(0.0) == []
    assert [tick for tick, _ in spikes(1.0)] == list(range(8))


def test_a_frame_repeats_its_period_as_often_as_that_fits() -> None:
    assert [tick for tick, _ in spikes(0.5, bits=4, frame="10 ms")] == [0, 4]


def test_a_frame_costs_what_its_windows_hold_however_many_ticks_it_has() -> None:
    node = Phase(frame="1000 h", bits=3)
    rows = run_node(node, np.array([[1.0]]), ticks=7).rows()
    assert [(tick, weight) for tick, _, weight in rows] == [(tick, 2.0 ** -(1 + tick % 3)) for tick in range(7)]


@given(value=st.floats(0, 1, width=32), bits=st.integers(1, 8))
def test_the_weights_of_a_period_add_up_to_the_value(value: float, bits: int) -> None:
    total = sum(weight for _, weight in spikes(value, bits=bits, frame=f"{bits} ms"))
    assert 0.0 <= value - total <= 2.0**-bits


def test_a_period_fits_into_its_frame() -> None:
    [problem] = Phase(frame="5 ms").check([Stream("x", "samples", 1)], GRID)
    assert str(problem) == "frame is 5 ms, and a period takes 8 ticks — write 8 ms or more, or fewer bits"
