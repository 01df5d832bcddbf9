"""Networks whose populations go through several ticks at once on a GPU: nothing looks at them after a single tick."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from spikeflow.kernels import Group, Network, Projection, Train
from spikeflow.kernels import synapses as build
from spikeflow.kernels.models.izhikevich import Izhikevich
from spikeflow.kernels.models.lif import Lif

from .cuda_networks import DT, scattered

BACK = 9
"""Ticks that a spike takes at least on its way back: so many are in hand."""


def ahead(backend: str, **options: Any) -> Network:
    """Each kind of synapses, delay and precision between populations that hear each other, later ones at once.

    Of three blocks, two share each of most populations. What goes back takes 9 ticks and more.
    """
    rng = np.random.default_rng(21)
    half = scattered(rng, 90, 130, 900, rng.integers(0, 4, 900))
    half = replace(half, weights=half.weights.astype(np.float16))
    groups = [
        Group("late", Lif(v_th=0.7), 75, "float64"),
        Group("alone", Lif(v_leak=1.4, tau_mem=np.linspace(3e-3, 20e-3, 77)), 77),
        Group("a", Lif(refractory=3, v_th=np.linspace(0.5, 1.5, 200)), 200),
        Group("b", Lif(refractory=2, tau_mem=8e-3, v_th=0.8), 130, initial={"v": np.linspace(0, 1, 130)}),
        Group("shape", Izhikevich(), 70),
        Group("fleet", Lif(tau_mem=np.linspace(3e-3, 20e-3, 37)), 111, copies=3),
    ]
    trains = [Train("x", 90, True), Train("y", 200), Train("w", 60, True, copies=3)]
    projections = [
        Projection("x", "a", build.dense(rng.normal(0.05, 0.3, (90, 200)), rng.integers(0, 4, 90))),
        Projection("y", "a", build.one_to_one(rng.normal(0.5, 0.5, 200), rng.integers(1, 6, 200))),
        Projection("y", "a", build.dense(rng.normal(0.0, 0.1, (200, 200)))),
        Projection("a", "b", scattered(rng, 200, 130, 2000, rng.integers(0, 5, 2000))),
        Projection("alone", "b", scattered(rng, 77, 130, 500, 1)),
        Projection("x", "b", half),
        Projection("a", "late", build.dense(rng.normal(0.1, 0.1, (200, 75)), BACK)),
        Projection("b", "a", scattered(rng, 130, 200, 900, BACK)),
        Projection("b", "b", build.dense(rng.normal(0, 0.1, (130, 130)), BACK + 2)),
        Projection("b", "shape", build.dense(rng.normal(3, 3, (130, 70)), 2)),
        Projection("w", "fleet", build.dense(rng.normal(0.4, 0.4, (20, 37)))),
        Projection("x", "fleet", scattered(rng, 90, 37, 500, rng.integers(0, 3, 500))),
        Projection("fleet", "fleet", scattered(rng, 37, 37, 200, BACK + 4)),
    ]
    return Network(groups, trains, projections, dt=DT, seed=3, backend=backend, origin_ns=500, dt_ns=10, **options)


def still(backend: str, size: int = 150, **options: Any) -> Network:
    """A population that hears a train, a neuron of it each channel, and comes to rest in between."""
    projection = Projection("x", "a", build.one_to_one(np.full(size, 3.0)))
    group = Group("a", Lif(tau_mem=1.2e-3, tau_syn=1.1e-3), size)
    return Network([group], [Train("x", size)], [projection], dt=DT, backend=backend, **options)
