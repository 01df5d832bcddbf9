"""The counter-based recipe: fixed bits, plain statistics."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from spikeflow import noise

KEY = noise.key(7, "edges", "poisson")


def splitmix(seed: int, turn: int) -> int:
    """The generator of Steele, Lea and Flood (2014), in whole numbers."""
    mask = 2**64 - 1
    x = (seed + (turn + 1) * noise.STRIDE) & mask
    x = ((x ^ (x >> 30)) * noise.MIX_1) & mask
    x = ((x ^ (x >> 27)) * noise.MIX_2) & mask
    return x ^ (x >> 31)


def test_the_finaliser_is_that_of_splitmix64() -> None:
    assert [splitmix(1234567, k) for k in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@pytest.mark.parametrize(("a", "b"), [(0, 0), (1, 0), (0, 1), (2**32, 2**40)])
def test_bits_are_a_stream_of_streams(a: int, b: int) -> None:
    assert int(noise.bits(KEY, a, b)[0]) == splitmix(splitmix(KEY, a), b)


def test_the_bits_never_change() -> None:
    assert noise.key(7, "a", "b") == 0x46F5F5D256F9B28F
    assert noise.key(7, "ab") != noise.key(7, "a", "b")
    drawn = noise.uniform(0x46F5F5D256F9B28F, np.arange(3), 5)
    assert drawn.tolist() == pytest.approx([4.06329841e-04, 5.42431902e-01, 1.94926922e-02], rel=1e-8)


def test_uniform_numbers_are_exact_in_their_precision() -> None:
    bits = noise.bits(KEY, np.arange(1000), 3)
    assert (noise.uniform(KEY, np.arange(1000), 3) == (bits >> np.uint64(11)) / 2.0**53).all()
    single = noise.uniform32(KEY, np.arange(1000), 3)
    assert single.dtype == np.float32
    assert (single.astype(np.float64) == (bits >> np.uint64(40)) / 2.0**24).all()
    assert 0 <= single.min() <= single.max() < 1


def test_uniform_numbers_are_spread_evenly_over_neurons_and_ticks() -> None:
    for drawn in (noise.uniform(KEY, np.arange(100_000), 0), noise.uniform(KEY, 0, np.arange(100_000))):
        counts = np.histogram(drawn, 100, (0, 1))[0]
        assert ((counts - 1000) ** 2 / 1000).sum() < 160  # chi-squared of 99: beyond it once in ten thousand


def test_the_quantile_function_is_that_of_the_normal_distribution() -> None:
    p = np.concatenate([np.linspace(1e-6, 1 - 1e-6, 10_001), [2.0**-54, 1e-12]])
    np.testing.assert_allclose(noise._quantile(p), ndtri(p), atol=4e-15, rtol=4e-15)


def test_whole_numbers_stay_below_their_bound_and_reach_it() -> None:
    drawn = noise.integers(KEY, np.arange(10_000), 0, 7)
    assert set(drawn.tolist()) == set(range(7))
