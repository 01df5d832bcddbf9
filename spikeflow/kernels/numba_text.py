"""The part of the fused loop that is the same for every model; `numba_backend` copies these functions into its files.

They are plain Python on flat arrays, so that they can be read and checked; nothing runs them here. Compiled, an array
is a bare pointer: it has no length, and an index is never negative. What then takes an instruction of its own has a
name here: `onward`, `like`, `which_of`, `where`, `trailing_zeros`, `ones` and `sweep`.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from spikeflow import noise
from spikeflow.kernels.layout import CODES, GROUP, HEAD, LEARNING, PROJECTION, RECORD, SOURCE

A: TypeAlias = Any
"""An array, or a scalar of an array's type."""

(H_TICK, H_STOP, H_PAUSE, H_ORIGIN, H_STEP, H_STATUS, H_DETAIL, H_FRESH, H_SKIP, H_GROUPS, H_GROUP, H_SOURCES, H_SOURCE,
 H_PROJECTIONS, H_PROJECTION, H_RECORDS, H_RECORD, H_LEARNINGS, H_LEARNING, H_FORMS, H_ORDER, H_SCRATCH,
) = range(len(HEAD))  # fmt: skip
(G_FORM, G_BASE, G_TILES, G_ROWS, G_SIZE, G_STATES, G_INPUTS, G_CONSTANT, G_REST, G_RESTING, G_LIST, G_LISTED,
 G_AFTER, G_AFTERS, G_KEY, G_VALUE, G_LOST, G_EACH) = range(len(GROUP))  # fmt: skip
S_COUNT, S_CAPACITY, S_OFFSET, S_SIZE, S_VALUE, S_START, S_KEPT = range(len(SOURCE))
(P_KIND, P_SOURCE, P_TARGET, P_ROW, P_INTO, P_WEIGHT, P_STRIDE, P_PRE, P_DELAYS, P_DELAY, P_START, P_POST, P_MEMBER,
 P_HELD, P_STATE, P_COPIES, P_EACH, P_ALL) = range(len(PROJECTION))  # fmt: skip
R_GROUP, R_ROW, R_EVERY, R_NEURON, R_NEURONS, R_OUT = range(len(RECORD))
(L_RULE, L_PROJECTION, L_PRE, L_POST, L_CONSTANT, L_STATE, L_COUNT, L_UNTIL, L_BY_POST, L_SYNAPSE, L_ROW) = range(
    len(LEARNING)
)
DENSE, CSR, FULL, UNORDERED, INVALID, LOST = (
    CODES[name] for name in ("DENSE", "CSR", "FULL", "UNORDERED", "INVALID", "LOST")
)
TILE = 64
MIX_1, MIX_2, STRIDE = noise.MIX_1, noise.MIX_2, noise.STRIDE
N_GROUP, N_SOURCE, N_PROJECTION, N_RECORD = len(GROUP), len(SOURCE), len(PROJECTION), len(RECORD)
N_LEARNING = len(LEARNING)


def check(table: A, time: A, index: A, source: int) -> int:
    """Whether the new events of a train can be read as they are."""
    offset, size = table[source + S_OFFSET], table[source + S_SIZE]
    origin, step = table[H_ORIGIN], table[H_STEP]
    end = origin + table[H_STOP] * step
    after = origin + table[H_TICK] * step  # the end of the last event's tick; no event yet
    before = after  # its start
    last, status = np.int64(0), 0
    for place in range(offset + table[source + S_START], offset + table[source + S_COUNT]):
        t, neuron = time[place], np.int64(index[place])
        if t < before or t >= end or neuron >= size:
            return INVALID
        if t >= after:
            while t >= after:
                before = after
                after += step
        elif neuron < last:
            status = UNORDERED
        last = neuron
    return status


def drop_old(table: A, time: A, index: A, value: A, place: int) -> None:
    """Let go of the events that every reader has read."""
    source = table[H_SOURCE] + place * N_SOURCE
    count, offset, values = table[source + S_COUNT], table[source + S_OFFSET], table[source + S_VALUE]
    old = count
    if table[source + S_KEPT] == 0:
        old = table[source + S_START]  # a train's new events lie behind the old ones already
    for k in range(table[H_PROJECTIONS]):
        projection = table[H_PROJECTION] + k * N_PROJECTION
        if table[projection + P_SOURCE] == place:
            first = table[projection + P_DELAY]
            for d in range(table[projection + P_DELAYS]):
                old = min(old, table[first + 2 * d + 1])
    if old > 0:
        for k in range(offset, offset + count - old):
            time[k] = time[k + old]
            index[k] = index[k + old]
        if values >= 0:
            for k in range(values, values + count - old):
                value[k] = value[k + old]
        for k in range(table[H_PROJECTIONS]):
            projection = table[H_PROJECTION] + k * N_PROJECTION
            if table[projection + P_SOURCE] == place:
                first = table[projection + P_DELAY]
                for d in range(table[projection + P_DELAYS]):
                    table[first + 2 * d + 1] -= old
    table[source + S_COUNT] = count - old
    table[source + S_START] = count - old


