"""What a benchmark found: one value a repetition, and the median with its spread."""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psutil

from tests.benchmarks.neuron_peers import quiet


@dataclass(frozen=True)
class Measured:
    """One figure.

    Attributes:
        values: one a repetition, warm-up left out.
        rate_hz: mean firing rate of the neurons while it was measured; None where no neuron is to fire.
        left_out: repetitions that do not count, because the core was slow.
        results: what the work gave in the repetitions that count, where it was asked for.
    """

    values: Sequence[float]
    rate_hz: float | None = None
    left_out: int = 0
    results: Sequence[Any] = ()

    @property
    def median(self) -> float:
        """The middle of the repetitions."""
        return statistics.median(self.values)

    def scaled(self, factor: float, rate_hz: float | None = None) -> Measured:
        """The same in another unit."""
        return replace(self, values=[value * factor for value in self.values], rate_hz=rate_hz)

    def as_dict(self) -> dict[str, Any]:
        """The median, the spread, the number of repetitions, and the rate."""
        found: dict[str, Any] = {"median": self.median, "min": min(self.values), "max": max(self.values)}
        found["repetitions"] = len(self.values)
        if self.left_out:
            found["left_out"] = self.left_out
        if self.rate_hz is not None:
            found["rate_hz"] = self.rate_hz
        return {key: float(f"{value:.5g}") if isinstance(value, float) else value for key, value in found.items()}


def held() -> int:
    """Bytes of this process in memory, once the C library has given back what is free."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    size: int = psutil.Process().memory_info().rss
    return size


_PIECES, _TRIES, _FEWEST = 30, 4, 3
_LONGEST_WAIT_S = 1.0


def at_pace() -> bool:
    """Whether the core goes at its own pace now: what runs beside it on the same processor slows it, in stretches."""
    return bool(quiet.slower(quiet.pace_us(_PIECES)) <= quiet.QUIET)


def kept(own: Sequence[bool], wanted: int) -> list[int]:
    """Which repetitions count: those during which the core went at its own pace, where there are enough of them."""
    found = [place for place, is_own in enumerate(own) if is_own][:wanted]
    return found if len(found) >= min(_FEWEST, wanted) else list(range(min(wanted, len(own))))


def measured(values: Sequence[float], own: Sequence[bool], wanted: int, results: Sequence[Any] = ()) -> Measured:
    """The repetitions that count."""
    places = kept(own, wanted)
    left_out = places[-1] + 1 - len(places) if places else 0
    return Measured(
        [values[place] for place in places], left_out=left_out, results=[results[k] for k in places if results]
    )


def repeated(work: Callable[[], object], repetitions: int, before: Callable[[], object] = lambda: None) -> Measured:
    """Seconds of each repetition of `work`, after one that is not timed; `before` each one, untimed.

    A repetition counts where the core was at its own pace before and after it; how many did not, where others did.
    """
    before()
    work()
    took: list[float] = []
    own: list[bool] = []
    results: list[Any] = []
    is_own = at_pace()
    while sum(own) < repetitions and len(own) < _TRIES * repetitions:
        until = time.perf_counter() + _LONGEST_WAIT_S
        while not is_own and time.perf_counter() < until:
            is_own = at_pace()
        before()
        began = time.perf_counter()
        results.append(work())
        took.append(time.perf_counter() - began)
        was, is_own = is_own, at_pace()
        own.append(was and is_own)
    return measured(took, own, repetitions, results)
