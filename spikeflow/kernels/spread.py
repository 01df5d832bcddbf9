"""How a network is spread over the blocks of a GPU: which of them steps which tiles, and their own room to work in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spikeflow.kernels.layout import CODES, CSR, TILE, Arrays

# The head of the plan.
PLAN = (
    "X_LEVELS",  # levels of a tick: populations that act on each other only in later ticks are stepped side by side
    "X_ENDS",  # where it is listed which population, in their order, comes after each level
    "X_CURSORS",  # delays of all projections
    "X_HAND",  # how many ticks a population goes through before the next one does
    "X_COUNTS",  # numbers that a block keeps of a population's spikes: held before, then in each tick in hand
    "X_ROOM",  # places of a tick in `fired`
)

# One population; behind them come the projections.
SPREAD = (
    "X_OF",  # tiles of its level
    "X_TILES",  # tiles of the level before its own
    "X_FIRED",  # its first neuron in `fired`
)

# How the synapses of one projection are gone through.
WAY = (
    "X_CURSOR",  # delays of the projections before it
    "X_COLUMN",  # where its columns begin in `column`, or -1: it has only rows
    "X_DENSE",  # so many events in a tick, and its columns take less time than their rows
)

# The head of the room to work in; then X_COUNTS numbers for each population and block, and for each block two cursors a
# delay and one to go back to. What blocks wait at lies apart from what they write.
WORK = {"W_ARRIVED": 0, "W_FOUND": 16, "W_LOST": 17, "W_STIRRED": 19, "WORK": 32}

SPREAD_CODES: dict[str, int] = {name: place for names in (PLAN, SPREAD, WAY) for place, name in enumerate(names)}
SPREAD_CODES |= {"PLAN": len(PLAN), "SPREAD": len(SPREAD), "WAY": len(WAY), **WORK}

SPREAD_ARGUMENTS = ("plan", "work", "fired", "column")

DENSE_FROM = 1 / 32
"""The share of a projection's sources that have to act in a tick before its columns are walked.

A block has some 512 neurons with k synapses each. Along rows, of these the share f that acts is gone through 512 at a
time, and each looks at the others for its own target: f * k rounds of 512 looks at shared memory. Along columns a
thread goes through the k synapses of its neuron: k looks at memory, which take some 16 times as long. So they are even
at f = 16 / 512. That is counted from the text; it has not been measured on a GPU.
"""
MOST_HAND = 64
"""The most ticks in hand: a thread keeps a bit for each."""
MOST_IN_HAND = 2048
"""The most neurons of a block that go through several ticks at once, where anything can arrive.

