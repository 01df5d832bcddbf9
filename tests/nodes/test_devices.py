"""Populations on a GPU, played by a stand-in for CuPy: whole graphs, and where a population is stepped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

import spikeflow
from spikeflow.cli.doctor import _gpu
from spikeflow.cli.looking import check_graphs
from spikeflow.errors import GraphError
from spikeflow.kernels.cupy_backend import OnDevice, OnDeviceEvents
from spikeflow.runtime.engine import Engine, Options, Report
from tests.kernels.cuda_host import COMPILER
from tests.kernels.cuda_stand_in import StandIn, stand_in
from tests.nodes.test_conformance import test_a_population_keeps_the_rules as holds_to_the_rules
from tests.runtime.nodes import Collect, collected_by, graph
from tests.runtime.random_graphs import Streams, collected, graphs

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no g++ for Linux here")
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]


@pytest.fixture
def gpu() -> Iterator[StandIn]:
    with stand_in(most_threads=64) as made:
        yield made


def cortex(device: str, second: str | None = None, **more: Any) -> dict[str, Any]:
    """Two populations, one behind the other."""
    return {
        "hum": {"source": "synthetic", "signal": "poisson", "size": 40, "rate": "60 Hz", "length": "200 ms"},
        "first": {
            "neuron": "lif", "size": 150, "device": device,
            "inputs": [{"from": "hum", "weights": {"normal": {"mean": 0.5, "std": 0.3}}}],
        },
        "second": {
            "neuron": "lif", "size": 90, "device": second or device,
            "inputs": [
                {"from": "first", "weights": {"normal": {"mean": 0.1, "std": 0.2}}, "connect": {"probability": 0.5}},
                {"from": "second", "weights": {"normal": {"mean": 0, "std": 0.1}}},
            ],
        },
        **more,
    }  # fmt: skip


def ran(nodes: dict[str, Any], taken: list[str], window: str = "10 ms") -> tuple[Streams, Report]:
    spec = spikeflow.load(graph({**nodes, "out": {"sink": Collect, "input": taken}}, time={"window": window}, seed=5))
    report = asyncio.run(Engine(spec, Options()).run())
    assert report.ended == "ended"
    return collected_by(spec), report


@needs_compiler
@pytest.mark.parametrize("window", ["1 ms", "10 ms", "70 ms"])
def test_a_graph_on_a_device_gives_the_events_of_one_on_cores(gpu: StandIn, window: str) -> None:
    taken = ["first", "first.v", "second", "second.v"]
    expected, _ = ran(cortex("cpu"), taken)
    assert len(expected["second"]) > 100
    found, _ = ran(cortex("cuda"), taken, window)
    assert found == expected


@needs_compiler
def test_what_goes_from_one_population_to_the_next_stays_on_the_device(
    gpu: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched, written = [], []
    fetch, write = OnDeviceEvents.fetch, OnDevice.write

    def fetching(events: OnDeviceEvents) -> Any:
        fetched.append(len(events))
        return fetch(events)

    def writing(network: OnDevice, first: int, columns: Any, value_at: int) -> None:
        written.append((len(gpu.counts.up), type(columns)))
        write(network, first, columns, value_at)
        written[-1] = len(gpu.counts.up) - written[-1][0], written[-1][1]

    monkeypatch.setattr(OnDeviceEvents, "fetch", fetching)
    monkeypatch.setattr(OnDevice, "write", writing)
    found, _ = ran(cortex("cuda"), ["second"])
    assert sum(fetched) == len(found["second"]) > 100  # those of the first population never come to the host
    assert (2, tuple) in written  # the source's times and indices go up
    assert {copies for copies, of in written if of is OnDeviceEvents} == {0}


@needs_compiler
def test_every_window_is_one_launch_a_population(gpu: StandIn) -> None:
    ran(cortex("cuda"), ["second"])
    windows = 200 // 10
    assert 2 * windows <= len(gpu.counts.launches) <= 2 * windows + 6  # few more where room had to be made


@needs_compiler
@pytest.mark.timeout(600)
@settings(
    max_examples=6, deadline=None, phases=PHASES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much,
                           HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(nodes=graphs())
def test_random_graphs_on_a_device_give_the_events_of_the_reference(nodes: dict[str, Any]) -> None:
    reference = collected(nodes, window="10 ms", backend="numpy")
    with stand_in(most_threads=64):
        for window in ("1 ms", "7 ms", "100 ms"):
            found = collected(nodes, window=window, backend="cuda")
            for name in reference.keys() & found.keys():
                assert found[name] == reference[name], (name, window)


@needs_compiler
def test_populations_on_two_devices_and_on_cores_give_the_same_events() -> None:
    expected, _ = ran(cortex("cpu"), ["second"])
    with stand_in(devices=2, most_threads=64):
        assert ran(cortex("cuda:0", "cuda:1"), ["second"])[0] == expected
        assert ran(cortex("cuda:1", "cpu"), ["second"])[0] == expected
        assert ran(cortex("cpu", "cuda:1"), ["second"])[0] == expected


def refused(nodes: dict[str, Any]) -> str:
    with pytest.raises(GraphError) as error:
        spikeflow.load(graph(nodes))
    return str(error.value)


def test_a_device_that_is_not_there_is_an_error_at_check() -> None:
    with stand_in(devices=0):
        assert refused(cortex("cpu", "cuda")) == (
            'node "second": device cuda, and CuPy finds no GPU — '
            "pip install 'spikeflow[cuda13]' (or cuda12, by the driver), or leave `device` out"
        )
    with stand_in(devices=2):
        assert refused(cortex("cpu", "cuda:2")) == (
            'node "second": device cuda:2, and there are 2 GPUs here — name cuda:0 to cuda:1'
        )
    assert "device" in refused(cortex("gpu"))


def population(device: str, size: int, model: str = "lif") -> dict[str, Any]:
    return {
        "hum": {"source": "synthetic", "signal": "poisson", "size": 1, "rate": "60 Hz", "length": "200 ms"},
        "a": {"neuron": model, "size": size, "device": device, "inputs": [{"from": "hum", "weights": 1.0}]},
    }


@pytest.mark.parametrize(
    ("devices", "size", "model", "on", "why"),
    [
        (1, 1024, "lif", "auto", "1024 neurons take 0.31 µs a tick on a core, and 6 on a GPU at least"),
        (1, 100_000, "lif", "cuda:0", "100000 neurons take 30 µs a tick on a core, and 6 on a GPU at least"),
        (0, 100_000, "lif", "auto", "CuPy finds no GPU"),
        (1, 100_000, "lif_ex", "auto", "LifEx may differ in its last bits on a GPU; say device: cuda if it may"),
    ],
)
def test_auto_decides_by_size_and_never_moves_a_model_with_a_tolerance(
    devices: int, size: int, model: str, on: str, why: str
) -> None:
    with stand_in(devices=devices):
        spec = spikeflow.load(graph(population("auto", size, model)))
        choice = spec.nodes["a"].node.stepped_on(spec.window_ticks)  # type: ignore[attr-defined]
    assert (choice.backend, choice.why) == (on, why)


def test_check_says_what_is_stepped_on_a_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "graph.yaml"
    source = "hum: {source: synthetic, signal: poisson, size: 1, rate: 60 Hz, length: 200 ms}"
    inputs = "inputs: [{from: hum, weights: 1.0}]"
    path.write_text(
        f"spikeflow: 1\nnodes:\n  {source}\n  a: {{neuron: lif, size: 100000, {inputs}}}\n"
        f"  b: {{neuron: lif, size: 10, {inputs}}}\n"
    )
    with stand_in():
        assert check_graphs([path], [], False, "5 s", False, False) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1:] == [
        f'{path}: node "a" is stepped on cuda:0: 100000 neurons take 30 µs a tick on a core, and 6 on a GPU at least'
    ]


def test_what_is_stepped_together_is_on_one_device() -> None:
    nodes = cortex("cuda:0", "cuda:1")
    nodes["first"]["inputs"].append({"from": "second", "delay": "2 ms"})
    nodes["first"]["size"] = 90
    with stand_in(devices=2), pytest.raises(Exception, match="stepped together on cuda:0 and cuda:1"):
        ran(nodes, ["second"])


def test_the_doctor_says_what_there_is_to_step_on() -> None:
    with stand_in(devices=2, memory=3 << 30):
        assert _gpu()["said"] == (
            "cuda:0 to cuda:1, 3.0 of 3.0 GiB free: large populations run there, unless they say device: cpu"
        )
    with stand_in(devices=0):
        assert (_gpu()["state"], _gpu()["said"]) == ("less", "CuPy finds no GPU: populations run on the CPU")


@needs_compiler
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["lif", "lif_mc", "tsodyks_makram", "li"])
def test_a_population_on_a_device_keeps_the_rules(gpu: StandIn, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    holds_to_the_rules(kind, "cuda", monkeypatch)
    assert gpu.counts.launches
