"""The JSON Schema for editors."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from spikeflow.catalog import ROLES, kinds
from spikeflow.spec import schema
from tests.spec.json_schema import fits

GRAPHS = sorted((Path(__file__).parents[2] / "graphs").glob("*.yaml"))


@pytest.fixture(scope="module")
def top() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return schema()


def graph(**nodes: Any) -> dict[str, Any]:
    return {"spikeflow": 1, "nodes": nodes}


def walk(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(child)


def test_it_is_json_and_every_reference_leads_somewhere(top: dict[str, Any]) -> None:
    assert json.loads(json.dumps(top)) == top
    for part in walk(top):
        if "$ref" in part:
            assert part["$ref"].removeprefix("#/$defs/") in top["$defs"]


def test_every_kind_is_there_with_what_its_class_says(top: dict[str, Any]) -> None:
    for role in ROLES:
        for kind in kinds(role):
            entry = top["$defs"][f"{role}-{kind}"]
            assert entry["description"]
            assert entry["properties"][role]["const"] == kind
            for name, field in entry["properties"].items():
                assert field.get("description"), f"{role} {kind}: {name}"


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_every_example_graph_fits(path: Path, top: dict[str, Any]) -> None:
    assert fits(YAML(typ="safe", pure=True).load(path), top, top)


def test_a_graph_with_every_form_of_input_fits(top: dict[str, Any]) -> None:
    nodes = graph(
        sensor={"source": "synthetic", "signal": "sine"},
        edges={"encoder": "level_crossing", "input": "sensor", "threshold": "${params.t}"},
        hidden={
            "neuron": "lif",
            "size": "${N:-5}",
            "tau_mem": "20 ms",
            "inputs": [
                "edges",
                {"from": "edges", "connect": {"probability": 0.2}, "weights": {"normal": {"mean": 0.3, "std": 0.1}}},
                {"from": "hidden", "delay": "2 ms", "weights": "w.npz"},
                {"from": "edges", "learn": "stdp"},
                {"from": "edges", "learn": {"stdp": None, "frozen": True}},
                {"from": "edges", "learn": {"stdp": {"tau_pre": "20 ms", "w_max": "${params.t}"}, "until": "10 s"}},
            ],
        },
        own={"decoder": "my_module:MyDecoder", "input": "hidden", "anything": 3},
    )
    assert fits(nodes | {"params": {"t": 0.1}, "time": {"dt": "1 ms"}}, top, top)


@pytest.mark.parametrize(
    "node",
    [
        {"encoder": "level_crossing", "input": "sensor", "threshold": "high"},
        {"encoder": "level_crossing", "input": "sensor", "threshold": 1, "treshold": 1},
        {"encoder": "level_crossing", "input": "sensor", "threshold": 0},
        {"encoder": "level_crosing", "input": "sensor", "threshold": 1},
        {"neuron": "lif", "size": 0, "input": "x"},
        {"neuron": "lif", "size": 3, "input": 4},
        {"neuron": "lif", "size": 3, "input": {"from": "x", "learn": "sdtp"}},
        {"neuron": "lif", "size": 3, "input": {"from": "x", "learn": {"stdp": {"eta_plu": 1}}}},
        {"source": "synthetic", "signal": "sine", "input": "x"},
        {"size": 3},
        "mqtt",
    ],
)
def test_what_check_refuses_does_not_fit(node: Any, top: dict[str, Any]) -> None:
    assert not fits(graph(x=node), top, top)


PAYLOADS_THAT_FIT: list[Any] = [
    {},
    {"value": "$.acc", "time": {"property": "ts"}, "time_unit": "ms"},
    {"format": "csv", "value": [1, 2], "delimiter": "${params.t}", "compression": "gzip"},
    {"format": "struct", "layout": "<Qf", "max_size": 100},
    {"format": "my_module:MyFormat", "anything": 3},
]


@pytest.mark.parametrize("payload", PAYLOADS_THAT_FIT)
def test_payloads_of_every_format_fit(payload: Any, top: dict[str, Any]) -> None:
    node = {"source": "mqtt", "url": "embedded", "topic": "x", "channels": 3, "payload": payload}
    assert fits(graph(x=node), top, top)


@pytest.mark.parametrize(
    "payload",
    [
        {"format": "jsn"},
        {"valu": "$.acc"},
        {"format": "raw", "value": "$.acc"},
        {"format": "struct"},
        {"format": "csv", "value": "$.acc"},
        {"time": {"propery": "ts"}},
        "json",
    ],
)
def test_payloads_that_check_refuses_do_not_fit(payload: Any, top: dict[str, Any]) -> None:
    node = {"source": "mqtt", "url": "embedded", "topic": "x", "channels": 3, "payload": payload}
    assert not fits(graph(x=node), top, top)


def test_keys_and_names_that_check_refuses_do_not_fit(top: dict[str, Any]) -> None:
    good = {"source": "synthetic", "signal": "sine"}
    assert fits(graph(x=good), top, top)
    assert not fits(graph(X=good), top, top)
    assert not fits(graph(x=good) | {"nodez": 1}, top, top)
    assert not fits({"nodes": {"x": good}}, top, top)
    assert not fits(graph(), top, top)
