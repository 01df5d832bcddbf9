"""What a good graph file becomes."""

from __future__ import annotations

import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from spikeflow.errors import GraphError
from spikeflow.events import Stream
from spikeflow.spec import GraphSpec, Link, load
from tests.spec.helpers import Delta, Even, Pool, Sensor, Tape

HEAD = "spikeflow: 1\n"
GOOD = """\
spikeflow: 1
params: {tau: 20 ms, size: 4, deep: {gain: 0.5, words: [1, two]}}
time: {dt: 1 ms, window: 10 ms}
nodes:
  sensor: {source: "tests.spec.helpers:Sensor", channels: 4}
  edges: {encoder: "tests.spec.helpers:Delta", input: sensor, threshold: "${params.deep.gain}"}
  a:
    neuron: tests.spec.helpers:Pool
    size: ${params.size}
    tau: ${params.tau}
    inputs:
      - edges
      - {from: a}
      - {from: b, delay: 20 ms}
  b:
    neuron: tests.spec.helpers:Pool
    size: 8
    inputs: [a, a.v]
  rate: {decoder: "tests.spec.helpers:Even", input: b, forget: {on: edges}}
  tape: {sink: "tests.spec.helpers:Tape", input: [rate, b], path: x}
"""


def graph(folder: Path, text: str, **options: Any) -> GraphSpec:
    path = folder / "touch.yaml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return load(path, **options)


def errors(source: Any, **options: Any) -> list[str]:
    with pytest.raises(GraphError) as caught:
        load(source, **options)
    return str(caught.value).splitlines()


def one(folder: Path, fields: str, params: str = "{}", **options: Any) -> Any:
    """The node of a graph that holds nothing but a sensor."""
    text = f"{HEAD}params: {params}\nnodes:\n  sensor: {{source: 'tests.spec.helpers:Sensor', {fields}}}\n"
    return graph(folder, text, **options).nodes["sensor"].node


def test_what_a_file_does_not_say_has_a_default(tmp_path: Path) -> None:
    found = graph(tmp_path, f"{HEAD}nodes: {{sensor: {{source: 'tests.spec.helpers:Sensor'}}}}\n")
    assert (found.name, found.seed, found.dt_ns, found.window_ns) == ("touch", 0, 1_000_000, 10_000_000)
    assert found.folder == tmp_path
    assert found.window_ticks == 10


def test_the_keys_at_the_top_are_read(tmp_path: Path) -> None:
    text = "spikeflow: 1\nname: bearing watch\ntime: {dt: 50 us, window: 2 ms}\nseed: 7\n"
    found = graph(tmp_path, text + "nodes: {sensor: {source: 'tests.spec.helpers:Sensor'}}\n")
    assert (found.name, found.seed, found.dt_ns, found.window_ns) == ("bearing watch", 7, 50_000, 2_000_000)


def test_nodes_come_with_role_kind_place_streams_and_links(tmp_path: Path) -> None:
    found = graph(tmp_path, GOOD)
    assert list(found.nodes) == ["sensor", "edges", "a", "b", "rate", "tape"]
    assert [node.role for node in found.nodes.values()] == ["source", "encoder", "neuron", "neuron", "decoder", "sink"]
    assert [type(node.node) for node in found.nodes.values()] == [Sensor, Delta, Pool, Pool, Even, Tape]
    a = found.nodes["a"]
    assert a.kind == "tests.spec.helpers:Pool"
    assert (a.position.line, a.position.column) == (7, 3) if a.position else False
    assert a.outlets == {"": Stream("a", "spikes", 4), "v": Stream("a.v", "samples", 4)}
    assert a.wanted == {"", "v"}
    assert [stream.name for stream in a.inputs] == ["edges", "a", "b"]
    assert a.links == (
        Link("edges"),
        Link("a", internal=True, on_loop=True, delay_ticks=1),
        Link("b", lag_windows=2, on_loop=True, delay_ticks=20),
    )
    assert found.nodes["b"].links[1] == Link("a", "v", on_loop=True)
    assert found.nodes["b"].links[1].stream == "a.v"
    assert found.blocks == {"a": ("a",)}
    assert a.node.node_name == "a"