def begin(table: A, time: A, index: A, value: A) -> bool:
    """Look at what arrived and make room, once a step; False where the host must see to something first."""
    for place in range(table[H_SOURCES]):
        source = table[H_SOURCE] + place * N_SOURCE
        if table[source + S_KEPT] == 0:
            status = check(table, time, index, source)
            if status != 0:
                table[H_STATUS] = status
                table[H_DETAIL] = place
                return False
    for place in range(table[H_SOURCES]):
        drop_old(table, time, index, value, place)
    table[H_FRESH] = 0
    return True


def full(table: A) -> bool:
    """Whether a population's spikes of this tick might not find room."""
    for place in range(table[H_GROUPS]):
        source = table[H_SOURCE] + place * N_SOURCE
        if (
            table[source + S_KEPT] != 0
            and table[source + S_CAPACITY] - table[source + S_COUNT] < table[source + S_SIZE]
        ):
            table[H_STATUS] = FULL
            table[H_DETAIL] = place
            return True
    return False


def sift(heap: A, first: int, count: int, k: int) -> None:
    """Let entry `k` of the heap sink to its place; the least key is on top."""
    entry = heap[first + k]
    while 2 * k + 1 < count:
        child = 2 * k + 1
        if child + 1 < count and heap[first + child + 1] < heap[first + child]:
            child += 1
        if heap[first + child] >= entry:
            break
        heap[first + k] = heap[first + child]
        k = child
    heap[first + k] = entry


def deliver(
    table: A, real: A, weight: A, post: A, start: A, time: A, index: A, value: A, held: A, p: int, base: int,
    stride: int, tiles: int,
) -> int:  # fmt: skip
    """Everything that acts through one projection in this tick; returns how many arrivals there were.

    Neurons ascending, then delays, which is the order that the sum is defined by: with several delays their next events
    are kept in a heap. Keys are neuron * 2**20 + delay.
    """
    source = table[H_SOURCE] + table[p + P_SOURCE] * N_SOURCE
    count, offset, values = table[source + S_COUNT], table[source + S_OFFSET], table[source + S_VALUE]
    first, delays, member = table[p + P_DELAY], table[p + P_DELAYS], table[p + P_MEMBER]
    kind, weights, pre, hold = table[p + P_KIND], table[p + P_WEIGHT], table[p + P_PRE], table[p + P_HELD]
    origin, step, tick, heap = table[H_ORIGIN], table[H_STEP], table[H_TICK], table[H_SCRATCH]
    every, each = table[p + P_ALL], table[p + P_EACH]
    ends = heap + delays
    at = base + table[p + P_ROW] * TILE
    arrived, waiting = 0, 0
    neuron: A
    for d in range(delays):
        end = origin + (tick - table[first + 2 * d] + 1) * step
        place = table[first + 2 * d + 1]
        begins = place
        while place < count and time[offset + place] < end:
            if hold >= 0:
                neuron = np.int64(index[offset + place])
                if member < 0 or post[member + neuron % pre] == d:
                    held[hold + d * every + neuron] = value[values + place] if values >= 0 else 1.0
            place += 1
        arrived += place - begins
        table[ends + d] = place
        if hold >= 0:
            table[first + 2 * d + 1] = place
        elif delays > 1 and place > begins:
            table[heap + waiting] = (np.int64(index[offset + begins]) << 20) | d
            waiting += 1
    unsorted = waiting // 2  # entries of the heap that have yet to sink
    channel, which = 0, 0
    place, ended = table[first + 1], table[ends]
    while True:
        if hold >= 0:
            while channel < every and held[hold + which * every + channel] == 0:
                which += 1
                if which == delays:
                    channel, which = channel + 1, 0
            if channel == every:
                break
            neuron, d = channel, which
            last = held[hold + d * every + neuron]
            arrived += 1
            which += 1
            if which == delays:
                channel, which = channel + 1, 0
        elif delays == 1:
            if place == ended:
                table[first + 1] = place
                break
            neuron, d = np.int64(index[offset + place]), 0
            last = value[values + place] if values >= 0 else 1.0
            place += 1
        else:
            if waiting > 1:
                while unsorted > 0:
                    unsorted -= 1
                    sift(table, heap, waiting, unsorted)
            if waiting == 0:
                break
            neuron, d = table[heap] >> 20, table[heap] & 0xFFFFF
            place = table[first + 2 * d + 1]
            table[first + 2 * d + 1] = place + 1
            if place + 1 < table[ends + d]:
                table[heap] = (np.int64(index[offset + place + 1]) << 20) | d
            else:
                waiting -= 1
                table[heap] = table[heap + waiting]
            unsorted = 1
            last = value[values + place] if values >= 0 else 1.0
        factor = like(real, last)
        first_copy, copies = np.int64(0), table[p + P_COPIES]
        if every > pre:  # a copy hears its own neurons; else all hear the same
            first_copy = neuron // pre
            neuron -= first_copy * pre
            copies = first_copy + 1
        if kind != CSR and member >= 0 and post[member + neuron] != d:
            continue
        for copy in range(first_copy, copies):
            begin = copy * each
            if kind == CSR:
                row = table[p + P_START] + d * pre + neuron
                posts = table[p + P_POST]
                for k in range(start[row], start[row + 1]):
                    target = begin + np.int64(post[posts + k])
                    real[at + (target >> 6) * stride + (target & 63)] += weight[weights + k] * factor
            elif kind == DENSE:
                spread(table, real, weight, p, at, stride, begin, neuron, factor)
            else:
                target = begin + neuron
                real[at + (target >> 6) * stride + (target & 63)] += weight[weights + neuron] * factor
    if arrived > 0 and table[p + P_INTO] >= 0:
        zero = like(real, 0.0)
        total = base + table[p + P_INTO] * TILE
        for tile in range(tiles):
            into, part = onward(real, total + tile * stride), onward(real, at + tile * stride)
            for k in range(TILE):
                into[k] += part[k]
                part[k] = zero
    return arrived


