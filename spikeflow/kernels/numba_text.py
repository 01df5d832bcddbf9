"""The part of the fused loop that is the same for every model; `numba_backend` copies these functions into its files.

They are plain Python on flat arrays, so that they can be read and checked; nothing runs them here.
"""

from __future__ import annotations

import numpy as np

from spikeflow.kernels.numba_arrivals import bounds, bulk, couple, deliver, half, plain
from spikeflow.kernels.numba_words import (
    FLUSH_EVERY,
    FULL,
    G_AFTER,
    G_AFTERS,
    G_BASE,
    G_BLOCK,
    G_INPUTS,
    G_LIST,
    G_LISTED,
    G_LOST,
    G_REST,
    G_RESTING,
    G_ROWS,
    G_SIZE,
    G_STATES,
    G_TILES,
    G_VALUE,
    H_BITS,
    H_BOUNDS,
    H_COUNTS,
    H_DETAIL,
    H_END,
    H_FOUND,
    H_GROUP,
    H_NEURON,
    H_ORIGIN,
    H_PROJECTION,
    H_RECORD,
    H_RECORDS,
    H_SCRATCH,
    H_SKIP,
    H_SOURCE,
    H_SPAN,
    H_STATUS,
    H_STEP,
    H_TICK,
    LOST,
    MIX_1,
    MIX_2,
    N_GROUP,
    N_PROJECTION,
    N_RECORD,
    N_SOURCE,
    P_INTO,
    P_ROW,
    P_STATE,
    R_EVERY,
    R_GROUP,
    R_NEURON,
    R_NEURONS,
    R_OUT,
    R_ROW,
    S_CAPACITY,
    S_COUNT,
    S_KEPT,
    S_OFFSET,
    S_VALUE,
    SPARE,
    STRIDE,
    TILE,
    A,
    bits_of,
    ones,
    onward,
    settle,
    sweep,
    trailing_zeros,
    which_of,
)  # fmt: skip


def group(
    table: A, real: A, weight: A, weight16: A, post: A, start: A, time: A, index: A, value: A, held: A, rest: A,
    recorded: A, mask: A, words: A, place: int, equations: A, looks: bool, span: int,
) -> None:  # fmt: skip
    """Ticks H_TICK to H_TICK + `span` of one population, then its spikes in order.

    The ticks are gone through by blocks of tiles that stay in the nearest cache, each block through all ticks. Which
    neurons spiked is kept as a bit each until the last block is through: then their number is known, and their order.
    """
    g = table[H_GROUP] + place * N_GROUP
    if table[H_FOUND] < 0:
        first, tiles, block = table[H_TICK], table[g + G_TILES], table[g + G_BLOCK]
        counts = onward(table, table[H_COUNTS])
        for k in range(span):
            counts[k] = 0
        came = bounds(table, time, g, span)
        tile: A = np.int64(0)
        if came == 0 and table[g + G_RESTING] == tiles and table[H_RECORDS] + table[g + G_AFTERS] == 0:
            tile = tiles
        while tile < tiles:
            last = min(tile + block, tiles)
            table[H_TICK] = first
            while table[H_TICK] < table[H_END]:
                part(
                    table, real, weight, weight16, post, start, time, index, value, held, rest, recorded, mask, words,
                    place, equations, looks, tile, last, table[H_TICK] - first, span
                )  # fmt: skip
                table[H_TICK] += 1
            tile = last
        table[H_TICK] = first
        table[H_FOUND] = 0
        for k in range(span):
            table[H_FOUND] += counts[k]
    source = table[H_SOURCE] + place * N_SOURCE
    if table[H_FOUND] > 0 and table[source + S_KEPT] != 0 and table[H_STATUS] != LOST:
        if table[source + S_CAPACITY] - table[source + S_COUNT] < table[H_FOUND] + SPARE:
            table[H_STATUS] = FULL
            table[H_DETAIL] = place
            return
        for k in range(span):
            spikes(table, real, time, index, value, words, g, source, k)
    table[H_FOUND] = -1


