"""The cost of spikes against the number of weights: the slope should be zero."""

from __future__ import annotations

import time

import numpy as np
from scipy import stats

from spikeflow.kernels import Events, Group, Network, Projection, Train
from spikeflow.kernels.models.lif import Lif
from spikeflow.kernels.synapses import sparse
from tests.benchmarks.table import show

POST, FANOUT, SPIKES, TICKS = 2000, 20, 50, 400


def measure(pre_size: int) -> float:
    """µs a tick: fifty spikes a tick, each to twenty neurons, out of `pre_size` presynaptic ones."""
    rng = np.random.default_rng(1)
    pre = np.repeat(np.arange(pre_size), FANOUT)
    post = rng.integers(0, POST, pre.size)
    synapses = sparse(pre_size, POST, pre, post, np.full(pre.size, 0.01))
    net = Network([Group("a", Lif(), POST)], [Train("in", pre_size)], [Projection("in", "a", synapses)], dt=1e-3)
    used = rng.integers(0, pre_size, SPIKES)  # always the same neurons, so that the cache is no part of the answer
    index = np.sort(used).astype(np.uint32)
    times = []
    for tick in range(TICKS):
        began = time.perf_counter_ns()
        net.step(tick, 1, {"in": Events(np.full(SPIKES, tick), index)})
        times.append(time.perf_counter_ns() - began)
    return float(np.median(times[50:])) / 1e3


def main() -> None:
    """Print the time of a tick for growing weight matrices at the same number of spikes."""
    sizes = [1_000, 10_000, 100_000, 1_000_000]
    found = [measure(size) for size in sizes]
    show(["synapses", "µs a tick"], [[size * FANOUT, took] for size, took in zip(sizes, found, strict=True)])
    slope = stats.linregress(np.log10([size * FANOUT for size in sizes]), np.log10(found))
    print(f"slope of log time to log synapses: {slope.slope:.3f}")


if __name__ == "__main__":
    main()