def spread(
    table: A, real: A, weight: A, p: int, at: int, stride: int, begin: int, neuron: int, factor: A
) -> None:  # fmt: skip
    """Add a dense row of weights to the copy that begins at neuron `begin`: in whole tiles, where it has them."""
    wide, each = table[p + P_STRIDE], table[p + P_EACH]
    row = table[p + P_WEIGHT] + neuron * wide
    if table[p + P_COPIES] == 1 or wide == each:
        base = at + (begin >> 6) * stride
        for tile in range(wide >> 6):
            into, part = onward(real, base + tile * stride), onward(weight, row + tile * TILE)
            for k in range(TILE):
                into[k] += part[k] * factor
    else:
        done: A = np.int64(0)
        while done < each:
            target = begin + done
            inside = target & 63
            many = min(TILE - inside, each - done)
            into, part = onward(real, at + (target >> 6) * stride + inside), onward(weight, row + done)
            for k in range(many):
                into[k] += part[k] * factor
            done += many


def couple(table: A, real: A, weight: A, p: int, base: int, stride: int, tiles: int) -> None:
    """A state variable of all neurons acts on all neurons through a matrix: neurons ascending, zeros left out."""
    pre, each = table[p + P_PRE], table[p + P_EACH]
    acting, at = base + table[p + P_STATE] * TILE, base + table[p + P_ROW] * TILE
    total = base + table[p + P_INTO] * TILE
    zero = like(real, 0.0)
    for neuron in range(table[p + P_ALL]):
        factor = real[acting + (neuron >> 6) * stride + (neuron & 63)]
        if factor == zero:
            continue
        copy = neuron // pre
        spread(table, real, weight, p, at, stride, copy * each, neuron - copy * pre, factor)
    for tile in range(tiles):
        into, part = onward(real, total + tile * stride), onward(real, at + tile * stride)
        for k in range(TILE):
            into[k] += part[k]
            part[k] = zero


def lose(table: A, place: int) -> None:
    """Say that a state is not a number; of several populations in a tick the lowest one is named."""
    if table[H_STATUS] != LOST or place < table[H_DETAIL]:
        table[H_STATUS] = LOST
        table[H_DETAIL] = place


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
    """Whether a tile's state is what was kept of it; state is never -0 after a flush, so equal means the same bits."""
    part, moved = onward(real, at), 0
    for k in range(rows * TILE):
        moved += real[k] != part[k]
    return moved == 0


def wake(real: A, rest: A, at: int, stride: int, tiles: int, rows: int) -> int:
    """Tiles that rest and have input rest no more; returns how many."""
    woken = 0
    for tile in range(tiles):
        if rest[tile] != 0 and not quiet(real, at + tile * stride, rows):
            rest[tile] = 0
            woken += 1
    return woken


