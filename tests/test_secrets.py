"""Passwords: where they may come from, and that nothing that a run prints or writes has them in it."""

from __future__ import annotations

import json
import traceback
from pathlib import Path

import pytest
from pydantic import ValidationError

import spikeflow
from spikeflow.errors import GraphError
from spikeflow.nodes.sources.mqtt import Mqtt
from spikeflow.secret import Secret
from spikeflow.spec import schema
from spikeflow.spec.mermaid import to_mermaid
from tests.brokers import running_mosquitto
from tests.commands import Running
from tests.test_cli import Call, call

__all__ = ["call"]

MARK = "xyzzy-plugh"

GRAPH = """
spikeflow: 1
params: {broker: "mqtt://me:${PASSWORD}@%s"}
nodes:
  sensor:
    source: mqtt
    url: ${params.broker}
    topic: in
    channels: 1
    qos: 1
    health: {topic: "health/{node}", every: 100 ms}
  alarm:
    sink: mqtt
    input: sensor
    url: ${MQTT_URL}
    topic: out
    will: {topic: gone}
    outbox: {path: alarm.db}
  other:
    sink: mqtt
    input: sensor
    url: mqtt://%s
    username: me
    password: {file: password}
    topic: out
  tape: {sink: file, input: sensor, path: tape.arrow}
"""

SOURCE = "spikeflow: 1\nnodes:\n  sensor:\n    source: mqtt\n    topic: in\n    channels: 1\n    "


def refused(text: str, **env: str) -> list[str]:
    """What is said of a graph that cannot start."""
    path = Path("graph.yaml")
    path.write_text(SOURCE + text)
    with pytest.raises(GraphError) as error:
        spikeflow.load(path, env=env)
    return str(error.value).splitlines()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_password_that_is_written_out_is_refused_with_what_would_work() -> None:
    found = refused(f"url: mqtt://broker\n    username: me\n    password: {MARK}")
    assert found == [
        'graph.yaml:9:15: node "sensor": password is written out, where everybody can read it'
        " — write ${MQTT_PASSWORD}, or {file: password.txt}"
    ]
    found = refused(f"url: mqtts://me:{MARK}@broker")
    assert found == [
        "graph.yaml:7:10: node \"sensor\": 'mqtts://…@broker' has its password written out, where everybody can read it"
        " — write mqtt://user:${MQTT_PASSWORD}@host, or password: {file: password.txt}"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "url: mqtt://b\n    username: me\n    password: ${PASSWORD:-%s}",
        "url: mqtt://b\n    username: me\n    password: 7%s7",
        "url: mqtt://b\n    username: me\n    password: [%s]",
        "url: mqtt://b\n    username: me\n    password: {text: %s}",
        "url: mqtt://me:%s@${HOST}",
        "url: mqtt://me:%s@${HOST}:77777",
        "url: [mqtt://a, 'mqtt://me:%s@b']",
        "url: mqtt://a,mqtt://me:%s@b",
        "url: me:%s@broker",
        "url: mqtt://me:%s#x@broker",
        "url: ${MQTT_URL:-mqtt://me:%s@b}",
        "url: wss://me:%s@b/mqtt",
    ],
)
def test_no_way_to_write_a_password_out_is_taken_and_none_shows_it(text: str) -> None:
    found = refused(text % MARK, HOST="broker")
    assert MARK not in "".join(found)
    assert len(found) == 1


@pytest.mark.parametrize(
    "url",
    [
        "ftp://me:%s@b",
        "mqtt://me:%s@b:port",
        "mqtt://me:%s/x@b",
        "mqtt://me:%s#x@b",
        "mqtt://me:1%s@[b",
        "me:%s@b",
        "mqtt://a,mqtt://me:%s@b:0x",
        "mqtt://me:%s@b/topic",
    ],
)
def test_an_address_of_a_variable_that_is_wrong_is_told_without_its_password(url: str) -> None:
    found = refused("url: ${MQTT_URL}", MQTT_URL=url % MARK)
    assert MARK not in "".join(found)
    with pytest.raises(ValidationError) as error:
        Mqtt(url=url % MARK, topic="x", channels=1)
    assert MARK not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize(
    ("text", "env"),
    [
        ("url: ${MQTT_URL}", {"MQTT_URL": f"mqtt://me:{MARK}@b"}),
        ("url: ${MQTT_URL:-mqtt://b}", {"MQTT_URL": f"mqtt://me:{MARK}@b"}),
        ("url: mqtt://me:${SECRET}@b", {"SECRET": MARK}),
        ("url: mqtt://me:${SECRET}@${HOST}:1884", {"SECRET": MARK, "HOST": "b"}),
        ("url: mqtt://${LOGIN}@b", {"LOGIN": f"me:{MARK}"}),
        ("url: mqtt://b\n    username: me\n    password: ${SECRET}", {"SECRET": MARK}),
        ("url: mqtt://b\n    username: me\n    password: ${FIRST:-${SECRET}}", {"SECRET": MARK}),
        ("url: ${params.at}\nparams: {at: 'mqtt://me:${SECRET}@b'}", {"SECRET": MARK}),
    ],
)
def test_a_password_of_a_variable_is_taken(text: str, env: dict[str, str]) -> None:
    Path("graph.yaml").write_text(SOURCE + text)
    node = spikeflow.load("graph.yaml", env=env).nodes["sensor"].node
    assert isinstance(node, Mqtt)
    assert (node.password or node.url[0].password) == Secret(MARK)
    assert MARK not in f"{node} {node!r} {node.url}"


