"""Meters: what each node did, cheap enough to be always on."""

from __future__ import annotations

from dataclasses import dataclass, field

RECENT = 512
"""Windows whose times are kept; a power of two."""


@dataclass(slots=True)
class Meter:
    """The work of one node.

    Attributes:
        windows: windows handled.
        missed: windows given up after a failure.
        restarts: how often the node was started again.
        errors: failures.
        recent: how long the last windows took (ns), as a ring.
        lag_ns: how far the last window's end was behind the clock when it left (live runs only).
    """

    windows: int = 0
    missed: int = 0
    restarts: int = 0
    errors: int = 0
    lag_ns: int = 0
    recent: list[int] = field(default_factory=lambda: [0] * RECENT)

    def took(self, nanoseconds: int) -> None:
        """Note the time one window took."""
        self.recent[self.windows & (RECENT - 1)] = nanoseconds
        self.windows += 1

    def window_time(self) -> tuple[int, int]:
        """Median and 99th percentile of the last windows' times (ns)."""
        count = min(self.windows, RECENT)
        if count == 0:
            return 0, 0
        times = sorted(self.recent[:count])
        return times[count // 2], times[min(count - 1, count * 99 // 100)]
