"""Bad input, as a new user meets it: one clear sentence each, an exit code, and counters that add up."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import numpy as np
import pyarrow as pa
import pytest

from tests.brokers import Mosquitto, flood, mosquitto
from tests.commands import Running, accounted

__all__ = ["mosquitto"]

GRAPH = """\
spikeflow: 1
nodes:
  noise: {source: synthetic, signal: poisson, size: 8, rate: 50 Hz, length: 1 s}
  hidden:
    neuron: lif
    size: 4
    inputs: [{from: noise, weights: 0.5}]
"""

REPLAY = """\
spikeflow: 1
nodes:
  recorded: {source: file, path: touhc.csv, size: 4}
  tape: {sink: file, input: recorded, path: out.arrow}
"""


def run(folder: Path, text: str, *arguments: str, shell: str = "") -> tuple[int, list[str], dict[str, Any]]:
    """The exit code of a graph, the lines it says, and its report where it began."""
    (folder / "graph.yaml").write_text(text)
    command = [sys.executable, "-m", "spikeflow", "run", "graph.yaml", *arguments]
    if shell:
        command = ["sh", "-c", f'{shell}; exec "$@"', "sh", *command]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    lines = done.stdout.splitlines()
    return done.returncode, done.stderr.splitlines(), json.loads(lines[-1])["report"] if lines else {}


# Found before anything starts.


def test_broken_yaml_is_told_with_its_place(tmp_path: Path) -> None:
    code, said, _ = run(tmp_path, "spikeflow: 1\nnodes:\n  noise: {source: synthetic\n")
    assert said == ["graph.yaml:3:10: a '{' that is not closed, or a ',' that is missing — close it with '}'"]
    assert code == 2


def test_a_missing_file_is_told_at_its_path_with_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "touch.csv").write_text("t,channel,value\n0,0,1\n")
    code, said, _ = run(tmp_path, REPLAY)
    place = 'graph.yaml:3:34: node "recorded": '
    assert said == [f"{place}there is no file touhc.csv — did you mean 'touch.csv'?"]
    assert code == 2
    _, said, _ = run(tmp_path, REPLAY.replace("touhc.csv", "in/touch.csv"))
    assert said == [f"{place}there is no file in/touch.csv — the folder in does not exist"]
    (tmp_path / "touch.csv").write_bytes(b"t,channel,value\n0,0,\xff\xfe\n")
    code, said, _ = run(tmp_path, REPLAY.replace("touhc.csv", "touch.csv"))
    assert code == 2
    assert len(said) == 1
    assert said[0].startswith(f"{place}touch.csv cannot be read: ")


def whole() -> bytes:
    """A file of weights."""
    with io.BytesIO() as file:
        np.save(file, np.ones((4, 8)))
        return file.getvalue()


WEIGHTS = {
    b"\x93NUMPY\x01\x00garbage": "'w.npy' is no whole .npy file — write it with numpy.save, numpy.savez or "
    "scipy.sparse.save_npz",
    b"": "'w.npy' is no whole .npy file — write it with numpy.save, numpy.savez or scipy.sparse.save_npz",
    whole()[:-8]: "'w.npy' is no whole .npy file — write weights with numpy.save",
    None: "there is no file 'w.npy' — did you mean 'v.npy'?",
}


@pytest.mark.parametrize("content", WEIGHTS)
def test_an_unreadable_weights_file_is_told_at_its_key(tmp_path: Path, content: bytes | None) -> None:
    (tmp_path / "v.npy").write_bytes(b"")
    if content is not None:
        (tmp_path / "w.npy").write_bytes(content)
    code, said, _ = run(tmp_path, GRAPH.replace("0.5", "w.npy"))
    assert said == [f'graph.yaml:7:37: node "hidden": {WEIGHTS[content]}']
    assert code == 2


def test_numbers_may_come_from_the_environment_wherever_a_file_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("N", "3")
    text = GRAPH.replace("0.5", '"${W:-0.5}"').replace("size: 4", 'size: 4\n    v_th: "${V:-1}"\n    refractory: ${N}')
    code, said, report = run(tmp_path, text + '    record: {v: {neurons: "${N}"}}\n    initial: {v: "${V:-1e-3}"}\n')
    assert (code, said, report["ended"]) == (0, [], "ended")


# Found on the way.


@pytest.mark.parametrize("ending", ["arrow", "arrows", "parquet", "csv"])
def test_a_full_disk_is_one_sentence_and_counts_what_is_lost(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"full.{ending}").symlink_to("/dev/full")
    code, said, report = run(tmp_path, GRAPH + f"  tape: {{sink: file, input: noise, path: full.{ending}}}\n")
    assert said == [f'error: node "tape": full.{ending} cannot be written: No space left on device']
    assert (code, report["ended"], report["exit_code"]) == (1, "failed", 1)
    counts = report["nodes"]["tape"]
    assert counts["processed"] == 0
    assert counts["accepted"] == accounted(counts)
    assert counts["accepted"] + report["abandoned"] == report["nodes"]["noise"]["processed"] > 0


def test_a_disk_that_fills_up_keeps_what_was_written(tmp_path: Path) -> None:
    text = GRAPH.replace("50 Hz", "900 Hz").replace("    size: 4\n    inputs: [{from: noise, weights: 0.5}]\n", "")
    text = text.replace(
        "  hidden:\n    neuron: lif\n", "  tape: {sink: file, input: noise, path: out.arrow, rows: 500}\n"
    )
    code, said, report = run(tmp_path, text, shell="ulimit -f 60")
    assert said == ['error: node "tape": out.arrow cannot be written: File too large']
    assert code == 1
    counts = report["nodes"]["tape"]
    assert counts["accepted"] == accounted(counts)
    with pa.OSFile(str(tmp_path / "out.arrow")) as file:
        file.seek(8)  # an IPC file without its end is a stream after its magic word
        kept = 0
        with pytest.raises((pa.ArrowInvalid, OSError)):
            for batch in pa.ipc.open_stream(file):
                kept += batch.num_rows
    assert counts["processed"] == kept > 0
    assert counts["dropped"]["failed"] > 0


UNWRITABLE = {
    "graph.yaml/out.arrow": "the folder graph.yaml cannot be made: there is a file of that name",
    "/proc/none/out.arrow": "the folder /proc/none cannot be made: No such file or directory",
    "taken.arrow": "taken.arrow cannot be written: it is a folder",
}
if os.geteuid() != 0:  # nothing is closed to root
    UNWRITABLE["closed/in/out.arrow"] = "the folder closed/in cannot be made: Permission denied"
    UNWRITABLE["closed/out.arrow"] = "closed/out.arrow cannot be written: Permission denied"


@pytest.mark.parametrize("path", UNWRITABLE)
def test_a_folder_that_cannot_be_written_to_is_one_sentence(tmp_path: Path, path: str) -> None:
    (tmp_path / "taken.arrow").mkdir()
    (tmp_path / "closed").mkdir(mode=0o500)
    code, said, report = run(tmp_path, GRAPH + f"  tape: {{sink: file, input: noise, path: {path}}}\n")
    assert said == [f'error: node "tape": {UNWRITABLE[path]}']
    assert (code, report["ended"]) == (1, "failed")


@pytest.fixture
def nowhere() -> Iterator[str]:
    """The address of a broker that is not there; nobody else gets its port meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"mqtt://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize(
    ("name", "node"),
    [
        ("sensor", "{source: mqtt, url: '%s', topic: x, channels: 1}"),
        ("out", "{sink: mqtt, url: '%s', topic: x, input: noise}"),
    ],
)
def test_a_broker_that_is_not_there_is_given_up_in_time(nowhere: str, tmp_path: Path, name: str, node: str) -> None:
    began = time.monotonic()
    code, said, report = run(tmp_path, GRAPH + f"  {name}: {node % nowhere}\n", "--connect-timeout", "500ms")
    assert time.monotonic() - began < 20
    assert [line for line in said if "nobody listens" not in line] == [
        f'warning: node "{name}": cannot connect to {nowhere}: Connection refused; trying again',
        f'error: node "{name}": not open after 0.5 s — is the address right, and does something listen there?',
    ]
    assert (code, report["ended"], report["exit_code"]) == (3, "failed", 3)


