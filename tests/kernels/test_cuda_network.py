"""The whole kernel text on a CPU: the reference's bits, whatever the block, the order of threads and the windows."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from spikeflow.errors import EventError, ParameterError
from spikeflow.kernels import Events, Group, Network, NeuronModel, backends, register
from spikeflow.kernels.vocabulary import where

from . import catalogue
from . import cuda_networks as networks
from .cuda_host import COMPILER, Races, backend
from .cuda_networks import DT, TICKS, differences, drive, everything, outcome, reference

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no g++ for Linux here")

GRIDS = [
    (blocks, threads, reverse)
    for blocks, threads in ((1, 1), (1, 7), (1, 32), (1, 128), (2, 33), (3, 64), (4, 101))
    for reverse in (False, True)
]


def host(threads: int, reverse: bool, races: Races = "unwatched", blocks: int = 1) -> str:
    name = f"cuda_host {blocks} {threads} {reverse} {races}"
    register(name, backend(threads, blocks=blocks, reverse=reverse, races=races))
    return name


@pytest.mark.parametrize(("blocks", "threads", "reverse"), GRIDS)
def test_any_grid_in_either_order_gives_the_bits_of_the_reference(blocks: int, threads: int, reverse: bool) -> None:
    assert differences(outcome(everything(host(threads, reverse, blocks=blocks))), reference()) == []


def test_so_does_one_with_as_much_room_for_arrivals_as_on_a_gpu() -> None:
    register("cuda_host wide", backend(64, blocks=2, reverse=True, options=()))
    assert differences(outcome(everything("cuda_host wide")), reference()) == []


def test_the_reference_run_is_a_lively_one() -> None:
    counts = {group: len(reference()[f"{group} spikes neuron"]) // 4 for group in ("alone", "a", "b", "out")}
    assert counts["out"] == 0
    assert min(counts[group] for group in ("alone", "a", "b")) > 200
    assert max(counts[group] for group in ("alone", "a", "b")) < TICKS * 60


@pytest.mark.parametrize("window", [1, 5, 10])
def test_any_windows_give_the_same_bits(window: int) -> None:
    assert differences(outcome(everything(host(32, reverse=True)), window=window), reference()) == []


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("blocks", [1, 3])
def test_no_two_threads_race(blocks: int, reverse: bool) -> None:
    net = everything(host(33, reverse, "errors", blocks))
    assert differences(outcome(net, window=20), reference()) == []


@pytest.mark.parametrize("tolerance", catalogue.by_tolerance())
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.timeout(600)
def test_every_model_in_every_option_gives_the_bits_of_the_reference(precision: Any, tolerance: float | None) -> None:
    chosen = catalogue.by_tolerance()[tolerance]
    expected = catalogue.run(chosen, "numpy", precision)
    for blocks, threads, reverse in ((1, 16, False), (3, 20, True)):
        found = catalogue.run(chosen, host(threads, reverse, blocks=blocks), precision, window=11)
        assert catalogue.differences(found, expected, precision, tolerance) == []


class Noisy(NeuronModel):
    """Fires where a uniform draw exceeds a threshold that decays."""

    state: ClassVar = ("v", "w")
    receptors: ClassVar = ("drive",)
    noise: ClassVar = ("first", "second")

    def constants(self, dt: float) -> dict[str, float]:
        return {"half": 0.5}

    @staticmethod
    def update(v: Any, w: Any, drive: Any, first: Any, second: Any, half: Any) -> Any:
        v = v * half + first * second + drive
        w = where(first > second, second - first, w)
        return v, w, v > half


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_noise_has_the_bits_of_the_reference(precision: Any) -> None:
    def net(backend: str) -> Network:
        group = Group("n", Noisy(), 300, precision, record={"v": (np.arange(300), 1), "w": (np.arange(300), 1)})
        return Network([group], [], [], dt=DT, seed=9, backend=backend)

    expected = outcome(net("numpy"), ticks=20)
    assert len(expected["n spikes t"]) > 100 * 8
    assert differences(outcome(net(host(64, reverse=True)), ticks=20, window=3), expected) == []


@pytest.mark.parametrize("backend", ["numpy", "cuda_host", *(name for name in backends() if name == "numba")])
@pytest.mark.parametrize("size", [37, 64, 70])
def test_noise_is_the_same_in_every_copy(backend: str, size: int) -> None:
    def spikes(copies: int) -> tuple[Any, Any]:
        net = Network([Group("n", Noisy(), size * copies, copies=copies)], [], [], dt=DT, seed=9, backend=backend)
        result = net.step(0, 20, {})["n"]
        return result.t, result.neuron

    (t, neuron), (alone_t, alone) = spikes(3), spikes(1)
    assert alone.size > 50
    for copy in range(3):
        own = neuron // size == copy
        np.testing.assert_array_equal(t[own], alone_t)
        np.testing.assert_array_equal(neuron[own] % size, alone)


def test_a_window_that_overflows_goes_on_where_it_stopped() -> None:
    expected = outcome(networks.overflowing("numpy"), ticks=30)
    assert len(expected["many spikes t"]) > 10_000 * 8
    for reverse in (False, True):
        assert differences(outcome(networks.overflowing(host(100, reverse, blocks=4)), ticks=30), expected) == []


@pytest.mark.parametrize("seed", range(16))
def test_random_networks_give_the_bits_of_the_reference(seed: int) -> None:
    expected = outcome(networks.anything(seed, "numpy"), ticks=25)
    assert differences(outcome(networks.anything(seed, "cuda_host"), ticks=25, window=seed % 9 + 1), expected) == []


@pytest.mark.parametrize("reverse", [False, True])
def test_events_out_of_order_within_a_tick_are_put_in_order(reverse: bool) -> None:
    net = everything(host(16, reverse, "errors"))
    shuffled = networks.by_falling_index(drive(net))
    expected = outcome(everything("numpy"), networks.by_rising_index(shuffled))
    assert differences(outcome(net, shuffled, window=14), expected) == []


@pytest.mark.parametrize(
    ("t", "index", "found"),
    [
        ([500, 505], [3, 40], "index 40 in 'z', whose size is 40"),
        ([499, 505], [3, 4], "lie in ticks -1 to 0"),
        ([500, 920], [3, 4], "lie in ticks 0 to 42"),
        ([520, 505], [3, 4], "not in time order"),
    ],
)
@pytest.mark.parametrize("backend", ["numpy", "cuda_host"])
def test_events_that_cannot_be_are_refused_as_by_the_reference(
    backend: str, t: list[int], index: list[int], found: str
) -> None:
    net = everything(backend)
    bad = Events(np.array(t), np.array(index, np.uint32), np.ones(2))
    with pytest.raises(EventError, match=found):
        net.step(0, TICKS, drive(net) | {"z": bad})


def test_a_saved_state_goes_from_one_backend_to_the_other() -> None:
    first, second = everything("numpy"), everything(host(32, reverse=False))
    arriving = drive(first)
    outcome(first, arriving, ticks=22)
    second.load(first.save())
    second.reset(["b"])
    first.reset(["b"])
    rest = networks.within(first, arriving, 22, TICKS)
    one, other = first.step(22, TICKS - 22, rest), second.step(22, TICKS - 22, rest)
    for group in one:
        np.testing.assert_array_equal(one[group].neuron, other[group].neuron)
    saved = second.save()
    assert all(np.array_equal(value, saved[name]) for name, value in first.save().items())


class Rooted(NeuronModel):
    """A model with a word that no kernel knows."""

    state: ClassVar = ("v",)
    receptors: ClassVar = ("i",)

    @staticmethod
    def update(v: Any, i: Any) -> Any:
        v = v + i
        v = np.sqrt(v)
        return v, v > i


class Short(NeuronModel):
    """A model that forgets to say where it spikes."""

    state: ClassVar = ("v",)
    receptors: ClassVar = ("i",)

    @staticmethod
    def update(v: Any, i: Any) -> Any:
        return v + i


def test_an_update_that_returns_something_else_is_an_error() -> None:
    with pytest.raises(ParameterError, match=r"Short .* returns real .* then where it spikes"):
        Network([Group("n", Short(), 3)], [], [], dt=DT, backend="cuda_host")


def test_a_model_outside_the_vocabulary_is_named_with_its_file_and_line() -> None:
    line = Rooted.update.__code__.co_firstlineno + 3
    with pytest.raises(ParameterError) as error:
        Network([Group("n", Rooted(), 3)], [], [], dt=DT, backend="cuda_host")
    assert str(error.value).startswith(
        f"Rooted (test_cuda_network.py), line {line}: `np.sqrt(v)` is outside the vocabulary of kernels — "
    )
