"""Decoders on arrays."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spikeflow
from spikeflow.catalog import kinds
from spikeflow.errors import ParameterError
from spikeflow.events import Stream
from spikeflow.node import Decoder
from tests.nodes.decoders import golden
from tests.nodes.decoders.arrays import answers, spikes

CASES = golden.cases()


@pytest.mark.parametrize("case", sorted(CASES))
def test_the_block_forms_of_norse_come_out(case: str) -> None:
    given, expected = CASES[case]
    if case.startswith("sum_"):
        axis = int(case[-1])
        blocks = np.moveaxis(given, axis, 0).reshape(given.shape[axis], -1)
        assert np.array_equal(spikeflow.decode("spike_count", blocks), expected.ravel())
        return
    count = int(case.removeprefix("times_count").partition("_")[0])
    unit = "s" if case.endswith("_s") else "ticks"
    lanes = [spikeflow.decode("spikes_to_times", lane, spike_count=count, unit=unit) for lane in given.swapaxes(0, 1)]
    found = np.stack(lanes, axis=1)
    assert found.shape == (count, golden.LANES, golden.NEURONS)
    assert np.allclose(found[: len(given)], expected, rtol=0 if unit == "ticks" else 1.2e-7, atol=0)
    assert np.isinf(found[len(given) :]).all()


SPIKES = spikes(30, 3, (0, 0), (4, 2), (4, 1), (13, 1), (14, 1), (27, 0))
SAMPLES = np.random.default_rng(5).normal(size=(30, 3)).astype(np.float32)

EXAMPLES = [
    pytest.param(make, options, id=f"{kind}-{number}")
    for kind in kinds("decoder")
    for number, (make, options) in enumerate(importlib.import_module(f"tests.nodes.decoders.test_{kind}").EXAMPLES)
]


@pytest.mark.parametrize(("make", "options"), EXAMPLES)
def test_what_a_kind_makes_of_an_array_is_what_it_gives_in_a_graph(
    make: Callable[[Path], Decoder], options: dict[str, Any], tmp_path: Path
) -> None:
    node = make(tmp_path)
    [stream] = options.get("inputs", [Stream("", type(node).takes[0], 5)])
    array = drawn(stream)
    fields = {name: getattr(node, name) for name in node.model_fields_set}
    frame = fields.pop("frame", None)
    found = spikeflow.decode(type(node), array, frame=None if frame is None else frame * 1e-9, **fields)
    ticks, rows = answers(node, array)
    due = node.answers_at(len(array))
    at = ticks if due is None else list(due)
    lines = np.full((len(at), rows.shape[1]), np.nan)
    for tick, row in zip(ticks, rows, strict=True):
        if tick in at:
            lines[at.index(tick)] = row
    for number in range(1, len(lines) if node.lasts else 0):
        lines[number] = np.where(np.isnan(lines[number]), lines[number - 1], lines[number])
    expected = np.where(np.isnan(lines), node.absent, lines).astype(found.dtype)
    assert np.array_equal(found.reshape(expected.shape), expected, equal_nan=True)
    assert len(at) > 0


def drawn(stream: Stream) -> np.ndarray[Any, Any]:
    """[120, size] of what the stream may carry."""
    draw = np.random.default_rng(7)
    shape = (120, stream.size)
    if stream.kind == "samples":
        samples = np.where(draw.random(shape) < 0.2, draw.normal(size=shape), np.nan)
        return samples if stream.double else samples.astype(np.float32)
    return draw.integers(-1, 3, shape) if stream.valued else draw.random(shape) < 0.1


def test_all_ticks_are_one_frame_unless_there_is_a_frame() -> None:
    assert spikeflow.decode("spike_count", SPIKES).tolist() == [2, 3, 1]
    assert spikeflow.decode("spike_count", SPIKES, frame=0.010).tolist() == [[1, 1, 1], [0, 2, 0], [1, 0, 0]]
    assert spikeflow.decode("spike_count", SPIKES, frame="20 ms").tolist() == [[1, 3, 1]]
    assert spikeflow.decode("argmax", SPIKES).tolist() == pytest.approx([1, 1, 0.026])
    assert spikeflow.decode("max_membrane", SAMPLES).tolist() == SAMPLES.max(axis=0).tolist()
    assert spikeflow.decode("linear", SPIKES, weights=np.ones((1, 3))).tolist() == [6]


def test_counts_weigh_and_floats_that_are_spikes_count_as_such() -> None:
    assert spikeflow.decode("spike_count", [[2, 0], [1, 3]]).tolist() == [3, 3]
    assert spikeflow.decode("spike_count", SPIKES.astype(np.float64)).tolist() == [2, 3, 1]
    assert spikeflow.decode("spikes_to_times", np.array([[0.0], [1.0]])).tolist() == [[np.float32(0.001)]]


def test_where_a_kind_takes_either_whole_numbers_are_spikes_and_floats_are_samples() -> None:
    whole = np.array([[0, 2], [1, 0]])
    assert spikeflow.decode("argmax", whole)[0] == 1
    assert spikeflow.decode("argmax", whole.astype(float))[:, 0].tolist() == [1, 0]


def test_what_is_absent_is_nan_or_infinity() -> None:
    samples = np.array([[np.nan, 1.0], [np.nan, 2.0]])
    found = spikeflow.decode("max_membrane", samples, frame="1 ms")
    assert np.array_equal(found, samples, equal_nan=True)
    assert found.dtype == np.float64
    assert np.isnan(spikeflow.decode("population_vector", np.zeros((5, 2), bool), range=(0, 1))).all()
    assert np.isinf(spikeflow.decode("spikes_to_times", np.zeros((5, 2), bool))).all()
    assert np.isnan(spikeflow.decode("first_spike", np.zeros((5, 2), bool), at="spike")).all()


def test_an_alarm_lasts_until_it_ends() -> None:
    samples = np.array([[0.0], [2.0], [np.nan], [2.0], [0.0], [0.0]])
    assert spikeflow.decode("alarm", samples, threshold=1)[:, 0].tolist() == [0, 1, 1, 1, 0, 0]


@given(
    at=st.lists(st.tuples(st.integers(0, 39), st.integers(0, 2)), max_size=30),
    over=st.integers(1, 20),
    every=st.integers(1, 20),
)
def test_a_rate_is_the_mean_over_the_time_just_past(at: list[tuple[int, int]], over: int, every: int) -> None:
    array = spikes(40, 3, *at)
    found = spikeflow.decode("rate", array, over=over * 1_000_000, every=every * 1_000_000)
    expected = [array[max(0, end - over) : end].sum(axis=0) / (over * 1e-3) for end in range(every, 41, every)]
    assert np.allclose(found, np.array(expected).reshape(-1, 3), rtol=1e-6)


class Halves(Decoder):
    """Answers with half of each value, as it comes; tests only."""

    def decode(self, spikes: Any) -> Any:
        t_ns, index, value = spikeflow.columns(spikes)
        return spikeflow.sample_batch(t_ns, index, value / np.float32(2))


def test_a_class_of_one_s_own_answers_where_it_gives_samples() -> None:
    found = spikeflow.decode(Halves, [[0, 0], [2, 1], [0, 0], [0, 4]])
    assert np.array_equal(found, [[1, 0.5], [np.nan, 2]], equal_nan=True)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: spikeflow.decode("spike_cuont", SPIKES), "did you mean 'spike_count'"),
        (lambda: spikeflow.decode("rate", SPIKES, ovr="10 ms"), "rate has no 'ovr' — did you mean 'over'?"),
        (lambda: spikeflow.decode("rate", SPIKES), "over is missing — give it too"),
        (lambda: spikeflow.decode("rate", SPIKES, over="10 ms", frame="10 ms"), "rate has no 'frame'"),
        (lambda: spikeflow.decode("rate", SPIKES, over="1500 us"), "which is not a multiple of dt"),
        (lambda: spikeflow.decode("rate", SPIKES, over="10"), "over: '10' has no unit"),
        (lambda: spikeflow.decode("rate", SPIKES, over="10 ms", per="all"), "per: 'all'"),
        (lambda: spikeflow.decode("spike_count", SPIKES[:, 0]), "values[:, None] is one neuron"),
        (lambda: spikeflow.decode("spike_count", SPIKES[:0]), "values of shape [0, 3]"),
        (lambda: spikeflow.decode("spike_count", [["a"]]), "give an array of numbers"),
        (lambda: spikeflow.decode("spike_count", [[1], [1, 2]]), "rows of several lengths"),
        (lambda: spikeflow.decode("spike_count", SPIKES, dt=0), "dt of 0"),
        (lambda: spikeflow.decode("spike_count", SPIKES, dt=float("inf")), "dt of inf"),
        (lambda: spikeflow.decode("spike_count", SPIKES, dt="1 parsec"), "parsec"),
        (lambda: spikeflow.decode("spike_count", SPIKES, dt=1e-3 / 3), "not a whole number of nanoseconds"),
        (lambda: spikeflow.decode("spike_count", SPIKES, frame="10 ms", forget={"every": "1 s"}), "it is for graphs"),
        (lambda: spikeflow.decode("argmax", SPIKES[:, :1]), "one neuron or channel alone"),
    ],
)
def test_what_does_not_fit_is_said_with_what_would(call: Any, says: str) -> None:
    with pytest.raises(ParameterError) as caught:
        call()
    assert says in str(caught.value)


def test_values_that_are_too_large_for_a_spike_count_as_none() -> None:
    with np.errstate(over="raise"):
        assert spikeflow.decode("spike_count", [[1e300, 2.0], [3.0, -1e300]]).tolist() == [3.0, 2.0]
        assert spikeflow.encode("spike_latency", [[1e300, 2.0], [3.0, -1e300]]).tolist() == [
            [False, True],
            [True, False],
        ]
