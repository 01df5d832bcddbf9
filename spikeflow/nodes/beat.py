"""Instants at a steady rate: the whole nanoseconds of the multiples of 1/rate, exact however long a run lasts."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

from spikeflow.errors import ParameterError
from spikeflow.events import Times

_SECOND_NS = 1_000_000_000
_HIGHEST = 1_000_000_000.0


class Beat:
    """The instants ``floor(k / rate)`` (ns) for k = 0, 1, 2, …

    Args:
        rate: beats a second (Hz); fractions of a hertz count to a thousandth, where the rate allows it.

    Raises:
        ParameterError: a rate that is not above 0 and at most 1 GHz.
    """

    def __init__(self, rate: float) -> None:
        if not 0.0 < rate <= _HIGHEST:
            raise ParameterError(f"a rate of {rate:g} Hz", "a rate is above 0 Hz and at most 1 GHz")
        finest = 1000 if rate < 1e5 else 1
        exact = Fraction(rate).limit_denominator(finest) if rate >= 1e-3 else Fraction(1, round(1.0 / rate))
        period = _SECOND_NS / exact
        # after `beats` beats exactly `span_ns` nanoseconds have passed
        self.span_ns, self.beats = period.numerator, period.denominator

    def at(self, k: int) -> int:
        """The instant of beat k (ns)."""
        return k * self.span_ns // self.beats

    def times(self, first: int, count: int) -> Times:
        """[count] instants of the beats from `first` on (ns)."""
        whole, rest = divmod(first, self.beats)
        steps = rest + np.arange(count, dtype=np.int64)
        turns, within = steps // self.beats, steps % self.beats
        result: npt.NDArray[np.int64] = (whole + turns) * self.span_ns + within * self.span_ns // self.beats
        return result

    def first(self, t_ns: int) -> int:
        """The first beat at or after an instant (ns)."""
        return -(-t_ns * self.beats // self.span_ns)
