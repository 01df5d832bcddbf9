"""Sparse synapses along rows and along columns: the same sums, whichever way what acts in a tick chooses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikeflow.kernels import Events, Group, Network, Projection, Train, register, spread
from spikeflow.kernels import synapses as build
from spikeflow.kernels.models.lif import Lif

from . import cuda_networks as networks
from .cuda_host import COMPILER, Races, backend
from .cuda_networks import DT, differences, everything, outcome, reference

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no g++ for Linux here")

ALWAYS, NEVER = 0.0, 1e9


def host(blocks: int, *, reverse: bool, races: Races = "unwatched", edit: Any = str) -> str:
    """With as much room as on a GPU, or else most networks here have more sources than there are bits."""
    name = f"columns {blocks} {reverse} {races} {id(edit)}"
    register(name, backend(33, blocks=blocks, reverse=reverse, races=races, edit=edit, options=()))
    return name


@pytest.mark.parametrize("share", [ALWAYS, NEVER])
@pytest.mark.parametrize("reverse", [False, True])
def test_each_way_alone_gives_the_bits_of_the_reference(
    share: float, reverse: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spread, "DENSE_FROM", share)
    assert differences(outcome(everything(host(3, reverse=reverse)), window=15), reference()) == []


@pytest.mark.parametrize("seed", range(8))
def test_so_do_random_networks_along_columns(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread, "DENSE_FROM", ALWAYS)
    expected = outcome(networks.anything(seed, "numpy"), ticks=25)
    found = outcome(networks.anything(seed, host(2, reverse=seed % 2 > 0)), ticks=25, window=seed + 3)
    assert differences(found, expected) == []


@pytest.mark.parametrize("blocks", [1, 3])
def test_no_two_threads_race_along_columns(blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread, "DENSE_FROM", ALWAYS)
    net = everything(host(blocks, reverse=True, races="errors"))
    assert differences(outcome(net, window=20), reference()) == []


def lone(backend: str) -> Network:
    """128 channels, so that columns are walked from 4 events in a tick on; some synapses between the same two."""
    synapses = networks.scattered(np.random.default_rng(1), 128, 200, 9000, 0)
    return Network(
        [Group("a", Lif(), 200)], [Train("x", 128)], [Projection("x", "a", synapses)], dt=DT, backend=backend
    )


@pytest.mark.parametrize(("events", "columns"), [(3, False), (4, True), (100, True)])
def test_the_share_that_acts_chooses(events: int, columns: bool) -> None:
    """Weights along columns are taken twice here, so that the state says which way it was."""

    def twice(text: str) -> str:
        assert text.count("stride]) * value;") == 1
        return text.replace("stride]) * value;", "stride]) * (value + value);")

    found = []
    for of in ("numpy", host(2, reverse=False, edit=twice)):
        net = lone(of)
        net.step(0, 1, {"x": Events(np.zeros(events, np.int64), np.arange(events, dtype=np.uint32))})
        found.append(net.read("a", "i"))
    assert np.array_equal(found[0], found[1]) is not columns


def test_several_events_of_one_channel_and_values_go_along_rows() -> None:
    for index, value in ((np.repeat(np.arange(60), 2), None), (np.arange(120), np.linspace(0, 2, 120))):
        found = []
        for of in ("numpy", host(2, reverse=True)):
            synapses = networks.scattered(np.random.default_rng(1), 128, 200, 9000, 0)
            train = Train("x", 128, value is not None)
            net = Network([Group("a", Lif(), 200)], [train], [Projection("x", "a", synapses)], dt=DT, backend=of)
            net.step(0, 3, {"x": Events(np.zeros(index.size, np.int64), index.astype(np.uint32), value)})
            found.append(net.save())
        assert all(np.array_equal(found[0][name], found[1][name]) for name in found[0])


def test_only_sparse_synapses_have_columns_and_not_too_many_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    net = lone("numpy")
    assert spread.spread(net.arrays, 2).column.size == 1 + 201 + 9000
    monkeypatch.setattr(spread, "MOST_SYNAPSES", 8999)
    assert spread.spread(net.arrays, 2).column.size == 1
    dense = Projection("x", "a", build.dense(np.ones((128, 200))))
    wide = Network([Group("a", Lif(), 200)], [Train("x", 128)], [dense], dt=DT, backend="numpy")
    assert spread.spread(wide.arrays, 2).column.size == 1
