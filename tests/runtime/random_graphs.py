"""Random graphs for tests: diamonds, delays, blocks, loops, unequal ends, ports, encoders."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import uvloop
from hypothesis import strategies as st

import spikeflow
from spikeflow.nodes.stepped import BACKEND
from spikeflow.runtime.engine import Engine, Options
from tests.runtime.nodes import Collect, collected_by, graph

WINDOWS = ("1 ms", "7 ms", "10 ms", "100 ms")

RULES: list[dict[str, Any]] = [
    {"stdp": {"eta_plus": 0.3, "eta_minus": 0.2, "w_min": -1, "w_max": 2, "integrator": "exact"}},
    {"r_stdp": {"eta": 0.05, "w_min": -1, "w_max": 2, "tau_e": "30 ms"}, "until": "90 ms"},
]

Streams = dict[str, list[tuple[float, int, float]]]


def collected(nodes: dict[str, Any], *, window: str, backend: str, capacity: int = 16, fast: bool = False) -> Streams:
    """What a graph gives on every outlet: (t in ms, index, value)."""
    taken = list(nodes)
    ports = [f"{name}.v" for name, node in nodes.items() if node.get("neuron") in ("lif", "lif_exc_inh")]
    ports += [f"{name}.{port}" for name, node in nodes.items() for port in node.get("record", {})]
    everything = {**nodes, "out": {"sink": Collect, "input": taken + ports}}
    before = os.environ.get(BACKEND)
    os.environ[BACKEND] = backend
    try:
        spec = spikeflow.load(graph(everything, time={"window": window}, seed=3))
        factory = uvloop.new_event_loop if fast else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            report = runner.run(Engine(spec, Options(capacity=capacity)).run())
    finally:
        os.environ.pop(BACKEND) if before is None else os.environ.__setitem__(BACKEND, before)
    assert report.ended == "ended"
    found: Streams = collected_by(spec)
    if not any(node.lag_windows for one in spec.nodes.values() for node in one.links):
        found["pending"] = [(0.0, 0, float(report.pending))]
    return found


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Any]:
    """Nodes of a graph in which nothing is wrong, for windows of up to 100 ms."""
    nodes: dict[str, Any] = {}
    streams: list[tuple[str, str, int]] = []  # name, kind, size

    def add(name: str, kind: str, size: int, node: dict[str, Any]) -> None:
        nodes[name] = node
        streams.append((name, kind, size))

    for k in range(draw(st.integers(1, 3))):
        length = f"{draw(st.integers(1, 260))} ms"
        size = draw(st.integers(1, 6))
        if draw(st.booleans()):
            rate = f"{draw(st.sampled_from([20, 100, 400]))} Hz"
            add(
                f"s{k}",
                "spikes",
                size,
                {"source": "synthetic", "signal": "poisson", "size": size, "rate": rate, "length": length},
            )
        else:
            rate = f"{draw(st.sampled_from([70, 500, 2500]))} Hz"
            signal = draw(st.sampled_from(["sine", "noise", "pulse"]))
            node = {"source": "synthetic", "signal": signal, "channels": size, "rate": rate, "length": length}
            add(f"s{k}", "samples", size, node)
    for k in range(draw(st.integers(0, 2))):
        source, _, size = draw(st.sampled_from([s for s in streams if s[1] == "samples"] or [("", "", 0)]))
        if source:
            forget = draw(st.sampled_from([None, {"every": "33 ms"}, {"on": "s0"}]))
            node = draw(st.sampled_from([
                {"encoder": "level_crossing", "threshold": 0.3}, {"encoder": "poisson", "f_max": "300 Hz"},
            ]))  # fmt: skip
            add(f"e{k}", "spikes", size, {**node, "input": source, **({"forget": forget} if forget else {})})
    populations = [f"p{k}" for k in range(draw(st.integers(1, 4)))]
    sizes = {name: draw(st.sampled_from([1, 3, 70])) for name in populations}
    models = {name: draw(st.sampled_from(["lif", "lif", "lif_exc_inh", "li"])) for name in populations}
    for name in populations:
        # a loop through samples is no block, so none leads back over a population that gives them
        later = [p for p in populations if p >= name and all(models[q] != "li" for q in models if name <= q <= p)]
        fitting = streams + [(p, "spikes", sizes[p]) for p in later]
        inputs: list[dict[str, Any]] = []
        for source, kind, _ in draw(st.lists(st.sampled_from(fitting), min_size=1, max_size=3)):
            own = {"from": source, "weights": {"normal": {"mean": 0.6, "std": 0.5}}}
            least = 1 if source.startswith("p") and source >= name else 0
            delay = draw(st.sampled_from([d for d in (0, 1, 3, 40, 130) if d >= least]))
            own["delay"] = f"{delay} ms"
            own["connect"] = draw(st.sampled_from(["all", {"probability": 0.4}, {"indegree": 2}, {"outdegree": 3}]))
            if models[name] == "lif_exc_inh":
                own["to"] = draw(st.sampled_from(["exc", "inh"]))
            if kind == "samples" and draw(st.booleans()):
                own["hold"] = "last"
            if models[name] == "lif" and draw(st.integers(0, 2)) == 0:
                own["learn"] = {"name": f"n{len(inputs)}", **draw(st.sampled_from(RULES))}
            inputs.append(own)
        learning = [one for one in inputs if "learn" in one]
        if any("r_stdp" in one["learn"] for one in learning):
            inputs.append({"from": "s0", "to": "reward", "weights": {"normal": {"mean": 0.0, "std": 1.0}}})
        if all(i["from"].startswith("p") and i["from"] >= name for i in inputs):
            inputs.append({"from": "s0", "weights": 0.9})
        node = {"neuron": models[name], "size": sizes[name], "inputs": inputs}
        if learning:
            node["record"] = {f"w_{one['learn']['name']}": {"every": "13 ms"} for one in learning}
        if models[name] == "lif" and draw(st.booleans()):  # few variants, because each set of them is compiled once
            node |= {"refractory": 2.5, "input_order": "last"}
        if draw(st.integers(0, 4)) == 0:
            node["forget"] = {"every": f"{draw(st.integers(5, 60))} ms"}
        add(name, "samples" if models[name] == "li" else "spikes", sizes[name], node)
    for k in range(draw(st.integers(0, 2))):
        source, _, size = draw(st.sampled_from([s for s in streams if s[1] == "spikes"] or [("", "", 0)]))
        if source:
            add(
                f"d{k}",
                "samples",
                size,
                {"decoder": "rate", "input": source, "over": draw(st.sampled_from(["30 ms", "45 ms"]))},
            )
    if "d0" in nodes and draw(st.booleans()):  # a loop through another node, a hundred ticks and more behind
        nodes[populations[0]]["inputs"].append(
            {"from": "d0", "weights": 0.01, "delay": f"{draw(st.integers(100, 120))} ms"}
        )
    return nodes
