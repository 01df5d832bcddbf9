"""Small blocks with everything in them: what the tests of agreement step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from spikeflow import noise
from spikeflow.kernels import Events, Group, Network, Projection, Result, Train
from spikeflow.kernels.models.li import Li
from spikeflow.kernels.models.lif import Lif
from spikeflow.kernels.models.lif_exc_inh import LifExcInh
from spikeflow.kernels.synapses import dense, one_to_one, sparse


@dataclass(frozen=True)
class Sizes:
    """What may vary without another compiled text."""

    inputs: int = 20
    hidden: int = 70
    output: int = 5
    seed: int = 0
    skip: bool = True


def weights(seed: int, *shape: int, scale: float = 1.0, mean: float = 0.2) -> npt.NDArray[np.float64]:
    """Numbers that look like trained weights."""
    drawn = noise.normal(noise.key(seed, str(shape)), np.arange(int(np.prod(shape))), 0)
    return (scale * (drawn + mean)).reshape(shape)


def block(backend: str, sizes: Sizes, precision: Any = "float32") -> Network:
    """A recurrent population between inputs, a second one of another model, and a readout; every kind of projection."""
    n, h, o, s = sizes.inputs, sizes.hidden, sizes.output, sizes.seed
    synapses = h * 7
    pre = noise.integers(noise.key(s, "pre"), np.arange(synapses), 0, h)
    post = noise.integers(noise.key(s, "post"), np.arange(synapses), 0, h)
    late = noise.integers(noise.key(s, "delay"), np.arange(synapses), 0, 4) + 1
    record = {"v": (np.arange(0, h, 3), 2), "i": (np.array([h - 1]), 1)}
    groups = [
        Group("readout", Li(), o, precision, record={"v": (np.arange(o), 1)}),
        Group("hidden", Lif(refractory=2, reset_by="subtract"), h, precision, record=record),
        Group("pair", LifExcInh(tau_mem=5e-3, v_leak=0.0, v_th=1.0, v_reset=-0.5, refractory="3 ms"), h, precision),
    ]
    projections = [
        Projection("spikes", "hidden", dense(weights(s, n, h, scale=2.0))),
        Projection("graded", "hidden", one_to_one(weights(s + 1, h, scale=3.0), delay=np.arange(h) % 3)),
        Projection("hidden", "hidden", sparse(h, h, pre, post, weights(s + 2, synapses), late)),
        Projection("hidden", "pair", one_to_one(np.full(h, 3.0)), receptor="exc"),
        Projection("pair", "pair", dense(-abs(weights(s + 3, h, h, scale=0.3)), delay=1 + np.arange(h) % 2), "inh"),
        Projection("pair", "hidden", sparse(h, h, post, pre, weights(s + 4, synapses), 2)),
        Projection("levels", "pair", dense(weights(s + 5, n, h, scale=0.2), delay=np.arange(n) % 2), "exc", hold=True),
        Projection("hidden", "readout", dense(weights(s + 6, h, o, scale=0.3))),
        Projection("levels", "readout", dense(weights(s + 7, n, o, scale=0.3)), hold=True),
    ]
    trains = [Train("spikes", n), Train("graded", h, valued=True), Train("levels", n, valued=True)]
    return Network(groups, trains, projections, dt=1e-3, seed=s, backend=backend, skip=sizes.skip)


def arriving(sizes: Sizes, ticks: int, busy: float = 0.1) -> dict[str, Events]:
    """Events of every train; in the middle third there are none."""
    found = {}
    for name, size in (("spikes", sizes.inputs), ("graded", sizes.hidden), ("levels", sizes.inputs)):
        key = noise.key(sizes.seed, name)
        chance = noise.uniform(key, np.arange(ticks)[:, None], np.arange(size)[None, :])
        chance[ticks // 3 : 2 * ticks // 3] = 1.0
        tick, channel = np.nonzero(chance < (busy if name != "levels" else busy / 10))
        tick, channel = np.repeat(tick, 1 + (tick % 5 == 0)), np.repeat(channel, 1 + (tick % 5 == 0))
        value = None if name == "spikes" else noise.normal(key, tick, channel + np.arange(tick.size)).astype(np.float32)
        found[name] = Events(tick, channel.astype(np.uint32), value)
    return found


def between(events: dict[str, Events], first: int, stop: int) -> dict[str, Events]:
    """The events of ticks `first` to `stop`."""
    part = {}
    for name, (t, channel, value) in events.items():
        a, b = np.searchsorted(t, [first, stop])
        part[name] = Events(t[a:b], channel[a:b], None if value is None else value[a:b])
    return part


def joined(results: Sequence[dict[str, Result]]) -> dict[str, npt.NDArray[Any]]:
    """Everything that came out over several calls, in one flat mapping."""
    found: dict[str, list[Any]] = {}
    for result in results:
        for group, (t, neuron, recorded, value, _) in result.items():
            found.setdefault(f"{group}/t", []).append(t)
            found.setdefault(f"{group}/neuron", []).append(neuron)
            if value is not None:
                found.setdefault(f"{group}/carried", []).append(value)
            for variable, columns in recorded.items():
                for name, column in zip(("t", "neuron", "value"), columns, strict=True):
                    found.setdefault(f"{group}/{variable}/{name}", []).append(column)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def run(net: Network, events: dict[str, Events], ticks: int, cuts: Sequence[int] = ()) -> dict[str, npt.NDArray[Any]]:
    """Step `ticks` ticks, cut into calls at `cuts`."""
    edges = [0, *sorted(cut for cut in set(cuts) if 0 < cut < ticks), ticks]
    return joined([net.step(a, b - a, between(events, a, b)) for a, b in pairwise(edges)])


def assert_same(one: dict[str, npt.NDArray[Any]], other: dict[str, npt.NDArray[Any]]) -> None:
    """The same bits in every array."""
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name, strict=True)
        assert array.tobytes() == other[name].tobytes(), name