def test_a_server_that_takes_the_connection_and_stays_silent_is_given_up_in_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        node = f"{{source: mqtt, url: 'mqtt://127.0.0.1:{silent.getsockname()[1]}', topic: x, channels: 1}}"
        code, said, _ = run(tmp_path, GRAPH + f"  sensor: {node}\n", "--connect-timeout", "500ms")
    assert [line for line in said if "nobody listens" not in line] == [
        'error: node "sensor": not open after 0.5 s — is the address right, and does something listen there?'
    ]
    assert code == 3


OWN = """
import asyncio
import sys
from spikeflow.node import Source

class Leaving(Source):
    gives = ("samples",)

    def size_out(self, inputs):
        return 1

    async def produce(self, outlet):
        await outlet.push(0)
        sys.exit()

class Deaf(Leaving):
    async def produce(self, outlet):
        while True:
            try:
                await asyncio.Event().wait()
            except BaseException:
                pass
"""


def test_a_node_that_ends_the_process_has_failed_and_there_is_a_report(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    code, said, report = run(tmp_path, "spikeflow: 1\nnodes:\n  src: {source: own:Leaving}\n")
    assert "".join(said).endswith('error: node "src": SystemExit')
    assert (code, report["ended"], report["error"]) == (1, "failed", 'node "src": SystemExit')


@pytest.mark.slow
def test_a_node_that_cannot_be_ended_leaves_no_process_behind(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    code, said, report = run(tmp_path, "spikeflow: 1\nnodes:\n  src: {source: own:Deaf}\n", "--for", "100ms")
    assert said[-1] == 'error: node "src" did not end — it went on when it was cut off, and the run ended without it'
    assert (code, report["left"]) == (4, ["src"])


def test_a_name_that_nobody_knows_is_told_as_such(tmp_path: Path) -> None:
    node = "{sink: mqtt, url: 'mqtt://broker.invalid', topic: x, input: noise}"
    code, said, _ = run(tmp_path, GRAPH + f"  out: {node}\n", "--connect-timeout", "2s")
    assert code == 3
    assert said[-1].startswith('error: node "out": not open after 2 s')
    assert "Traceback" not in "".join(said)


LIVE = """\
spikeflow: 1
nodes:
  sensor:
    source: mqtt
    url: %s
    topic: x
    channels: 1
    payload: %s
    time: %s
  tape: {sink: file, input: sensor, path: out.arrow}
"""


def live(folder: Path, broker: Mosquitto, payload: str = "{value: $.v}", time: str = "{by: arrival}") -> Running:
    (folder / "graph.yaml").write_text(LIVE % (broker.url, payload, time))
    command = Running(folder, "graph.yaml")
    command.shows(lambda nodes: True)  # the first line is there a second after the connection
    return command


def drained(command: Running, accepted: int) -> dict[str, Any]:
    """The source's counters of a run that is ended once it has taken so many messages."""
    command.shows(lambda nodes: nodes["sensor"]["accepted"] >= accepted)
    command.process.send_signal(signal.SIGTERM)
    assert command.end() == 0
    counts: dict[str, Any] = command.report["nodes"]["sensor"]
    assert counts["accepted"] == accounted(counts) == accepted
    return counts


def taped(folder: Path) -> list[float]:
    with pa.ipc.open_file(str(folder / "out.arrow")) as reader:
        values: list[float] = reader.read_all().column("value").to_pylist()
    return values


GARBAGE = [b"\xff garbage", b"", b"[1, 2", b'{"x": 1}', b'{"v": "high"}', b'{"v": NaN}', b'{"v": null}', b"\x00" * 50]
REASONS = {"not json": 4, "no value": 2, "not a number": 1, "not finite": 1}


async def test_ten_thousand_garbage_payloads_are_counted_and_the_good_ones_among_them_all_arrive(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    payloads = []
    for number in range(10_000):
        payloads.append(GARBAGE[number % len(GARBAGE)])
        if number % 100 == 0:
            payloads.append(b'{"v": %d}' % number)
    with await asyncio.to_thread(live, tmp_path, mosquitto) as command:
        await flood(mosquitto, "x", payloads)
        counts = await asyncio.to_thread(drained, command, len(payloads))
    assert counts["rejected"] == {reason: 1250 * share for reason, share in REASONS.items()}
    assert taped(tmp_path) == [float(number) for number in range(0, 10_000, 100)]
    assert sorted(command.said) == sorted(
        f'warning: node "sensor": rejected: {said}'
        for said in (
            "not json (on x: b'\\xff garbage')",
            "no value (on x: nothing at $.v)",
            "not a number (on x: 'high')",
            "not finite (on x: nan)",
        )
    )  # one line a minute and reason


@pytest.mark.parametrize(
    ("unit", "reason", "said"),
    [
        ("s", "future", "is after the year 2262; is its unit right?"),
        ("us", "before_origin", "s before the run began; is its unit right?"),
    ],
)
async def test_stamps_in_milliseconds_read_in_another_unit_are_rejected_and_the_unit_is_asked_about(
    mosquitto: Mosquitto, tmp_path: Path, unit: str, reason: str, said: str
) -> None:
    payload = f"{{value: $.v, time: $.ts, time_unit: {unit}}}"
    with await asyncio.to_thread(live, tmp_path, mosquitto, payload, "{by: payload}") as command:
        async with aiomqtt.Client(mosquitto.host, mosquitto.port) as client:
            for number in range(20):
                now = time.time_ns() // 1_000_000
                await client.publish("x", json.dumps({"v": number, "ts": now}), 1)
        counts = await asyncio.to_thread(drained, command, 20)
    assert counts["rejected"] == {reason: 20}
    assert counts["processed"] == 0
    (line,) = command.said
    assert line.startswith(f'warning: node "sensor": rejected: {reason} (')
    assert line.endswith(f"{said})")
