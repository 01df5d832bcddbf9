"""How events reach the receptors: the part of the fused loop that reads trains and synapses.

`numba_backend` copies these functions into its files; they are plain Python on flat arrays, and nothing runs them here.
"""

from __future__ import annotations

import numpy as np

from spikeflow.kernels.numba_words import (
    AHEAD,
    CSR,
    DENSE,
    G_LIST,
    G_LISTED,
    H_BOUNDS,
    H_DETAIL,
    H_FRESH,
    H_ORIGIN,
    H_PROJECTION,
    H_PROJECTIONS,
    H_SCRATCH,
    H_SOURCE,
    H_SOURCES,
    H_SPAN,
    H_STATUS,
    H_STEP,
    H_STOP,
    H_TICK,
    INVALID,
    N_PROJECTION,
    N_SOURCE,
    ONE_TO_ONE,
    P_ALL,
    P_COPIES,
    P_DELAY,
    P_DELAYS,
    P_EACH,
    P_HALF,
    P_HELD,
    P_INTO,
    P_KIND,
    P_MEMBER,
    P_POST,
    P_PRE,
    P_ROW,
    P_SOURCE,
    P_START,
    P_STATE,
    P_STRIDE,
    P_WEIGHT,
    S_COUNT,
    S_KEPT,
    S_OFFSET,
    S_SIZE,
    S_START,
    S_VALUE,
    TILE,
    UNORDERED,
    A,
    ahead,
    like,
    onward,
    weighed,
)  # fmt: skip


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


def plain(table: A, p: int) -> A:
    """Whether a projection has one delay and one copy, and holds nothing: its events can be gone through in one go."""
    one = table[p + P_DELAYS] == 1 and table[p + P_COPIES] == 1 and table[p + P_ALL] == table[p + P_PRE]
    return one and table[p + P_HELD] < 0 and table[p + P_STATE] < 0


def half(table: A, p: int) -> A:
    """Whether a projection's weights are float16; what is done then is compiled only where some program has them."""
    return table[p + P_HALF] != 0


def bounds(table: A, time: A, g: int, span: int) -> A:
    """Find which events act in each of the next ticks: the first one, and one past the last.

    Returns how many there are, at least one where a projection is not plain, and so not looked at.
    """
    came = np.int64(0)
    for k in range(table[g + G_LISTED]):
        p = table[H_PROJECTION] + table[table[g + G_LIST] + k] * N_PROJECTION
        if not plain(table, p):
            came += 1
            continue
        source = table[H_SOURCE] + table[p + P_SOURCE] * N_SOURCE
        count, delay = table[source + S_COUNT], table[p + P_DELAY]
        times = onward(time, table[source + S_OFFSET])
        at, place = onward(table, table[H_BOUNDS] + 2 * k * table[H_SPAN]), table[delay + 1]
        came -= place
        end = table[H_ORIGIN] + (table[H_TICK] - table[delay] + 1) * table[H_STEP]
        for step in range(span):
            at[2 * step] = place
            while place < count and times[place] < end:
                place += 1
            at[2 * step + 1] = place
            end += table[H_STEP]
        came += place
        table[delay + 1] = place
    return came


def bulk(
    table: A, real: A, weight: A, post: A, start: A, index: A, value: A, p: int, bound: int, base: int, stride: int,
    sums: int, into: int, first: int, last: int,
) -> A:  # fmt: skip
    """What acts through a plain projection on tiles `first` to `last` in one tick, as `deliver`; returns how many.

    Neurons ascend, so where each acts on one, those that act on later tiles are left for their turn.
    """
    source = table[H_SOURCE] + table[p + P_SOURCE] * N_SOURCE
    indices, values = onward(index, table[source + S_OFFSET]), table[source + S_VALUE]
    kind, weights = table[p + P_KIND], onward(weight, table[p + P_WEIGHT])
    place, end, at = table[bound], table[bound + 1], base + sums * TILE
    begun, one, wide = place, like(real, 1.0), table[p + P_STRIDE]
    if kind == ONE_TO_ONE:
        beyond = last * TILE
        while place < end and np.int64(indices[place]) < beyond:
            neuron = np.int64(indices[place])
            factor = like(real, value[values + place]) if values >= 0 else one
            real[at + (neuron >> 6) * stride + (neuron & 63)] += weighed(real, weights, neuron * wide) * factor
            place += 1
        table[bound] = place
    elif kind == DENSE:
        while place + 4 <= end:  # four rows at a time: the sums are read and written once for all four
            a, b = (
                onward(weights, np.int64(indices[place]) * wide),
                onward(weights, np.int64(indices[place + 1]) * wide),
            )
            c, d = (
                onward(weights, np.int64(indices[place + 2]) * wide),
                onward(weights, np.int64(indices[place + 3]) * wide),
            )
            f_a, f_b, f_c, f_d = one, one, one, one
            if values >= 0:
                f_a, f_b = like(real, value[values + place]), like(real, value[values + place + 1])
                f_c, f_d = like(real, value[values + place + 2]), like(real, value[values + place + 3])
            for tile in range(first, last):
                sum_up, k0 = onward(real, at + tile * stride), tile * TILE
                row_a, row_b, row_c, row_d = onward(a, k0), onward(b, k0), onward(c, k0), onward(d, k0)
                for k in range(TILE):
                    two = (sum_up[k] + weighed(real, row_a, k) * f_a) + weighed(real, row_b, k) * f_b
                    sum_up[k] = (two + weighed(real, row_c, k) * f_c) + weighed(real, row_d, k) * f_d
            place += 4
        while place < end:
            a = onward(weights, np.int64(indices[place]) * wide)
            f_a = like(real, value[values + place]) if values >= 0 else one
            for tile in range(first, last):
                sum_up, row_a = onward(real, at + tile * stride), onward(a, tile * TILE)
                for k in range(TILE):
                    sum_up[k] += weighed(real, row_a, k) * f_a
            place += 1
    else:
        starts, posts = onward(start, table[p + P_START]), onward(post, table[p + P_POST])
        for k in range(place, min(place + AHEAD, end)):
            row = starts[np.int64(indices[k])]
            ahead(posts, row)
            ahead(weights, row * wide)
        while place < end:
            if place + AHEAD < end:
                row = starts[np.int64(indices[place + AHEAD])]
                ahead(posts, row)
                ahead(weights, row * wide)
            neuron = np.int64(indices[place])
            factor = like(real, value[values + place]) if values >= 0 else one
            if wide == 0:
                part = weighed(real, weights, 0) * factor
                for k in range(starts[neuron], starts[neuron + 1]):
                    target = np.int64(posts[k])
                    real[at + (target >> 6) * stride + (target & 63)] += part
            else:
                for k in range(starts[neuron], starts[neuron + 1]):
                    target = np.int64(posts[k])
                    real[at + (target >> 6) * stride + (target & 63)] += weighed(real, weights, k) * factor
            place += 1
    if place > begun and into >= 0:
        add_up(real, base + into * TILE, at, stride, first, last)
    return place - begun


