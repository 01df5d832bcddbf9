"""How time and memory grow with neurons, synapses, events, the length of windows and replicas: each with its slope.

Every point is measured in a process of its own. With SPIKEFLOW_REWRITE=1 the results are kept and `docs/benchmarks.md`
is written anew.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from spikeflow.kernels import Group, Network, Projection, Train
from spikeflow.kernels.models.lif import Lif
from spikeflow.kernels.synapses import one_to_one, sparse
from spikeflow.runtime.channel import CAPACITY
from tests.benchmarks import graphs, page, replicas
from tests.benchmarks.kernels import MS, Calls, events, lif, play
from tests.benchmarks.measured import Measured, held, repeated
from tests.benchmarks.neuron_peers.quiet import pace_us
from tests.benchmarks.neurons import apart
from tests.benchmarks.results import GROWTH, write

AXES: dict[str, tuple[Sequence[int], str]] = {
    "neurons": ((1_000, 10_000, 100_000, 1_000_000), "kernel, a hundred events a tick"),
    "synapses": ((20_000, 200_000, 2_000_000, 20_000_000), "kernel, 50 spikes a tick, each to twenty of 2,000 neurons"),
    "events a tick": ((1, 10, 100, 1_000, 10_000), "kernel, 10,000 neurons, each event to one of them"),
    "ticks a window": ((1, 10, 100, 1_000), "in a graph, 10,000 neurons, a hundred events a tick"),
    "replicas": ((1, 10, 100, 1_000), "in a graph, 64 neurons each, with an encoder and a decoder, 10 ticks a window"),
}
"""What grows, and where."""

TICKS, REPETITIONS = 500, 7


def point(of: str, x: int) -> dict[str, Any]:
    """µs a tick, and bytes that are held beyond those of the input, at one place of an axis."""
    measured = {
        "neurons": lambda: kernel(x, 100),
        "synapses": lambda: synapses(x),
        "events a tick": lambda: kernel(10_000, x),
        "ticks a window": lambda: window(x),
        "replicas": lambda: machines(x),
    }
    took, held = measured[of]()
    return {"us": took.as_dict(), "bytes": held}


def spread(n: int, count: int, ticks: int, per: int = 1) -> Calls:
    """So many events a tick, each at another one of n neurons."""
    rng = np.random.default_rng(5)
    found = []
    for k in range(0, ticks, per):
        index = [np.sort(rng.choice(n, count, replace=False)) for _ in range(per)]
        found.append({"in": events(k, index, [np.full(count, 4.0, np.float32)] * per)})
    return found


def kernel(n: int, count: int) -> tuple[Measured, int]:
    """W1's neurons with so many events a tick."""
    calls = spread(n, count, TICKS)
    _compiled()
    before = held()
    net = lif(n, one_to_one(np.ones(n, np.float32)), Train("in", n, True))
    return _stepped(net, calls, before)


def synapses(count: int) -> tuple[Measured, int]:
    """Fifty spikes a tick, always of the same neurons, so that the cache is no part of the answer."""
    post_size, fan_out = 2000, 20
    rng = np.random.default_rng(1)
    index = np.sort(rng.integers(0, count // fan_out, 50))
    calls: Calls = [{"in": events(k, [index])} for k in range(TICKS)]
    _compiled()
    before = held()
    pre = np.repeat(np.arange(count // fan_out), fan_out)
    post, weights = rng.integers(0, post_size, pre.size), rng.uniform(0.005, 0.015, pre.size).astype(np.float32)
    made = sparse(count // fan_out, post_size, pre, post, weights)
    del pre, post, weights
    train = Train("in", count // fan_out)
    net = Network([Group("a", Lif(), post_size)], [train], [Projection("in", "a", made)], dt=1e-3, dt_ns=MS)
    return _stepped(net, calls, before)


def _compiled() -> None:
    """Have the loop of LIF neurons compiled or loaded, so that it is no part of what a network holds."""
    play(lif(8, one_to_one(np.ones(8, np.float32)), Train("in", 8, True)), spread(8, 2, 4), 1)


def _stepped(net: Network, calls: Calls, before: int) -> tuple[Measured, int]:
    state = net.save()
    took = repeated(lambda: play(net, calls, 1), REPETITIONS, lambda: net.load(state))
    return took.scaled(1e6 / TICKS), held() - before


def window(ticks: int) -> tuple[Measured, int]:
    """W1's graph with windows of so many ticks; long ones one in flight, for else they are read in bursts."""
    calls = spread(10_000, 100, max(TICKS, 5 * ticks), ticks)
    windows = graphs.played(calls, ticks, graphs.blocks(REPETITIONS), True)
    graphs.run(graphs.w1_nodes(10_000), graphs.played(calls[:2], ticks, 1, True), ticks * MS)
    before = held()
    graphs.run(graphs.w1_nodes(10_000), windows, ticks * MS, len(calls), capacity=1 if ticks > 1 else CAPACITY)
    took, _ = graphs.blocks_of(len(calls), REPETITIONS)
    return took.scaled(1e6 / (len(calls) * ticks)), graphs.most_held() - before


def machines(copies: int) -> tuple[Measured, int]:
    """The graph of `replicas`."""
    replicas.measure(1)
    before = held()
    took = [replicas.measure(copies) / replicas.TICKS for _ in range(replicas.ROUNDS)]
    return Measured(took), replicas.most_held() - before


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Of log y to log x: 0 is flat, 1 is in proportion."""
    return float(stats.linregress(np.log10(x), np.log10(y)).slope)


def lines() -> list[dict[str, Any]]:
    """A line for each axis."""
    found = []
    for of, (places, where) in AXES.items():
        points = [apart("growth", of, str(x)) for x in places]
        print(of, points, file=sys.stderr, flush=True)
        us = [one["us"]["median"] for one in points]
        used = [one["others"] for one in points if one["others"] is not None]
        slower = [one["slower"] for one in points if one["slower"] is not None]
        last = [(one["us"]["median"], one["bytes"]) for one in points[-2:]]
        more = places[-1] - places[-2]
        found.append(
            {
                "kind": "growth", "of": of, "where": where, "x": list(places), "us": [one["us"] for one in points],
                "bytes": [one["bytes"] for one in points], "others": max(used, default=None),
                "slower": max(slower, default=None),
                "slope": round(slope(places, us), 3),
                "ns_each": (last[1][0] - last[0][0]) / more * 1e3, "bytes_each": (last[1][1] - last[0][1]) / more,
            }
        )  # fmt: skip
    return found


def main() -> None:
    """Print every axis with its slopes."""
    found = lines()
    if os.environ.get("SPIKEFLOW_REWRITE"):
        write(GROWTH, found)
        page.write()
    print(page.growth_table(found))


if __name__ == "__main__":
    print(json.dumps(point(sys.argv[1], int(sys.argv[2])) | {"pace_us": pace_us()}))