A thread has one neuron at a time, so what arrives is picked anew for every 512 neurons of a block. And with more of
them the two meetings that a hand saves in each tick are little beside the state that goes to memory and back.
"""
FIRED_ROOM = 2**24
"""Spikes that there is room for in one hand of ticks: 64 MB."""
MOST_SYNAPSES = 2**24
"""Projections with more have rows only: columns take 8 bytes a synapse, and 0.1 µs to sort on the host."""


@dataclass(frozen=True)
class Spread:
    """The arrays of a launch beside those of the network.

    Attributes:
        plan: what `SPREAD_CODES` names; the launch does not change it.
        work: room for the blocks, zeros before the first launch.
        fired: room for the spikes of each tick in hand, a place for each neuron.
        column: of each projection that has columns where those of each neuron begin; then, for each of its synapses,
            neurons ascending, then delays, the source (delay * P_ALL + neuron) << 32 | which synapse it is.
    """

    plan: npt.NDArray[np.int64]
    work: npt.NDArray[np.int64]
    fired: npt.NDArray[np.uint32]
    column: npt.NDArray[np.int64]


def most_tiles(table: npt.NDArray[np.int64]) -> int:
    """How many tiles are stepped side by side, at most: more blocks than that have nothing to do."""
    return max((sum(_column(table, "GROUP", "G_TILES", k) for k in level) for level in levels(table)), default=1)


def hand_of(table: npt.NDArray[np.int64], blocks: int) -> int:
    """How many ticks a population goes through at once, its state in registers; see `cuda_hand.cu`."""

    def any_of(kind: str, column: str, least: int) -> bool:
        return any(_column(table, kind, column, k) >= least for k in range(int(table[CODES[f"H_{kind}S"]])))

    if table[CODES["H_RECORDS"]] or any_of("PROJECTION", "P_STATE", 0) or any_of("PROJECTION", "P_HELD", 0):
        return 1
    tiles = sum(_column(table, "GROUP", "G_TILES", place) for place in range(int(table[CODES["H_GROUPS"]])))
    each = -(-most_tiles(table) // blocks) * TILE
    if table[CODES["H_PROJECTIONS"]] and each > MOST_IN_HAND:
        return 1
    return max(1, min(int(table[CODES["H_SPAN"]]), MOST_HAND, FIRED_ROOM // (tiles * TILE)))


def levels(table: npt.NDArray[np.int64], hand: int = 1) -> list[list[int]]:
    """The populations of each level, in the order of the network: they act on each other in later hands only."""
    first = int(table[CODES["H_ORDER"]])
    found: list[list[int]] = []
    for place in table[first : first + int(table[CODES["H_GROUPS"]])].tolist():
        if not found or any(source in found[-1] for source in _at_once(table, place, hand)):
            found.append([])
        found[-1].append(place)
    return found


def spread(arrays: Arrays, blocks: int) -> Spread:
    """The plan for a grid of `blocks` blocks."""
    table = arrays.table
    groups, projections = int(table[CODES["H_GROUPS"]]), int(table[CODES["H_PROJECTIONS"]])
    rows = np.zeros((groups, len(SPREAD)), np.int64)
    hand = hand_of(table, blocks)
    by_level = levels(table, hand)
    for level in by_level:
        before = 0
        for place in level:
            rows[place, SPREAD_CODES["X_TILES"]] = before
            before += _column(table, "GROUP", "G_TILES", place)
        rows[level, SPREAD_CODES["X_OF"]] = before
    tiles = [_column(table, "GROUP", "G_TILES", place) for place in range(groups)]
    rows[:, SPREAD_CODES["X_FIRED"]] = np.cumsum([0, *tiles])[:-1] * TILE
    delays = np.cumsum([0, *(_column(table, "PROJECTION", "P_DELAYS", k) for k in range(projections))])
    ends = np.cumsum([len(level) for level in by_level])
    columns, ways, begin = [np.zeros(1, np.int64)], np.zeros((projections, len(WAY)), np.int64), 1
    for place in range(projections):
        entries, dense = _columns(arrays, place)
        ways[place] = delays[place], begin if entries.size else -1, dense
        columns.append(entries)
        begin += entries.size
    head = [len(by_level), len(PLAN) + rows.size + ways.size, int(delays[-1])]
    head += [hand, 1 + hand, sum(tiles) * TILE]
    plan = np.concatenate([head, rows.ravel(), ways.ravel(), ends]).astype(np.int64)
    work = np.zeros(WORK["WORK"] + blocks * ((1 + hand) * groups + 3 * int(delays[-1])), np.int64)
    return Spread(plan, work, np.zeros(max(hand * sum(tiles), 1) * TILE, np.uint32), np.concatenate(columns))


def _columns(arrays: Arrays, place: int) -> tuple[npt.NDArray[np.int64], int]:
    """The columns of a projection, and from how many events in a tick they are walked; nothing where it has none."""

    def of(column: str) -> int:
        return _column(arrays.table, "PROJECTION", column, place)

    pre, each, rows = of("P_PRE"), of("P_EACH"), of("P_PRE") * of("P_DELAYS")
    starts = arrays.start[of("P_START") : of("P_START") + rows + 1]
    if of("P_KIND") != CSR or not 0 < (count := int(starts[-1])) <= MOST_SYNAPSES:
        return np.zeros(0, np.int64), 0
    post = arrays.post[of("P_POST") : of("P_POST") + count]
    delay, neuron = np.divmod(np.repeat(np.arange(rows), np.diff(starts)), pre)
    order = np.lexsort((delay, neuron, post))  # stable: of one source the synapses keep their order
    entries = (delay * of("P_ALL") + neuron)[order] << 32 | order
    first = each + 1 + np.cumsum(np.bincount(post, minlength=each)) - np.bincount(post, minlength=each)
    acting = of("P_ALL") * of("P_DELAYS")
    return np.concatenate([first, [each + 1 + count], entries]), max(1, int(np.ceil(DENSE_FROM * acting)))


def _at_once(table: npt.NDArray[np.int64], place: int, hand: int) -> list[int]:
    """The populations whose spikes act on this one less than `hand` ticks later."""
    found = []
    for k in range(int(table[CODES["H_PROJECTIONS"]])):
        if _column(table, "PROJECTION", "P_TARGET", k) == place and _column(table, "PROJECTION", "P_DELAYS", k):
            delay = int(table[_column(table, "PROJECTION", "P_DELAY", k)])
            found += [_column(table, "PROJECTION", "P_SOURCE", k)] if delay < hand else []
    return found


def _column(table: npt.NDArray[np.int64], kind: str, column: str, place: int) -> int:
    return int(table[int(table[CODES[f"H_{kind}"]]) + place * CODES[kind] + CODES[column]])
