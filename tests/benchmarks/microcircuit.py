"""The cortical microcircuit of Potjans and Diesmann (Cerebral Cortex 24, 2014): 77 169 neurons, 0.3 billion synapses.

Four layers of excitatory and inhibitory neurons below 1 mm² of cortex. Numbers of neurons, probabilities of connection,
weights and delays are those of the paper (tables 4 and 5). What comes from outside is the mean current of its Poisson
background, as in the paper's figure 7, so that a run needs no source. A smaller circuit has fewer neurons, each of them
with as many synapses as ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from spikeflow.kernels import Group, Network, Projection
from spikeflow.kernels import synapses as build
from spikeflow.kernels.models.lif import Lif

NAMES = ("L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
SIZES = (20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948)
OUTSIDE = (1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100)
"""Synapses of each neuron from outside."""
PROBABILITY = np.array([  # to (row) from (column)
    [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0000, 0.0076, 0.0000],
    [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0000, 0.0042, 0.0000],
    [0.0077, 0.0059, 0.0497, 0.1350, 0.0067, 0.0003, 0.0453, 0.0000],
    [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0000, 0.1057, 0.0000],
    [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0000],
    [0.0548, 0.0269, 0.0257, 0.0022, 0.0600, 0.3158, 0.0086, 0.0000],
    [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
    [0.0364, 0.0010, 0.0034, 0.0005, 0.0277, 0.0080, 0.0658, 0.1443],
])  # fmt: skip
DT = 1e-4
TAU_MEM, TAU_SYN = 10e-3, 0.5e-3
BACKGROUND_HZ = 8.0
JUMP = 0.15
"""How far a spike lifts the potential of the neuron it reaches (mV)."""
INHIBITION = -4.0
"""An inhibitory weight, of an excitatory one."""


class Circuit(NamedTuple):
    """A network, and how many neurons and synapses it has."""

    network: Network
    neurons: int
    synapses: int


def circuit(backend: str, scale: float = 1.0, seed: int = 1, away: bool = True) -> Circuit:
    """The microcircuit with `scale` of its neurons."""
    rng = np.random.default_rng(seed)
    sizes = [round(scale * size) for size in SIZES]
    counts = _counts() * scale
    groups = []
    for place, (name, size) in enumerate(zip(NAMES, sizes, strict=True)):
        outside = BACKGROUND_HZ * OUTSIDE[place] * _current(JUMP) * TAU_SYN
        model = Lif(
            tau_mem=TAU_MEM, tau_syn=TAU_SYN, v_leak=-65.0 + outside, v_th=-50.0, v_reset=-65.0,
            refractory=2e-3 / DT, integrator="exact",
        )  # fmt: skip
        groups.append(Group(name, model, size, initial={"v": rng.normal(-58.0, 10.0, size)}))
    projections = list(_projections(rng, sizes, counts))
    network = Network(groups, [], projections, dt=DT, backend=backend, away=away)
    return Circuit(network, sum(sizes), sum(projection.synapses.count for projection in projections))


def _current(jump: float) -> float:
    """The jump of the current (in mV, times the membrane's resistance) that lifts the potential by `jump` (mV)."""
    ratio = TAU_MEM / TAU_SYN
    rise: float = ratio ** (-1 / (ratio - 1)) - ratio ** (-ratio / (ratio - 1))
    return jump * (ratio - 1) / rise


def _counts() -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Synapses of each projection at full scale: pairs are drawn with replacement until so many are connected."""
    pairs = np.outer(SIZES, SIZES).astype(np.float64)
    found: np.ndarray[tuple[int, int], np.dtype[np.float64]] = np.log1p(-PROBABILITY) / np.log1p(-1 / pairs)
    return found


def _projections(
    rng: np.random.Generator, sizes: list[int], counts: np.ndarray[tuple[int, int], np.dtype[np.float64]]
) -> Iterator[Projection]:
    for target in range(8):
        for source in range(8):
            count = round(counts[target, source])
            if not count:
                continue
            mean = _current(JUMP) * (INHIBITION if source % 2 else 2.0 if (target, source) == (0, 2) else 1.0)
            drawn = rng.normal(mean, 0.1 * abs(mean), count)
            drawn = np.maximum(drawn, 0.0) if mean > 0 else np.minimum(drawn, 0.0)
            delay = 0.75e-3 if source % 2 else 1.5e-3
            ticks = np.maximum(np.rint(rng.normal(delay, 0.5 * delay, count) / DT), 1).astype(np.int64)
            pre = rng.integers(0, sizes[source], count)
            post = rng.integers(0, sizes[target], count)
            synapses = build.sparse(sizes[source], sizes[target], pre, post, drawn, ticks)
            yield Projection(NAMES[source], NAMES[target], synapses)
