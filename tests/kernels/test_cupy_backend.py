"""Networks on a GPU, played by a stand-in for CuPy: the reference's bits, one launch a window, no copy too many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from spikeflow.errors import EventError, ParameterError
from spikeflow.kernels import Events, Group, Network, Projection, Train, cupy_backend
from spikeflow.kernels import synapses as build
from spikeflow.kernels.models.lif import Lif

from . import cuda_networks as networks
from .cuda_host import COMPILER
from .cuda_networks import DT, TICKS, differences, drive, everything, outcome, reference
from .cuda_stand_in import StandIn, stand_in

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no g++ for Linux here")


@pytest.fixture
def gpu() -> Iterator[StandIn]:
    """A GPU on which no block has more than 64 neurons, so that most populations have several."""
    with stand_in(most_threads=64) as made:
        yield made


def alone(backend: str, size: int = 700, **options: Any) -> Network:
    """One population that hears a train."""
    weights = np.random.default_rng(3).normal(0.2, 0.2, (50, size))
    projection = Projection("x", "a", build.dense(weights))
    return Network([Group("a", Lif(), size)], [Train("x", 50)], [projection], dt=DT, backend=backend, **options)


def spikes(first: int, ticks: int) -> dict[str, Events]:
    tick = np.repeat(np.arange(first, first + ticks), 9)
    return {"x": Events(tick, np.sort(np.arange(tick.size).reshape(-1, 9) * 7 % 50).ravel().astype(np.uint32))}


@pytest.mark.parametrize("window", [TICKS, 10, 1])
def test_a_network_on_the_device_has_the_bits_of_the_reference(gpu: StandIn, window: int) -> None:
    net = everything("cuda")
    assert differences(outcome(net, window=window), reference()) == []
    assert set(gpu.counts.launches) == {3}


def test_one_block_is_enough_for_a_small_network() -> None:
    with stand_in() as gpu:
        outcome(alone("cuda"), {}, ticks=3)
        assert gpu.counts.launches == [1]


@pytest.mark.parametrize("seed", range(6))
def test_random_networks_have_the_bits_of_the_reference(gpu: StandIn, seed: int) -> None:
    expected = outcome(networks.anything(seed, "numpy"), ticks=25)
    assert differences(outcome(networks.anything(seed, "cuda"), ticks=25, window=seed + 2), expected) == []


def test_a_window_that_overflows_goes_on_where_it_stopped(gpu: StandIn) -> None:
    expected = outcome(networks.overflowing("numpy"), ticks=30)
    assert differences(outcome(networks.overflowing("cuda"), ticks=30), expected) == []
    assert len(gpu.counts.launches) > 1


def test_events_out_of_order_within_a_tick_are_put_in_order(gpu: StandIn) -> None:
    net = everything("cuda")
    shuffled = networks.by_falling_index(drive(net))
    expected = outcome(everything("numpy"), networks.by_rising_index(shuffled))
    assert differences(outcome(net, shuffled, window=14), expected) == []


def test_events_that_cannot_be_are_refused_as_by_the_reference(gpu: StandIn) -> None:
    net = everything("cuda")
    bad = Events(np.array([500, 505]), np.array([3, 40], np.uint32), np.ones(2))
    with pytest.raises(EventError, match="index 40 in 'z', whose size is 40"):
        net.step(0, TICKS, drive(net) | {"z": bad})
    valued = Events(np.array([500]), np.array([3], np.uint32), np.ones(1))
    with pytest.raises(EventError, match="events of 'y' carry values, but the train has none"):
        net.step(0, TICKS, {"y": valued})


def test_a_state_goes_to_the_device_and_back_and_can_be_put_back(gpu: StandIn) -> None:
    first, second = everything("numpy"), everything("cuda")
    arriving = drive(first)
    outcome(first, arriving, ticks=22)
    second.load(first.save())
    second.reset(["b"])
    first.reset(["b"])
    assert second.pending() == first.pending() > 0
    rest = networks.within(first, arriving, 22, TICKS)
    one, other = first.step(22, TICKS - 22, rest), second.step(22, TICKS - 22, rest)
    for group in one:
        np.testing.assert_array_equal(one[group].neuron, other[group].neuron)
    saved = second.save()
    assert all(np.array_equal(value, saved[name]) for name, value in first.save().items())
    np.testing.assert_array_equal(first.weights("scholar", "z"), second.weights("scholar", "z"))


def test_a_state_that_is_not_a_number_is_named_as_by_the_reference(gpu: StandIn) -> None:
    said = []
    for backend in ("numpy", "cuda"):
        net = Network(
            [Group("a", Lif(), 300, initial={"v": np.where(np.arange(300) == 213, np.nan, 0.0)})],
            [], [], dt=DT, backend=backend,
        )  # fmt: skip
        with pytest.raises(EventError) as error:
            net.step(0, 5, {})
        said.append(str(error.value))
    assert said[0] == said[1]


def test_a_window_is_one_launch_and_copies_the_head_and_what_is_new(gpu: StandIn) -> None:
    net = alone("cuda", away=True)
    silent = net.step(0, 10, {})["a"]
    for window in range(1, 10):  # until there is room for what a window gives
        net.step(window * 10, 10, spikes(window * 10, 10))
    gpu.counts.clear()
    for window in range(10, 15):
        result = net.step(window * 10, 10, spikes(window * 10, 10))["a"]
        assert result.away is not None
    assert len(gpu.counts.launches) == 5
    last = result.away
    assert last is not None
    (least,) = set(gpu.counts.down)  # the head of the table, and nothing else, until somebody looks
    assert gpu.counts.up == [90 * 8, 90 * 4, least] * 5
    assert least < 1000
    gpu.counts.clear()
    t, neuron, value = last.fetch()
    assert gpu.counts.down == [t.nbytes, neuron.nbytes]
    assert (len(t) > 100, value, silent.away) == (True, None, None)
    last.fetch()
    assert len(gpu.counts.down) == 2


def test_only_what_is_read_comes_to_the_host(gpu: StandIn) -> None:
    net = alone("cuda")
    net.step(0, 10, spikes(0, 10))
    gpu.counts.clear()
    net.read("a", "v")
    assert gpu.counts.down == [net.arrays.real32.nbytes]
    assert (gpu.counts.up, gpu.counts.launches) == ([], [])


def test_what_one_network_leaves_on_a_device_another_one_takes_there(gpu: StandIn) -> None:
    weights = np.random.default_rng(4).normal(0.1, 0.1, (700, 90))

    def second(backend: str) -> Network:
        projection = Projection("y", "b", build.dense(weights, 2))
        return Network([Group("b", Lif(), 90)], [Train("y", 700)], [projection], dt=DT, backend=backend)

    expected: list[Any] = []
    found: list[Any] = []
    for backend, of in (("numpy", expected), ("cuda", found)):
        nets = alone(backend, away=True), second(backend)
        for window in range(6):
            result = nets[0].step(window * 10, 10, spikes(window * 10, 10))["a"]
            gpu.counts.clear()
            given: Any = result.away if result.away is not None else (result.t, result.neuron, None)
            result = nets[1].step(window * 10, 10, {"y": given} if len(given) else {})["b"]
            of += [result.t, result.neuron]
            if backend == "cuda":
                assert window < 3 or max(gpu.counts.up) < 1000  # before, room is made for so many events
    assert sum(len(columns) for columns in found) > 50
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_lies_on_another_device_comes_over_the_host() -> None:
    with stand_in(devices=2, most_threads=64):
        nets = [alone(backend, away=True) for backend in ("cuda:0", "cuda:1", "numpy")]
        weights = np.eye(700, 50)
        first = nets[0].step(0, 10, spikes(0, 10))["a"].away
        assert first is not None
        results = []
        for net in nets[1:]:
            few = Network(
                [Group("b", Lif(), 50)], [Train("y", 700)],
                [Projection("y", "b", build.dense(weights * 9))], dt=DT, backend=net.backend,
            )  # fmt: skip
            results.append(few.step(0, 10, {"y": first})["b"])
        np.testing.assert_array_equal(results[0].neuron, results[1].neuron)
        assert results[0].neuron.size > 0


def test_a_device_without_room_is_said_in_one_sentence() -> None:
    with stand_in(memory=1_300_000), pytest.raises(ParameterError) as error:
        alone("cuda", size=4000)
    assert str(error.value) == (
        "0.000806 GB more for neurons and synapses on cuda:0, which has 0.000208 GB free of 0.0013 GB — "
        "use fewer synapses, another device, or device: cpu"
    )


def test_a_device_that_is_not_there_is_said_in_one_sentence() -> None:
    with stand_in(devices=0), pytest.raises(ParameterError, match="device cuda, and CuPy finds no GPU — pip install"):
        alone("cuda")
    with stand_in(devices=1), pytest.raises(ParameterError, match="device cuda:3, and there is 1 GPU here — name"):
        alone("cuda:3")


def test_what_was_compiled_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("SPIKEFLOW_CACHE", str(tmp_path))
    with stand_in():
        cupy_backend.binary("text", "sm_90")
        (kept,) = tmp_path.iterdir()
        kept.write_bytes(b"kept")
        assert cupy_backend.binary("text", "sm_90") == b"kept"
