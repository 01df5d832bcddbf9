"""Small networks that use all of the kernel, and what comes of them, for comparison bit by bit."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from spikeflow.kernels import Events, Group, Network, Projection, Result, Synapses, Train
from spikeflow.kernels import synapses as build
from spikeflow.kernels.model import Coupling
from spikeflow.kernels.models.li import Li
from spikeflow.kernels.models.lif import Lif
from spikeflow.kernels.models.lif_mc import LifMc
from spikeflow.kernels.models.lif_mc_refrac import LifMcRefrac
from spikeflow.kernels.models.tsodyks_makram import TsodyksMakram
from spikeflow.kernels.rule import Learning
from spikeflow.kernels.rules.correlation_sensor import CorrelationSensor
from spikeflow.kernels.rules.r_stdp import RStdp
from spikeflow.kernels.rules.stdp import Stdp
from spikeflow.kernels.rules.stdp_sensor import StdpSensor
from spikeflow.units import Seconds

TICKS = 42
DT = 1e-3


class Twice(LifMc):
    """Two couplings: the second one acts on what the first one has moved."""

    def couplings(self, dt: Seconds) -> Sequence[Coupling]:
        return (*super().couplings(dt), *super().couplings(dt))


Outcome: TypeAlias = dict[str, bytes]
Drive: TypeAlias = dict[str, Events]


def scattered(rng: np.random.Generator, pre: int, post: int, count: int, delay: npt.ArrayLike) -> Synapses:
    """`count` random synapses, several of them between the same two neurons."""
    weights = rng.normal(0.3, 0.8, count)
    return build.sparse(pre, post, rng.integers(0, pre, count), rng.integers(0, post, count), weights, delay)


def everything(backend: str, **options: Any) -> Network:
    """Each kind of synapses, delay, precision and record; sizes that are no multiple of a block, a tile or a batch.

    Of four blocks, two share each of most populations, the one that is coupled among them.

    `alone` fires without input, so that nothing but the end of a tick lies between its record and its next move.
    """
    rng, own = np.random.default_rng(7), np.random.default_rng(8)
    some = np.array([76, 3, 3, 40, 11, 0, 68], np.int64)
    groups = [
        Group("alone", Lif(v_leak=1.4, tau_mem=np.linspace(3e-3, 20e-3, 77)), 77, record={"v": (some, 1)}),
        Group("a", Lif(refractory=1.5, v_th=np.linspace(0.5, 1.5, 101)), 101, record={"i": (np.arange(101), 4)}),
        Group("b", Lif(refractory=2, tau_mem=8e-3, v_th=0.8), 70, "float64", initial={"v": np.linspace(0, 1, 70)}),
        Group("out", Li(tau_syn=2e-3), 5, "float64", record={"v": (np.arange(5), 1)}),
        Group("short", TsodyksMakram(), 101, record={"u": (np.arange(101), 3)}),
        Group("tree", LifMcRefrac(g_coupling=own.normal(0, 0.02, (66, 66)), rho_reset=2), 66, "float64"),
        Group("pupil", Lif(v_th=0.6), 66),
        Group("cable", Twice(g_coupling=own.normal(-1, 20, (75, 75))), 75, record={"v": (np.arange(75)[::-1], 1)}),
        Group("scholar", Lif(tau_syn=3e-3), 101, "float64"),
        *copied(np.random.default_rng(10)),
    ]
    trains = [Train("x", 90, True), Train("y", 101), Train("z", 40, True), Train("w", 60, True, copies=3)]
    wide = rng.normal(0.05, 0.3, (90, 101))
    projections = [
        Projection("x", "a", build.dense(wide, rng.integers(0, 4, 90))),
        Projection("x", "a", build.dense(wide[:, ::-1], 1)),
        Projection("y", "a", build.one_to_one(rng.normal(0.5, 0.5, 101), rng.integers(1, 6, 101))),
        Projection("a", "b", scattered(rng, 101, 70, 900, rng.integers(0, 5, 900))),
        Projection("alone", "b", scattered(rng, 77, 70, 500, 0)),
        Projection("b", "a", scattered(rng, 70, 101, 700, 1)),
        Projection("b", "b", build.dense(rng.normal(0, 0.1, (70, 70)), 2)),
        Projection("z", "b", build.dense(rng.normal(0, 0.05, (40, 70)), 3), hold=True),
        Projection("z", "a", scattered(rng, 40, 101, 400, rng.integers(0, 3, 400)), hold=True),
        Projection("b", "out", build.dense(rng.normal(0, 0.3, (70, 5)))),
        Projection("a", "out", build.dense(rng.normal(0, 0.3, (101, 5)))),
        Projection("a", "short", build.one_to_one(np.ones(101))),
        Projection("short", "cable", scattered(own, 101, 75, 900, own.integers(0, 3, 900))),
        Projection("short", "tree", build.dense(own.normal(0.5, 0.5, (101, 66)))),
        Projection("cable", "tree", scattered(own, 75, 66, 300, 1)),
        *halved(np.random.default_rng(14)),
        *learned(np.random.default_rng(9)),
        *shared(np.random.default_rng(12)),
    ]
    return Network(groups, trains, projections, dt=DT, seed=3, backend=backend, origin_ns=500, dt_ns=10, **options)


def halved(rng: np.random.Generator) -> list[Projection]:
    """Each kind of synapses with weights in float16, to both precisions, and from what all copies hear."""

    def half(synapses: Synapses) -> Synapses:
        return replace(synapses, weights=synapses.weights.astype(np.float16))

    return [
        Projection("y", "b", half(scattered(rng, 101, 70, 300, rng.integers(0, 3, 300)))),
        Projection("x", "b", half(build.dense(rng.normal(0, 1e-5, (90, 70)), rng.integers(0, 3, 90)))),
        Projection("y", "short", half(build.one_to_one(rng.normal(0.5, 0.5, 101), rng.integers(1, 6, 101)))),
        Projection("x", "short", half(build.dense(rng.normal(0, 0.2, (90, 101))))),
        Projection("z", "short", half(scattered(rng, 40, 101, 400, 2)), hold=True),
        Projection("y", "short", half(build.one_to_one(np.full(101, 0.1)))),
        Projection("w", "fleet", half(build.dense(rng.normal(0, 0.2, (20, 37)), 1))),
        Projection("z", "wide", half(scattered(rng, 40, 70, 300, 0))),
    ]


def copied(rng: np.random.Generator) -> list[Group]:
    """Three copies of populations whose size is less than a tile, a whole one, and more."""
    coupled = LifMc(g_coupling=rng.normal(-1, 20, (21, 21)))
    return [
        Group("fleet", Lif(tau_mem=np.linspace(3e-3, 20e-3, 37)), 111, record={"v": (np.arange(111), 4)}, copies=3),
        Group("whole", Lif(v_th=0.7), 192, initial={"v": np.linspace(0, 1, 64)}, copies=3),
        Group("wide", Lif(tau_syn=2e-3), 210, "float64", copies=3),
        Group("branch", coupled, 63, record={"v": (np.arange(63), 5)}, copies=3),
    ]


def shared(rng: np.random.Generator) -> list[Projection]:
    """Each kind of synapses between copies, and from what all copies hear."""
    return [
        Projection("w", "fleet", build.dense(rng.normal(0.4, 0.4, (20, 37)))),
        Projection("w", "fleet", scattered(rng, 20, 37, 300, rng.integers(0, 4, 300)), hold=True),
        Projection("x", "fleet", scattered(rng, 90, 37, 500, rng.integers(0, 3, 500))),
        Projection("fleet", "fleet", build.dense(rng.normal(0, 0.1, (37, 37)), 2)),
        Projection("fleet", "whole", build.dense(rng.normal(0.2, 0.3, (37, 64)), rng.integers(0, 4, 37))),
        Projection("w", "whole", build.dense(rng.normal(0.1, 0.1, (20, 64)), rng.integers(0, 3, 20)), hold=True),
        Projection("z", "whole", build.dense(rng.normal(0, 0.2, (40, 64)), 1)),
        Projection("whole", "whole", build.one_to_one(rng.normal(0.2, 0.5, 64), rng.integers(1, 4, 64))),
        Projection("whole", "wide", scattered(rng, 64, 70, 800, 1)),
        Projection("z", "wide", build.dense(rng.normal(0.05, 0.1, (40, 70))), hold=True),
        Projection("b", "wide", build.one_to_one(rng.normal(0.5, 0.5, 70), rng.integers(1, 4, 70))),
        Projection("wide", "branch", scattered(rng, 70, 21, 300, rng.integers(0, 3, 300))),
        Projection("fleet", "branch", build.dense(rng.normal(0.1, 0.3, (37, 21)))),
    ]


def learned(rng: np.random.Generator) -> list[Projection]:
    """Every rule, each kind of synapses and delays, a reward, and one that stops to learn."""
    far = {"w_min": -1.0, "w_max": 2.0}
    stdp = Stdp(tau_pre=9e-3, tau_post=7e-3, eta_plus=0.4, eta_minus=0.3, algorithm="multiplicative_relu", **far)
    slow = Stdp(eta_plus=0.02, eta_minus=0.05, integrator="exact", **far)
    reward = RStdp(tau_e=20e-3, eta=0.02, **far)
    sensor = CorrelationSensor(tau_c=8e-3)
    every = dict.fromkeys(("w", "post_pre", "correlation", "anti_correlation"), (None, 9))
    return [
        Projection(
            "a",
            "pupil",
            build.dense(rng.normal(0.1, 0.3, (101, 66)), rng.integers(0, 4, 101)),
            learning=Learning(stdp, name="a", record={"w": (None, 5), "t_pre": (None, 7), "t_post": (None, 4)}),
        ),
        Projection(
            "alone",
            "pupil",
            scattered(rng, 77, 66, 900, rng.integers(0, 5, 900)),
            learning=Learning(reward, name="alone", record={"e": (None, 3), "w": (np.arange(2000), 10)}),
        ),
        Projection("pupil", "pupil", build.dense(rng.normal(0, 0.1, (66, 66)), 1), learning=Learning(slow, 23, "own")),
        Projection("x", "pupil", build.dense(rng.normal(0, 1, (90, 66))), "reward"),
        Projection(
            "y",
            "scholar",
            build.one_to_one(rng.normal(0.8, 0.5, 101), rng.integers(0, 3, 101)),
            learning=Learning(sensor, name="y", record=every),
        ),
        Projection("alone", "scholar", scattered(rng, 77, 101, 800, 1), learning=Learning(stdp, name="alone")),
        Projection(
            "z", "scholar", build.dense(rng.normal(0, 0.1, (40, 101))), learning=Learning(StdpSensor(), name="z")
        ),
    ]


def recorded(backend: str) -> Network:
    """One population that hears nothing; but the end of a tick nothing is between its record and its next move."""
    group = Group("alone", Lif(v_leak=1.4), 200, record={"v": (np.arange(200)[::-1], 1)})
    return Network([group], [], [], dt=DT, backend=backend)


def lone(backend: str) -> Network:
    """One population that learns from what comes in, and hears it at the start of the next tick."""
    group = Group("alone", Lif(v_leak=1.4), 200)
    weights = np.random.default_rng(2).normal(0.3, 0.3, (40, 200))
    projection = Projection("x", "alone", build.dense(weights), learning=Learning(Stdp(), name="x"))
    return Network([group], [Train("x", 40)], [projection], dt=DT, backend=backend)


def crossed(backend: str) -> Network:
    """Two populations; the first one hears by the second projection, which other threads look after."""
    rng = np.random.default_rng(3)
    groups = [Group("first", Lif(), 200), Group("second", Lif(), 200)]
    projections = [Projection("x", name, build.dense(rng.normal(0.3, 0.3, (40, 200)))) for name in ("second", "first")]
    return Network(groups, [Train("x", 40)], projections, dt=DT, backend=backend)


def overflowing(backend: str) -> Network:
    """A population that fires more in a window than there is room for at first."""
    groups = [Group("many", Lif(v_leak=30.0), 900), Group("late", Li(), 3)]
    synapses = build.dense(np.full((900, 3), 0.01), 4)
    return Network(groups, [], [Projection("many", "late", synapses)], dt=DT, backend=backend)


def anything(seed: int, backend: str) -> Network:
    """Populations of two models, joined at random."""
    rng = np.random.default_rng(seed)
    groups = [
        Group(
            f"g{k}", Lif(tau_syn=float(rng.uniform(2e-3, 9e-3))) if rng.random() < 0.7 else Li(), int(size), "float32"
        )
        for k, size in enumerate(rng.integers(1, 140, rng.integers(1, 5)))
    ]
    trains = [Train("t", int(rng.integers(1, 140))), Train("u", int(rng.integers(1, 60)), True)]
    projections = []
    for k, target in enumerate(groups):
        for source in rng.choice(np.array([*groups, *trains], object), rng.integers(0, 6)):
            earlier = isinstance(source, Train) or source in groups[:k]
            synapses = some_synapses(rng, source.size, target.size, 0 if earlier else 1)
            hold = isinstance(source, Train) and source.valued and bool(rng.random() < 0.5)
            projections.append(Projection(source.name, target.name, synapses, hold=hold))
    return Network(groups, trains, projections, dt=DT, seed=seed, backend=backend)


def some_synapses(rng: np.random.Generator, pre: int, post: int, least: int) -> Synapses:
    """Synapses of some kind with delays of some kind, `least` ticks or more."""
    delay: npt.ArrayLike = least
    if rng.random() < 0.5:
        delay = rng.integers(least, least + 6, pre)
    if pre == post and rng.random() < 0.5:
        return build.one_to_one(rng.normal(1, 1, pre), delay)
    if rng.random() < 0.5:
        return build.dense(rng.normal(0.1, 0.3, (pre, post)), delay)
    count = int(rng.integers(0, 4 * pre + 4 * post))
    return scattered(rng, pre, post, count, rng.integers(least, least + 4, count) if np.ndim(delay) else delay)


def drive(net: Network, ticks: int = TICKS, events: int = 700, seed: int = 11) -> Drive:
    """Random events for each train, some of them several in a tick of one channel, and a burst of all channels."""
    rng = np.random.default_rng(seed)
    found = {}
    for train in net.trains:
        tick = np.concatenate([rng.integers(0, ticks, events), np.full(train.size, ticks // 3)])
        index = np.concatenate([rng.integers(0, train.size, events), np.arange(train.size)]).astype(np.uint32)
        order = np.lexsort((index, tick))
        t = net.origin_ns + tick[order] * net.dt_ns + rng.integers(0, net.dt_ns)
        value = rng.normal(1, 1, order.size) if train.valued else None
        found[train.name] = Events(t, index[order], value)
    return found


def within(net: Network, arriving: Drive, first: int, stop: int) -> Drive:
    """The events of ticks `first` to `stop`."""
    found = {}
    for name, (t, index, value) in arriving.items():
        inside = (t >= net.origin_ns + first * net.dt_ns) & (t < net.origin_ns + stop * net.dt_ns)
        found[name] = Events(t[inside], index[inside], None if value is None else value[inside])
    return found


def by_falling_index(arriving: Drive) -> Drive:
    """The same events, out of order within each tick."""
    return {name: _sorted(events, -events.neuron.astype(np.int64)) for name, events in arriving.items()}


def pairs_swapped(arriving: Drive) -> Drive:
    """The same events, a few neighbours of one tick in the wrong order: for most threads all looks well."""
    found = {}
    for name, (t, index, value) in arriving.items():
        first = np.flatnonzero((t[1:] == t[:-1]) & (index[1:] > index[:-1]))[3::200]
        order = np.arange(t.size)
        order[first], order[first + 1] = first + 1, first
        found[name] = Events(t[order], index[order], None if value is None else value[order])
    return found


def by_rising_index(arriving: Drive) -> Drive:
    """The same events in order; several of one channel and tick keep theirs."""
    return {name: _sorted(events, events.neuron) for name, events in arriving.items()}


def _sorted(events: Events, within_tick: npt.NDArray[Any]) -> Events:
    order = np.lexsort((within_tick, events.t))
    return Events(events.t[order], events.neuron[order], None if events.value is None else events.value[order])


def windows(net: Network, arriving: Drive, ticks: int, window: int) -> Iterator[Mapping[str, Result]]:
    """Steps `net` over `ticks` in windows of `window`."""
    for first in range(0, ticks, window):
        count = min(window, ticks - first)
        yield net.step(first, count, within(net, arriving, first, first + count))


def outcome(net: Network, arriving: Drive | None = None, ticks: int = TICKS, window: int = TICKS) -> Outcome:
    """All that can be seen of a run, as bytes: spikes, records and the state at its end."""
    parts: dict[str, list[npt.NDArray[Any]]] = {}
    for results in windows(net, drive(net, ticks) if arriving is None else arriving, ticks, window):
        for group, result in results.items():
            columns = {f"{group} spikes t": result.t, f"{group} spikes neuron": result.neuron}
            if result.value is not None:
                columns[f"{group} spikes value"] = result.value
            for variable, recorded in result.recorded.items():
                columns |= {f"{group} {variable} {k}": column for k, column in enumerate(recorded)}
            for name, column in columns.items():
                parts.setdefault(name, []).append(np.asarray(column))
    found = {name: np.concatenate(columns).tobytes() for name, columns in parts.items()}
    return found | {f"saved {name}": np.asarray(value).tobytes() for name, value in net.save().items()}


@functools.cache
def reference() -> Outcome:
    """What comes of `everything` on the reference backend."""
    return outcome(everything("numpy"))


def differences(left: Outcome, right: Outcome) -> list[str]:
    """What two runs do not share."""
    return sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))
