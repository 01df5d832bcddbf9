"""The words that a model's `update` is written in, as NumPy understands them.

Beside these: `+ - * /`, comparisons and `&` between their results. `minimum` and `maximum` are defined by
`where`, so that every backend treats a NaN alike. What every model shares, refractoriness and the flush of tiny state,
is written here in the same words; Numba and CUDA get their texts from these functions.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Real: TypeAlias = Any
"""A value per neuron: an array in NumPy, a scalar in the fused loops; float32 or float64 as the population has it."""

Flag: TypeAlias = Any
"""True or False per neuron."""


def where(flag: Flag, yes: Real, no: Real) -> Real:
    """`yes` where `flag` holds, else `no`."""
    return np.where(flag, yes, no)


def minimum(a: Real, b: Real) -> Real:
    """The lesser one; `b` where they are equal; not a number where either is not."""
    return np.where((a < b) | (a != a), a, b)  # noqa: PLR0124 - the words that every backend has


def maximum(a: Real, b: Real) -> Real:
    """The greater one; `b` where they are equal; not a number where either is not."""
    return np.where((a > b) | (a != a), a, b)  # noqa: PLR0124


def exp(x: Real) -> Real:
    """e to the power of x; libraries differ in the last bits, so a model that uses it states its tolerance."""
    return np.exp(x)


def absolute(x: Real) -> Real:
    """`x` without its sign."""
    return np.abs(x)


def power(x: Real, y: Real) -> Real:
    """`x` to the power of `y`; libraries differ in the last bits, as for `exp`."""
    return np.power(x, y)


WORDS = ("where", "minimum", "maximum", "absolute", "exp", "power")

TINY = 1e-30
"""State nearer to zero than this becomes zero: far above the smallest normal float32 (1.2e-38), so that neither the
state nor its products with small constants are subnormal, which would cost 25 to 50 times the time."""

FLUSH_EVERY = 16
"""Ticks from one flush to the next, at multiples of it: even the state that halves in every tick stays above 1e-35."""


def flush(x: Real, tiny: Real, zero: Real) -> Real:
    """State with what is nearer to zero than `tiny` set to zero."""
    return where(absolute(x) < tiny, zero, x)


def hold(free: Flag, held: Real, moved: Real) -> Real:
    """A state that stands still while its neuron is refractory."""
    return where(free, moved, held)


def count_down(rho: Real, free: Flag, spiked: Flag, rho_reset: Real, one: Real, zero: Real) -> Real:
    """The refractory ticks that remain. Source: Norse 1.1, compute_refractory_update."""
    return where(spiked, rho_reset, where(free, rho, maximum(rho - one, zero)))