def spike(
    table: A, real: A, time: A, index: A, value: A, mask: A, g: int, source: int, base: int, stride: int
) -> None:  # fmt: skip
    """Append the neurons that spiked, ascending, without a branch that a processor would have to guess.

    First a word of 64 bits for each tile that has any, then one turn for each spike, over the words.
    """
    first, tiles = table[g + G_REST] * TILE, table[g + G_TILES]
    listed = onward(table, table[H_SCRATCH])
    total, found = np.int64(0), np.int64(0)
    beyond = tiles * TILE - table[source + S_SIZE]
    for tile in range(tiles):
        word = which_of(mask, first + tile * TILE)
        if tile == tiles - 1:
            word &= np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(beyond)
        listed[2 * found] = tile * TILE
        listed[2 * found + 1] = np.int64(word)
        found += word != np.uint64(0)
        total += ones(word)
    out, now = table[source + S_OFFSET] + table[source + S_COUNT], table[H_ORIGIN] + table[H_TICK] * table[H_STEP]
    times, neurons = onward(time, out), onward(index, out)
    for k in range(total):
        times[k] = now
    place, word = np.int64(0), np.uint64(listed[1])
    for k in range(total):
        neurons[k] = listed[place] + np.int64(trailing_zeros(word))
        word &= word - np.uint64(1)
        place += 2 * (word == np.uint64(0))
        word = where(word == np.uint64(0), np.uint64(listed[place + 1]), word)
    if table[g + G_VALUE] >= 0:
        carried = base + table[g + G_VALUE] * TILE
        values = onward(value, table[source + S_VALUE] + table[source + S_COUNT])
        for k in range(total):
            neuron = np.int64(neurons[k])
            values[k] = real[carried + (neuron >> 6) * stride + (neuron & 63)]
    table[source + S_COUNT] += total


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


def like(array: A, number: A) -> A:
    """A number in the type of an array's elements."""
    return array.dtype.type(number)


def sweep(function: A, table: A, real: A, mask: A, g: int, first: A, last: A) -> None:
    """Call a compiled function by its address: the equations over tiles `first` to `last` of the population at `g`."""
    function(table, real, mask, g, first, last)


def group(
    table: A, real: A, weight: A, post: A, start: A, time: A, index: A, value: A, held: A, rest: A, recorded: A,
    mask: A, place: int, equations: A, looks: bool,
) -> None:  # fmt: skip
    """One tick of one population: what arrives, the equations, what has come to rest, the spikes in order."""
    g = table[H_GROUP] + place * N_GROUP
    base, tiles, stride = table[g + G_BASE], table[g + G_TILES], table[g + G_ROWS] * TILE
    states, inputs = table[g + G_STATES], table[g + G_INPUTS]
    resting, resters = table[g + G_RESTING], onward(rest, table[g + G_REST])
    arrived = np.int64(0)
    for k in range(table[g + G_LIST], table[g + G_LIST] + table[g + G_LISTED]):
        p = table[H_PROJECTION] + table[k] * N_PROJECTION
        if table[p + P_STATE] >= 0:
            couple(table, real, weight, p, base, stride, tiles)
        else:
            arrived += deliver(table, real, weight, post, start, time, index, value, held, p, base, stride, tiles)
    if resting > 0 and arrived > 0:
        resting -= wake(real, resters, base + states * TILE, stride, tiles, inputs)
    looking = looks and table[H_TICK] % 16 == 0 and table[H_SKIP] != 0
    single = looking or resting > 0
    tile = np.int64(0)
    if resting == tiles:
        tile = tiles
    while tile < tiles:
        if single and resters[tile] != 0:
            tile += 1
            continue
        last = tile + 1 if single else tiles
        at, calm = base + tile * stride, False
        if looking:
            calm = quiet(real, at + states * TILE, inputs)
            keep(real, at, states)
        sweep(equations, table, real, mask, g, tile, last)
        if calm and same(real, at, states) and which_of(mask, (table[g + G_REST] + tile) * TILE) == np.uint64(0):
            resters[tile] = 1
            resting += 1
        tile = last
    source = table[H_SOURCE] + place * N_SOURCE
    if table[source + S_KEPT] != 0 and resting < tiles:
        spike(table, real, time, index, value, mask, g, source, base, stride)
    for k in range(table[g + G_AFTER], table[g + G_AFTER] + table[g + G_AFTERS]):
        couple(table, real, weight, table[H_PROJECTION] + table[k] * N_PROJECTION, base, stride, tiles)
    if table[g + G_LOST] != 0:
        table[g + G_LOST] = 0
        lose(table, place)
    table[g + G_RESTING] = resting
    if table[H_RECORDS] > 0:
        record(table, real, post, recorded, place, base, stride)


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
