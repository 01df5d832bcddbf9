"""Rasters and curves: events by columns of time, counted so cheaply that the engine does not notice."""

from __future__ import annotations

import numpy as np

from spikeflow.events import Batch, Window
from spikeflow.monitor.frames import Counts

MOST_ROWS = 256
"""Rows that are sent; larger populations share them."""

KEPT = 512
"""Columns that are kept until somebody takes them."""

_PENDING = 50_000


class Raster:
    """Counts the spikes of one outlet.

    Attributes:
        size: neurons.
        rows: rows that they share.
        column_ticks: ticks of a column.

    Args:
        first: the first column that counts.
    """

    def __init__(self, size: int, column_ticks: int, most_rows: int = MOST_ROWS, first: int = 0) -> None:
        self.size = size
        self.rows = min(size, most_rows)
        self.column_ticks = column_ticks
        self._counts = np.zeros((KEPT, self.rows), np.int64)
        self._row_of = (np.arange(size, dtype=np.int64) * self.rows // size).astype(np.uint16)
        self._pending: list[Batch] = []
        self._waiting = 0
        self._first = first  # the next column to be taken
        self._end_tick = 0

    def watch(self, batch: Batch) -> None:
        """Note a batch; it is counted later, many at a time."""
        window = batch.window
        self._end_tick = window.first_tick + window.ticks
        if batch.count:
            self._pending.append(batch)
            self._waiting += batch.count
            if self._waiting > _PENDING:
                self._fold()

    def take(self) -> tuple[int, Counts]:
        """The first column that is complete and was not taken before, and [columns, rows] counts from there on."""
        self._fold()
        end = self._end_tick // self.column_ticks
        first = max(self._first, end - KEPT)
        cells = np.arange(first, end) % KEPT
        counts = np.minimum(self._counts[cells], 65535).astype(np.uint16)
        self._counts[cells] = 0
        self._first = max(end, first)
        return first, counts

    def _fold(self) -> None:
        """Count what was noted."""
        pending, self._pending, self._waiting = self._pending, [], 0
        if not pending:
            return
        origin_ns, dt_ns = _grid_of(pending[0].window)
        parts = [batch.arrays for batch in pending]
        t_ns = np.concatenate([part[0] for part in parts])
        row = self._row_of[np.concatenate([part[1] for part in parts])]
        column_ns = dt_ns * self.column_ticks
        newest = int(t_ns[-1] - origin_ns) // column_ns
        if newest - self._first >= KEPT:
            self._skip_to(newest - KEPT + 1)
        oldest = max(int(t_ns[0] - origin_ns) // column_ns, self._first)
        edges = origin_ns + np.arange(oldest, newest + 2) * column_ns
        cuts = np.searchsorted(t_ns, edges).tolist()  # times ascend: far cheaper than a division for each spike
        for column, low, high in zip(range(oldest, newest + 1), cuts, cuts[1:], strict=False):
            self._counts[column % KEPT] += np.bincount(row[low:high], minlength=self.rows)

    def _skip_to(self, first: int) -> None:
        """Give up the columns before `first`: nobody took them."""
        gone = np.arange(self._first, min(first, self._first + KEPT)) % KEPT
        self._counts[gone] = 0
        self._first = first


class Curve:
    """The mean of a stream of samples, column by column."""

    def __init__(self, column_ticks: int) -> None:
        self.column_ticks = column_ticks
        self._sums: dict[int, tuple[float, int]] = {}

    def watch(self, batch: Batch) -> None:
        """Add a batch's samples up."""
        window = batch.window
        if not batch.count:
            return
        t_ns, _, value = batch.arrays
        if value is None:
            return
        origin_ns, dt_ns = _grid_of(window)
        column_ns = dt_ns * self.column_ticks
        low, high = int(t_ns[0] - origin_ns) // column_ns, int(t_ns[-1] - origin_ns) // column_ns
        cuts = np.searchsorted(t_ns, origin_ns + np.arange(low, high + 2) * column_ns).tolist()
        for column, at, end in zip(range(low, high + 1), cuts, cuts[1:], strict=False):
            total, count = self._sums.get(column, (0.0, 0))
            self._sums[column] = (total + float(value[at:end].sum(dtype=np.float64)), count + end - at)
        while len(self._sums) > KEPT:
            del self._sums[next(iter(self._sums))]

    def take(self, first: int, count: int) -> list[float | None]:
        """The means of `count` columns; None where there was no sample. What came late counts for the first."""
        late = [self._sums.pop(column) for column in sorted(self._sums) if column <= first] if count else []
        found = {first: (sum(total for total, _ in late), sum(number for _, number in late))}
        found |= {column: self._sums.pop(column) for column in range(first + 1, first + count) if column in self._sums}
        means = (found.get(column, (0.0, 0)) for column in range(first, first + count))
        return [total / number if number else None for total, number in means]


def _grid_of(window: Window) -> tuple[int, int]:
    """Where tick 0 starts (ns), and a tick (ns)."""
    dt_ns = (window.end_ns - window.start_ns) // window.ticks
    return window.start_ns - window.first_tick * dt_ns, dt_ns
