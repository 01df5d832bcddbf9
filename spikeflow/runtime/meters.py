"""Meters: what each node did, cheap enough to be always on."""

from __future__ import annotations

from dataclasses import dataclass, field

_RECENT = 512


@dataclass(slots=True)
class Meter:
    """The work of one node.

    Attributes:
        windows: windows handled.
        events_in: events received.
        events_out: events sent.
        missed: windows given up after a failure.
        restarts: how often the node was started again.
        errors: failures.
        lag_ns: how far the last window's end was behind the clock when it left (live runs only).
    """

    windows: int = 0
    events_in: int = 0
    events_out: int = 0
    missed: int = 0
    restarts: int = 0
    errors: int = 0
    lag_ns: int = 0
    busy_ns: int = 0
    _recent: list[int] = field(default_factory=lambda: [0] * _RECENT)

    def took(self, nanoseconds: int) -> None:
        """Note the time one window took."""
        self._recent[self.windows & (_RECENT - 1)] = nanoseconds
        self.windows += 1
        self.busy_ns += nanoseconds

    def window_time(self) -> tuple[int, int]:
        """Median and 99th percentile of the last windows' times (ns)."""
        count = min(self.windows, _RECENT)
        if count == 0:
            return 0, 0
        times = sorted(self._recent[:count])
        return times[count // 2], times[min(count - 1, count * 99 // 100)]
