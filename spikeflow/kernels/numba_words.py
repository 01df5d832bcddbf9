"""What the text of the Numba loop is written with: the columns of the table, and words that take one instruction.

Compiled, an array is a bare pointer: it has no length, and an index is never negative. What then takes an instruction
of its own has a name here, and `numba_backend` puts the instruction in its place.
"""

from __future__ import annotations

import ctypes
from typing import Any, TypeAlias

from spikeflow import noise
from spikeflow.kernels import vocabulary
from spikeflow.kernels.layout import CODES, GROUP, HEAD, LEARNING, PROJECTION, RECORD, SOURCE

A: TypeAlias = Any
"""An array, or a scalar of an array's type."""

(H_TICK, H_STOP, H_PAUSE, H_ORIGIN, H_STEP, H_STATUS, H_DETAIL, H_FRESH, H_SKIP, H_GROUPS, H_GROUP, H_SOURCES, H_SOURCE,
 H_PROJECTIONS, H_PROJECTION, H_RECORDS, H_RECORD, H_LEARNINGS, H_LEARNING, H_FORMS, H_ORDER, H_SCRATCH, H_SPAN, H_END,
 H_AT, H_FOUND, H_NEURON, H_COUNTS, H_BOUNDS, H_BITS,
) = range(len(HEAD))  # fmt: skip
(G_FORM, G_BASE, G_TILES, G_ROWS, G_SIZE, G_STATES, G_INPUTS, G_CONSTANT, G_REST, G_RESTING, G_LIST, G_LISTED,
 G_AFTER, G_AFTERS, G_KEY, G_VALUE, G_LOST, G_EACH, G_BLOCK) = range(len(GROUP))  # fmt: skip
S_COUNT, S_CAPACITY, S_OFFSET, S_SIZE, S_VALUE, S_START, S_KEPT = range(len(SOURCE))
(P_KIND, P_SOURCE, P_TARGET, P_ROW, P_INTO, P_WEIGHT, P_STRIDE, P_PRE, P_DELAYS, P_DELAY, P_START, P_POST, P_MEMBER,
 P_HELD, P_STATE, P_COPIES, P_EACH, P_ALL, P_HALF) = range(len(PROJECTION))  # fmt: skip
R_GROUP, R_ROW, R_EVERY, R_NEURON, R_NEURONS, R_OUT = range(len(RECORD))
(L_RULE, L_PROJECTION, L_PRE, L_POST, L_CONSTANT, L_STATE, L_COUNT, L_UNTIL, L_BY_POST, L_SYNAPSE, L_ROW) = range(
    len(LEARNING)
)
DENSE, CSR, ONE_TO_ONE, FULL, UNORDERED, INVALID, LOST = (
    CODES[name] for name in ("DENSE", "CSR", "ONE_TO_ONE", "FULL", "UNORDERED", "INVALID", "LOST")
)
TILE = 64
FLUSH_EVERY = vocabulary.FLUSH_EVERY
AHEAD = 4
"""Rows of synapses that are asked for before their turn: that many wait for the memory together."""
SPARE = 3
"""Events that may be written behind the last one."""
MIX_1, MIX_2, STRIDE = noise.MIX_1, noise.MIX_2, noise.STRIDE
N_GROUP, N_SOURCE, N_PROJECTION, N_RECORD = len(GROUP), len(SOURCE), len(PROJECTION), len(RECORD)
N_LEARNING = len(LEARNING)


def trailing_zeros(word: A) -> A:
    """How many bits below the lowest one that is set."""
    return (word & -word).bit_length() - 1


def ones(word: A) -> int:
    """How many bits are set."""
    return int(word).bit_count()


def where(flag: A, yes: A, no: A) -> A:
    """`yes` if `flag` holds, else `no`; a choice of values, not a branch."""
    return yes if flag else no


def which_of(mask: A, first: int) -> A:
    """The 64 bytes from `first` on, a bit for each: whether it is not zero."""
    return sum(int(mask[first + k] != 0) << k for k in range(TILE))


def onward(array: A, first: int) -> A:
    """The array from `first` on."""
    return array[first:]


def weighed(real: A, weight: A, place: int) -> A:
    """A weight in the type of the state; where weights are stored as the bits of float16, the number that they mean."""
    return real.dtype.type(weight[place : place + 1].view("f2" if weight.itemsize == 2 else weight.dtype)[0])


def bits_of(array: A, place: int) -> int:
    """The bits of a number, so that those of 0 and -0 differ."""
    return int(array[place : place + 1].view(f"i{array.itemsize}")[0])


def _numbers(kind: Any) -> Any:
    def at(address: A) -> A:
        return ctypes.cast(int(address), ctypes.POINTER(kind))

    return at


int64s, uint32s, uint8s, float32s, float64s = map(
    _numbers, (ctypes.c_int64, ctypes.c_uint32, ctypes.c_uint8, ctypes.c_float, ctypes.c_double)
)


def give_back(release: A, structure: A) -> None:
    """Call what an exported structure is given back with."""
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(int(release))(int(structure))


def ahead(array: A, place: int) -> None:
    """Ask for the cache line of an element, and the one behind it, before they are needed."""


def like(array: A, number: A) -> A:
    """A number in the type of an array's elements."""
    return array.dtype.type(number)


def settle(real: A, at: int, stride: int, rows: int, first: int, last: int) -> None:
    """Set tiny numbers to zero in the first rows of tiles `first` to `last`; its text is made of the vocabulary's."""


def sweep(function: A, table: A, real: A, mask: A, g: int, first: A, last: A) -> None:
    """Call a compiled function by its address: the equations over tiles `first` to `last` of the population at `g`."""
    function(table, real, mask, g, first, last)