def test_forgetting_on_a_node_is_a_link_of_its_own(tmp_path: Path) -> None:
    rate = graph(tmp_path, GOOD).nodes["rate"]
    assert rate.forget_link == Link("edges")
    assert rate.forget_stream == Stream("edges", "spikes", 4)
    assert rate.links == (Link("b"),)


def test_streams_of_two_graphs_do_not_share_their_schemas(tmp_path: Path) -> None:
    found = graph(tmp_path, GOOD).nodes["a"].outlets
    assert found[""]._schemas is not found["v"]._schemas


def test_a_parameter_keeps_its_type_and_is_text_inside_of_text(tmp_path: Path) -> None:
    params = "{n: 3, host: '10.0.0.1', on: true, inner: '${params.host}:1'}"
    assert one(tmp_path, "channels: '${params.n}'", params).channels == 3
    assert one(tmp_path, "url: 'mqtt://${params.host}:${params.n}'", params).url == "mqtt://10.0.0.1:3"
    assert one(tmp_path, "url: 'x${params.on}'", params).url == "xtrue"
    assert one(tmp_path, "url: '${params.inner}'", params).url == "10.0.0.1:1"


def test_parameters_may_name_parameters_and_variables(tmp_path: Path) -> None:
    found = graph(tmp_path, GOOD + "name: ${HOST:-nowhere}\n", env={"HOST": "here"})
    assert found.name == "here"
    assert found.params["deep"] == {"gain": 0.5, "words": [1, "two"]}
    params = "{a: '${params.b}', b: '${params.c.d}', c: {d: '${N:-5}'}}"
    assert one(tmp_path, "channels: '${params.a}'", params, env={}).channels == 5


@pytest.mark.parametrize(
    ("text", "env", "expected"),
    [
        ("${X}", {"X": "set"}, "set"),
        ("${X}", {"X": ""}, ""),
        ("${X:-other}", {}, "other"),
        ("${X:-other}", {"X": ""}, "other"),
        ("${X:-}", {}, ""),
        ("${X:-${Y:-deep}}", {}, "deep"),
        ("${X:-mqtt://127.0.0.1:1883}", {}, "mqtt://127.0.0.1:1883"),
        ("${X:?say it}", {"X": "said"}, "said"),
        ("a${X}b${Y}c", {"X": "1", "Y": "2"}, "a1b2c"),
        ("$${X}", {}, "${X}"),
        ("$.acc", {}, "$.acc"),
        ("${X}", {"X": "0012"}, "0012"),
        ("${X}", {"X": "${Y}"}, "${Y}"),
    ],
)
def test_variables_are_filled_in_as_text(tmp_path: Path, text: str, env: dict[str, str], expected: str) -> None:
    assert one(tmp_path, f"url: '{text}'", env=env).url == expected


def test_set_changes_parameters_and_any_value_of_a_node(tmp_path: Path) -> None:
    changes = {
        "params.size": "16",
        "nodes.edges.threshold": "2.5",
        "nodes.b.inputs.1": "{from: a.v, delay: 3 ms}",
        "nodes.sensor.url": "mqtt://other:1883",
        "time.window": "5 ms",
        "seed": "9",
    }
    found = graph(tmp_path, GOOD, set=changes)
    assert found.nodes["a"].node.size == 16  # type: ignore[attr-defined]
    assert found.nodes["edges"].node.threshold == 2.5  # type: ignore[attr-defined]
    assert found.nodes["b"].links[1].delay_ticks == 3
    assert found.nodes["sensor"].node.url == "mqtt://other:1883"  # type: ignore[attr-defined]
    assert (found.window_ns, found.seed) == (5_000_000, 9)
    assert found.nodes["a"].links[2].lag_windows == 4


