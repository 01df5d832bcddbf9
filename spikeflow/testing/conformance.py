"""The rules that every node keeps, and the check that holds one to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute

from spikeflow.errors import EventError, NodeError, ParameterError
from spikeflow.events import Grid, Kind, Stream, Window, build, columns, empty, raw_columns, sort
from spikeflow.node import Clock, Node, Sink, Source, State, Stepper
from spikeflow.testing.bench import Bench, feed_names, windows
from spikeflow.testing.records import GRID, difference, joined, odd_events, random_events
from spikeflow.testing.running import Ran, run_node

CUTS = (1, 7, 10, 100)
"""Ticks a window that are tried."""

RULES = {
    "fields": "a node has nothing to say against its fields",
    "events": "a batch holds the events of its own window, sorted by time, then by index, with indices below the size",
    "speaks": "the node gives events, else nothing is shown: give it values or inputs that make it, or say quiet=True",
    "repeat": "a new node gives the same events again; what it remembers is its own",
    "silence": "windows without events are windows like any other",
    "kept": "a batch stays as it was sent, and what arrives stays as it came",
    "windows": "events do not depend on how time is cut into windows",
    "rest": "windows without events that end by `rests_until` change nothing and give nothing",
    "odd": "a node takes what its stream may carry: values that are not finite, one event twice, many at an instant",
    "state": "a state that was saved at the end of a window, loaded into a new node, goes on in the same way",
    "forget": "a node that is reset goes on like a new one",
    "copies": "several copies of a node at once give what each of them gives alone",
    "all": "a sink takes every batch of every input until all have ended",
}
"""What `check_node` looks at, in its order."""

Make = Callable[[], Node]
_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.ndarray, np.generic)


def check_node(
    make: Make,
    inputs: Sequence[Stream | tuple[Stream, pa.RecordBatch]] | None = None,
    *,
    size: int = 5,
    values: tuple[float, float] = (-1.0, 1.0),
    ticks: int = 230,
    events: int | None = None,
    grid: Grid = GRID,
    cuts: Sequence[int] = CUTS,
    seed: int = 0,
    quiet: bool = False,
    seconds: float | None = None,
    clock: Callable[[], Clock] | None = None,
) -> None:
    """Hold a node to the `RULES`.

    Encoders, decoders and neurons are stepped, sources and sinks are run from end to end.

    Args:
        make: makes a new node, each time with the same fields.
        inputs: what arrives: streams, which are filled at random, or streams with their events. Unless given, every
            kind of stream that the class takes is tried.
        size: how many channels or neurons arrive where `inputs` does not say.
        values: the range of random values.
        ticks: how long it lasts.
        events: how many random events arrive at each input; four a tick unless said otherwise.
        grid: ticks and windows.
        cuts: windows that are tried (ticks).
        seed: of the random events, and of the run.
        quiet: accept a node that gives no events.
        seconds: how long a source runs that does not end by itself.
        clock: makes the clock of a source's or sink's run; unless given, clocks that jump.

    Raises:
        AssertionError: the first rule that is broken, and the first event that shows it.

    >>> from spikeflow.nodes.encoders.level_crossing import LevelCrossing
    >>> check_node(lambda: LevelCrossing(threshold=0.2))
    """
    node = make()
    check: Callable[..., None] = (
        _check_source if isinstance(node, Source) else _check_sink if isinstance(node, Sink) else _check_stepper
    )
    kinds: Sequence[Kind] = type(node).takes if inputs is None and not isinstance(node, Source) else ("samples",)
    spoken = False
    for kind in kinds:
        try:
            count = 0 if isinstance(node, Source) else _input_count(node) if inputs is None else len(inputs)
            names = feed_names(node, count, "node")
        except ParameterError as error:
            _broken(make, "fields", f"{error}", error)
        given = [Stream("", kind, size)] * count if inputs is None else inputs
        arriving = []
        for place, (name, one) in enumerate(zip(names, given, strict=True)):
            stream, record = one if isinstance(one, tuple) else (one, None)
            named = replace(stream, name=name)
            if record is None:
                drawn = 4 * ticks if events is None else events
                record = random_events(named, grid, ticks, drawn, seed + place, values)
            arriving.append((named, record))
        used = _Use(make, tuple(arriving), grid, ticks, tuple(cuts), seed, seconds, clock or (lambda: None))
        check(used)
        spoken |= used.spoken
    if not (spoken or quiet or isinstance(node, Sink)):
        _broken(make, "speaks", f"no event came in {ticks} ticks")


def _input_count(node: Node) -> int:
    return len({one.source for one in node.inputs if one.node != "node"}) or 1


@dataclass
class _Use:
    """A node, and what it is tried on."""

    make: Make
    arriving: tuple[tuple[Stream, pa.RecordBatch], ...]
    grid: Grid
    ticks: int
    cuts: tuple[int, ...]
    seed: int
    seconds: float | None
    clock: Callable[[], Any]
    spoken: bool = False

    @property
    def records(self) -> list[pa.RecordBatch]:
        return [record for _, record in self.arriving]

    def cut(self, window_ticks: int) -> Grid:
        """The same ticks in windows of another length."""
        return Grid(self.grid.origin_ns, self.grid.dt_ns, window_ticks)

    # Nodes that are stepped.

    def bench(self, grid: Grid | None = None) -> Bench:
        """A new node on the bench."""
        node = self.make()
        assert isinstance(node, Stepper)
        try:
            return Bench(node, [stream for stream, _ in self.arriving], grid or self.grid, seed=self.seed)
        except ParameterError as error:
            _broken(self.make, "fields", str(error), error)

    def stepped(
        self, rule: str, bench: Bench, records: Sequence[pa.RecordBatch], first: int, end: int, **more: Any
    ) -> list[pa.RecordBatch]:
        """Events of all outlets; a failure breaks the rule."""
        try:
            with np.errstate(all="ignore"):
                return bench.run(records, first, end, **more)
        except EventError as error:
            _broken(self.make, "events", f"{error}; {_length(bench.grid)}", error)
        except Exception as error:
            _broken(self.make, rule, f"it raised {type(error).__name__}: {error}; {_length(bench.grid)}", error)

    def agree(
        self, rule: str, how: str, bench: Bench, expected: Sequence[pa.RecordBatch], found: Sequence[pa.RecordBatch]
    ) -> None:
        """Hold all outlets to what they should give."""
        for stream, one, other in zip(bench.place.outlets.values(), expected, found, strict=True):
            if differs := difference(one, other, self.grid):
                _broken(self.make, rule, f"{how}, {stream.name}: {differs}")

    # Nodes that are run from end to end.

    def ran(self, rule: str, grid: Grid) -> Ran:
        """A run of a new node; a failure breaks the rule."""
        try:
            return run_node(
                self.make(), *self.arriving, ticks=self.ticks, grid=grid, seed=self.seed, seconds=self.seconds,
                clock=self.clock(),
            )  # fmt: skip
        except ParameterError as error:
            _broken(self.make, "fields", str(error), error)
        except (EventError, NodeError) as error:
            caused = error.cause if isinstance(error, NodeError) else error
            if isinstance(caused, EventError):
                _broken(self.make, "events", f"{caused}; {_length(grid)}", error)
            _broken(self.make, rule, f"it raised {type(caused).__name__}: {caused}; {_length(grid)}", error)


def _length(grid: Grid) -> str:
    return f"in windows of {grid.window_ticks} tick{'s' if grid.window_ticks != 1 else ''}"


def _broken(make: Make, rule: str, what: str, cause: BaseException | None = None) -> NoReturn:
    raise AssertionError(f"{type(make()).__name__} breaks the rule {rule!r}: {RULES[rule]}.\n{what}") from cause


# Encoders, decoders, neurons.


def _check_stepper(use: _Use) -> None:
    whole = _check_repeat(use)
    _check_hard(use, "silence", [empty(stream.plain) for stream, _ in use.arriving])
    _check_kept(use)
    for cut in use.cuts:
        bench = use.bench(use.cut(cut))
        found = use.stepped("windows", bench, use.records, 0, use.ticks)
        use.agree("windows", f"{_length(bench.grid)}, and not of {use.ticks}", bench, whole, found)
    _check_rest(use)
    _check_hard(use, "odd", [odd_events(stream, use.grid, use.ticks) for stream, _ in use.arriving])
    _check_state(use)
    _check_forget(use)
    _check_copies(use)


def _check_repeat(use: _Use) -> list[pa.RecordBatch]:
    """The events of one window over everything, which a second node gives again."""
    grid = use.cut(use.ticks)
    before = [_bytes(record) for record in use.records]
    whole = use.stepped("repeat", use.bench(grid), use.records, 0, use.ticks)
    if [_bytes(record) for record in use.records] != before:
        _broken(use.make, "kept", "the node wrote into what arrived; copy it first")
    use.spoken = use.spoken or any(record.num_rows for record in whole)
    again = use.bench(grid)
    use.agree("repeat", "a second time", again, whole, use.stepped("repeat", again, use.records, 0, use.ticks))
    return whole


def _check_rest(use: _Use) -> None:
    """Leave out the windows that the node says it rests in, between events and after them."""
    if type(use.bench().node).rests_until is Stepper.rests_until:
        return  # it never does
    records = []
    for _, record in use.arriving:
        tick = use.grid.ticks(raw_columns(record)[0])
        records.append(record.filter(pa.array((tick < use.ticks // 4) | (tick // (use.ticks // 4) == 2))))
    end = 2 * use.ticks
    for cut in (1, 10):
        resting, bench, until = use.bench(use.cut(cut)), use.bench(use.cut(cut)), 0
        expected = use.stepped("rest", bench, records, 0, end)
        found: list[list[pa.RecordBatch]] = [[record.slice(0, 0)] for record in expected]
        for window, parts in windows(records, resting.grid, 0, end):
            silent, after = not any(part.num_rows for part in parts), window.first_tick + window.ticks
            if not silent or after > until:
                sent = use.stepped("rest", resting, parts, window.first_tick, after)
                for one, record in zip(found, sent, strict=True):
                    one.append(record)
                assert isinstance(resting.node, Stepper)
                until = resting.node.rests_until() if silent else 0
        now = [joined(one, one[0].schema) for one in found]
        use.agree("rest", f"{_length(resting.grid)}, without those", resting, expected, now)


def _check_kept(use: _Use) -> None:
    """Look at what was sent once more at the end."""
    sent: list[tuple[list[pa.RecordBatch], list[bytes]]] = []
    small = use.bench()
    use.stepped(
        "kept", small, use.records, 0, use.ticks, after=lambda _, out: sent.append((out, [_bytes(one) for one in out]))
    )
    for number, (batches, then) in enumerate(sent):
        if [_bytes(one) for one in batches] != then:
            _broken(use.make, "kept", f"window {number} was changed after it had been sent; copy what you keep")


def _bytes(record: pa.RecordBatch) -> bytes:
    return b"".join(column.tobytes() for column in columns(record))


def _check_hard(use: _Use, rule: str, records: list[pa.RecordBatch]) -> None:
    """Run on events that are hard to take, in two lengths of windows."""
    whole = use.bench(use.cut(use.ticks))
    expected = use.stepped(rule, whole, records, 0, use.ticks)
    for cut in (1, 10):
        bench = use.bench(use.cut(cut))
        found = use.stepped(rule, bench, records, 0, use.ticks)
        use.agree(rule, f"{_length(bench.grid)}, and not of {use.ticks}", bench, expected, found)


def _check_state(use: _Use) -> None:
    """Save at the end of every window, and go on from there with a new node."""
    states: list[State] = []
    sent: list[list[pa.RecordBatch]] = []
    first = use.bench()

    def keep(window: Window, out: list[pa.RecordBatch]) -> None:
        states.append(first.node.save())
        sent.append(out)

    use.stepped("state", first, use.records, 0, use.ticks, after=keep)
    for name, value in states[-1].items():
        if (odd := _not_plain(value)) is not None:
            what = f"{name!r} holds a {odd}; a state is numbers, texts, arrays, and lists and mappings of them"
            _broken(use.make, "state", what)
    ends = [window.first_tick + window.ticks for window, _ in windows(use.records, use.grid, 0, use.ticks)]
    new = {0, len(ends) // 2, len(ends) - 2}  # otherwise one that has been used before: loading replaces everything
    bench = first
    for number, (state, end) in enumerate(zip(states[:-1], ends[:-1], strict=True)):
        bench = use.bench() if number in new else bench
        if state.keys() != bench.node.save().keys():
            names = sorted(state.keys() ^ bench.node.save().keys())
            _broken(use.make, "state", f"the names of the state change: {names} are not always there")
        _load(use, bench, state)
        later = use.stepped("state", bench, use.records, end, use.ticks)
        before = [joined(outs, outs[0].schema) for outs in zip(*sent[number + 1 :], strict=True)]
        how = "a new node" if number in new else "one that has run on"
        use.agree("state", f"saved before tick {end} and loaded into {how}", bench, before, later)


def _load(use: _Use, bench: Bench, state: State) -> None:
    try:
        bench.node.load(state)
    except Exception as error:
        _broken(use.make, "state", f"loading raised {type(error).__name__}: {error}", error)


def _not_plain(value: Any) -> str | None:
    """The type in a state that cannot be stored."""
    if isinstance(value, dict):
        return next((odd for one in (*value, *value.values()) if (odd := _not_plain(one)) is not None), None)
    if isinstance(value, list | tuple | set | frozenset):
        return next((odd for one in value if (odd := _not_plain(one)) is not None), None)
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        return "array of objects"
    return None if isinstance(value, _PLAIN) else type(value).__name__


def _check_forget(use: _Use) -> None:
    """Reset on the way, and at the end."""
    half = use.ticks // (2 * use.grid.window_ticks) * use.grid.window_ticks
    used, new = use.bench(), use.bench()
    begun = use.stepped("forget", used, use.records, 0, half)
    used.node.reset()
    later = use.stepped("forget", new, use.records, half, use.ticks)
    found = use.stepped("forget", used, use.records, half, use.ticks)
    use.agree("forget", f"reset before tick {half}", used, later, found)
    used.node.reset()
    use.agree("forget", "reset and run again", used, begun, use.stepped("forget", used, use.records, 0, half))


def _check_copies(use: _Use) -> None:
    """Three copies, the first on what arrives, the second on something else, the third on what begins half-way."""
    copies = 3
    if any(True for _ in use.make().check_copies(copies, [stream for stream, _ in use.arriving], use.grid)):
        return
    half = use.grid.time(use.ticks // 2)
    given: list[list[pa.RecordBatch]] = []
    for place, (stream, record) in enumerate(use.arriving):
        late = record.filter(pa.compute.greater_equal(record.column(0).cast(pa.int64()), half))
        given.append([record, random_events(stream, use.grid, use.ticks, 2 * use.ticks, use.seed + 100 + place), late])
    streams = [stream.times(copies) for stream, _ in use.arriving]
    together = [_together(records, stream) for records, (stream, _) in zip(given, use.arriving, strict=True)]
    alone = []
    for copy in range(copies):
        bench = use.bench()
        alone.append(use.stepped("copies", bench, [records[copy] for records in given], 0, use.ticks))
    for cut in (7, use.grid.window_ticks):
        node = use.make()
        assert isinstance(node, Stepper)
        bench = Bench(node, streams, use.cut(cut), seed=use.seed)
        found = use.stepped("copies", bench, together, 0, use.ticks)
        for copy in range(copies):
            parts = [
                _copy_of(record, stream, copy)
                for record, stream in zip(found, bench.place.outlets.values(), strict=True)
            ]
            use.agree("copies", f"copy {copy} of {copies}, {_length(bench.grid)}", bench, alone[copy], parts)


def _together(records: Sequence[pa.RecordBatch], stream: Stream) -> pa.RecordBatch:
    """The events of copies as those of one stream."""
    parts = [raw_columns(record) for record in records]
    index = np.concatenate([part[1] + np.uint32(copy * stream.size) for copy, part in enumerate(parts)])
    values = [part[2] for part in parts if part[2] is not None]
    t_ns = np.concatenate([part[0] for part in parts])
    return build(stream.plain, *sort(t_ns, index, np.concatenate(values) if values else None))


def _copy_of(record: pa.RecordBatch, stream: Stream, copy: int) -> pa.RecordBatch:
    """The events of one copy."""
    t_ns, index, value = raw_columns(record)
    of, local = np.divmod(index, np.uint32(stream.size // stream.copies))
    own = of == copy
    return build(stream.plain, t_ns[own], local[own], None if value is None else value[own])


# Sources and sinks.


def _check_source(use: _Use) -> None:
    whole = use.ran("repeat", use.cut(use.ticks))
    use.spoken = whole.events.num_rows > 0
    runs = [("repeat", "a second time", use.ran("repeat", use.cut(use.ticks)))]
    runs += [("windows", _length(use.cut(cut)), use.ran("windows", use.cut(cut))) for cut in use.cuts]
    for rule, how, run in runs:
        batches = run.windows[""]
        for one, other in pairwise(batches):
            if other.window.start_ns != one.window.end_ns:
                _broken(use.make, "events", f"the window at {other.window.start_ns} ns does not follow the one before")
        end_ns = min(run.grid.time(run.ticks), whole.grid.time(whole.ticks))
        if use.seconds is not None:  # the window in which it is stopped may go on
            end_ns = min(end_ns, whole.grid.origin_ns + int(use.seconds * 1e9))
        expected, found = (_before(one.events, end_ns) for one in (whole, run))
        if differs := difference(expected, found, run.grid):
            _broken(use.make, rule, f"{how}: {differs}")
        if use.seconds is None and run.ticks != whole.ticks:
            _broken(use.make, rule, f"{how} it ends at tick {run.ticks} instead of {whole.ticks}")


def _before(record: pa.RecordBatch, t_ns: int) -> pa.RecordBatch:
    return record.slice(0, int(np.searchsorted(raw_columns(record)[0], t_ns)))


def _check_sink(use: _Use) -> None:
    none = tuple((stream, empty(stream.plain)) for stream, _ in use.arriving)
    odd = tuple((stream, odd_events(stream, use.grid, use.ticks)) for stream, _ in use.arriving)
    tried = [("silence", use.grid, none), *(("all", use.cut(cut), use.arriving) for cut in use.cuts)]
    tried.append(("odd", use.grid, odd))
    for rule, grid, arriving in tried:
        one = _Use(use.make, arriving, grid, use.ticks, use.cuts, use.seed, use.seconds, use.clock)
        before = [_bytes(record) for _, record in arriving]
        counters = one.ran(rule, grid).counters
        given = sum(record.num_rows for _, record in arriving)
        if counters.dropped or counters.processed + sum(counters.rejected.values()) != given:
            what = f"{given} events came, {counters.processed} were processed, dropped were {counters.dropped}"
            _broken(use.make, rule if rule != "silence" else "all", f"{what}; {_length(grid)}")
        if [_bytes(record) for _, record in arriving] != before:
            _broken(use.make, "kept", "the sink wrote into what arrived; copy it first")


__all__ = ["CUTS", "RULES", "check_node"]
