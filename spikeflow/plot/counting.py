"""Counting: events of any number to a picture's worth of numbers, in one pass and bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spikeflow.events import Indices, Times, Values

_MOST_COLUMNS = 2048
_TICK_NS = 1_000_000


class Counts:
    """Spikes by columns of time and rows of neurons, which become wider as there are more of them.

    Args:
        start_ns: where the first column begins, unless a spike is before it.
        column_ns: how long a column is at first; 1 ms where it is not known.
        row: neurons of a row at first.
        rows: rows at most; a power of two.
        columns: columns at most, likewise.

    Attributes:
        total: spikes so far.
        highest: the greatest index so far; -1 where there was none.
    """

    def __init__(
        self, start_ns: int, column_ns: int | None, *, row: int = 1, rows: int = 256, columns: int = 1024
    ) -> None:
        self.start_ns, self.column_ns, self.row = start_ns, column_ns or _TICK_NS, row
        self.total, self.highest = 0, -1
        self._rows, self._columns = rows, columns
        self._counts = np.zeros((columns, rows), np.int64)
        self._used = 0

    def add(self, t_ns: Times, neuron: Indices) -> None:
        """Count spikes, in time order."""
        if not len(t_ns):
            return
        if not self.total and t_ns[0] < self.start_ns:
            self.start_ns -= -(-(self.start_ns - int(t_ns[0])) // self.column_ns) * self.column_ns
        while (int(t_ns[-1]) - self.start_ns) // self.column_ns >= self._columns:
            self._counts[: self._columns // 2] = self._counts[::2] + self._counts[1::2]
            self._counts[self._columns // 2 :] = 0
            self.column_ns *= 2
        highest = int(neuron.max())
        while highest // self.row >= self._rows:
            self._counts[:, : self._rows // 2] = self._counts[:, ::2] + self._counts[:, 1::2]
            self._counts[:, self._rows // 2 :] = 0
            self.row *= 2
        column = (t_ns - self.start_ns) // self.column_ns
        low, high = int(column[0]), int(column[-1]) + 1
        place = (column - low) * self._rows + neuron.astype(np.int64) // self.row
        found = np.bincount(place, minlength=(high - low) * self._rows)
        self._counts[low:high] += found.reshape(high - low, self._rows)
        self.total += len(t_ns)
        self.highest = max(self.highest, highest)
        self._used = high

    def table(self, end_ns: int | None, size: int | None) -> npt.NDArray[np.int64]:
        """[columns, rows] spikes up to `end_ns`, or the last one, of `size` neurons, or as many as were seen."""
        columns = self._used if end_ns is None else -(-(end_ns - self.start_ns) // self.column_ns)
        rows = -(-(size or self.highest + 1) // self.row)
        return self._counts[: max(1, min(columns, self._columns)), : max(1, min(rows, self._rows))]


class Lines:
    """Samples of a few channels: all of them, or, where there are too many, the least and greatest of each column.

    Args:
        start_ns: where the first column begins.
        most: samples that are kept as they are.
        channels: which channels; the first `few` that there are where nothing is said.

    Attributes:
        seen: every channel there is.
        chosen: which are kept.
    """

    def __init__(self, start_ns: int, most: int, channels: list[int] | None, few: int) -> None:
        self.start_ns, self._most, self._few = start_ns, most, few
        self.seen: set[int] = set()
        self.chosen = [] if channels is None else sorted(set(channels))
        self._open = channels is None
        self._kept: list[tuple[Times, Indices, Values]] = []
        self._count = 0
        self._column_ns = _TICK_NS
        self._edges: dict[int, npt.NDArray[np.float64]] = {}

    def add(self, t_ns: Times, channel: Indices, value: Values) -> None:
        """Take samples, in time order."""
        there = np.unique(channel).tolist()
        self.seen.update(there)
        if self._open:
            for one in there:
                if len(self.chosen) < self._few and one not in self.chosen:
                    self.chosen = sorted([*self.chosen, one])
        keep = np.isin(channel, self.chosen)
        part = t_ns[keep], channel[keep], value[keep]
        self._count += len(part[0])
        if self._count <= self._most:
            self._kept.append(part)
            return
        for one in (*self._kept, part):
            self._fold(*one)
        self._kept.clear()

    def _fold(self, t_ns: Times, channel: Indices, value: Values) -> None:
        if not len(t_ns):
            return
        self.start_ns = min(self.start_ns, int(t_ns[0])) if not self._edges else self.start_ns
        while (int(t_ns[-1]) - self.start_ns) // self._column_ns >= _MOST_COLUMNS:
            for edge in self._edges.values():
                edge[0, : _MOST_COLUMNS // 2] = np.fmin(edge[0, ::2], edge[0, 1::2])
                edge[1, : _MOST_COLUMNS // 2] = np.fmax(edge[1, ::2], edge[1, 1::2])
                edge[:, _MOST_COLUMNS // 2 :] = np.nan
            self._column_ns *= 2
        column = (t_ns - self.start_ns) // self._column_ns
        for one in self.chosen:
            mine = channel == one
            if mine.any():
                edge = self._edges.setdefault(one, np.full((2, _MOST_COLUMNS), np.nan))
                np.fmin.at(edge[0], column[mine], value[mine])
                np.fmax.at(edge[1], column[mine], value[mine])

    def line(self, channel: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Times (ns) and values of one channel; not a number stands for a gap."""
        if not self._edges:
            if not self._kept:
                return np.zeros(0, np.int64), np.zeros(0)
            t_ns, index, value = (np.concatenate([part[k] for part in self._kept]) for k in range(3))
            return t_ns[index == channel], value[index == channel]
        edge = self._edges.get(channel, np.full((2, 0), np.nan))
        there = np.flatnonzero(~np.isnan(edge[0]))
        used = int(there[-1]) + 1 if there.size else 0
        t_ns = self.start_ns + (np.arange(used) * self._column_ns)
        return np.repeat(t_ns, 2), edge[:, :used].T.reshape(-1)

    @property
    def is_whole(self) -> bool:
        """Whether every sample is in the lines."""
        return not self._edges
