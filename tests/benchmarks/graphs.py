"""The workloads of `neuron_peers` as a node in a running graph: record batch in, record batch out, read by a sink."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.sparse

import spikeflow
from spikeflow.events import GRADED_SPIKES, SPIKES, Kind, Stream, build, columns, empty
from spikeflow.kernels import Events
from spikeflow.node import Inlet, Outlet, Sink, Source
from spikeflow.runtime.channel import CAPACITY
from spikeflow.runtime.engine import Engine, Options, Report, fast_loop
from tests.benchmarks import kernels
from tests.benchmarks.kernels import MS, SILENT_TICKS, Calls, Found
from tests.benchmarks.measured import Measured, at_pace, held, kept, measured, repeated
from tests.benchmarks.neuron_peers import common

_played: dict[str, list[pa.RecordBatch]] = {}
_sent: list[int] = []
_read_at: list[int] = []
_rows: list[int] = []
_used: list[float] = []
_held: list[int] = []
_block = [0]
"""Windows after which the sink finds out whether the core goes at its own pace; 0 for never."""
_own: list[bool] = []
_resumed: list[int] = []


class Played(Source):
    """Windows that were made beforehand, flat out or one at each turn of the wall clock."""

    gives: ClassVar[tuple[Kind, ...]] = ("spikes",)
    timed: ClassVar[bool] = True
    trusted: ClassVar[bool] = True
    size: int
    graded: bool = False
    paced: bool = False
    tape: str = "tape"

    @property
    def finite(self) -> bool:
        return True

    def origin_ns(self) -> int | None:
        return 0

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        return {"": Stream("", "spikes", self.size, self.graded)}

    async def produce(self, outlet: Outlet) -> None:
        clock = self.context.clock
        window_ns = self.context.grid.window_ns
        due = clock.now_ns()
        for batch in _played[self.tape]:
            if self.paced:
                due += window_ns
                await clock.sleep_until(due)
            _sent.append(time.perf_counter_ns())
            await outlet.send_window(batch)


class Reading(Sink):
    """Reads the columns of every record batch, and takes the time; with `usage` the CPU time, too.

    Between two blocks of windows it looks how fast the core is, which counts to neither.
    """

    usage: bool = False

    async def consume(self, inlet: Inlet) -> None:
        async for batch in inlet:
            _rows.append(columns(batch)[1].size)
            _read_at.append(time.perf_counter_ns())
            if _block[0] and len(_read_at) % _block[0] == 0:
                _own.append(at_pace())
                _resumed.append(time.perf_counter_ns())
            if self.usage:
                usage = resource.getrusage(resource.RUSAGE_SELF)
                _used.append(usage.ru_utime + usage.ru_stime)
        _held.append(held())


def window(call: dict[str, Events], valued: bool, later: int = 0) -> pa.RecordBatch:
    """The events of a call as a record batch, so many ticks later."""
    schema = GRADED_SPIKES if valued else SPIKES
    if not call:
        return empty(schema)
    found = call["in"]
    return build(schema, found.t + later * MS, found.neuron, found.value)


def played(calls: Calls, per: int, blocks: int, valued: bool) -> list[pa.RecordBatch]:
    """The windows of all calls, over and over, each block with its own times."""
    return [window(call, valued, block * per * len(calls)) for block in range(blocks) for call in calls]


def run(
    nodes: dict[str, Any],
    windows: list[pa.RecordBatch],
    window_ns: int,
    block: int = 0,
    dt: str = "1 ms",
    **options: Any,
) -> Report:
    """Run a graph of these nodes on these windows; `_read_at` and `_rows` then say what the sink saw.

    Args:
        block: how many windows make a repetition; 0 where they make none.
    """
    _block[0] = block
    report = _run(nodes, windows, window_ns, dt, **options)
    assert len(_read_at) == len(windows), f"{len(_read_at)} windows of {len(windows)} arrived"
    return report


def _run(
    nodes: dict[str, Any], windows: list[pa.RecordBatch], window_ns: int, dt: str = "1 ms", **options: Any
) -> Report:
    for filled in (_sent, _read_at, _rows, _used, _held, _own, _resumed):
        filled.clear()
    _played["tape"] = windows
    spec = spikeflow.load({"name": "bench", "time": {"dt": dt, "window": f"{window_ns} ns"}, "nodes": nodes})
    with fast_loop() as runner:
        report: Report = runner.run(Engine(spec, Options(**options)).run())
    return report


def most_held() -> int:
    """Bytes of this process in memory as the last run ended, before it was taken down."""
    return max(_held)


def population(
    n: int, inputs: list[dict[str, Any]], valued: bool, pre: int | None = None, **more: Any
) -> dict[str, Any]:
    """A source, one population, a sink."""
    return {
        "in": {"source": Played, "size": pre or n, "graded": valued, **more},
        "a": {"neuron": "lif", "size": n, "inputs": inputs},
        "out": {"sink": Reading, "input": "a"},
    }


def w1_nodes(n: int, **more: Any) -> dict[str, Any]:
    """W1's graph; an event's weight is its value."""
    return population(n, [{"from": "in", "connect": "one_to_one", "weights": 1.0}], True, **more)


def blocks(repetitions: int) -> int:
    """How many blocks are run: one that does not count, and as many again as are wanted, for some may not."""
    return 2 * repetitions + 1


def blocks_of(windows_each: int, repetitions: int) -> tuple[Measured, int]:
    """Seconds of a block, and the spikes of the first, which begins at rest as the peers' runs do."""
    ends = np.array(_read_at)[windows_each - 1 :: windows_each]
    took = (ends[1:] - np.array(_resumed)[: len(ends) - 1]) / 1e9
    return measured(list(took), owned(), repetitions), sum(_rows[:windows_each])


