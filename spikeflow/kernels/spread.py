"""How a network is spread over the blocks of a GPU: which of them steps which tiles, and their own room to work in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spikeflow.kernels.layout import CODES, TILE

# The head of the plan.
PLAN = (
    "X_LEVELS",  # levels of a tick: populations that act on each other only in later ticks are stepped side by side
    "X_ENDS",  # where it is listed which population, in their order, comes after each level
    "X_CURSORS",  # delays of all projections
)

# One population; behind them comes the number of delays before those of each projection.
SPREAD = (
    "X_OF",  # tiles of its level
    "X_TILES",  # tiles of the level before its own
    "X_FIRED",  # its first neuron in `fired`
)

# The head of the room to work in; then two counts for each population and block, and two cursors for each block and
# delay. What blocks wait at lies apart from what they write.
WORK = {"W_ARRIVED": 0, "W_FOUND": 16, "W_LOST": 17, "WORK": 32}

SPREAD_CODES: dict[str, int] = {name: place for names in (PLAN, SPREAD) for place, name in enumerate(names)}
SPREAD_CODES |= {"PLAN": len(PLAN), "SPREAD": len(SPREAD), **WORK}

SPREAD_ARGUMENTS = ("plan", "work", "fired")


@dataclass(frozen=True)
class Spread:
    """The arrays of a launch beside those of the network.

    Attributes:
        plan: what `SPREAD_CODES` names; the launch does not change it.
        work: room for the blocks, zeros before the first launch.
        fired: room for the spikes of a tick, a place for each neuron.
    """

    plan: npt.NDArray[np.int64]
    work: npt.NDArray[np.int64]
    fired: npt.NDArray[np.uint32]


def most_tiles(table: npt.NDArray[np.int64]) -> int:
    """How many tiles are stepped side by side, at most: more blocks than that have nothing to do."""
    return max((sum(_column(table, "GROUP", "G_TILES", k) for k in level) for level in levels(table)), default=1)


def levels(table: npt.NDArray[np.int64]) -> list[list[int]]:
    """The populations of each level, in the order of the network."""
    first = int(table[CODES["H_ORDER"]])
    found: list[list[int]] = []
    for place in table[first : first + int(table[CODES["H_GROUPS"]])].tolist():
        if not found or any(source in found[-1] for source in _at_once(table, place)):
            found.append([])
        found[-1].append(place)
    return found


def spread(table: npt.NDArray[np.int64], blocks: int) -> Spread:
    """The plan for a grid of `blocks` blocks."""
    groups, projections = int(table[CODES["H_GROUPS"]]), int(table[CODES["H_PROJECTIONS"]])
    rows = np.zeros((groups, len(SPREAD)), np.int64)
    by_level = levels(table)
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
    head = [len(by_level), len(PLAN) + rows.size + projections, int(delays[-1])]
    plan = np.concatenate([head, rows.ravel(), delays[:-1], ends]).astype(np.int64)
    work = np.zeros(WORK["WORK"] + 2 * blocks * (groups + int(delays[-1])), np.int64)
    return Spread(plan, work, np.zeros(max(sum(tiles), 1) * TILE, np.uint32))


def _at_once(table: npt.NDArray[np.int64], place: int) -> list[int]:
    """The populations whose spikes act on this one in their own tick."""
    found = []
    for k in range(int(table[CODES["H_PROJECTIONS"]])):
        if _column(table, "PROJECTION", "P_TARGET", k) == place and _column(table, "PROJECTION", "P_DELAYS", k):
            delay = int(table[_column(table, "PROJECTION", "P_DELAY", k)])
            found += [_column(table, "PROJECTION", "P_SOURCE", k)] if delay == 0 else []
    return found


def _column(table: npt.NDArray[np.int64], kind: str, column: str, place: int) -> int:
    return int(table[int(table[CODES[f"H_{kind}"]]) + place * CODES[kind] + CODES[column]])
