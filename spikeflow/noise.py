"""Counter-based random numbers: the same bits on every machine, for every window length, after every restart."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Bits: TypeAlias = npt.NDArray[np.uint64]

# The recipe, which every backend writes out in its own language:
#   mixed(x)     = x ^= x >> 30; x *= MIX_1; x ^= x >> 27; x *= MIX_2; x ^= x >> 31      (SplitMix64's finaliser)
#   bits(key, a, b) = mixed(mixed(key + STRIDE * (a + 1)) + STRIDE * (b + 1))            (all modulo 2**64)
#   uniform      = (bits >> 40) * 2**-24 as float32, (bits >> 11) * 2**-53 as float64, both in [0, 1)
STRIDE = 0x9E3779B97F4A7C15
MIX_1 = 0xBF58476D1CE4E5B9
MIX_2 = 0x94D049BB133111EB

_LN2 = 0.6931471805599453
_SQRT_HALF = 0.7071067811865476


def key(seed: int, *names: str | int) -> int:
    """The 64-bit key of one use of randomness, such as ``key(seed, "edges", "poisson")``; stable for ever."""
    text = "\x1f".join([str(int(seed)), *(str(name) for name in names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _mixed(x: Bits) -> Bits:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(MIX_1)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(MIX_2)
    return x ^ (x >> np.uint64(31))


def _counter(value: npt.ArrayLike) -> Bits:
    return np.atleast_1d(np.asarray(value)).astype(np.uint64)


def bits(of: int, a: npt.ArrayLike, b: npt.ArrayLike) -> Bits:
    """64 random bits for each pair of counters, such as (neuron, tick); `a` and `b` broadcast."""
    step, one = np.uint64(STRIDE), np.uint64(1)
    row = _mixed(np.uint64(of) + step * (_counter(a) + one))
    return _mixed(row + step * (_counter(b) + one))


def uniform(of: int, a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
    """Uniform float64 in [0, 1) for each pair of counters."""
    return (bits(of, a, b) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def uniform32(of: int, a: npt.ArrayLike, b: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Uniform float32 in [0, 1) for each pair of counters."""
    return (bits(of, a, b) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


def integers(of: int, a: npt.ArrayLike, b: npt.ArrayLike, high: int) -> npt.NDArray[np.int64]:
    """Whole numbers in [0, high) for each pair of counters; `high` at most 2**32, bias below high / 2**32."""
    upper = bits(of, a, b) >> np.uint64(32)
    return ((upper * np.uint64(high)) >> np.uint64(32)).astype(np.int64)


def normal(of: int, a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
    """Standard normal float64 for each pair of counters.

    The quantile function of Wichura's AS 241 (PPND16), with a logarithm of our own: a library's `log` may differ in the
    last bit from one machine to the next, additions, products, quotients and square roots may not.
    """
    half = 0.5 * 2.0**-53  # keeps the argument off 0
    return _quantile(uniform(of, a, b) + half)


def _horner(x: Floats, coefficients: Sequence[float]) -> Floats:
    result = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        result = result * x + coefficient
    return result


def _log(x: Floats) -> Floats:
    """The natural logarithm from basic arithmetic alone, within a few units in the last place."""
    mantissa, exponent = np.frexp(x)
    small = mantissa < _SQRT_HALF
    mantissa = np.where(small, mantissa * 2.0, mantissa)
    exponent = np.where(small, exponent - 1, exponent).astype(np.float64)
    s = (mantissa - 1.0) / (mantissa + 1.0)
    series = _horner(s * s, [1.0 / n for n in range(21, 0, -2)])
    return exponent * _LN2 + 2.0 * s * series


# fmt: off
_CENTRE = (
    [2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
     1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0],
    [5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
     5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0])
_SIDE = (
    [7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e0,
     3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0, 1.42343711074968357734e0],
    [1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
     6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0])
_TAIL = (
    [2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
     2.96560571828504891230e-1, 1.78482653991729133580e0, 5.46378491116411436990e0, 6.65790464350110377720e0],
    [2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
     1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0])
# fmt: on


def _quantile(p: Floats) -> Floats:
    q = p - 0.5
    inner = 0.180625 - q * q
    centre = q * _horner(inner, _CENTRE[0]) / _horner(inner, _CENTRE[1])
    r = np.sqrt(-_log(np.minimum(p, 1.0 - p)))
    near, far = r - 1.6, r - 5.0
    side = _horner(near, _SIDE[0]) / _horner(near, _SIDE[1])
    tail = _horner(far, _TAIL[0]) / _horner(far, _TAIL[1])
    outer = np.where(r <= 5.0, side, tail)
    return np.where(np.abs(q) <= 0.425, centre, np.where(q < 0.0, -outer, outer))
