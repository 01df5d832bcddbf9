"""Graphs as pictures."""

from __future__ import annotations

import pytest

from spikeflow.spec import load, to_mermaid


def test_roles_ports_delays_blocks_and_loops_are_drawn() -> None:
    pool = {"neuron": "tests.spec.helpers:Pool", "size": 8}
    nodes = {
        "sensor": {"source": "tests.spec.helpers:Sensor", "channels": 2},
        "edges": {"encoder": "tests.spec.helpers:Delta", "input": "sensor", "threshold": 1},
        "a": {**pool, "inputs": ["edges", {"from": "b", "delay": "2 ms"}]},
        "b": {**pool, "inputs": ["a", {"from": "end", "delay": "25 ms"}]},
        "end": {**pool, "inputs": ["b.v", {"from": "end", "delay": "10 ms"}]},
        "rate": {"decoder": "tests.spec.helpers:Even", "input": "end", "forget": {"on": "edges"}},
        "tape": {"sink": "tests.spec.helpers:Tape", "input": ["rate", "a"], "path": "x"},
    }
    drawn = to_mermaid(load({"nodes": nodes})).splitlines()
    assert drawn[0] == "flowchart LR"
    assert [line.strip() for line in drawn[1:] if "classDef" not in line] == [
        'sensor(["sensor<br/>Sensor × 2"]):::source',
        'edges[/"edges<br/>Delta × 2"/]:::encoder',
        'end_(("end<br/>Pool × 8")):::neuron',
        'rate[\\"rate<br/>Even × 8"\\]:::decoder',
        'tape[["tape<br/>Tape"]]:::sink',
        'subgraph block_a_b["block a+b"]',
        'a(("a<br/>Pool × 8")):::neuron',
        'b(("b<br/>Pool × 8")):::neuron',
        "end",
        "sensor --> edges",
        "edges --> a",
        'b -->|"2 ms"| a',
        "a --> b",
        'end_ ==>|"25 ms, 2 windows late"| b',
        'b -->|"v"| end_',
        'end_ ==>|"10 ms, 1 window late"| end_',
        "end_ --> rate",
        'edges -. "forget" .-> rate',
        "rate --> tape",
        "a --> tape",
    ]
    assert sum("classDef" in line for line in drawn) == 5


@pytest.mark.parametrize("kind", ["lif", "li"])
def test_a_name_of_a_kind_is_text(kind: str) -> None:
    nodes = {
        "sensor": {"source": "tests.spec.helpers:Sensor"},
        "x": {"neuron": kind, "size": 1, "input": "sensor"},
    }
    assert f'x(("x<br/>{kind} × 1")):::neuron' in to_mermaid(load({"nodes": nodes}))
