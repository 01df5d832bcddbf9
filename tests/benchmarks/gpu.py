"""Networks on a GPU, and where there is none on a core: `python -m tests.benchmarks.gpu [w1 w2 w3 w4 microcircuit]`.

W1 feed-forward LIF, W2 a dense projection, W3 the Vogels-Abbott network, W4 one tick a window, and the cortical
microcircuit. Each row says what a tick costs, how many bytes it has to move at least, what share of the measured
bandwidth that is, and how many launches a window takes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeflow.kernels import Events, Group, Network, Projection, Train, cupy_backend
from spikeflow.kernels import synapses as build
from spikeflow.kernels.models.lif import Lif
from spikeflow.kernels.models.lif_exc_inh import LifExcInh
from tests.benchmarks.microcircuit import circuit
from tests.benchmarks.table import show

SECONDS = 2.0
"""How long each row is measured, warm-up apart."""

Drive = Callable[[int, int], Mapping[str, Events]]


@dataclass
class Work:
    """A network with what drives it.

    Attributes:
        window: ticks of a window.
        dt: a tick (s).
        bytes_a_tick: what the neurons' state takes to read and write once (bytes): in each tick, or for ticks in hand;
            synapses are counted by their events.
        bytes_arriving: what the weights of what arrives from outside take in a tick.
        fan_out: synapses of a presynaptic neuron, and the bytes of each.
    """

    name: str
    network: Network
    neurons: int
    window: int
    dt: float
    bytes_a_tick: float
    fan_out: float = 0.0
    synapse_bytes: float = 0.0
    drive: Drive = lambda first, ticks: {}
    bytes_arriving: float = 0.0


def w1(backend: str, size: int, window: int = 100) -> Work:
    """LIF neurons, each with an input of its own, at 10 Hz or so."""
    net = Network(
        [Group("a", Lif(v_leak=1.02, tau_mem=20e-3), size, initial={"v": np.linspace(0, 1, size)})],
        [], [], dt=1e-3, backend=backend, away=True,
    )  # fmt: skip
    return Work(f"W1, {size:,}, windows of {window}", net, size, window, 1e-3, 6 * 4.0 * size)


def w2(backend: str, size: int = 10_000, events: int = 100) -> Work:
    """A dense projection: a hundred events a tick, each to all."""
    weights = np.random.default_rng(1).normal(0, 0.01, (1000, size)).astype(np.float32)
    net = Network(
        [Group("a", Lif(), size)], [Train("x", 1000)], [Projection("x", "a", build.dense(weights))],
        dt=1e-3, backend=backend, away=True,
    )  # fmt: skip
    rng = np.random.default_rng(2)

    def drive(first: int, ticks: int) -> Mapping[str, Events]:
        index = np.sort(rng.integers(0, 1000, (ticks, events))).ravel().astype(np.uint32)
        return {"x": Events(np.repeat(np.arange(first, first + ticks), events), index)}

    rows = 4.0 * size * events
    name = f"W2, {events} events to {size:,}"
    return Work(name, net, size, 10, 1e-3, 6 * 4.0 * size, drive=drive, bytes_arriving=rows)


def w3(backend: str, size: int) -> Work:
    """The current-based network of Vogels and Abbott, two percent of all pairs connected."""
    rng, excitatory = np.random.default_rng(3), size * 4 // 5
    fan_out = 80
    parts = {"e": (excitatory, "exc", 1.62), "i": (size - excitatory, "inh", -9.0)}
    groups = [
        Group(name, LifExcInh(integrator="exact"), n, initial={"v": rng.uniform(-60, -50, n)})
        for name, (n, _, _) in parts.items()
    ]
    projections = []
    for source, (pre, receptor, weight) in parts.items():
        for target, (post, _, _) in parts.items():
            count = pre * fan_out * post // size
            synapses = build.sparse(
                pre, post, rng.integers(0, pre, count), rng.integers(0, post, count), np.full(count, weight), 1
            )
            projections.append(Projection(source, target, synapses, receptor))
    net = Network(groups, [], projections, dt=1e-4, backend=backend, away=True)
    return Work(f"W3, {size:,}", net, size, 10, 1e-4, 10 * 4.0 * size, fan_out, 8.0)


def microcircuit(backend: str, scale: float) -> Work:
    """Four layers of cortex, as published."""
    made = circuit(backend, scale)
    name = f"microcircuit, {made.neurons:,} and {made.synapses:,} synapses"
    return Work(name, made.network, made.neurons, 10, 1e-4, 8 * 4.0 * made.neurons, made.synapses / made.neurons, 8.0)


def works(backend: str) -> Iterator[tuple[str, Callable[[], Work]]]:
    """Name to what makes the work; smaller ones on a core."""
    there = backend != "auto"
    for size in (10_000, 1_000_000, 10_000_000) if there else (10_000, 1_000_000):
        yield "w1", lambda size=size: w1(backend, size)  # type: ignore[misc]
    for window in (1, 4, 16):
        yield "w1", lambda window=window: w1(backend, 10_000, window)  # type: ignore[misc]
    yield "w2", lambda: w2(backend)
    for size in (4_000, 40_000):
        yield "w3", lambda size=size: w3(backend, size)  # type: ignore[misc]
    yield "w4", lambda: w1(backend, 10_000, 1)
    yield "microcircuit", lambda: microcircuit(backend, 1.0 if there else 0.1)


def measured(work: Work, bandwidth: float) -> list[Any]:
    """A row of the table."""
    net, tick, window = work.network, 0, work.window
    counter = net._run if isinstance(net._run, cupy_backend.OnDevice) else None

    def run(seconds: float) -> tuple[float, int, int]:
        nonlocal tick
        took, windows, spikes = 0.0, 0, 0
        while took < seconds:
            arriving = work.drive(tick, window)
            began = time.perf_counter()
            results = net.step(tick, window, arriving)
            took += time.perf_counter() - began
            tick, windows = tick + window, windows + 1
            for result in results.values():
                spikes += len(result.away if result.away is not None else result.t)
        return took, windows, spikes

    run(SECONDS / 4)
    before = counter.launches if counter is not None else 0
    took, windows, spikes = run(SECONDS)
    launches = (counter.launches - before) / windows if counter is not None else "–"
    ticks = windows * window
    hand = 1 if counter is None else min(counter.hand, window)
    moved = (work.bytes_a_tick / hand + work.bytes_arriving) * ticks
    moved += spikes * work.fan_out * work.synapse_bytes + 12.0 * spikes
    return [
        work.name, 1e6 * took / ticks, took / (ticks * work.dt), spikes / (work.neurons * ticks * work.dt),
        moved / ticks / 1e6, 100 * moved / took / bandwidth, launches,
    ]  # fmt: skip


def bandwidth_of(backend: str) -> float:
    """Bytes a second that a plain copy reads and writes."""
    size = 1 << 28
    if backend == "auto":
        source, target = np.zeros(size, np.uint8), np.ones(size, np.uint8)
        times = []
        for _ in range(5):
            began = time.perf_counter()
            np.copyto(target, source)
            times.append(time.perf_counter() - began)
        return 2 * size / float(np.median(times))
    import cupy

    with cupy.cuda.Device(0), cupy.cuda.Stream(non_blocking=True) as stream:
        there, here = cupy.empty(size, np.uint8), cupy.empty(size, np.uint8)
        times = []
        for _ in range(10):
            began = time.perf_counter()
            for _ in range(10):
                there.data.copy_from_device_async(here.data, size, stream)
            stream.synchronize()
            times.append((time.perf_counter() - began) / 10)
    return 2 * size / float(np.median(times))


def main(chosen: Sequence[str] = ()) -> None:
    """Print one row a work, of those chosen or of all."""
    missing = cupy_backend.missing()
    backend = "auto" if missing is not None else "cuda"
    bandwidth = bandwidth_of(backend)
    print(
        f"on {backend}" + (f" (a core), because {missing}" if missing else "") + f"; {bandwidth / 1e9:.0f} GB/s copied"
    )
    head = ["work", "µs a tick", "of real time", "Hz", "MB a tick", "% of bandwidth", "launches a window"]
    show(head, [measured(make(), bandwidth) for name, make in works(backend) if not chosen or name in chosen])


if __name__ == "__main__":
    main(sys.argv[1:])
