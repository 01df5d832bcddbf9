"""`spikeflow check --connect`: every connection is opened and closed again, and nothing is left of it."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

from tests.test_cli import GRAPH, Call, call, write

__all__ = ["call"]

NODES = """
  sensor: {source: mqtt, url: '%s', topic: x, channels: 1}
  alarm: {sink: mqtt, url: '%s', topic: y, input: sensor}
  tape: {sink: file, path: old.csv, input: hidden}
  folder: {sink: file, path: 'runs/{name}', input: [hidden, noise]}
"""


def test_check_connect_opens_every_connection_and_leaves_no_trace(call: Call) -> None:
    write(GRAPH + NODES % ("embedded", "embedded") + "  old: {source: file, path: events.csv, size: 4}\n")
    write("precious\n", "old.csv")
    write("t,neuron\n0,1\n", "events.csv")
    code, out, said = call("check", "--connect", "small.yaml")
    assert code == 0, said
    opened = [re.sub(r"in [0-9.e+]+ ms", "in 0 ms", line.split(": ", 1)[1]) for line in out.splitlines()]
    assert opened == [
        "7 nodes, 4 neurons, dt 1 ms, window 10 ms: nothing is wrong",
        'node "sensor": embedded opened in 0 ms',
        'node "alarm": embedded opened in 0 ms',
        'node "tape": old.csv opened in 0 ms',
        'node "folder": runs/small opened in 0 ms',
        'node "old": events.csv opened in 0 ms',
    ]
    assert Path("old.csv").read_text() == "precious\n"
    assert sorted(path.name for path in Path().iterdir()) == ["events.csv", "old.csv", "small.yaml"]


def test_check_connect_says_what_cannot_be_opened_and_ends_with_3(call: Call) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"mqtt://127.0.0.1:{taken.getsockname()[1]}"
        write(GRAPH + NODES % (url, "embedded"))
        Path("old.csv").mkdir()
        code, out, said = call("check", "--connect", "small.yaml")
    assert code == 3
    assert [line.split(": ", 1)[1] for line in said.splitlines()] == [
        f'node "sensor": {url}: Connection refused — is the address right, and does something listen there?',
        'node "tape": old.csv cannot be written: it is a folder',
    ]
    assert said.startswith("small.yaml:16:3: ")
    assert 'node "alarm": embedded opened' in out


def test_check_connect_gives_a_silent_server_up_in_time(call: Call) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"mqtt://127.0.0.1:{silent.getsockname()[1]}"
        write(GRAPH + NODES % (url, "embedded"))
        code, out, said = call("check", "--connect", "--connect-timeout", "200ms", "--json", "small.yaml")
    assert (code, said) == (3, "")
    sensor, *others = json.loads(out)[0]["connections"]
    assert sensor["seconds"] >= 0.2
    assert sensor["error"] == "no answer in 0.2 s — is the address right, and does something listen there?"
    assert (sensor["node"], sensor["ok"], sensor["to"]) == ("sensor", False, None)
    assert [(one["node"], one["ok"], one["error"]) for one in others] == [
        ("alarm", True, None),
        ("tape", True, None),
        ("folder", True, None),
    ]


def test_check_connect_of_a_graph_without_connections_says_so(call: Call) -> None:
    write(GRAPH)
    code, out, _ = call("check", "--connect", "small.yaml")
    assert (code, out.splitlines()[-1]) == (0, "small.yaml: no node connects to anything")


OPENING = """
from spikeflow.node import Source

class Device(Source):
    gives = ("samples",)
    opens = True

    def size_out(self, inputs):
        return 1

    async def produce(self, outlet):
        outlet.opened()

class Broken(Device):
    async def probe(self, context):
        raise KeyError("port")
"""


def test_check_connect_says_which_connections_it_cannot_try(call: Call) -> None:
    write(OPENING, "own.py")
    write("spikeflow: 1\nnodes:\n  a: {source: 'own:Device'}\n  b: {source: 'own:Broken'}\n")
    code, out, said = call("check", "--connect", "small.yaml")
    assert code == 3
    assert out.splitlines()[-1] == "small.yaml:3:3: node \"a\": not tried; its class has no 'probe'"
    assert said.splitlines()[-1] == "small.yaml:4:3: node \"b\": KeyError: 'port'"
    assert json.loads(call("check", "--connect", "--json", "small.yaml")[1])[0]["connections"][0]["ok"] is None
