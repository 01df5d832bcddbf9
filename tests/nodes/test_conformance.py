"""Every kind that comes with spikeflow keeps the rules of its role."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from spikeflow.catalog import kinds, node_class
from spikeflow.events import Stream
from spikeflow.kernels import backends
from spikeflow.node import Node
from spikeflow.nodes.stepped import BACKEND
from spikeflow.testing import check_node
from tests.kernels.catalogue import needed_by
from tests.nodes.conftest import Examples

ROLES = ("source", "encoder", "decoder", "sink")
ELSEWHERE = {
    ("source", "mqtt"): "when its messages come is up to a broker; windows of live sources are held by test_windows",
    ("sink", "mqtt"): "needs a broker, which its own test has",
    ("sink", "mqtt_rejects"): "takes no streams, and needs a broker, which its own test has",
    ("sink", "rejects"): "takes no streams, but what sources could not read, as its own test has it",
}


def examples(role: str, kind: str) -> Examples:
    """What the test of a kind says to try."""
    found: Examples = importlib.import_module(f"tests.nodes.{role}s.test_{kind}").EXAMPLES
    return found


CASES = [
    pytest.param(make, options, id=f"{role}-{kind}-{number}")
    for role in ROLES
    for kind in kinds(role)
    if (role, kind) not in ELSEWHERE
    for number, (make, options) in enumerate(examples(role, kind))
]


@pytest.mark.parametrize(("make", "options"), CASES)
def test_a_kind_keeps_the_rules(make: Callable[[Path], Node], options: dict[str, Any], tmp_path: Path) -> None:
    check_node(partial(make, tmp_path), **options)


FASTEST, *OTHERS = [name for name in ("numba", "numpy") if name in backends()]


@pytest.mark.parametrize("backend", [FASTEST, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
@pytest.mark.parametrize("kind", kinds("neuron"))
def test_a_population_keeps_the_rules(kind: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BACKEND, backend)
    cls: Any = node_class("neuron", kind)
    needed = needed_by(cls.model_class, 4)
    weights = {"normal": {"mean": 0.9, "std": 0.5}}
    inputs: list[dict[str, Any]] = [{"from": "x", "weights": weights, "to": to} for to in cls.model_class.receptors]
    if cls.model_class.spikes:
        inputs.append({"from": "node", "connect": {"probability": 0.5}, "weights": -0.2, "delay": "13 ms"})
    check_node(lambda: cls(size=4, inputs=inputs, **needed), [Stream("", "spikes", 3)], ticks=130)
    held = [{**one, "hold": "last"} if one["from"] == "x" else one for one in inputs]
    check_node(lambda: cls(size=4, inputs=held, **needed), [Stream("", "samples", 3)], ticks=130, events=60)
