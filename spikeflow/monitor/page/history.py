"""History: what has flowed, kept within bounds, and counted to the pixels that somebody looks at."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.uint16]
"""[columns, rows] spikes."""

COARSE_S = 0.05
COARSE_COLUMNS = 12_000
"""Columns of 50 ms: ten minutes."""
COARSE_ROWS = 256
_MOST = 65_535
_SMALL, _COUNTED = 1 << 19, 32
"""What several viewers ask for at the same time: the newest few columns, and all that a view shows as it begins."""


class Budget:
    """Bytes that the single spikes of all streams may take together; the oldest go first."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0
        self._order: deque[Spikes] = deque()

    def add(self, owner: Spikes, size: int) -> None:
        """A chunk has been kept; makes room for it."""
        self.used += size
        self._order.append(owner)
        while self.used > self.most and len(self._order) > 1:
            self.used -= self._order.popleft().forget()


@dataclass(frozen=True, slots=True)
class Part:
    """What somebody looks at.

    Attributes:
        low: the first neuron.
        high: one past the last.
        rows: rows that they share.
        column: ticks of a column; columns count from tick 0.
        first: the first column.
        count: how many columns.
    """

    low: int
    high: int
    rows: int
    column: int
    first: int
    count: int


class Spikes:
    """One stream of spikes: every spike for as long as the budget lasts, counts for ten minutes.

    Attributes:
        size: neurons.
        end: the tick up to which everything that was not lost is here.
        whole_from: the tick from which every single spike is here.
        coarse: ticks of a column of the counts that are kept longest.
        turn: whose turn it is to count much, so that nobody does what another one is doing.
    """

    def __init__(self, size: int, dt_s: float, budget: Budget) -> None:
        self.size = size
        self.end = 0
        self.whole_from = 0
        self.turn = asyncio.Lock()
        self.coarse = max(1, round(COARSE_S / dt_s))
        self.rows = min(size, COARSE_ROWS)
        self._budget = budget
        self._chunks: deque[tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]] = deque()
        self._counts = np.zeros((COARSE_COLUMNS, self.rows), np.uint16)
        self._newest = -1  # the newest column of these
        self._counted: dict[Part, Counts] = {}
        self._row_of = (np.arange(size, dtype=np.int64) * self.rows // max(1, size)).astype(np.int64)

    def add(self, tick: npt.NDArray[np.int64], neuron: npt.NDArray[np.uint32], end: int) -> None:
        """Keep spikes, in time order; all before tick `end` are here now."""
        self.end = max(self.end, end)
        if tick.size:
            self._count(tick, neuron)
            self._chunks.append((tick, neuron))
            self._budget.add(self, tick.nbytes + neuron.nbytes)

    def forget(self) -> int:
        """Give up the oldest chunk of single spikes: its bytes."""
        tick, neuron = self._chunks.popleft()
        self.whole_from = int(tick[-1]) + 1
        return tick.nbytes + neuron.nbytes

    def _count(self, tick: npt.NDArray[np.int64], neuron: npt.NDArray[np.uint32]) -> None:
        column = tick // self.coarse
        low, high = int(column[0]), int(column[-1])
        if high - low >= COARSE_COLUMNS:  # more than is kept: only the end of it matters
            keep = column > high - COARSE_COLUMNS
            column, neuron, low = column[keep], neuron[keep], high - COARSE_COLUMNS + 1
        if high > self._newest:
            fresh = np.arange(max(self._newest + 1, high - COARSE_COLUMNS + 1), high + 1) % COARSE_COLUMNS
            self._counts[fresh] = 0
            self._newest = high
        place = (column - low) * self.rows + self._row_of[neuron]
        found = np.bincount(place, minlength=(high - low + 1) * self.rows).reshape(-1, self.rows)
        cells = np.arange(low, high + 1) % COARSE_COLUMNS
        self._counts[cells] = np.minimum(self._counts[cells] + found, _MOST)

    # Looking.

    def spikes_about(self, first: int, end: int) -> int:
        """About how many single spikes there are from tick `first` to before `end`."""
        return sum(t.size for t, _ in list(self._chunks) if t[-1] >= first and t[0] < end)

    def spikes(self, first: int, end: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
        """[n] ticks and neurons of the single spikes from tick `first` to before `end`."""
        parts = [(t, n) for t, n in list(self._chunks) if t[-1] >= first and t[0] < end]
        if not parts:
            return np.zeros(0, np.int64), np.zeros(0, np.uint32)
        tick, neuron = np.concatenate([t for t, _ in parts]), np.concatenate([n for _, n in parts])
        a, b = np.searchsorted(tick, (first, end))
        return tick[a:b], neuron[a:b]

    def counts(self, part: Part) -> Counts:
        """[columns, rows] of single spikes, which must be here; columns that are complete are counted once for all."""
        found = self._counted.get(part)
        if found is None:
            found = self._counted_anew(part)
            if found.nbytes < _SMALL and (part.first + part.count) * part.column <= self.end:
                self._counted[part] = found
                while len(self._counted) > _COUNTED:
                    del self._counted[next(iter(self._counted))]
        return found

    def _counted_anew(self, part: Part) -> Counts:
        first, end = part.first * part.column, (part.first + part.count) * part.column
        tick, neuron = self.spikes(first, end)
        if part.low > 0 or part.high < self.size:
            keep = (neuron >= part.low) & (neuron < part.high)
            tick, neuron = tick[keep], neuron[keep]
        row = (neuron.astype(np.int64) - part.low) * part.rows // (part.high - part.low)
        edges = np.arange(part.first, part.first + part.count + 1) * part.column
        cuts = np.searchsorted(tick, edges)  # times ascend: cheaper than a division for each spike
        column = np.repeat(np.arange(part.count), np.diff(cuts))
        found = np.bincount(column * part.rows + row, minlength=part.count * part.rows)
        return np.minimum(found, _MOST).astype(np.uint16).reshape(part.count, part.rows)

    def coarse_counts(self, part: Part) -> Counts:
        """[columns, rows] from the counts that are kept longest; `part.column` is a multiple of `coarse`."""
        each = part.column // self.coarse
        columns = np.arange(part.first * each, (part.first + part.count) * each)
        there = (columns <= self._newest) & (columns > self._newest - COARSE_COLUMNS) & (columns >= 0)
        fine = np.where(there[:, None], self._counts[columns % COARSE_COLUMNS], 0).astype(np.int64)
        summed = fine.reshape(part.count, each, self.rows).sum(axis=1)
        low, high = part.low * self.rows // self.size, -(-part.high * self.rows // self.size)
        edges = low + np.arange(part.rows + 1) * (high - low) / part.rows
        total = np.concatenate([np.zeros((part.count, 1), np.int64), np.cumsum(summed, axis=1)], axis=1)
        starts = np.floor(edges[:-1]).astype(int)
        ends = np.maximum(np.floor(edges[1:]).astype(int), starts + 1)
        found: Counts = np.minimum(total[:, ends] - total[:, starts], _MOST).astype(np.uint16)
        return found

    def totals(self, each: int, columns: int) -> list[int]:
        """How many spikes there were in each of the last `columns` stretches of `each` coarse columns."""
        newest = max(self.end // self.coarse - 1, 0)
        last = newest // each
        wanted = np.arange((last - columns + 1) * each, (last + 1) * each)
        there = (wanted <= self._newest) & (wanted > self._newest - COARSE_COLUMNS) & (wanted >= 0)
        sums = np.where(there, self._counts[wanted % COARSE_COLUMNS].sum(axis=1, dtype=np.int64), 0)
        found: list[int] = sums.reshape(columns, each).sum(axis=1).tolist()
        return found


@dataclass(slots=True)
class Samples:
    """Some channels of one stream of samples, every one within bounds.

    Attributes:
        channels: which are kept.
        end: the tick up to which everything that was not lost is here.
    """

    channels: Sequence[int]
    most: int = 1_000_000
    end: int = 0
    kept: int = 0
    _chunks: deque[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]] = field(
        default_factory=deque
    )
    _place: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._place = {channel: place for place, channel in enumerate(self.channels)}

    def add(self, tick: npt.NDArray[np.int64], channel: npt.NDArray[np.uint32], value: Any, end: int) -> None:
        """Keep samples, in time order."""
        self.end = max(self.end, end)
        if not tick.size:
            return
        place = np.searchsorted(np.array(self.channels), channel).astype(np.int64)
        self._chunks.append((tick, place, np.asarray(value, np.float32)))
        self.kept += tick.size
        while self.kept > self.most and len(self._chunks) > 1:
            self.kept -= self._chunks.popleft()[0].size

    def columns(self, column: int, first: int, count: int) -> npt.NDArray[np.float32]:
        """[channels, 3, columns] least, greatest and last value of each column; not a number where there is none."""
        wide = len(self.channels)
        found = np.full((3, wide * count), np.nan, np.float32)
        low, high = first * column, (first + count) * column
        parts = [part for part in list(self._chunks) if part[0][-1] >= low and part[0][0] < high]
        if parts:
            tick, place, value = (np.concatenate([part[k] for part in parts]) for k in range(3))
            a, b = np.searchsorted(tick, (low, high))
            key = place[a:b] * count + (tick[a:b] // column - first)
            order = np.argsort(key, kind="stable")
            key, value = key[order], value[a:b][order]
            if key.size:
                starts = np.flatnonzero(np.diff(key, prepend=-1))
                found[0, key[starts]] = np.minimum.reduceat(value, starts)
                found[1, key[starts]] = np.maximum.reduceat(value, starts)
                found[2, key[starts]] = value[np.append(starts[1:], key.size) - 1]
        return np.ascontiguousarray(found.reshape(3, wide, count).transpose(1, 0, 2))
