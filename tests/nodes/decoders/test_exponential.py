"""Exponential filters."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from spikeflow.events import Stream
from spikeflow.nodes.decoders.exponential import Exponential
from spikeflow.nodes.decoders.linear import Linear
from spikeflow.testing import run_node
from tests.nodes.conftest import Examples
from tests.nodes.decoders.arrays import GRID, answers, spikes

DATA = Path(__file__).parents[2] / "data"


def made(fields: dict[str, Any], _: Path) -> Exponential:
    return Exponential.model_validate(fields)


EXAMPLES: Examples = [
    (partial(made, fields), {"inputs": [Stream("", "spikes", 5, valued=True)], "events": events})
    for fields in ({}, {"tau": "3 ms", "every": "7 ms"}, {"tau": "1 s", "every": "13 ms", "per": "population"})
    for events in (20, 900)
]


def test_a_spike_adds_its_amount_which_fades() -> None:
    ticks, found = answers(Exponential(tau="10 ms", every="5 ms", amount=2.0), spikes(16, 2, (5, 0), (12, 1)))
    assert ticks == [0, 5, 10, 15]  # the run lasts one tick longer
    e = np.exp(-0.5)
    assert found == pytest.approx(np.array([[0, 0], [2, 0], [2 * e, 0], [2 * e * e, 2 * np.exp(-0.3)]]))


@given(
    counts=arrays.arrays(np.int8, st.tuples(st.integers(1, 60), st.integers(1, 4)), elements=st.integers(-2, 3)),
    tau=st.floats(1e-3, 1.0),
    every=st.integers(1, 9),
)
def test_it_is_the_recursion_tick_by_tick(counts: np.ndarray[Any, Any], tau: float, every: int) -> None:
    y, expected = np.zeros(counts.shape[1]), []
    for row in counts:
        y = np.exp(-1e-3 / tau) * y + row
        expected.append(y)
    node = Exponential(tau=tau, every=every * GRID.dt_ns)
    ticks, found = answers(node, counts)
    use = [tick for tick in ticks if tick < len(counts)]
    assert use == list(range(0, len(counts), every))
    assert np.allclose(found[: len(use)], np.array(expected)[use], rtol=1e-5, atol=1e-5)
    mean = answers(node.model_copy(update={"per": "population"}), counts)[1][: len(use), 0]
    assert np.allclose(mean, np.array(expected)[use].mean(axis=1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("case", "tau"), [("default", 1e-3), ("slow", 20e-3)])
def test_with_weights_behind_it_it_is_the_filter_of_norse(case: str, tau: float) -> None:
    with np.load(DATA / "exp_filter.npz") as data:
        assert f"tau_filter_inv={1 / tau:.1f}" in json.loads(str(data["meta"]))["cases"][case]["call"]
        given, weight, out = (data[f"{case}/{name}"] for name in ("input", "weight", "out"))
    filtered = run_node(Exponential(tau=tau), given.astype(bool), grid=GRID)
    _, found = answers(Linear(weights=weight), np.array([v for _, _, v in filtered.rows()]).reshape(given.shape))
    assert np.abs(found - out).max() <= 2e-5


def test_what_a_neuron_gives_does_not_depend_on_the_others() -> None:
    draw = np.random.default_rng(1).random((200, 3)) < 0.2
    node = Exponential(tau="7 ms", every="3 ms")
    together = answers(node, draw)[1]
    for neuron in range(3):
        assert np.array_equal(answers(node, draw[:, neuron : neuron + 1])[1][:, 0], together[:, neuron])


def test_a_time_that_is_not_whole_ticks_is_named_at_check() -> None:
    problems = list(Exponential(every="1500 us").check([Stream("x", "spikes", 2)], GRID))
    assert [problem.path for problem in problems] == [("every",)]


@pytest.mark.parametrize("tau", [0.0, -1.0, float("inf"), float("nan")])
def test_a_time_constant_is_above_zero_and_finite(tau: float) -> None:
    with pytest.raises(ValueError, match="tau"):
        Exponential(tau=tau)