def test_set_of_one_node_leaves_the_others_of_its_anchor_alone(tmp_path: Path) -> None:
    text = """\
    spikeflow: 1
    nodes:
      one: &one {source: "tests.spec.helpers:Sensor", channels: 2}
      two: {<<: *one, rate: 5 Hz}
    """
    found = graph(tmp_path, text, set={"nodes.two.channels": "3"})
    assert [node.node.channels for node in found.nodes.values()] == [2, 3]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("params.sise", "3", "--set params.sise=3: there is no params.sise — did you mean 'size'?"),
        ("nodes.tap.x", "3", "--set nodes.tap.x=3: there is no node 'tap' — did you mean 'tape'?"),
        ("node.a.size", "3", "--set node.a.size=3: there is no 'node' — did you mean 'nodes'?"),
        ("nodes", "3", "--set nodes=3: 'nodes' as a whole cannot be set — write --set nodes.name…=value"),
        ("nodes.a.size.x", "3", "--set nodes.a.size.x=3: nodes.a.size is a single value — write --set nodes.a.size=…"),
        ("nodes.a.inputs.7", "b", "--set nodes.a.inputs.7=b: nodes.a.inputs has no entry '7' — its entries are 0 to 2"),
    ],
)
def test_set_of_a_path_that_leads_nowhere_says_so(tmp_path: Path, path: str, value: str, expected: str) -> None:
    (tmp_path / "touch.yaml").write_text(GOOD)
    assert errors(tmp_path / "touch.yaml", set={path: value}) == [expected]


def test_a_wrong_value_of_set_is_reported_where_it_takes_effect(tmp_path: Path) -> None:
    path = tmp_path / "touch.yaml"
    path.write_text(GOOD)
    said = errors(path, set={"nodes.a.size": "0", "nodes.a.sise": "3"})
    assert said == [
        f"{path}:8:5: node \"a\": unknown key 'sise' (from --set nodes.a.sise) — did you mean 'size'?",
        f'{path}:9:11: node "a": size: 0 (from --set nodes.a.size) — must be at least 1',
    ]


def test_a_mapping_is_a_graph_too() -> None:
    nodes = {
        "sensor": {"source": Sensor, "channels": 2},
        "edges": {"encoder": "tests.spec.helpers:Delta", "input": "sensor", "threshold": "${params.t}"},
    }
    found = load({"nodes": nodes, "params": {"t": 0.5}})
    assert found.name == "graph"
    assert found.folder == Path.cwd()
    assert found.nodes["sensor"].kind == "Sensor"
    assert found.nodes["edges"].position is None
    assert found.nodes["edges"].inputs == (Stream("sensor", "samples", 2),)


def test_errors_of_a_mapping_name_the_field_and_keep_its_order() -> None:
    nodes = {
        "b": {"source": "tests.spec.helpers:Sensor", "rate": 20, 3: 4},
        "a": {"encoder": "tests.spec.helpers:Delta", "input": "sensr", "threshold": 0},
    }
    assert errors({"nodes": nodes, "seed": -1}) == [
        "the key 3 is not text — write it as text",
        "node \"b\": rate: 20 has no unit — write '20 Hz'",
        "node \"a\": unknown node 'sensr' — valid: b",
        'node "a": threshold: 0 — must be greater than 0',
        "seed: -1 — must be at least 0",
    ]


def test_a_file_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "touch.yaml").write_text(GOOD)
    assert errors(tmp_path / "tuoch.yaml") == [
        f"there is no graph file '{tmp_path}/tuoch.yaml' — did you mean 'touch.yaml'?"
    ]
    assert errors(tmp_path / "no" / "x.yaml") == [f"there is no graph file '{tmp_path}/no/x.yaml' — check the path"]
    assert errors(tmp_path) == [f"'{tmp_path}' is a folder — name a graph file in it"]


def test_bytes_that_are_no_text_are_pointed_at(tmp_path: Path) -> None:
    path = tmp_path / "touch.yaml"
    path.write_bytes(b"spikeflow: 1\nname: caf\xe9\n")
    assert errors(path) == [f"{path}:2:10: the byte 0xe9 is no UTF-8 — save the file as UTF-8 text"]


def test_a_mark_of_the_byte_order_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "touch.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert list(load(path).nodes) == ["sensor", "edges", "a", "b", "rate", "tape"]


def test_yaml_is_that_of_version_1_2(tmp_path: Path) -> None:
    values = "{yes: yes, no: off, time: 12:30, octal: 0o17, old: 017, hex: 0x1F, big: 1_000, text: !!str 5, none: ~}"
    found = graph(tmp_path, f"{HEAD}params: {values}\nnodes: {{s: {{source: 'tests.spec.helpers:Sensor'}}}}\n").params
    assert found == {
        "yes": "yes",
        "no": "off",
        "time": "12:30",
        "octal": 15,
        "old": 17,
        "hex": 31,
        "big": "1_000",
        "text": "5",
        "none": None,
    }


