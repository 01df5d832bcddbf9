"""Population vectors."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spikeflow
from spikeflow.events import Stream
from spikeflow.nodes.decoders.population_vector import PopulationVector
from tests.nodes.conftest import Examples
from tests.nodes.decoders.arrays import GRID, answers, spikes

COUNTED = {"inputs": [Stream("", "spikes", 6, valued=True)]}
HELD = {"inputs": [Stream("", "samples", 6)], "events": 200}


def made(fields: dict[str, Any], folder: Path) -> PopulationVector:
    np.save(folder / "preferred.npy", [0.0, 1.0, 4.0])
    return PopulationVector.model_validate(fields, context={"folder": folder})


EXAMPLES: Examples = [
    (partial(made, {"range": [0, 1], "frame": "13 ms"}), COUNTED),
    (partial(made, {"range": [0, 360], "period": 360, "over": "30 ms", "every": "7 ms"}), COUNTED),
    (partial(made, {"preferred": "preferred.npy", "centres": 3}), HELD),
    (partial(made, {"range": [-180, 180], "period": 360, "centres": 2}), HELD),
]


def vector(counts: list[int], **fields: Any) -> list[float]:
    array = np.zeros((10, len(counts)), np.int8)
    array[3] = counts
    _, found = answers(PopulationVector.model_validate({"frame": "10 ms", **fields}), array)
    return [] if not len(found) else [round(value, 4) for value in found[0].tolist()]


def test_it_is_the_centre_of_mass_of_what_neurons_prefer() -> None:
    assert vector([1, 0, 3], range=[0, 10]) == [7.5]
    assert vector([1, 0, 3], preferred=[0, 1, 100]) == [75]


def test_both_ends_of_a_range_are_included() -> None:
    assert vector([1, 0, 0, 0, 0], range=[2, 4]) == [2]
    assert vector([0, 0, 0, 0, 1], range=[2, 4]) == [4]


def test_directions_go_round() -> None:
    turn = {"range": [0, 360], "period": 360}
    assert vector([0, 1, 0, 0], **turn) == [90]
    assert vector([1, 0, 0, 1], **turn) == [315]
    assert vector([1, 0, 0, 1], range=[-180, 180], period=360) == [135]
    assert vector([1, 1], preferred=[350, 20], period=360) == [5]
    assert vector([0, 0, 1], range=[0, 90], period=360) == [90]


def test_nothing_and_directions_that_cancel_have_no_sample() -> None:
    assert vector([0, 0, 0], range=[0, 10]) == []
    assert vector([2, 0, 2, 0], range=[0, 360], period=360) == []


def test_a_negative_weight_counts_as_none() -> None:
    assert vector([-5, 0, 3], range=[0, 10]) == [10]


def test_groups_stand_for_channels() -> None:
    array = spikes(10, 6, (1, 0), (2, 1), (3, 5))
    node = PopulationVector(range=(0.0, 1.0), centres=3, frame="10 ms")
    assert answers(node, array)[1].tolist() == [[0.25, 1.0]]
    [stream] = node.outlets([Stream("x", "spikes", 6, shape=(2, 3))]).values()
    assert (stream.size, stream.shape) == (2, (2,))


@given(counts=st.lists(st.integers(0, 5), min_size=2, max_size=9), low=st.floats(-10, 10), wide=st.floats(0.1, 10))
def test_it_lies_within_what_the_active_neurons_prefer(counts: list[int], low: float, wide: float) -> None:
    found = vector(counts, range=[low, low + wide])
    values = np.linspace(low, low + wide, len(counts))[np.array(counts) > 0]
    assert len(found) == min(1, len(values))
    if len(values):
        assert values.min() - 1e-3 <= found[0] <= values.max() + 1e-3


GRAPH = """
spikeflow: 1
nodes:
  wave: {source: synthetic, signal: sine, channels: 2, phase: 0.25, offset: 0.5, amplitude: 0.3, length: 1 s}
  code: {encoder: population, input: wave, centres: 21, scale: 1, sigma: 0.1}
  back: {decoder: population_vector, input: code, centres: 21, range: [0, 1]}
  out: {sink: file, input: [wave, back], path: all}
"""


def test_it_turns_a_population_code_back_into_its_value(tmp_path: Path) -> None:
    (tmp_path / "graph.yaml").write_text(GRAPH)
    spikeflow.run_blocking(spikeflow.load(tmp_path / "graph.yaml"))
    found = {}
    for name in ("wave", "back"):
        with pa.ipc.open_file(tmp_path / "all" / f"{name}.arrow") as file:
            found[name] = file.read_all()
    assert found["wave"]["t"].equals(found["back"]["t"])
    wave, back = (np.array(found[name]["value"]) for name in ("wave", "back"))
    assert np.abs(wave - back).max() < 0.06


SIX = Stream("x", "spikes", 6)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "neither range nor preferred — write range: [0, 1], or preferred: values.npy"),
        ({"range": [0, 1], "preferred": [1.0] * 6}, "both range and preferred"),
        ({"range": [1, 0]}, "a range from 1 to 0 — write [low, high]"),
        ({"range": [0, 1], "centres": 4}, "groups of 4 of 6 neurons — write a number that divides them"),
        ({"preferred": [1.0, 2.0]}, "values of shape [2] for groups of 6 neurons — give 6, or say how many `centres`"),
    ],
)
def test_what_does_not_fit_is_said_at_check(fields: dict[str, Any], says: str) -> None:
    [problem] = PopulationVector.model_validate({"frame": "10 ms", **fields}).check([SIX], GRID)
    assert str(problem).startswith(says)