def part(
    table: A, real: A, weight: A, weight16: A, post: A, start: A, time: A, index: A, value: A, held: A, rest: A,
    recorded: A, mask: A, words: A, place: int, equations: A, looks: bool, first: int, last: int, step: int, span: int,
) -> None:  # fmt: skip
    """One tick of tiles `first` to `last`: what arrives, the equations, what has come to rest, who spiked."""
    g = table[H_GROUP] + place * N_GROUP
    base, tiles, stride = table[g + G_BASE], table[g + G_TILES], table[g + G_ROWS] * TILE
    states, inputs = table[g + G_STATES], table[g + G_INPUTS]
    resting, resters = table[g + G_RESTING], onward(rest, table[g + G_REST])
    arrived, touched = np.int64(0), np.int64(0)
    for k in range(table[g + G_LISTED]):
        p = table[H_PROJECTION] + table[table[g + G_LIST] + k] * N_PROJECTION
        row, into = table[p + P_ROW], table[p + P_INTO]
        receptor, before = into if into >= 0 else row, arrived
        if (touched >> receptor) & 1 == 0:  # the first that has anything for a receptor needs no sum apart
            row, into = receptor, np.int64(-1)
        if table[p + P_STATE] >= 0:
            couple(table, real, weight, p, base, stride, tiles)
        elif plain(table, p):
            bound = table[H_BOUNDS] + 2 * (k * table[H_SPAN] + step)
            if table[bound] < table[bound + 1]:
                if half(table, p):
                    arrived += bulk(
                        table, real, weight16, post, start, index, value, p, bound, base, stride, row, into, first, last
                    )  # fmt: skip
                else:
                    arrived += bulk(
                        table, real, weight, post, start, index, value, p, bound, base, stride, row, into, first, last
                    )  # fmt: skip
        elif half(table, p):
            arrived += deliver(
                table, real, weight16, post, start, time, index, value, held, p, base, stride, row, into, tiles
            )  # fmt: skip
        else:
            arrived += deliver(
                table, real, weight, post, start, time, index, value, held, p, base, stride, row, into, tiles
            )  # fmt: skip
        if arrived > before or table[p + P_STATE] >= 0:
            touched |= np.int64(1) << receptor
    if resting > 0 and arrived > 0:
        resting -= wake(real, resters, base + states * TILE, stride, first, last, inputs)
    flushing = table[H_TICK] % FLUSH_EVERY == 0
    looking = looks and flushing and table[H_SKIP] != 0
    single = looking or resting > 0
    tile: A = first
    if resting == tiles:
        tile = last
    while tile < last:
        if single and resters[tile] != 0:
            tile += 1
            continue
        end = tile + 1 if single else last
        at, calm = base + tile * stride, False
        if looking:
            calm = quiet(real, at + states * TILE, inputs)
            keep(real, at, states)
        sweep(equations, table, real, mask, g, tile, end)
        if flushing:
            calm = calm and same(real, at, states)  # before as well: what the flush changes has not come to rest
            settle(real, base, stride, states, tile, end)
        if calm and same(real, at, states) and which_of(mask, (table[g + G_REST] + tile) * TILE) == np.uint64(0):
            resters[tile] = 1
            resting += 1
        tile = end
    table[g + G_RESTING] = resting
    if table[g + G_LOST] != 0:
        table[g + G_LOST] = 0
        lose(table, place, first_lost(real, base, stride, states, first, last))
    if first > 0 or last < tiles or resting < tiles:
        count(table, mask, words, g, first, last, step)
    for k in range(table[g + G_AFTER], table[g + G_AFTER] + table[g + G_AFTERS]):
        couple(table, real, weight, table[H_PROJECTION] + table[k] * N_PROJECTION, base, stride, tiles)
    if table[H_RECORDS] > 0:
        record(table, real, post, recorded, place, base, stride)


def lose(table: A, place: int, neuron: A) -> None:
    """Say that a state is not a number: of several the earliest, then the lowest population and neuron is named."""
    now = table[H_TICK] + 1
    if table[H_STATUS] != LOST or now < table[H_END] or place < table[H_DETAIL]:
        table[H_STATUS] = LOST
        table[H_DETAIL] = place
        table[H_NEURON] = neuron
        table[H_END] = now


def first_lost(real: A, base: int, stride: int, states: int, first: int, last: int) -> A:
    """The first neuron of tiles `first` to `last` with a state that is not a number."""
    for tile in range(first, last):
        for k in range(TILE):
            for row in range(states):
                x = real[base + tile * stride + row * TILE + k]
                if x != x:  # noqa: PLR0124
                    return tile * TILE + k
    return np.int64(-1)


def quiet(real: A, at: int, rows: int) -> bool:
    """Whether `rows` rows of a tile hold nothing but zeros."""
    part, found = onward(real, at), 0
    for k in range(rows * TILE):
        found += part[k] != 0
    return found == 0


def keep(real: A, at: int, rows: int) -> None:
    """Copy a tile's state to the room at the start of the array."""
    part = onward(real, at)
    for k in range(rows * TILE):
        real[k] = part[k]


def same(real: A, at: int, rows: int) -> bool:
    """Whether a tile's state has the bits of what was kept of it."""
    moved = 0
    for k in range(rows * TILE):
        moved += bits_of(real, k) != bits_of(real, at + k)
    return moved == 0