def test_aliases_that_multiply_without_end_are_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (tmp_path / "touch.yaml").write_text(HEAD + "params:\n  " + "\n  ".join(lines) + "\n")
    (said,) = errors(tmp_path / "touch.yaml")
    assert said.endswith("more than 100000 values — use fewer aliases")


def test_parameters_that_multiply_without_end_are_refused(tmp_path: Path) -> None:
    for start, text in (
        ("[x, x]", "['${{params.a{0}}}', '${{params.a{0}}}']"),
        ("xx", "'${{params.a{0}}}${{params.a{0}}}'"),
    ):
        lines = [f"a0: {start}", *(f"a{n}: {text.format(n - 1)}" for n in range(1, 40))]
        (tmp_path / "touch.yaml").write_text(HEAD + "params:\n  " + "\n  ".join(lines) + "\nnodes: {}\n")
        assert any("refer to fewer parameters" in line for line in errors(tmp_path / "touch.yaml"))


def test_nesting_without_end_is_refused(tmp_path: Path) -> None:
    for depth in (100, 1000, 100_000):  # the parser would take hours for the last one
        (tmp_path / "touch.yaml").write_text("a: " + "[" * depth + "]" * depth)
        assert "touch.yaml:1:68: nested too deeply" in errors(tmp_path / "touch.yaml")[0]


HUGE = "{neuron: lif, size: 1000000000000, inputs: [{from: sensor, weights: 1, connect: {outdegree: 3}}]}"
DENSE = "{neuron: lif, size: 10000000, inputs: [{from: sensor, weights: 1}, {from: big, weights: 0.1}]}"


def test_neurons_and_synapses_that_no_memory_holds_are_refused_at_their_key(tmp_path: Path) -> None:
    head = f"{HEAD}nodes:\n  sensor: {{source: 'tests.spec.helpers:Sensor'}}\n  big: "
    (tmp_path / "touch.yaml").write_text(head + HUGE + "\n")
    (said,) = errors(tmp_path / "touch.yaml")
    assert said.startswith(
        f'{tmp_path}/touch.yaml:4:28: node "big": 1000000000000 neurons, which take 36,000 GB at least'
    )
    assert said.endswith("; take fewer")
    (tmp_path / "touch.yaml").write_text(head + DENSE + "\n")
    (said,) = errors(tmp_path / "touch.yaml")
    assert said.startswith(f'{tmp_path}/touch.yaml:4:96: node "big": 1e+14 synapses, which take 800,000 GB')
    assert said.endswith("; {indegree: k} makes fewer")


@pytest.mark.parametrize(
    ("method", "gives", "said"),
    [
        ("size_out", "a", "gives a stream of the size 'a', which is no whole number — mend the class"),
        ("size_out", None, "gives a stream of the size nothing, which is no whole number — mend the class"),
        ("size_out", 0, "'sensor' has the size 0 — a size is at least 1"),
        ("outlets", None, "gives nothing instead of a stream for each port — mend the class"),
        ("outlets", {"": 3}, "gives 3 instead of a stream — mend the class"),
        ("check", [3], "check of 'Sensor' gave 3, not a problem — mend the class"),
    ],
)
def test_what_a_class_says_of_itself_is_looked_at(
    method: str, gives: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sensor, method, lambda *_: gives)
    (found,) = errors({"nodes": {"sensor": {"source": Sensor}}})
    assert found.startswith('node "sensor": ')
    assert found.endswith(said)


@pytest.mark.parametrize("value", ["true", "false"])
def test_true_is_no_number(tmp_path: Path, value: str) -> None:
    node = f"{{source: 'tests.spec.helpers:Sensor', port: {value}, channels: {value}}}"
    (tmp_path / "touch.yaml").write_text(f"{HEAD}seed: {value}\nnodes:\n  sensor: {node}\n")
    found = errors(tmp_path / "touch.yaml")
    assert found[0].endswith(f"touch.yaml:2:7: {value} is no number — write a number")
    if value == "true":
        assert [line.partition(": ")[2] for line in found[1:]] == [
            'node "sensor": true is no number — write a number',
            'node "sensor": true is no number — write a number',
        ]


