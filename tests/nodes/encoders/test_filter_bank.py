"""Filter bank."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import signal

from spikeflow.events import Grid, Stream, columns, sample_batch
from spikeflow.nodes.encoders.filter_bank import FilterBank
from spikeflow.testing import run_node
from tests.nodes.conftest import Examples

GRID = Grid(5_000_000_000, 1_000_000, 10)
EXAMPLES: Examples = [
    (lambda _: FilterBank(edges=[20, 50, 100]), {"events": 100}),
    (lambda _: FilterBank(count=3, low=10, high=400, order=1), {"inputs": [Stream("", "samples", 5, double=True)]}),
    (lambda _: FilterBank(edges=[0, 50, 100], rate=500), {}),
    (lambda _: FilterBank(count=4, low=100, high=7000, spacing="mel", rate=16_000, design="cheby1"), {"size": 1}),
]


@pytest.mark.parametrize("design", ["butter", "bessel", "cheby1"])
def test_a_band_is_what_scipy_filters_out_of_the_values_held(design: Any) -> None:
    wave = np.random.default_rng(0).standard_normal((300, 2))
    ran = run_node(FilterBank(edges=[0, 40, 90], design=design, order=3), wave, grid=GRID)
    found = columns(ran.events)[2].reshape(300, 2, 2)
    more: dict[str, Any] = {"norm": "mag"} if design == "bessel" else {}
    given = (1.0,) if design == "cheby1" else ()
    for band, (kind, at) in enumerate((("lowpass", 40), ("bandpass", (40, 90)))):
        sections = getattr(signal, design)(3, *given, at, kind, fs=1000.0, output="sos", **more)
        assert np.array_equal(found[:, :, band], signal.sosfilt(sections, wave, axis=0))


def test_a_sine_comes_out_in_its_own_band() -> None:
    node = FilterBank(count=4, low=10, high=160)  # 10, 20, 40, 80, 160
    time = np.arange(2000) / 1000.0
    waves = np.stack([np.sin(2 * np.pi * f * time) for f in (14, 28, 57, 113)], axis=1)
    found = columns(run_node(node, waves, grid=GRID).events)[2].reshape(2000, 4, 4)[1000:]
    power = (found**2).mean(axis=0)
    assert power.argmax(axis=1).tolist() == [0, 1, 2, 3]
    assert (power.max(axis=1) > 0.4).all()


def test_with_a_rate_every_sample_counts_as_the_next_one() -> None:
    draw = np.random.default_rng(1)
    value = draw.standard_normal(400)
    channel = np.sort(draw.integers(0, 2, 400).reshape(100, 4), axis=1).ravel().astype(np.uint32)
    t_ns = GRID.origin_ns + np.repeat(np.arange(100) * 312_500, 4)
    stream = Stream("x", "samples", 2, shape=(1, 2), double=True)
    ran = run_node(FilterBank(edges=[100, 900], rate=8000), (stream, sample_batch(t_ns, channel, value)), grid=GRID)
    found_t, found_channel, found = columns(ran.events)
    sections = signal.butter(2, (100, 900), "bandpass", fs=8000.0, output="sos")
    assert np.array_equal(found_t, t_ns)
    assert ran.streams[""].shape == (1, 2, 1)
    for own in (0, 1):
        assert np.array_equal(found[found_channel == own], signal.sosfilt(sections, value[channel == own]))


def test_a_channel_is_silent_before_its_first_sample() -> None:
    values = np.full((10, 2), np.nan)
    values[3, 1] = 1.0
    rows = run_node(FilterBank(edges=[20, 50, 100]), values, grid=GRID).rows()
    assert [row[:2] for row in rows] == [(tick, channel) for tick in range(3, 10) for channel in (2, 3)]


def test_bands_may_be_spaced_in_three_ways() -> None:
    assert FilterBank(count=2, low=10, high=1000).band_edges().tolist() == pytest.approx([10, 100, 1000])
    assert FilterBank(count=2, low=0, high=10, spacing="linear").band_edges().tolist() == [0, 5, 10]
    mel = FilterBank(count=3, low=0, high=4000, spacing="mel").band_edges()
    assert np.diff(2595 * np.log10(1 + mel / 700)) == pytest.approx([715.3] * 3, abs=0.1)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "no bands"),
        ({"count": 3, "low": 10}, "no bands"),
        ({"edges": [10, 20], "count": 3}, "both edges and count"),
        ({"edges": [20, 10]}, "do not ascend"),
        ({"count": 3, "low": 0, "high": 10}, "low is 0 Hz"),
        ({"edges": [10]}, "at least 2"),
    ],
)
def test_bands_are_given_in_one_way(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FilterBank(**fields)


def test_bands_that_the_rate_does_not_hold_are_named_at_check() -> None:
    stream = Stream("x", "samples", 1)
    assert [str(problem) for problem in FilterBank(edges=[100, 600]).check([stream], GRID)] == [
        "a band ends at 600 Hz, and values come 1000 times a second — "
        "bands end below 500 Hz, half the rate; a smaller dt raises it"
    ]
    assert not list(FilterBank(edges=[100, 600], rate=16_000).check([stream], GRID))
    [problem] = FilterBank(edges=[1e-10, 2e-10], order=8).check([stream], GRID)
    assert "too narrow" in problem.found
