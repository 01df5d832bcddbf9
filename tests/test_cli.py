"""The command line, as a person or a script meets it: words, exit codes, signals, pipes, terminals."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeflow.catalog import formats, rules
from spikeflow.cli import app
from tests.terminals import Terminal

Call = Callable[..., tuple[int, str, str]]
"""Arguments to exit code, standard output and standard error."""

COMMAND = [sys.executable, "-m", "spikeflow"]

GRAPH = """
spikeflow: 1
name: small
nodes:
  noise:
    source: synthetic
    signal: poisson
    size: 8
    rate: 50 Hz
    length: 2 s
  hidden:
    neuron: lif
    size: 4
    inputs: [{from: noise, weights: 0.5}]
"""

ENDLESS = GRAPH.replace("    length: 2 s\n", "")


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """The command in this process, in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            app([*arguments], prog_name="spikeflow")
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def write(text: str, name: str = "small.yaml") -> None:
    Path(name).write_text(text)


def start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """The command as a process of its own."""
    return subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


# Words.

WRONG = {
    "no such file": (("run", "smal.yaml"), "error: there is no graph file 'smal.yaml' — did you mean 'small.yaml'?\n"),
    "no such node": (
        ("run", "small.yaml", "--view", "hiden"),
        "error: --view hiden: there is no such node — did you mean 'hidden'?\n",
    ),
    "a view of samples": (
        ("run", "small.yaml", "--view", "hidden.v"),
        "error: --view hidden.v: it carries samples, not spikes — valid: hidden, noise\n",
    ),
    "no unit": (("run", "small.yaml", "--for", "30"), "error: --for 30: '30' has no unit — write '30 ms' or '30 s'\n"),
    "no time": (
        ("run", "small.yaml", "--for", "0s"),
        "error: --for 0s: it is not above zero — write a time such as 30s\n",
    ),
    "no speed": (
        ("run", "small.yaml", "--speed", "fast"),
        "error: --speed fast: it is no speed — write max, 1, or a number such as 10\n",
    ),
    "a speed too low": (
        ("run", "small.yaml", "--speed", "1e-300"),
        "error: --speed 1e-300: it is too slow — write max, or a number from 0.000001 on\n",
    ),
    "a speed for what never ends": (
        ("run", "endless.yaml", "--speed", "max"),
        "error: speed max and the source 'noise', which does not end by itself — such a source has speed 1\n",
    ),
    "no value": (
        ("run", "small.yaml", "--set", "seed"),
        "error: --set seed: there is no '=' — write --set key=value, such as params.tau=5ms\n",
    ),
    "a value for nothing": (
        ("run", "small.yaml", "--set", "nodes.hiden.size=5"),
        "error: --set nodes.hiden.size=5: there is no node 'hiden' — did you mean 'hidden'?\n",
    ),
    "no kind": (("nodes", "synthetik"), "error: there is no kind 'synthetik' — did you mean 'synthetic'?\n"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_sentence_and_nothing_starts(call: Call, name: str) -> None:
    write(GRAPH)
    write(ENDLESS, "endless.yaml")
    arguments, said = WRONG[name]
    assert call(*arguments) == (2, "", said)


def test_an_unknown_option_is_named_with_the_nearest(call: Call) -> None:
    code, _, said = call("run", "small.yaml", "--fro", "3s")
    assert code == 2
    assert "No such option: --fro" in said
    assert "--for" in said


def test_broken_yaml_has_its_place(call: Call) -> None:
    write("spikeflow: 1\nnodes:\n  noise: {source: synthetic\n", "broken.yaml")
    code, out, said = call("run", "broken.yaml")
    assert (code, out) == (2, "")
    assert said.startswith("broken.yaml:3:")
    assert said.count("\n") == 1


def test_all_errors_of_a_file_come_at_once(call: Call) -> None:
    write(GRAPH.replace("lif", "lfi").replace("from: noise", "from: nois"))
    code, _, said = call("run", "small.yaml")
    assert code == 2
    assert said.splitlines() == [
        "small.yaml:12:13: node \"hidden\": unknown neuron model 'lfi' — did you mean 'lif'?",
        "small.yaml:14:21: node \"hidden\": unknown node 'nois' — did you mean 'noise'?",
        "2 errors; nothing was started",
    ]


def test_an_unreadable_weights_file_is_found_before_anything_starts(call: Call) -> None:
    write(GRAPH.replace("weights: 0.5", "weights: w.npy"))
    Path("w.npy").write_bytes(b"\x93NUMPY\x01\x00garbage")
    code, out, said = call("run", "small.yaml")
    assert (code, out) == (2, "")
    assert "small.yaml:14:" in said
    assert "w.npy" in said
    assert said.count("\n") == 1


def test_weights_of_the_wrong_shape_are_found_before_anything_starts(call: Call) -> None:
    write(GRAPH.replace("weights: 0.5", "weights: w.npy"))
    np.save("w.npy", np.zeros((8, 4)))
    code, _, said = call("run", "small.yaml")
    assert code == 2
    assert "layout: pre_post" in said


def test_a_failing_node_is_named_and_a_traceback_comes_only_with_debug(call: Call) -> None:
    Path("breaking.py").write_text(
        "from spikeflow import Encoder\n"
        "class Breaks(Encoder):\n"
        "    takes = ('spikes',)\n"
        "    def encode(self, samples):\n"
        "        raise RuntimeError('the sky fell')\n"
    )
    write(GRAPH + "  bad: {encoder: 'breaking:Breaks', input: noise}\n")
    code, _, said = call("run", "small.yaml")
    assert (code, said) == (1, 'error: node "bad": RuntimeError: the sky fell\n')


def test_a_full_disk_is_one_sentence(call: Call) -> None:
    write(GRAPH + "  tape: {sink: file, input: noise, path: full.csv}\n")
    Path("full.csv").symlink_to("/dev/full")
    assert call("run", "small.yaml")[::2] == (
        1,
        'error: node "tape": full.csv cannot be written: No space left on device\n',
    )


# What a run says.


def test_a_finished_run_exits_0_and_its_last_line_is_the_report(call: Call) -> None:
    write(GRAPH)
    code, out, said = call("run", "small.yaml")
    assert (code, said) == (0, "")
    report = lines(out)[-1]["report"]
    assert (report["ended"], report["exit_code"], report["error"], report["abandoned"]) == ("ended", 0, None, 0)
    counts = report["nodes"]["noise"]
    assert counts["accepted"] == counts["processed"] == report["nodes"]["hidden"]["events_in"] > 0


def test_every_second_has_a_line_with_each_nodes_figures(call: Call) -> None:
    write(ENDLESS)
    code, out, _ = call("run", "small.yaml", "--for", "2.3s")
    assert code == 0
    *seconds, last = lines(out)
    assert 1 <= len(seconds) <= 3
    assert last["report"]["ended"] == "drained"
    hidden = seconds[-1]["nodes"]["hidden"]
    assert {"role", "kind", "in_per_s", "queue", "capacity", "window_p50_us", "window_p99_us", "lag_ms"} <= set(hidden)
    assert 100 < hidden["in_per_s"] < 1000


def test_a_report_of_a_failed_run_says_so(call: Call) -> None:
    write(GRAPH + "  tape: {sink: file, input: noise, path: full.csv}\n")
    Path("full.csv").symlink_to("/dev/full")
    report = lines(call("run", "small.yaml")[1])[-1]["report"]
    assert (report["ended"], report["exit_code"]) == ("failed", 1)


def test_a_dead_broker_is_given_up_after_the_time_that_was_asked_for(call: Call) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    write(GRAPH + f"  out: {{sink: mqtt, input: hidden, url: 'mqtt://127.0.0.1:{port}', topic: spikes}}\n")
    code, out, said = call("run", "small.yaml", "--connect-timeout", "300ms")
    assert code == 3
    assert said.splitlines()[-1] == (
        'error: node "out": not open after 0.3 s — is the address right, and does something listen there?'
    )
    assert lines(out)[-1]["report"]["exit_code"] == 3


# Signals and pipes.


OUTPUTS = {
    "closed": (">&-", 0, ""),
    "full": (">/dev/full", 1, "error: standard output: No space left on device\n"),
    "all closed": ("<&- >&- 2>&-", 0, ""),
}


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("check small.yaml", "full"),
        ("nodes", "full"),
        ("--help", "full"),
        ("check small.yaml", "closed"),
        ("run small.yaml", "closed"),
        ("run endless.yaml --for 1s", "all closed"),
    ],
)
def test_a_standard_output_that_takes_nothing_is_one_sentence_at_most(
    tmp_path: Path, command: str, output: str
) -> None:
    (tmp_path / "small.yaml").write_text(GRAPH)
    (tmp_path / "endless.yaml").write_text(ENDLESS)
    redirection, code, said = OUTPUTS[output]
    line = f"{sys.executable} -m spikeflow {command} {redirection}"
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", said)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_drains(tmp_path: Path, number: int) -> None:
    (tmp_path / "small.yaml").write_text(ENDLESS)
    with start("run", "small.yaml", cwd=tmp_path) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(number)
        out, said = process.communicate(timeout=60)
    assert "nodes" in json.loads(first)
    assert (process.returncode, "error" in said) == (0, False)
    assert lines(out)[-1]["report"]["ended"] == "drained"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_second_signal_stops_at_once(tmp_path: Path, number: int, code: int) -> None:
    (tmp_path / "stuck.py").write_text(
        "import asyncio\n"
        "from spikeflow import Sink\n"
        "class Stuck(Sink):\n"
        "    async def consume(self, inlet):\n"
        "        async for batch in inlet:\n"
        "            print('stuck', flush=True)\n"
        "            await asyncio.Event().wait()\n"
    )
    (tmp_path / "small.yaml").write_text(ENDLESS + "  out: {sink: 'stuck:Stuck', input: noise}\n")
    with start("run", "small.yaml", cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stuck\n"
        process.send_signal(number)
        while "drains" not in (
            line := process.stderr.readline() if process.stderr else "drains"
        ):  # says it has seen one
            assert line
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode == code


def test_a_reader_that_goes_away_ends_the_run_quietly(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(ENDLESS)
    with start("run", "small.yaml", cwd=tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        process.stdout = None
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "")


# A terminal.


def test_on_a_terminal_there_is_a_view_and_its_table_stays(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(GRAPH)
    with Terminal(["-m", "spikeflow", "run", str(tmp_path / "small.yaml"), "--speed", "10"]) as terminal:
        terminal.until("hidden · 4 neurons")
        assert terminal.end() == 0
    left = terminal.seen[terminal.seen.rindex("\x1b[?1049l") :]
    assert "noise" in left
    assert "100%" in left


def test_a_run_outlives_its_view(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(ENDLESS)
    with Terminal(["-m", "spikeflow", "run", str(tmp_path / "small.yaml")]) as terminal:
        terminal.until("hidden · 4 neurons")
        (view,) = [int(p) for p in children(terminal.process.pid)]
        os.kill(view, signal.SIGKILL)
        terminal.until("the run goes on")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 0
    assert terminal.seen.rindex("\x1b[?1049l") > terminal.seen.rindex("\x1b[?1049h")


def test_a_view_does_not_outlive_its_run(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(ENDLESS)
    with Terminal(["-m", "spikeflow", "run", str(tmp_path / "small.yaml")]) as terminal:
        terminal.until("hidden · 4 neurons")
        terminal.process.kill()
        terminal.end()  # the terminal closes once nobody holds it any more
    assert terminal.seen.rindex("\x1b[?1049l") > terminal.seen.rindex("\x1b[?1049h")


def test_errors_come_after_the_view_is_gone(tmp_path: Path) -> None:
    (tmp_path / "late.py").write_text(
        "from spikeflow import Sink\n"
        "class Late(Sink):\n"
        "    async def consume(self, inlet):\n"
        "        for _ in range(50):\n"
        "            await anext(inlet)\n"
        "        raise RuntimeError('the sky fell')\n"
    )
    (tmp_path / "small.yaml").write_text(ENDLESS + "  out: {sink: 'late:Late', input: noise}\n")
    with Terminal(["-m", "spikeflow", "run", str(tmp_path / "small.yaml")]) as terminal:
        assert terminal.end() == 1
    left = terminal.seen[terminal.seen.rindex("\x1b[?1049l") :]
    assert 'error: node "out": RuntimeError: the sky fell' in left


@pytest.mark.parametrize("arguments", [("--view", "none"), ("--json",)])
def test_without_a_view_a_terminal_gets_json_lines(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "small.yaml").write_text(GRAPH)
    with Terminal(["-m", "spikeflow", "run", str(tmp_path / "small.yaml"), *arguments]) as terminal:
        assert terminal.end() == 0
    assert json.loads(terminal.seen.splitlines()[-1])["report"]["ended"] == "ended"
    assert "\x1b" not in terminal.seen


def children(process: int) -> list[str]:
    return Path(f"/proc/{process}/task/{process}/children").read_text().split()


# The other commands.


def test_check_counts_what_it_finds_and_goes_on(call: Call) -> None:
    write(GRAPH)
    write("spikeflow: 1\n", "empty.yaml")
    code, out, said = call("check", "empty.yaml", "small.yaml")
    assert code == 2
    assert said.splitlines()[-1] == "empty.yaml: 1 error"
    assert out == "small.yaml: 2 nodes, 4 neurons, dt 1 ms, window 10 ms: nothing is wrong\n"


def test_check_as_json_has_places_and_hints(call: Call) -> None:
    write(GRAPH.replace("lif", "lfi"))
    code, out, said = call("check", "--json", "small.yaml")
    (found,) = json.loads(out)
    assert (code, said, found["ok"]) == (2, "", False)
    (error,) = found["errors"]
    assert (error["line"], error["column"], error["node"]) == (12, 13, "hidden")
    assert error["hint"] == "did you mean 'lif'?"


def test_check_as_json_describes_a_good_graph(call: Call) -> None:
    write(GRAPH)
    (found,) = json.loads(call("check", "--json", "small.yaml")[1])
    assert found["nodes"]["hidden"]["inputs"] == ["noise"]
    assert found["nodes"]["hidden"]["outlets"][""] == {"kind": "spikes", "size": 4}


def test_graph_prints_mermaid(call: Call) -> None:
    write(GRAPH)
    code, out, _ = call("graph", "small.yaml")
    assert code == 0
    assert out.startswith("flowchart LR\n")


def test_nodes_lists_every_kind(call: Call) -> None:
    code, out, _ = call("nodes")
    assert code == 0
    for kind in ("synthetic", "level_crossing", "lif_exc_inh", "rate", "file"):
        assert kind in out


def test_nodes_explains_a_kind_from_its_class(call: Call) -> None:
    code, out, _ = call("nodes", "level_crossing")
    assert code == 0
    assert "threshold" in out
    assert "takes samples, gives spikes" in out


def test_nodes_as_json_has_every_key(call: Call) -> None:
    (lif,) = json.loads(call("nodes", "lif", "--json")[1])
    keys = {one["key"]: one for one in lif["keys"]}
    assert keys["size"]["required"]
    assert keys["tau_mem"]["type"] == "time"
    assert all(one["description"] for one in lif["keys"])


@pytest.mark.parametrize(
    ("kind", "needed", "within"),
    [
        ("mqtt", {"url", "topic"}, {"will.topic": "will", "health.topic": "health"}),
        ("population", {"centres", "scale"}, {"scale.track": "scale"}),
        ("struct", {"layout"}, {"time.property": "time"}),
    ],
)
def test_nodes_lists_what_a_mapping_needs_with_the_mapping_and_not_as_what_the_node_needs(
    call: Call, kind: str, needed: set[str], within: dict[str, str]
) -> None:
    found = json.loads(call("nodes", kind, "--json")[1])
    assert found
    for about in found:
        names = [one["key"] for one in about["keys"]]
        required = {one["key"] for one in about["keys"] if one["required"]}
        assert needed <= required and not any("." in key for key in required)
        assert within.items() <= {one["key"]: one.get("required_in") for one in about["keys"]}.items()
        for place, name in enumerate(names):
            if "." in name:
                assert names[place - 1].partition(".")[0] == name.partition(".")[0]  # right behind their mapping
    out = call("nodes", kind)[1]
    assert all(re.search(rf"^{inner} .*required in {outer}\b", out, re.MULTILINE) for inner, outer in within.items())


def test_nodes_prints_the_equations_of_a_model(call: Call) -> None:
    code, out, _ = call("nodes", "lsnn")
    assert code == 0
    for said in (
        "tau_adapt        time",
        "800 s",
        "receptors: i\n",
        "ports: v, i, b\n",
        "Norse 1.1, lsnn_feed_forward_step",
    ):
        assert said in out
    assert "      b = where(spiked, b + beta, b)\n" in out
    assert "presets: biological: tau_mem 20 ms" in call("nodes", "lif")[1]
    assert "input_order: first | last; integrator: euler | exact" in call("nodes", "lif")[1]
    assert "projection" not in call("nodes", "lif")[1].partition("ports: ")[2]
    assert (
        "ports of each projection: w_<name>, post_pre_<name>, correlation_<name>,"
        in call("nodes", "lif_correlation")[1]
    )


def test_nodes_says_brackets_as_they_are_written(call: Call) -> None:
    assert "W, [out, in]: a file as populations load them" in call("nodes", "linear")[1]


def test_nodes_as_json_has_all_that_a_model_says(call: Call) -> None:
    models = json.loads(call("nodes", "neuron", "--json")[1])
    assert {"lif", "li"} <= {one["kind"] for one in models}
    for one in models:
        assert "def update(" in one["equations"], one["kind"]
        assert "@" not in one["equations"] and "fmt" not in one["equations"]
        assert one["receptors"] and one["ports"], one["kind"]
        assert {"options", "presets", "tolerance", "source", "noise", "constants"} <= set(one)


def test_nodes_lists_and_explains_learning_rules(call: Call) -> None:
    listed = call("nodes")[1].partition("\nrule ")[2]
    code, out, _ = call("nodes", "r_stdp")
    assert code == 0
    assert all(kind in listed for kind in rules())
    for said in (
        "rule: r_stdp\n",
        "learn: {r_stdp: {…}, name: …, frozen: …, until: …}\n",
        "tau_e        time            1 s ",
        "kept for each synapse: w, e\n",
        "kept for each presynaptic neuron: t_pre\n",
        "kept for each postsynaptic neuron: t_post, reward\n",
        "ports: w_<name>, e_<name>, t_pre_<name>, t_post_<name>, reward_<name>",
        "receptors: reward",
        "options: integrator: euler | exact\n",
        "      e = e * keep_e + eta_plus * (t_pre * z_post) - eta_minus * (t_post * z_pre)\n",
    ):
        assert said in out
    assert "at most 1e-05 with algorithm: multiplicative_pow" in call("nodes", "stdp")[1]
    assert call("nodes", "sdtp") == (2, "", "error: there is no kind 'sdtp' — did you mean 'stdp'?\n")


def test_nodes_as_json_has_all_that_a_rule_says(call: Call) -> None:
    said = json.loads(call("nodes", "rule", "--json")[1])
    assert [one["kind"] for one in said] == list(rules())
    for one in said:
        assert all(f"def {name}(" in one["equations"] for name in ("trace_pre", "trace_post", "update"))
        assert all(key["description"] for key in one["keys"] + one["beside"])
        assert one["ports"] == one["synapse"] + one["pre"] + one["post"]
        assert {"receptors", "event_driven", "options", "tolerance", "source", "constants"} <= set(one)


def test_nodes_lists_and_explains_the_formats_of_payloads(call: Call) -> None:
    listed = call("nodes")[1].partition("\npayload ")[2]
    assert all(kind in listed for kind in formats())
    code, out, _ = call("nodes", "struct")
    assert code == 0 and "payload: struct\n" in out and re.search(r"layout +text +required", out)
    said = json.loads(call("nodes", "payload", "--json")[1])
    assert [one["kind"] for one in said] == list(formats())
    assert all(key["description"] and key["type"] for one in said for key in one["keys"])


def test_the_schema_is_one(call: Call) -> None:
    schema = json.loads(call("nodes", "--schema")[1])
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert "neuron-lif" in schema["$defs"]


def test_doctor_says_what_is_there(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MQTT_URL", f"mqtt://user:secret@127.0.0.1:{closed.getsockname()[1]}")
    code, out, _ = call("doctor", "--json")
    found = {one["what"]: one for one in json.loads(out)}
    assert {"python", "packages", "machine", "numba", "clock", "loop", "gpu", "broker", "mqtt"} <= set(found)
    assert (code, found["mqtt"]["state"]) == (1, "bad")
    assert "secret" not in out


def test_the_broker_runs_until_a_signal(tmp_path: Path) -> None:
    with start("broker", "--port", "0", cwd=tmp_path) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))):
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
    assert url.startswith("mqtt://127.0.0.1:")
    assert (process.returncode, said) == (0, "")


def test_a_broker_on_a_port_that_is_taken_says_so(call: Call) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, out, said = call("broker", "--port", str(taken.getsockname()[1]))
    assert (code, out) == (3, "")
    assert said.startswith("error: no broker on 127.0.0.1:")


def test_help_is_there_without_the_heavy_imports() -> None:
    found = (
        "import sys, spikeflow.cli; print(sorted({'numpy', 'pyarrow', 'numba', 'pydantic_core'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", found], capture_output=True, text=True, check=True)
    assert said.stdout in {"['pydantic_core']\n", "[]\n"}


def test_the_version_is_printed(call: Call) -> None:
    from spikeflow import __version__

    assert call("--version") == (0, f"spikeflow {__version__}\n", "")