def test_a_frequency_that_is_no_number_has_no_unit_to_add(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="nan is not a frequency — write a number and a unit, such as 40 Hz"):
        one(tmp_path, "rate: .nan")


def test_what_may_not_be_meant_is_a_warning(tmp_path: Path) -> None:
    text = GOOD + "  spare: {encoder: 'tests.spec.helpers:Delta', input: sensor, threshold: 1}\n"
    found = graph(tmp_path, text, set={"nodes.a.tau": "1500 us"})
    place = f"{tmp_path}/touch.yaml"
    assert [str(warning) for warning in found.warnings] == [
        f'{place}:10:10: node "a": dt / tau is above 0.5 (from --set nodes.a.tau) — take a smaller dt',
        f'{place}:21:3: node "spare": nobody listens to it — let a node listen to it, or remove it',
    ]


def test_a_graph_says_where_its_monitor_listens(tmp_path: Path) -> None:
    found = graph(tmp_path, GOOD + "monitor: {listen: 0.0.0.0:8420, hosts: [plant.example]}\n").monitor
    assert found is not None
    assert (found.listen, found.hosts) == ("0.0.0.0:8420", ["plant.example"])
    assert graph(tmp_path, GOOD).monitor is None


def test_a_graph_without_sinks_is_for_python_and_warns_of_nothing(tmp_path: Path) -> None:
    text = f"{HEAD}nodes: {{sensor: {{source: 'tests.spec.helpers:Sensor'}}}}\n"
    assert graph(tmp_path, text).warnings == ()


def test_classes_beside_the_graph_file_can_be_named(tmp_path: Path) -> None:
    own = "from tests.spec.helpers import Sensor\nclass Mine(Sensor):\n    size: int = {}\n"
    for folder, size in (("one", 1), ("two", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "beside_the_graph.py").write_text(own.format(size))
        found = graph(tmp_path / folder, f"{HEAD}nodes: {{sensor: {{source: 'beside_the_graph:Mine'}}}}\n")
        assert found.nodes["sensor"].node.size == size  # type: ignore[attr-defined]


def test_the_order_of_nodes_in_the_file_does_not_matter(tmp_path: Path) -> None:
    nodes = {
        "rate": {"decoder": "tests.spec.helpers:Even", "input": "edges"},
        "edges": {"encoder": "tests.spec.helpers:Delta", "input": "sensor", "threshold": 1},
        "sensor": {"source": "tests.spec.helpers:Sensor", "channels": 5},
    }
    assert load({"nodes": nodes}).nodes["rate"].outlets[""].size == 5


def test_a_graph_of_ten_nodes_is_checked_in_a_tenth_of_a_second(tmp_path: Path) -> None:
    pools = "".join(
        f"  p{n}:\n    neuron: tests.spec.helpers:Pool\n    size: 8\n    tau: 20 ms\n    inputs:\n"
        f"      - {{from: {'edges' if n == 0 else f'p{n - 1}'}, weights: {{normal: {{mean: 0.3, std: 0.1}}}}}}\n"
        f"      - {{from: p{n}, delay: 2 ms}}\n"
        for n in range(7)
    )
    text = f"{HEAD}nodes:\n  sensor: {{source: 'tests.spec.helpers:Sensor'}}\n"
    text += "  edges: {encoder: 'tests.spec.helpers:Delta', input: sensor, threshold: 1}\n"
    text += pools + "  tape: {sink: 'tests.spec.helpers:Tape', input: p6, path: x}\n"
    graph(tmp_path, text)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        assert len(graph(tmp_path, text).nodes) == 10
        times.append(time.perf_counter() - start)
    assert min(times) < 0.1


def test_a_stream_whose_neurons_32_bits_do_not_count_is_refused(tmp_path: Path) -> None:
    one_hot = "{encoder: one_hot, input: sensor, classes: 10000000000}"
    text = f"{HEAD}nodes:\n  sensor: {{source: 'tests.spec.helpers:Sensor', channels: 1}}\n  labels: {one_hot}\n"
    (tmp_path / "touch.yaml").write_text(text)
    (said,) = errors(tmp_path / "touch.yaml")
    assert "node \"labels\": 'labels' has the size 10000000000 — an index has 32 bits" in said