def test_the_file_of_a_password_is_looked_at_before_a_run_and_read_at_each_connection() -> None:
    text = "url: mqtt://b\n    username: me\n    password: {file: password}"
    found = refused(text)
    assert found[0].startswith('graph.yaml:9:15: node "sensor": the file ')
    assert "password cannot be read: No such file or directory" in found[0]
    Path("password").write_bytes(b"")
    assert "is empty" in refused(text)[0]
    Path("password").write_text(f"{MARK}\n")
    node = spikeflow.load("graph.yaml").nodes["sensor"].node
    assert isinstance(node, Mqtt) and node.password is not None
    assert node.password.reveal() == MARK
    Path("password").write_text("another")
    assert node.password.reveal() == "another"


@pytest.mark.parametrize(
    "url", ["mqtt://me:%s@127.0.0.1:1", "mqtt://me:1%s#x@b", "me:%s@b:x", "ws://me:%s@127.0.0.1:1/x"]
)
def test_the_doctor_says_nothing_of_the_password_of_the_broker(
    call: Call, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("MQTT_URL", url % MARK)
    code, out, err = call("doctor")
    assert code == 1
    assert "BAD" in out
    assert MARK not in out + err and "Traceback" not in err


def test_nothing_that_a_run_prints_or_writes_has_the_password_in_it(call: Call, folder: Path) -> None:
    home = folder / "broker"
    home.mkdir()
    with running_mosquitto(home, {"me": MARK}) as broker:
        at = f"{broker.host}:{broker.port}"
        Path("graph.yaml").write_text(GRAPH % (at, at))
        Path("password").write_text(MARK)
        env = {"PASSWORD": MARK, "MQTT_URL": f"mqtt://me:{MARK}@{at}"}
        with Running(folder, "graph.yaml", "--debug", **env) as command:
            command.shows(lambda nodes: all(nodes[name]["connection"]["connected"] for name in ("sensor", "alarm")))
            broker.kill()
            command.says("lost ", 3)
            command.shows(lambda nodes: not nodes["sensor"]["connection"]["connected"])
            broker.start()
            command.says("back on ", 3)
            command.process.terminate()
            command.end()
        wrong = {"PASSWORD": MARK + "1", "MQTT_URL": f"mqtt://me:{MARK}2@{at}"}
        with Running(folder, "graph.yaml", "--debug", **wrong) as again:
            assert again.end() != 0
        assert any("Traceback" in line for line in again.said)
        told = [*command.said, *map(str, command.lines), *again.said, *map(str, again.lines), *broker.log]
        spec = spikeflow.load("graph.yaml", env=env)
        told += [
            repr(spec),
            str(spec),
            to_mermaid(spec),
            json.dumps(spec.nodes["sensor"].node.model_dump(), default=str),
        ]
        told += [json.dumps(schema())]
        for line in told:
            assert MARK not in line
        written = [path for path in folder.rglob("*") if path.is_file() and path.name != "password"]
        assert {"tape.arrow", "alarm.db"} <= {path.name for path in written}
        for path in written:
            assert MARK.encode() not in path.read_bytes(), path
        for words in (["check", "--json"], ["check", "--connect", "--json"], ["graph"]):
            with pytest.MonkeyPatch.context() as patch:
                for name, value in env.items():
                    patch.setenv(name, value)
                code, out, err = call(*words, "graph.yaml")
            assert MARK not in out + err, words
            assert code in (0, 3), (words, err)
