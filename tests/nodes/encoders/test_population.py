"""Population codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikeflow.events import Grid, Stream, columns, sample_batch
from spikeflow.nodes.encoders.population import Population, responses
from spikeflow.testing import run_node
from tests.nodes.conftest import Examples
from tests.nodes.encoders import golden

GRID = Grid(5_000_000_000, 1_000_000, 10)
CASES = golden.cases("population_")
EXAMPLES: Examples = [
    (lambda _: Population(centres=7, scale=1.0), {}),
    (lambda _: Population(centres=2, scale=3.0, kernel="laplace", distance="absolute"), {}),
    (lambda _: Population(centres=3, scale={"track": "50 ms"}), {}),
]


@pytest.mark.parametrize("case", sorted(CASES))
def test_responses_are_those_of_norse(case: str) -> None:
    arrays, said = CASES[case]
    double = said["dtype"] == "f64"
    value = arrays["input"].astype(np.float64 if double else np.float32)
    scale = float(value.max()) if said["scale"] == "input.max()" else float(said["scale"])
    stream = Stream("x", "samples", value.shape[1], double=double)
    t_ns = np.repeat(GRID.origin_ns + np.arange(len(value)) * 700_000, value.shape[1])
    record = sample_batch(t_ns, np.tile(np.arange(value.shape[1]), len(value)), value.ravel())
    node = Population(centres=11, scale=scale, sigma=said["sigma"])
    found_t, channel, found = columns(run_node(node, (stream, record), grid=GRID).events)
    assert found.dtype == value.dtype
    assert np.array_equal(found_t, np.repeat(t_ns, 11))
    assert np.array_equal(channel, np.tile(np.arange(33), len(value)))
    error = np.abs(found.reshape(arrays["out"].shape) - arrays["out"]).max()
    assert error <= (1e-12 if double else 2e-6)


def tracked(rows: list[tuple[int, int, float]]) -> tuple[Any, list[float]]:
    """The node's run, and of each sample the last centre, where the response to the sample itself is 1."""
    tick, channel, value = (np.array(column) for column in zip(*rows, strict=True))
    record = sample_batch(GRID.origin_ns + tick * GRID.dt_ns + np.arange(len(tick)), channel, value.astype(np.float64))
    ran = run_node(
        Population(centres=2, scale={"track": "100 ms"}), (Stream("x", "samples", 2, double=True), record), grid=GRID
    )
    found = columns(ran.events)[2].reshape(-1, 2)
    # of the centres 0 and s the responses are exp(-x² s / 2) and exp(-(x - s)² s / 2)
    return ran, [float(-2 * np.log(row[0])) for row in found]


def test_a_tracked_range_is_the_largest_value_and_shrinks_slowly() -> None:
    _, found = tracked([(0, 0, 2.0), (0, 1, 4.0), (50, 0, 1.0), (100, 0, 1.0), (130, 1, 3.0), (130, 0, 1.0)])
    scale = [4.0, 4.0, 4.0 * np.exp(-0.5), 4.0 * np.exp(-1.0), 3.0, 3.0]
    value = [2.0, 4.0, 1.0, 1.0, 3.0, 1.0]
    assert found == pytest.approx([x * x * s for x, s in zip(value, scale, strict=True)], rel=1e-6)


def test_without_a_value_above_zero_there_is_no_range() -> None:
    ran, found = tracked([(0, 0, -2.0), (1, 1, 0.0), (2, 0, np.nan), (3, 0, 1.0), (4, 1, -1.0)])
    assert ran.counters.noted == {"not finite": 1, "no range": 2}
    assert found == pytest.approx([1.0, np.exp(-0.01)], rel=1e-6)


def test_the_parts_are_those_of_norse() -> None:
    for name, sigma in (("gaussian_rbf_sigma0.35", 0.35), ("gaussian_rbf_sigma1.0", 1.0)):
        arrays, _ = golden.cases(name)[name]
        # one centre at 0 and scale 1: the square root of the argument is its distance
        value = arrays["input"]
        use = value >= 0
        found = responses(np.sqrt(value[use]), 1, 1.0, sigma=sigma)[:, 0]
        assert np.allclose(found, arrays["out"][use], rtol=1e-12, atol=0)
        assert use.any()


def test_other_kernels_and_distances_can_be_chosen() -> None:
    value = np.array([0.25])
    assert responses(value, 2, 2.0, "gaussian", "absolute")[0] == pytest.approx(np.exp([-0.25, -1.75]))
    assert responses(value, 2, 2.0, "laplace", "squared", 0.5)[0] == pytest.approx(np.exp([-0.25, -12.25]))


def test_channels_become_a_shape_with_one_axis_more() -> None:
    [stream] = Population(centres=5, scale=1.0).outlets([Stream("x", "samples", 6, shape=(2, 3))]).values()
    assert (stream.kind, stream.size, stream.shape) == ("samples", 30, (2, 3, 5))


@pytest.mark.parametrize("fields", [{"centres": 0, "scale": 1.0}, {"centres": 3, "scale": 0.0}, {"centres": 3}])
def test_a_scale_of_zero_or_none_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"centres|scale"):
        Population(**fields)


def test_values_and_ranges_beyond_float32_give_nothing_that_is_no_number() -> None:
    with pytest.raises(ValueError, match="scale"):
        Population(centres=3, scale=1e39)
    value = np.array([[1e300, -1e300], [1.0, 2.0]])
    for kind in (np.float64, np.float32):
        with np.errstate(over="ignore"):
            array = value.astype(kind)
        ran = run_node(Population(centres=3, scale=2.0), array, ticks=2)
        assert np.isfinite(columns(ran.events)[2]).all()
    ran = run_node(Population(centres=3, scale={"track": "1 s"}), value, ticks=2)
    assert ran.counters.noted == {"no range": 4}