def wake(real: A, rest: A, at: int, stride: int, first: int, last: int, rows: int) -> int:
    """Tiles that rest and have input rest no more; returns how many."""
    woken = 0
    for tile in range(first, last):
        if rest[tile] != 0 and not quiet(real, at + tile * stride, rows):
            rest[tile] = 0
            woken += 1
    return woken


def count(table: A, mask: A, words: A, g: int, first: int, last: int, step: int) -> None:
    """Keep a bit for each neuron of tiles `first` to `last` that spiked in a tick, and count them."""
    tiles = table[g + G_TILES]
    beyond = tiles * TILE - table[g + G_SIZE]
    at, lanes = onward(words, table[H_BITS] + step * tiles), table[g + G_REST] * TILE
    total = np.int64(0)
    for tile in range(first, last):
        word = which_of(mask, lanes + tile * TILE)
        if tile == tiles - 1:
            word &= np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(beyond)
        at[tile] = word
        total += ones(word)
    table[table[H_COUNTS] + step] += total


def spikes(
    table: A, real: A, time: A, index: A, value: A, words: A, g: int, source: int, step: int
) -> None:  # fmt: skip
    """Append the neurons that spiked in a tick, ascending.

    The first three of a word of 64 are written whether they are there or not, so that a processor has no branch to
    guess; what is too much is overwritten by the next word, or lies behind the last spike.
    """
    total = table[table[H_COUNTS] + step]
    if total == 0:
        return
    tiles = table[g + G_TILES]
    bits, out = onward(words, table[H_BITS] + step * tiles), table[source + S_OFFSET] + table[source + S_COUNT]
    now, times, neurons = (
        table[H_ORIGIN] + (table[H_TICK] + step) * table[H_STEP],
        onward(time, out),
        onward(index, out),
    )
    for k in range(total):
        times[k] = now
    at = np.int64(0)
    for tile in range(tiles):
        word = bits[tile]
        many = ones(word)
        for k in range(3):
            neurons[at + k] = tile * TILE + np.int64(trailing_zeros(word))
            word &= word - np.uint64(1)
        for k in range(3, many):
            neurons[at + k] = tile * TILE + np.int64(trailing_zeros(word))
            word &= word - np.uint64(1)
        at += many
    if table[g + G_VALUE] >= 0:
        stride = table[g + G_ROWS] * TILE
        carried = table[g + G_BASE] + table[g + G_VALUE] * TILE
        values = onward(value, table[source + S_VALUE] + table[source + S_COUNT])
        for k in range(total):
            neuron = np.int64(neurons[k])
            values[k] = real[carried + (neuron >> 6) * stride + (neuron & 63)]
    table[source + S_COUNT] += total


def record(table: A, real: A, post: A, recorded: A, group: int, base: int, stride: int) -> None:
    """Write down what is recorded of a population after this tick."""
    for k in range(table[H_RECORDS]):
        r = table[H_RECORD] + k * N_RECORD
        if table[r + R_GROUP] == group and table[H_TICK] % table[r + R_EVERY] == 0:
            out, first = table[r + R_OUT], table[r + R_NEURON]
            at = base + table[r + R_ROW] * TILE
            for n in range(table[r + R_NEURONS]):
                neuron = np.int64(post[first + n])
                recorded[out + n] = real[at + (neuron >> 6) * stride + (neuron & 63)]
            table[r + R_OUT] = out + table[r + R_NEURONS]


def busy(table: A, real: A, at: int, stride: int, tiles: int) -> A:
    """List the tiles of a row that hold anything but zeros, in the scratch; returns how many."""
    listed = onward(table, table[H_SCRATCH])
    found = np.int64(0)
    for tile in range(tiles):
        listed[found] = tile
        found += not quiet(real, at + tile * stride, 1)
    return found


def mixed(x: A) -> A:
    """SplitMix64's finaliser, as in `spikeflow.noise`."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(MIX_1)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(MIX_2)
    return x ^ (x >> np.uint64(31))


def draw(key: A, a: int, b: int) -> A:
    """The random bits of a pair of counters, as in `spikeflow.noise`."""
    row = mixed(key + np.uint64(STRIDE) * (np.uint64(a) + np.uint64(1)))
    return mixed(row + np.uint64(STRIDE) * (np.uint64(b) + np.uint64(1)))


def uniform32(key: A, a: int, b: int) -> A:
    """Uniform float32 in [0, 1)."""
    return np.float32(draw(key, a, b) >> np.uint64(40)) * np.float32(2.0**-24)


def uniform64(key: A, a: int, b: int) -> A:
    """Uniform float64 in [0, 1)."""
    return np.float64(draw(key, a, b) >> np.uint64(11)) * 2.0**-53
