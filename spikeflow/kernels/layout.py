"""The arrays that every backend works on, and the columns of the table that says what lies where.

A backend is one function of `Arrays`. Everything is flat, so that a call has few arguments and a pointer each will do.

Neurons come in tiles of 64. A tile of a population is `rows` runs of 64 numbers: its state variables, the sum that
arrives at each receptor, a spare sum (where a receptor has several projections), and the constants that have one value
per neuron. So row r of neuron j lies at `base + (j // 64) * rows * 64 + r * 64 + j % 64`: distances within a tile are
known when the text is compiled, and the loop over 64 neurons becomes vector code however many rows there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

TILE = 64

# The head of the table.
HEAD = (
    "H_TICK",  # the next tick; on return the first that was not done
    "H_STOP",  # the first tick that is not to be done in this step
    "H_PAUSE",  # the first that is not to be done in this call
    "H_ORIGIN",  # event time of tick 0
    "H_STEP",  # event time from one tick to the next
    "H_STATUS",  # what came of the call: DONE, FULL, UNORDERED, INVALID or LOST (a state is not a number)
    "H_DETAIL",  # the source or population that it is about; where weights are LOST, H_GROUPS more than the learning
    "H_FRESH",  # 1 at the first call of a step, 0 where a step goes on after FULL
    "H_SKIP",  # 1: tiles that rest are skipped
    "H_GROUPS",  # how many populations, and where their table starts
    "H_GROUP",
    "H_SOURCES",  # sources are the populations, then the trains
    "H_SOURCE",
    "H_PROJECTIONS",
    "H_PROJECTION",
    "H_RECORDS",
    "H_RECORD",
    "H_LEARNINGS",
    "H_LEARNING",
    "H_FORMS",  # how many forms the program has; its learning rules come behind them
    "H_ORDER",  # where the order of the populations within a tick is listed
    "H_SCRATCH",  # room for a backend's own use: twice the most delays, or 8 numbers a tile
    # What follows belongs to backends that step several ticks at once.
    "H_SPAN",  # how many ticks a population may be ahead of the others: their events take longer to come back to it
    "H_END",  # the end of the ticks in hand; earlier where a state was not a number
    "H_AT",  # which population has to go on first, in their order; on a GPU which level of them
    "H_FOUND",  # the spikes that it found and could not keep yet; -1 where it has yet to step
    "H_NEURON",  # the neuron whose state is not a number; -1: look for it
    "H_COUNTS",  # room for the spikes of each tick in hand
    "H_BOUNDS",  # room for (first event, one past the last) of each plain projection and tick
    "H_BITS",  # in `words`: a bit for each neuron that spiked, by tick
)

# One population.
GROUP = (
    "G_FORM",  # which of the network's forms
    "G_BASE",  # its first tile in `real32` or `real64`
    "G_TILES",
    "G_ROWS",  # runs of 64 in a tile
    "G_SIZE",  # neurons; those beyond fill the last tile and never spike
    "G_STATES",  # rows of state; the receptors' rows follow
    "G_INPUTS",  # rows of sums (receptors, and the spare one where there is one)
    "G_CONSTANT",  # its constants' area in `real32` or `real64`, in the order of the form
    "G_REST",  # its first tile in `rest`
    "G_RESTING",  # how many of its tiles rest
    "G_LIST",  # where its projections are listed
    "G_LISTED",
    "G_AFTER",  # where those are listed that act on the state after the equations
    "G_AFTERS",
    "G_KEY",  # where the keys of its noise are listed (int64 with the bits of the uint64)
    "G_VALUE",  # the row of state that its spikes carry, or -1
    "G_LOST",  # 1 once a state is not a number, where a backend writes that down as it moves them
    "G_EACH",  # neurons of one copy, which noise counts: G_SIZE, unless the population is several copies of one
    "G_BLOCK",  # tiles that go through several ticks before the others do; G_TILES where all must step together
)

# One stream of spikes or samples: what a population emitted, or what came from outside.
SOURCE = (
    "S_COUNT",  # events held
    "S_CAPACITY",
    "S_OFFSET",  # its first event in `time` and `index`
    "S_SIZE",  # indices are below it
    "S_VALUE",  # its first event in `value`, or -1 where every event counts 1
    "S_START",  # the first event of this step; a population's output is events S_START to S_COUNT
    "S_KEPT",  # 1 where a population writes its spikes here
)

# One projection.
PROJECTION = (
    "P_KIND",  # DENSE, CSR or ONE_TO_ONE
    "P_SOURCE",
    "P_TARGET",
    "P_ROW",  # the row of the target's tiles that its sum goes to
    "P_INTO",  # the receptor's row that the sum is then added to, or -1 where P_ROW is that row
    "P_WEIGHT",  # its first weight in `weight32` or `weight64` (the target's precision), or in `weight16`
    "P_STRIDE",  # DENSE: numbers per presynaptic neuron, a whole number of tiles; else 1, or 0 for one weight for all
    "P_PRE",  # presynaptic neurons of one copy
    "P_DELAYS",  # distinct delays, ascending
    "P_DELAY",  # where they are listed: (ticks, next event) for each
    "P_START",  # CSR: in `start`; synapses of neuron p at delay d: start[d * P_PRE + p] to start[d * P_PRE + p + 1]
    "P_POST",  # CSR: the postsynaptic neuron of each synapse, in `post`
    "P_MEMBER",  # one delay per presynaptic neuron of a copy: which one, in `post`; -1 where there is one delay, or CSR
    "P_HELD",  # hold: last values [delay, P_ALL] in `held`; -1 where events act once
    "P_STATE",  # a coupling: the row of the target's own state that acts in place of events (DENSE); else -1
    "P_COPIES",  # how many copies of the target share the synapses
    "P_EACH",  # postsynaptic neurons of one copy; those of copy c begin at c * P_EACH
    "P_ALL",  # presynaptic neurons of all copies; P_PRE where every copy hears the same ones
    "P_HALF",  # 1 where the weights are in `weight16`, and widened as they are read
)

# One recorded variable.
RECORD = (
    "R_GROUP",
    "R_ROW",
    "R_EVERY",  # ticks between two samples, at ticks that are multiples of it
    "R_NEURON",  # which neurons, in `post`
    "R_NEURONS",
    "R_OUT",  # where the next sample goes in `recorded`
)

# One projection that learns.
LEARNING = (
    "L_RULE",  # which of the program's rules
    "L_PROJECTION",
    "L_PRE",  # the population of presynaptic traces: a neuron each, or one for each delay, as rows of CSR are
    "L_POST",  # the population of postsynaptic traces
    "L_CONSTANT",  # the rule's constants in `real32` or `real64`
    "L_STATE",  # the second state of its synapses in `weight32` or `weight64`, in the order of the weights
    "L_COUNT",  # numbers from one state to the next
    "L_UNTIL",  # the first tick that changes nothing
    "L_BY_POST",  # CSR: in `start`; the synapses of postsynaptic neuron n are start[n] to start[n + 1] of what follows
    "L_SYNAPSE",  # CSR: in `post`; which synapse each of them is
    "L_ROW",  # CSR: in `post`; the row that it is in
)

DENSE, CSR, ONE_TO_ONE = 0, 1, 2
DONE, FULL, UNORDERED, INVALID, LOST = 0, 1, 2, 3, 4

CODES: dict[str, int] = {
    name: place for names in (HEAD, GROUP, SOURCE, PROJECTION, RECORD, LEARNING) for place, name in enumerate(names)
}
CODES |= {"DENSE": DENSE, "CSR": CSR, "ONE_TO_ONE": ONE_TO_ONE, "TILE": TILE}
CODES |= {"DONE": DONE, "FULL": FULL, "UNORDERED": UNORDERED, "INVALID": INVALID, "LOST": LOST}
CODES |= {"GROUP": len(GROUP), "SOURCE": len(SOURCE), "PROJECTION": len(PROJECTION), "RECORD": len(RECORD)}
CODES["LEARNING"] = len(LEARNING)
"""Every name above with its number: a backend in another language prints them as its constants."""


@dataclass
class Arrays:
    """What a backend gets, in the order of its arguments.

    `real32` and `real64` begin with room for the state of one tile, for a backend's own use.
    `mask` holds the spikes of a tick, one byte a neuron, and `words` is the same memory, eight neurons a word; behind
    them there is room for a bit for each neuron and tick.
    """

    table: npt.NDArray[np.int64]
    real32: npt.NDArray[np.float32]
    real64: npt.NDArray[np.float64]
    weight32: npt.NDArray[np.float32]
    weight64: npt.NDArray[np.float64]
    weight16: npt.NDArray[np.float16]
    post: npt.NDArray[np.int32]
    start: npt.NDArray[np.int64]
    time: npt.NDArray[np.int64]
    index: npt.NDArray[np.uint32]
    value: npt.NDArray[np.float64]
    held: npt.NDArray[np.float64]
    rest: npt.NDArray[np.uint8]
    recorded: npt.NDArray[np.float64]
    mask: npt.NDArray[np.uint8]
    words: npt.NDArray[np.uint64]


ARGUMENTS = tuple(Arrays.__dataclass_fields__)


def aligned(count: int, dtype: npt.DTypeLike, stagger: int = 0) -> npt.NDArray[np.generic]:
    """`count` zeros whose first one lies `stagger` bytes after a multiple of 4096: whole cache lines, and arrays that
    are read together do not meet in the same lines of the cache."""
    size = np.dtype(dtype).itemsize * count
    raw = np.zeros(size + 8192, np.uint8)
    first = -raw.ctypes.data % 4096 + stagger % 4096
    return raw[first : first + size].view(dtype)


def tiles_of(size: int) -> int:
    """How many tiles hold `size` neurons."""
    return -(-size // TILE)
