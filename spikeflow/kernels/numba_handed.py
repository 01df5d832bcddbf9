"""How the columns of a record batch become events of a train: the part that reads Arrow's C data interface.

`numba_backend` copies these functions into a file of its own; nothing runs them here. The words of a structure are as
https://arrow.apache.org/docs/format/CDataInterface.html lays them out where a pointer has 64 bits.
"""

from __future__ import annotations

import numpy as np

from spikeflow.kernels.numba_words import A, float32s, float64s, give_back, int64s, onward, uint8s, uint32s

LENGTH, NULLS, OFFSET, BUFFERS, COLUMNS, MEMORY, COLUMNS_AT, DICTIONARY, RELEASE, PRIVATE = range(STRUCTURE := 10)
"""The words of an `ArrowArray`."""
BATCH, HELD, TIMES, INDICES, VALUES, DOUBLE = range(GIVEN := 6)
"""What `hand` is given: the address of a batch, how many events the train holds, and the addresses of its first time,
index and value; 0 where it has none."""
EMPTY, UNFIT = 1, 2


def filled(column: A, first: A, count: A) -> A:
    """Whether no row of a column is empty: a bit says of each that it is there, where any may not be."""
    bits = int64s(column[MEMORY])[0]
    if column[NULLS] == 0 or bits == 0:
        return True
    eights, there = uint8s(bits), np.int64(0)
    for row in range(first, first + count):
        there += (np.int64(eights[row >> 3]) >> (row & 7)) & 1
    return there == count


def copied(given: A, batch: A) -> A:
    """Copy the columns; returns 0, `EMPTY` where a field is empty, or `UNFIT` where the columns are others."""
    columns, count = int64s(batch[COLUMNS_AT]), batch[LENGTH]
    many = np.int64(3) if given[VALUES] != 0 else np.int64(2)
    if batch[COLUMNS] != many and batch[COLUMNS] != 2:
        return np.int64(UNFIT)
    for k in range(batch[COLUMNS]):
        column = int64s(columns[k])
        if column[BUFFERS] != 2 or column[DICTIONARY] != 0:
            return np.int64(UNFIT)
        if not filled(column, batch[OFFSET] + column[OFFSET], count):
            return np.int64(EMPTY)
    column = int64s(columns[0])
    first, of_time = batch[OFFSET] + column[OFFSET], int64s(int64s(column[MEMORY])[1])
    time = onward(int64s(given[TIMES]), given[HELD])
    for row in range(count):
        time[row] = of_time[first + row]
    column = int64s(columns[1])
    first, of_index = batch[OFFSET] + column[OFFSET], uint32s(int64s(column[MEMORY])[1])
    index = onward(uint32s(given[INDICES]), given[HELD])
    for row in range(count):
        index[row] = of_index[first + row]
    if given[VALUES] == 0:
        return np.int64(0)
    value = onward(float64s(given[VALUES]), given[HELD])
    if batch[COLUMNS] == 2:
        for row in range(count):
            value[row] = 1.0
        return np.int64(0)
    column = int64s(columns[2])
    first, at = batch[OFFSET] + column[OFFSET], int64s(column[MEMORY])[1]
    if given[DOUBLE] != 0:
        wide = float64s(at)
        for row in range(count):
            value[row] = wide[first + row]
    else:
        narrow = float32s(at)
        for row in range(count):
            value[row] = narrow[first + row]
    return np.int64(0)


def hand(given: A) -> A:
    """Copy what has been exported, and give it back to its owner."""
    batch = int64s(given[BATCH])
    status = copied(given, batch)
    give_back(batch[RELEASE], given[BATCH])
    return status
