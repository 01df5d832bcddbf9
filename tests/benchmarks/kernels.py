"""The workloads of `neuron_peers` as bare kernels: arrays in, arrays or a record batch out, no graph."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from spikeflow.events import SPIKES, build
from spikeflow.kernels import Events, Group, Network, NeuronModel, Projection, Synapses, Train
from spikeflow.kernels.models.lif import Lif
from spikeflow.kernels.models.lif_exc_inh import LifExcInh
from spikeflow.kernels.synapses import dense, one_to_one, sparse
from tests.benchmarks.measured import Measured, repeated
from tests.benchmarks.neuron_peers import common

Calls: TypeAlias = Sequence[dict[str, Events]]
Found: TypeAlias = dict[str, Measured]

MS = 1_000_000
SILENT_TICKS = 5000
W3_MV = common.W3


def lif(size: int, synapses: Synapses, train: Train, model: NeuronModel | None = None) -> Network:
    """One population behind one projection; ticks of 1 ms, times in ns."""
    group, projection = Group("a", model or Lif(), size), Projection(train.name, "a", synapses)
    return Network([group], [train], [projection], dt=common.DT, dt_ns=MS)


def w1_net(n: int) -> Network:
    """W1's neurons; an event's weight is its value."""
    return lif(n, one_to_one(np.ones(n, np.float32)), Train("in", n, True))


@cache
def w1_calls(n: int, per: int, ticks: int) -> Calls:
    """W1's events, a call for each `per` ticks."""
    ticked = common.w1_events(n, ticks)
    return [
        {"in": events(k, [i for i, _ in ticked[k : k + per]], [w for _, w in ticked[k : k + per]])}
        for k in range(0, ticks, per)
    ]


def w2_calls(n: int, per: int, ticks: int) -> tuple[Calls, npt.NDArray[np.float32], int]:
    """W2's events, its weights [pre, post], and how many synaptic events there are."""
    spikes, weights = common.w2_inputs(n, ticks)
    calls = [{"in": events(k, spikes[k : k + per])} for k in range(0, ticks, per)]
    return calls, weights, n * sum(map(len, spikes))


def events(first_tick: int, index: Sequence[Any], value: Sequence[Any] | None = None) -> Events:
    """Events of consecutive ticks, given tick by tick."""
    tick = np.repeat(np.arange(first_tick, first_tick + len(index)), [len(i) for i in index])
    return Events(tick * MS, np.concatenate(index).astype(np.uint32), None if value is None else np.concatenate(value))