def owned() -> list[bool]:
    """Whether the core was at its own pace before and after each block but the first."""
    return [before and after for before, after in pairwise(_own)]


def w1(n: int, per: int, repetitions: int = 7) -> Found:
    """Feed-forward LIF; windows of many ticks with one in flight, for else they are read in bursts."""
    ticks = common.w1_ticks(n)
    calls = kernels.w1_calls(n, per, ticks)
    least = 1 if per == 1 else 5
    times = -(-least // len(calls))  # so many times the same ticks are one block
    windows = played(calls, per, times * blocks(repetitions), True)
    run(w1_nodes(n), windows, per * MS, times * len(calls), capacity=CAPACITY if per == 1 else 1)
    took, _ = blocks_of(times * len(calls), repetitions)
    rate = sum(_rows[: len(calls)]) / (n * ticks * common.DT)
    return {"ns": took.scaled(1e9 / (n * ticks * times), rate)}


def w2(n: int, per: int, repetitions: int = 5) -> Found:
    """A dense projection of 1000 inputs, its weights in a file."""
    ticks = 1000
    calls, weights, synaptic = kernels.w2_calls(n, per, ticks)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.npy"
        np.save(path, weights)
        inputs = [{"from": "in", "weights": str(path), "layout": "pre_post"}]
        nodes = population(n, inputs, False, common.W2_IN)
        run(nodes, played(calls, per, blocks(repetitions), False), per * MS, len(calls))
    took, spikes = blocks_of(len(calls), repetitions)
    return {"ns": took.scaled(1e9 / synaptic, spikes / (n * ticks * common.DT))}


def w3(n: int, per: int = 10, repetitions: int = 5) -> Found:
    """The network of Vogels and Abbott, which needs no input; windows of 1 ms.

    Every repetition is a graph of its own, so that each steps the same biological time from the same state.
    """
    ticks = kernels.w3_ticks(n)
    src, tgt, _, v0 = common.w3_net(n)
    with tempfile.TemporaryDirectory() as folder:
        inputs: list[dict[str, Any]] = [{"from": "in", "to": "exc", "connect": "one_to_one", "weights": 0.0}]
        for receptor, weight, chosen in kernels.w3_parts(n, src):
            pair = tgt[chosen], src[chosen]
            matrix = scipy.sparse.coo_array((np.full(int(chosen.sum()), weight, np.float32), pair), (n, n))
            scipy.sparse.save_npz(f"{folder}/{receptor}.npz", matrix)
            inputs.append({"from": "a", "to": receptor, "weights": f"{folder}/{receptor}.npz"})
        np.save(f"{folder}/v0.npy", v0)
        nodes = population(n, inputs, False)
        nodes["a"] |= {"neuron": "lif_exc_inh", "integrator": "exact", "initial": {"v": f"{folder}/v0.npy"}}
        warm = 1  # the first window; what there is to compile is compiled before

        def work() -> float:
            run(nodes, [empty(SPIKES)] * (warm + ticks // per), per * MS // 10, dt="0.1 ms")
            return (_read_at[-1] - _read_at[warm - 1]) / 1e9

        took = repeated(work, repetitions).results
    seconds = ticks * common.W3["dt"]
    rate = sum(_rows) / (n * (seconds + warm * per * common.W3["dt"]))
    return {"rtf": Measured([t / seconds for t in took], rate)}


GROUP = 32
"""Windows of one tick that are timed together flat out, for there they go through the channels in bursts."""


def w4(n: int = 10_000, capacity: int = CAPACITY, repetitions: int = 5) -> Found:
    """Windows of one tick: from one record batch read to the next, flat out (`capacity` 1: one tick in flight)."""
    calls = kernels.w1_calls(n, 1, common.W4_TICKS)
    run(w1_nodes(n), played(calls, 1, blocks(repetitions), True), MS, len(calls), capacity=capacity)
    took = np.diff(_read_at)[len(calls) - 1 :].reshape(-1, len(calls))[kept(owned(), repetitions), 50:] / 1e3
    together = GROUP if capacity > 1 else 1
    took = took[:, : took.shape[1] // together * together].reshape(len(took), -1, together).mean(axis=2)
    return _percentiles(list(took), sum(_rows[50 : len(calls)]) / (n * (len(calls) - 50) * common.DT))


def w4_paced(n: int = 10_000, repetitions: int = 5, silence: int = 0) -> Found:
    """Windows of one tick, one a millisecond by the wall clock: from a batch sent to the spikes of it read."""
    calls = kernels.w1_calls(n, 1, common.W4_TICKS)
    windows = played(calls, 1, blocks(repetitions), True)
    if silence:  # the last blocks come after it
        windows = windows[: 2 * len(calls)]
        windows += [empty(GRADED_SPIKES)] * silence
        windows += [window(call, True, 2 * len(calls) + silence) for call in calls]
    run(w1_nodes(n, paced=True), windows, MS, 0 if silence else len(calls))
    took = (np.array(_read_at) - np.array(_sent)) / 1e3
    rate = sum(_rows[50 : len(calls)]) / (n * (len(calls) - 50) * common.DT)
    if not silence:
        return _percentiles(list(took.reshape(-1, len(calls))[1:][kept(owned(), repetitions), 50:]), rate)
    before, after = took[len(calls) : 2 * len(calls)], took[-len(calls) :]
    return {"ratio": Measured([float(np.percentile(after, 50) / np.percentile(before, 50))])}


def _percentiles(took: list[npt.NDArray[np.float64]], rate: float) -> Found:
    return {
        "p50": Measured([float(np.percentile(t, 50)) for t in took], rate),
        "p99": Measured([float(np.percentile(t, 99)) for t in took], rate),
        "max": Measured([float(t.max()) for t in took], rate),
    }


def w4_after_silence(n: int = 10_000, repetitions: int = 5) -> Found:
    """How many times longer a tick takes in the graph right after five seconds without input."""
    ticks = 1000
    calls = kernels.w1_calls(n, 1, ticks)
    windows, marks = played(calls, 1, 1, True), []
    for _ in range(repetitions):
        marks.append(len(windows))
        windows += [window(call, True, len(windows)) for call in calls]
        windows += [empty(GRADED_SPIKES)] * SILENT_TICKS
        windows += [window(call, True, len(windows)) for call in calls]
    run(w1_nodes(n), windows, MS)
    at = np.array(_read_at)
    parts = [at[m : m + ticks + 1] for m in marks], [at[m + ticks + SILENT_TICKS :][:ticks] for m in marks]
    before, after = ([float(np.median(np.diff(part[::GROUP]))) for part in some] for some in parts)
    return {"ratio": Measured([late / early for early, late in zip(before, after, strict=True)])}


def at_rest(n: int, repetitions: int = 5, more: int = 8) -> Found:
    """What one more population at rest costs a window: chains of one and of nine, the difference divided."""
    took = {count: _chain(n, count, repetitions) for count in (1, 1 + more)}
    return {"us": Measured([(long - short) / more for short, long in zip(took[1], took[1 + more], strict=False)])}


def _chain(n: int, count: int, repetitions: int) -> list[float]:
    """µs a window without events through a chain of populations."""
    connect = {"connect": "one_to_one", "weights": 1.0}
    nodes: dict[str, Any] = {"in": {"source": Played, "size": n}}
    before = "in"
    for k in range(count):
        nodes[f"a{k}"] = {"neuron": "lif", "size": n, "inputs": [{"from": before, **connect}]}
        before = f"a{k}"
    nodes["out"] = {"sink": Reading, "input": before}
    each = 5000
    run(nodes, [empty(SPIKES)] * each * blocks(repetitions), 10 * MS, each)
    took, _ = blocks_of(each, repetitions)
    return list(took.scaled(1e6 / each).values)


def two_threads(n: int = 100_000, per: int = 20, repetitions: int = 5) -> Found:
    """Windows a second of two equal populations side by side, over those of one; and how long a window of one takes."""
    calls = kernels.w1_calls(n, per, 1000)
    took = {}
    for count in (1, 2):
        nodes = w1_nodes(n)
        one = {key: nodes.pop(key) for key in ("a", "out")}
        for k in range(count):
            nodes[f"a{k}"] = one["a"]
            nodes[f"out{k}"] = {"sink": Reading, "input": f"a{k}"}
        _block[0] = 0  # the other thread would slow the look at the core
        _run(nodes, played(calls, per, repetitions + 1, True), per * MS)
        took[count] = list(np.diff(np.array(_read_at)[count * len(calls) - 1 :: count * len(calls)]) / 1e9)
    return {
        "ratio": Measured([2 * alone / both for alone, both in zip(took[1], took[2], strict=True)]),
        "ms": Measured([t / len(calls) * 1e3 for t in took[1]]),
    }


def million(seconds: int = 6, n: int = 100_000) -> Found:
    """A million spikes a second in, and more out: rate decoder and file sink; % of a core in each second."""
    per, ticks = 10, seconds * 1000
    calls = kernels.w1_calls(n, per, ticks)
    with tempfile.TemporaryDirectory() as folder:
        nodes = w1_nodes(n, paced=True)
        nodes["rate"] = {"decoder": "rate", "input": "a", "over": "100 ms", "per": "population"}
        nodes["out"] |= {"input": "rate", "usage": True}
        nodes["tape"] = {"sink": "file", "input": "a", "path": f"{folder}/spikes.arrows"}
        report = run(nodes, played(calls, per, 1, True), per * MS)
    each = 1000 // per
    busy, wall = np.diff(_used[each - 1 :: each]), np.diff(_read_at[each - 1 :: each]) / 1e9
    spikes = report.nodes["a"]["events_out"]
    return {"percent": Measured(list(100 * busy / wall), spikes / (n * seconds))}