def add_up(real: A, total: int, at: int, stride: int, first: int, last: int) -> None:
    """Add one row of tiles to another, and clear it."""
    zero = like(real, 0.0)
    for tile in range(first, last):
        into, more = onward(real, total + tile * stride), onward(real, at + tile * stride)
        for k in range(TILE):
            into[k] += more[k]
            more[k] = zero


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
    stride: int, sums: int, into: int, tiles: int,
) -> int:  # fmt: skip
    """Everything that acts through one projection in this tick; returns how many arrivals there were.

    They are summed up in row `sums`, which is then added to row `into`, unless that is -1.
    Neurons ascending, then delays, which is the order that the sum is defined by: with several delays their next events
    are kept in a heap. Keys are neuron * 2**20 + delay.
    """
    source = table[H_SOURCE] + table[p + P_SOURCE] * N_SOURCE
    count, offset, values = table[source + S_COUNT], table[source + S_OFFSET], table[source + S_VALUE]
    first, delays, member = table[p + P_DELAY], table[p + P_DELAYS], table[p + P_MEMBER]
    kind, weights, pre, hold = table[p + P_KIND], table[p + P_WEIGHT], table[p + P_PRE], table[p + P_HELD]
    wide = table[p + P_STRIDE]
    origin, step, tick, heap = table[H_ORIGIN], table[H_STEP], table[H_TICK], table[H_SCRATCH]
    every, each = table[p + P_ALL], table[p + P_EACH]
    ends = heap + delays
    at = base + sums * TILE
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
                    real[at + (target >> 6) * stride + (target & 63)] += (
                        weighed(real, weight, weights + k * wide) * factor
                    )
            elif kind == DENSE:
                spread(table, real, weight, p, at, stride, begin, neuron, factor)
            else:
                target = begin + neuron
                real[at + (target >> 6) * stride + (target & 63)] += (
                    weighed(real, weight, weights + neuron * wide) * factor
                )
    if arrived > 0 and into >= 0:
        add_up(real, base + into * TILE, at, stride, 0, tiles)
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
                into[k] += weighed(real, part, k) * factor
    else:
        done: A = np.int64(0)
        while done < each:
            target = begin + done
            inside = target & 63
            many = min(TILE - inside, each - done)
            into, part = onward(real, at + (target >> 6) * stride + inside), onward(weight, row + done)
            for k in range(many):
                into[k] += weighed(real, part, k) * factor
            done += many


def couple(table: A, real: A, weight: A, p: int, base: int, stride: int, tiles: int) -> None:
    """A state variable of all neurons acts on all neurons through a matrix: neurons ascending, zeros left out."""
    pre, each = table[p + P_PRE], table[p + P_EACH]
    acting, at = base + table[p + P_STATE] * TILE, base + table[p + P_ROW] * TILE
    zero = like(real, 0.0)
    for neuron in range(table[p + P_ALL]):
        factor = real[acting + (neuron >> 6) * stride + (neuron & 63)]
        if factor == zero:
            continue
        copy = neuron // pre
        spread(table, real, weight, p, at, stride, copy * each, neuron - copy * pre, factor)
    add_up(real, base + table[p + P_INTO] * TILE, at, stride, 0, tiles)