def w3_net(n: int) -> Network:
    """W3's network: a delay of one tick, two projections."""
    src, tgt, _, v0 = common.w3_net(n)
    projections = []
    for receptor, weight, chosen in w3_parts(n, src):
        synapses = sparse(n, n, src[chosen], tgt[chosen], np.full(int(chosen.sum()), weight), 1)
        projections.append(Projection("a", "a", synapses, receptor))
    group = Group("a", LifExcInh(integrator="exact"), n, initial={"v": v0})
    return Network([group], [], projections, dt=W3_MV["dt"], dt_ns=MS // 10)


def w3_parts(n: int, src: npt.NDArray[np.int32]) -> list[tuple[str, float, npt.NDArray[np.bool_]]]:
    """Receptor, weight (mV) and synapses of W3's two kinds of neurons."""
    excitatory = src < int(0.8 * n)
    return [("exc", W3_MV["we"], excitatory), ("inh", W3_MV["wi"], ~excitatory)]


def w3_ticks(n: int) -> int:
    """As many ticks of W3 as the peers step: one second, or half of one."""
    return 10_000 if n <= 4000 else 5000


def play(net: Network, calls: Calls, per: int, first: int = 0, arrow: bool = False) -> int:
    """Step through all calls: how many spikes there were; where asked for, each window a record batch."""
    spikes = 0
    if arrow:
        for k, call in enumerate(calls):
            found = net.step(first + k * per, per, call)["a"]
            spikes += build(SPIKES, found.t, found.neuron).num_rows
    else:
        for k, call in enumerate(calls):
            spikes += net.step(first + k * per, per, call)["a"].t.size
    return spikes


def _steady(net: Network, calls: Calls, per: int, repetitions: int, arrow: bool = False) -> tuple[Measured, int]:
    """Seconds of each repetition from the same state, and the spikes of one; buffers have grown before."""
    state, spikes = net.save(), [0]

    def work() -> None:
        spikes[0] = play(net, calls, per, arrow=arrow)

    return repeated(work, repetitions, lambda: net.load(state)), spikes[0]


def w1(n: int, per: int, arrow: bool = False, repetitions: int = 7) -> Found:
    """Feed-forward LIF."""
    ticks = common.w1_ticks(n)
    took, spikes = _steady(w1_net(n), w1_calls(n, per, ticks), per, repetitions, arrow)
    return {"ns": took.scaled(1e9 / (n * ticks), spikes / (n * ticks * common.DT))}


def w2(n: int, per: int = 1, repetitions: int = 7) -> Found:
    """A dense projection of 1000 inputs."""
    ticks = 1000
    calls, weights, synaptic = w2_calls(n, per, ticks)
    net = lif(n, dense(weights), Train("in", common.W2_IN))
    took, spikes = _steady(net, calls, per, repetitions)
    return {"ns": took.scaled(1e9 / synaptic, spikes / (n * ticks * common.DT))}


def w3(n: int, per: int, repetitions: int = 5) -> Found:
    """The network of Vogels and Abbott."""
    ticks = w3_ticks(n)
    seconds = ticks * W3_MV["dt"]
    took, spikes = _steady(w3_net(n), [{}] * (ticks // per), per, repetitions)
    return {"rtf": took.scaled(1 / seconds, spikes / (n * seconds))}


def w4(n: int = 10_000, repetitions: int = 5) -> Found:
    """One tick at a time: the time of every call."""
    net, calls = w1_net(n), w1_calls(n, 1, common.W4_TICKS)
    state = net.save()
    found = repeated(lambda: _each(net, calls), repetitions, lambda: net.load(state)).results
    took, spikes = [each for each, _ in found], found[0][1]
    rate = spikes / (n * (common.W4_TICKS - 50) * common.DT)
    return {
        "p50": Measured([float(np.percentile(t, 50)) for t in took], rate),
        "p99": Measured([float(np.percentile(t, 99)) for t in took], rate),
        "max": Measured([float(t.max()) for t in took], rate),
    }


def _each(net: Network, calls: Calls, warm: int = 50) -> tuple[npt.NDArray[np.float64], int]:
    took, spikes = [], 0
    for k, call in enumerate(calls):
        began = time.perf_counter_ns()
        found = net.step(k, 1, call)["a"].neuron
        took.append(time.perf_counter_ns() - began)
        if k >= warm:
            spikes += found.size
    return np.array(took[warm:]) / 1e3, spikes


def after_silence(work: str, n: int, repetitions: int = 7) -> Found:
    """How many times longer the same thousand ticks take right after five seconds without input."""
    ticks = 1000
    if work == "w1":
        net, calls = w1_net(n), w1_calls(n, 1, ticks)
    else:
        calls, weights, _ = w2_calls(n, 1, ticks)
        net = lif(n, dense(weights), Train("in", common.W2_IN))
    ratios, first = [], 0

    def timed(some: Calls) -> float:
        nonlocal first
        shifted = [{name: Events(e.t + first * MS, e.neuron, e.value) for name, e in call.items()} for call in some]
        began = time.perf_counter()
        play(net, shifted, 1, first)
        took = time.perf_counter() - began
        first += len(some)
        return took

    timed(calls)
    for _ in range(repetitions):
        before = timed(calls)
        timed([{}] * SILENT_TICKS)
        ratios.append(timed(calls) / before)
    return {"ratio": Measured(ratios)}


def sparse_events(n: int = 1024, per: int = 10, repetitions: int = 7) -> Found:
    """One event in a hundred ticks: every tick is stepped, for a state decays for longer than that."""
    ticks = 20_000
    net = w1_net(n)
    calls: Calls = [
        {"in": events(k, [np.array([k % n])] + [np.array([], int)] * (per - 1), [np.array([4.0])] + [[]] * (per - 1))}
        if k % 100 == 0
        else {}
        for k in range(0, ticks, per)
    ]
    took, spikes = _steady(net, calls, per, repetitions)
    return {"us": took.scaled(1e6 / ticks, spikes / (n * ticks * common.DT))}
