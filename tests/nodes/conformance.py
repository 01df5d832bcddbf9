"""What nodes that map windows must keep: the same events for every cut into windows, and a state that can be saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from spikeflow.events import Batch, Grid, Stream, Window, build, columns, raw_columns, split, verify
from spikeflow.node import Context, State, Stepper

CUTS = (1, 7, 10, 100)
"""Ticks a window that are tried."""

MakeNode = Callable[[], Stepper]


class StillClock:
    """A clock that stands still."""

    def __init__(self, t_ns: int = 0) -> None:
        self.t_ns = t_ns

    def now_ns(self) -> int:
        """The time it was given."""
        return self.t_ns

    async def sleep_until(self, t_ns: int) -> None:
        """Return at once, with the time moved on."""
        self.t_ns = max(self.t_ns, t_ns)


def bind(node: Stepper, inputs: Sequence[Stream], grid: Grid, *, name: str = "node", seed: int = 0) -> Stepper:
    """Check the node against its inputs, and enter a run.

    Raises:
        AssertionError: the node has problems with its fields.
    """
    problems = [problem for problem in node.check(inputs, grid) if not problem.warning]
    assert not problems, "; ".join(map(str, problems))
    streams = {}
    for port, stream in node.outlets(inputs).items():
        full = f"{name}.{port}" if port else name
        streams[port] = Stream(full, stream.kind, stream.size, stream.valued, stream.shape, stream.double)
    node.bind(Context(name, grid, StillClock(grid.origin_ns), tuple(inputs), streams, seed=seed))
    return node


def run(node: Stepper, record: pa.RecordBatch, first_tick: int, end_tick: int) -> pa.RecordBatch:
    """Step a bound node of one input over the ticks [first_tick, end_tick), in the windows of its grid.

    Raises:
        EventError: the node broke the rules of its outlet.
    """
    context = node.context
    stream = context.outlet
    sent = []
    for window, part in split(record, context.grid, first_tick, end_tick):
        [batch] = node.step(window, [Batch.of(window, context.inputs[0].schema(context.grid), part)])
        plain = pa.RecordBatch.from_arrays(batch.record.columns, schema=batch.record.schema.remove_metadata())
        verify(plain, stream, window)
        sent.append(plain)
    return _joined(sent, stream)


def _joined(batches: Sequence[pa.RecordBatch], stream: Stream) -> pa.RecordBatch:
    t_ns, index, value = zip(*(columns(batch) for batch in batches), strict=True)
    whole = (np.concatenate(t_ns), np.concatenate(index), np.concatenate(value))
    return build(stream.plain, *whole)


def random_events(
    stream: Stream, grid: Grid, ticks: int, count: int, seed: int = 0, values: tuple[float, float] = (-1.0, 1.0)
) -> pa.RecordBatch:
    """`count` events at random instants of the first `ticks` ticks, some of them at one instant or in one tick."""
    draw = np.random.default_rng(seed)
    busy = np.flatnonzero(draw.random(ticks) < 0.4)
    tick = draw.choice(busy if len(busy) else np.arange(ticks), count)
    t_ns = grid.origin_ns + tick * grid.dt_ns + draw.choice([0, grid.dt_ns // 3, grid.dt_ns - 1], count)
    index = draw.integers(0, stream.size, count).astype(np.uint32)
    order = np.lexsort((index, t_ns))
    value = draw.uniform(*values, count)
    return build(stream.plain, t_ns[order].astype(np.int64), index[order], value)


def differing_cuts(
    make: MakeNode, stream: Stream, record: pa.RecordBatch, grid: Grid, ticks: int, **bound: Any
) -> list[int]:
    """The window lengths (ticks) under which a node gives other events than in one window over everything."""
    whole = run(bind(make(), [stream], Grid(grid.origin_ns, grid.dt_ns, ticks), **bound), record, 0, ticks)
    found = []
    for cut in CUTS:
        node = bind(make(), [stream], Grid(grid.origin_ns, grid.dt_ns, cut), **bound)
        if not same(run(node, record, 0, ticks), whole):
            found.append(cut)
    return found


def state_problems(
    make: MakeNode, stream: Stream, record: pa.RecordBatch, grid: Grid, ticks: int, **bound: Any
) -> list[str]:
    """What goes wrong when a node is saved at a window's end and loaded into a new one, or reset and run again."""
    half = ticks // (2 * grid.window_ticks) * grid.window_ticks
    at_half = grid.time(half)
    early, late = _before(record, at_half), _after(record, at_half)
    first = bind(make(), [stream], grid, **bound)
    begun = run(first, early, 0, half)
    state: State = first.save()
    expected = run(first, late, half, ticks)
    found = []
    second = bind(make(), [stream], grid, **bound)
    second.load(state)
    if not same(run(second, late, half, ticks), expected):
        found.append("a loaded state goes on in another way")
    first.reset()
    if not same(run(first, early, 0, half), begun):
        found.append("a reset node does not begin as a new one")
    third = bind(make(), [stream], grid, **bound)
    run(third, early, 0, half)
    third.reset()
    fresh = bind(make(), [stream], grid, **bound)
    if not same(run(third, late, half, ticks), run(fresh, late, half, ticks)):
        found.append("a node that is reset on the way keeps something")
    if second.save().keys() != state.keys():
        found.append("the names of the state change")
    return found


def _before(record: pa.RecordBatch, t_ns: int) -> pa.RecordBatch:
    return record.slice(0, int(np.searchsorted(raw_columns(record)[0], t_ns)))


def _after(record: pa.RecordBatch, t_ns: int) -> pa.RecordBatch:
    return record.slice(int(np.searchsorted(raw_columns(record)[0], t_ns)))


def same(left: pa.RecordBatch, right: pa.RecordBatch) -> bool:
    """Whether two batches hold the same events, bit for bit."""
    return all(
        np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in zip(columns(left), columns(right), strict=True)
    )


__all__ = [
    "CUTS",
    "StillClock",
    "Window",
    "bind",
    "differing_cuts",
    "random_events",
    "run",
    "same",
    "state_problems",
]
