"""What encoders that follow every sample share: samples that can be used, and recursions over them, channel by channel.

A recursion over time is the same however the stream is cut into windows, as its state goes from sample to sample. It
runs over the k-th samples of all channels at once, or, where few channels have many samples each, in plain numbers:
arrays of a few numbers cost fifty times as much as the numbers themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spikeflow.events import GRADED_SPIKES, Grid, Indices, Times, columns, empty, sort, spike_batch
from spikeflow.node import Node
from spikeflow.nodes.held import finite, previous_values, within

Doubles: TypeAlias = npt.NDArray[np.float64]
Places: TypeAlias = npt.NDArray[np.intp]
Step: TypeAlias = Callable[..., tuple[Any, ...]]

MOST_STEPS = 2.0**40
"""Far above this, the rounding of float64 comes near a threshold."""

MOST_CARRIED = 1e150
"""Beyond it squares are not finite in float64, and what a state takes from them stays so for ever."""

_NARROW = 48
_EXACT = 2.0**24  # whole numbers up to this one have a float32 of their own


def finite_samples(node: Node, samples: pa.RecordBatch, most: float = np.inf) -> tuple[Times, Indices, Doubles]:
    """The samples that are numbers no larger than `most`, in float64; others are noted and count as no samples."""
    samples = finite(samples, node.context.counters)
    if most < np.inf:
        samples = within(samples, most, node.context.counters)
    t_ns, channel, value = columns(samples)
    return t_ns, channel, value.astype(np.float64)


def countable(node: Node, t_ns: Times, channel: Indices, ratio: Doubles) -> tuple[Times, Indices, Doubles]:
    """The samples that are no more than 2^40 thresholds from zero; the others are noted and count as no samples.

    Args:
        node: counts what is left out.
        t_ns: [n] times.
        channel: [n] channels.
        ratio: [n] samples in units of the threshold.
    """
    near = np.abs(ratio) <= MOST_STEPS
    if near.all():
        return t_ns, channel, ratio
    node.context.counters.note("out of range", int((~near).sum()))
    return t_ns[near], channel[near], ratio[near]


def starts_of_ticks(grid: Grid, t_ns: Times) -> Times:
    """[n] the instants at which the ticks of [n] instants start."""
    found: Times = grid.origin_ns + grid.ticks(t_ns) * grid.dt_ns
    return found


def exact_counts(t_ns: Times, neuron: Indices, count: Doubles) -> tuple[Times, Indices, npt.NDArray[np.float32]]:
    """Spikes whose float32 values add up to the counts; a count that is none itself takes several spikes in a row.

    Args:
        t_ns: [n] times.
        neuron: [n] neurons.
        count: [n] whole numbers, none above 2^48.

    Returns:
        [m >= n] times, neurons and values.
    """
    if not len(count) or float(np.abs(count).max()) <= _EXACT:
        return t_ns, neuron, count.astype(np.float32)
    parts = []
    rest = count
    for _ in range(2):  # 24 bits each
        part = rest.astype(np.float32)
        parts.append(part)
        rest = rest - part
    sent = np.stack(parts, axis=1)
    use = sent != 0.0
    times = use.sum(axis=1)
    return np.repeat(t_ns, times), np.repeat(neuron, times), sent[use]


def graded_spikes(grid: Grid, t_ns: Times, channel: Indices, count: Doubles) -> pa.RecordBatch:
    """The graded spikes of samples, at the starts of their ticks; a count of zero is no spike.

    Args:
        grid: the grid of the ticks.
        t_ns: [n] times of the samples.
        channel: [n] channels.
        count: [n] whole numbers, none above 2^48.

    Returns:
        [m] rows of `t`, `neuron` and `value`, sorted.
    """
    use = np.flatnonzero(count)
    if not len(use):
        return empty(GRADED_SPIKES)
    return spike_batch(*sort(*exact_counts(starts_of_ticks(grid, t_ns[use]), channel[use], count[use])))


def fold(
    channel: Indices, given: Sequence[Doubles], state: Sequence[Doubles], step: Step, results: int
) -> list[Doubles]:
    """Run a recursion over the samples of each channel, in their order.

    Args:
        channel: [n] channels.
        given: arrays [n], one for each thing that a sample brings.
        state: arrays [size], one for each thing that a channel remembers; updated in place.
        step: ``step(where, *given, *state)`` gives the new state and then the results. It is arithmetic,
            comparisons, `abs` and ``where(test, yes, no)``, on plain numbers as well as on arrays.
        results: how many results a step gives.

    Returns:
        arrays [n], one for each result.
    """
    count, kept = len(channel), len(state)
    found = [np.empty(count) for _ in range(results)]
    if not count:
        return found
    order, edges = groups(channel)
    lengths = np.diff(edges)
    longest = int(lengths.max())
    if count < _NARROW * longest:
        for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            place = order[low:high]
            own = int(channel[place[0]])
            now: tuple[Any, ...] = tuple(one[own].item() for one in state)
            rows = []
            for row in zip(*(one[place].tolist() for one in given), strict=True):
                made = step(_either, *row, *now)
                now = made[:kept]
                rows.append(made[kept:])
            for one, value in zip(state, now, strict=True):
                one[own] = value
            for one, column in zip(found, zip(*rows, strict=True), strict=True):
                one[place] = column
        return found
    for place in _rounds(order, edges, lengths):
        own_channels = channel[place]
        with np.errstate(over="ignore", invalid="ignore"):
            made = step(np.where, *(one[place] for one in given), *(one[own_channels] for one in state))
        for one, value in zip(state, made[:kept], strict=True):
            one[own_channels] = value
        for one, value in zip(found, made[kept:], strict=True):
            one[place] = value
    return found


def _either(test: bool, yes: float, no: float) -> float:
    return yes if test else no


def groups(channel: Indices) -> tuple[Places, Places]:
    """The samples channel by channel: [n] their places, and [channels + 1] where each channel begins, and the end."""
    order = np.argsort(channel, kind="stable")
    sorted_channel = channel[order]
    begins = np.ones(len(order) + 1, np.bool_)
    np.not_equal(sorted_channel[1:], sorted_channel[:-1], out=begins[1:-1])
    return order, np.flatnonzero(begins)


def _rounds(order: Places, edges: Places, lengths: Places) -> Iterator[Places]:
    rank = np.arange(len(order)) - np.repeat(edges[:-1], lengths)
    ends = np.cumsum(np.bincount(rank))
    by_rank = order[np.argsort(rank, kind="stable")]
    low = 0
    for high in ends.tolist():
        yield by_rank[low:high]
        low = high


def turns(channel: Indices) -> Iterator[Places]:
    """Places of the first samples of all channels, of the second ones, and so on."""
    if len(channel):
        order, edges = groups(channel)
        yield from _rounds(order, edges, np.diff(edges))


def follow(channel: Indices, low: Doubles, high: Doubles, first: Doubles, last: Doubles) -> tuple[Doubles, Doubles]:
    """A number that each sample moves no further than it must: up to `low`, down to `high`, else not at all.

    Moving so by one sample and then by another is moving so by one with other bounds; that gives the result after n
    samples in log2(n) passes over all of them.

    Args:
        channel: [n] channels.
        low: [n] the least that the number may be after a sample.
        high: [n] the most that it may be, not below `low`.
        first: [n] what it is after a sample that is the first one of its channel.
        last: [size] the number of each channel, NaN before its first sample; updated in place.

    Returns:
        [n] the number before each sample, NaN where there was none, and [n] after it.
    """
    if not len(channel):
        return np.empty(0), np.empty(0)
    order, edges = groups(channel)
    sorted_channel = channel[order]
    lengths = np.diff(edges)
    rank = np.arange(len(order)) - np.repeat(edges[:-1], lengths)
    low, high = low[order], high[order]
    begun = last[sorted_channel]
    fresh = (rank == 0) & np.isnan(begun)
    low[fresh] = high[fresh] = first[order][fresh]
    begun[np.isnan(begun)] = 0.0
    distance = 1
    while distance < int(lengths.max()):
        ahead = rank[distance:] >= distance
        lower = np.where(ahead, np.clip(low[:-distance], low[distance:], high[distance:]), low[distance:])
        upper = np.where(ahead, np.clip(high[:-distance], low[distance:], high[distance:]), high[distance:])
        low[distance:], high[distance:] = lower, upper
        distance *= 2
    after = np.empty(len(order))
    after[order] = np.clip(begun, low, high)
    before: Any = previous_values(channel, after, last)
    return before, after
