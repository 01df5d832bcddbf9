"""Weights that are kept as float16: half the memory, the bits of the same weights widened, and none that learn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikeflow.errors import ParameterError
from spikeflow.kernels import Events, Group, Network, Projection, Synapses, Train, backends, numba_backend
from spikeflow.kernels import synapses as build
from spikeflow.kernels.models.lif import Lif
from spikeflow.kernels.rule import Learning
from spikeflow.kernels.rules.stdp import Stdp

from .cuda_host import COMPILER
from .cuda_networks import DT, differences, outcome, reference, scattered

BACKENDS = [name for name in backends() if name in ("numpy", "numba")] + ["cuda_host"] * (COMPILER is not None)
EVERY = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
FINITE = EVERY[np.isfinite(EVERY)]
"""Every number of float16, those near zero and -0 among them."""


def kinds(precision: type[np.floating[Any]]) -> list[Synapses]:
    """Synapses of each kind that hold every number of float16, in some precision."""
    rng = np.random.default_rng(1)
    wide = np.resize(FINITE, (40, 1600)).astype(precision)
    loose = scattered(rng, 40, 1600, FINITE.size, rng.integers(0, 3, FINITE.size))
    each = np.resize(rng.permutation(FINITE), 1600).astype(precision)
    loose = replace(loose, weights=rng.permutation(FINITE).astype(precision))
    return [build.dense(wide), build.dense(wide, rng.integers(0, 3, 40)), loose, build.one_to_one(each)]


def net(synapses: Synapses, precision: Any, backend: str) -> Network:
    """A population whose current is all that has arrived."""
    group = Group("a", Lif(tau_syn=1e9, v_th=1e9), 1600, precision)
    train = Train("x", synapses.pre_size, True)
    return Network([group], [train], [Projection("x", "a", synapses)], dt=DT, backend=backend)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_each_number_of_float16_acts_as_the_same_number_of_the_population(backend: str, precision: Any) -> None:
    for kept, widened in zip(kinds(np.float16), kinds(np.float64), strict=True):
        found = []
        for synapses, of in ((kept, backend), (widened, "numpy")):
            made = net(synapses, precision, of)
            neuron = np.arange(synapses.pre_size, dtype=np.uint32)
            events = Events(np.zeros(neuron.size, np.int64), neuron, np.linspace(0.5, 2, neuron.size))
            made.step(0, 4, {"x": events})
            found.append(made.read("a", "i"))
        assert np.abs(found[0]).max() > 1e4
        np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.skipif("numba" not in backends(), reason="Numba is not installed")
def test_a_processor_without_the_instruction_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba_backend, "has_half", lambda: False)
    assert "HAS_HALF = False" in numba_backend.group_text("float32", True)
    test_each_number_of_float16_acts_as_the_same_number_of_the_population("numba", "float32")


@pytest.mark.skipif("numba" not in backends(), reason="Numba is not installed")
def test_a_network_with_some_of_them_has_the_bits_of_the_reference() -> None:
    from .cuda_networks import everything

    assert differences(outcome(everything("numba")), reference()) == []


def test_a_program_without_them_is_compiled_without_them() -> None:
    assert "half" not in numba_backend.group_text("float32")
    assert "half" in numba_backend.group_text("float32", True)


@pytest.mark.parametrize("kind", range(4))
def test_they_take_half_the_memory(kind: int) -> None:
    half, single = (net(kinds(of)[kind], "float32", "numpy").arrays for of in (np.float16, np.float32))
    assert (half.weight32.nbytes, single.weight16.nbytes) == (4, 2)  # room for one, so that there is an address
    assert 2 * half.weight16.nbytes == single.weight32.nbytes > 6000
    assert half.weight64.nbytes == single.weight64.nbytes == 8


def test_one_weight_for_all_takes_no_more_room() -> None:
    same = build.one_to_one(np.full(1600, 0.25, np.float16))
    assert net(same, "float32", "numpy").arrays.weight16.size == 64


@pytest.mark.parametrize("until", [None, 0])
def test_none_of_them_learn(until: int | None) -> None:
    synapses = build.dense(np.ones((3, 3), np.float16))
    projection = Projection("x", "a", synapses, learning=Learning(Stdp(), until, name="x"))
    with pytest.raises(ParameterError) as error:
        Network([Group("a", Lif(), 3)], [Train("x", 3)], [projection], dt=DT)
    assert str(error.value) == (
        "weights in float16 that learn, from 'x' to 'a' — let them have the precision of the population"
    )
