"""The control endpoint: what it tells is what the run does, and nobody who looks on can slow or change it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest

from spikeflow import wire
from spikeflow.cli.watching import print_runs
from spikeflow.errors import ConnectError, ParameterError
from spikeflow.runtime import taps
from spikeflow.runtime.engine import Engine, Options
from spikeflow.runtime.runs import Attached, folder, one_run, paths, runs
from spikeflow.runtime.telling import Figures
from spikeflow.spec import load
from tests.commands import Running
from tests.runtime.looking import Gate, Reader, events_of, graph, looked_at, own_folder


@pytest.fixture(autouse=True)
def place() -> Iterator[Path]:
    with own_folder() as made:
        yield made


async def test_a_run_listens_for_its_owner_alone_and_is_gone_with_its_end(place: Path) -> None:
    async with looked_at(graph()) as (_, path, run):
        assert path.parent == place / "spikeflow"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        Gate.go.set()
        await run
        assert not list(path.parent.iterdir())


async def test_a_folder_that_others_could_write_to_is_closed_to_them(place: Path) -> None:
    (place / "spikeflow").mkdir(mode=0o777)
    (place / "spikeflow").chmod(0o777)
    assert stat.S_IMODE(folder().stat().st_mode) == 0o700
    (place / "spikeflow").rmdir()
    (place / "spikeflow").symlink_to("/")
    with pytest.raises(ConnectError, match="not a folder of yours"):
        folder()


async def test_a_run_that_cannot_listen_goes_on_and_says_so(place: Path) -> None:
    (place / "spikeflow").write_text("in the way")
    said: list[str] = []
    Gate.go = asyncio.Event()
    Gate.go.set()
    engine = Engine(load(graph()), Options(log=lambda node, level, text: said.append(text)))
    assert (await engine.run()).ended == "ended"
    assert "cannot be looked at" in said[0]


async def test_runs_are_found_by_number_graph_or_path_and_dead_ones_are_swept_away() -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder() / "999999.sock"))
    async with looked_at(graph()) as (_, path, _run):
        (found,), _ = await asyncio.to_thread(runs)
        assert (found.name, found.facts["graph"]) == (str(os.getpid()), "watched")
        for wish in (None, "watched", str(os.getpid()), str(path)):
            assert await asyncio.to_thread(one_run, wish) == path
        with pytest.raises(ParameterError, match="did you mean 'watched'"):
            await asyncio.to_thread(one_run, "watchd")
        assert list(path.parent.iterdir()) == [path]
    with pytest.raises(ConnectError, match="no graph runs"):
        await asyncio.to_thread(one_run, None)


def test_a_run_that_does_not_answer_is_not_passed_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("spikeflow.runtime.runs._PATIENCE_S", 0.05)
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(folder() / "4711.sock"))
        busy.listen(8)
        assert runs() == ([], ["4711"])
        for wish in (None, "4711"):
            with pytest.raises(ConnectError, match="run 4711 does not answer; it is busy, or has been stopped"):
                one_run(wish)
        assert print_runs(json=False) == 0
    assert "run 4711 does not answer" in "".join(capsys.readouterr())


async def test_info_tells_the_graph_without_its_secrets() -> None:
    secret = {"sink": "mqtt", "input": "rate", "topic": "a", "url": "mqtt://me:hush@127.0.0.1:1", "on_error": "restart"}
    async with looked_at(graph(out=secret), connect_timeout=60.0, drain_timeout=0.1) as (_, path, _run):
        found = await asyncio.to_thread(_ask, path, "info")
        assert b"hush" not in orjson.dumps(found)
        assert "127.0.0.1" in str(found["nodes"]["out"]["parameters"]["url"])
        assert found["graph"] == "watched"
        assert found["nodes"]["hidden"]["parameters"]["v_th"] == 1.0
        assert [(edge["from"], edge["to"], edge["loop"]) for edge in found["edges"]] == [
            ("gate", "hidden", False),
            ("hidden", "hidden", True),
            ("hidden", "rate", False),
            ("rate", "out", False),
        ]
        assert found["outlets"]["hidden"]["flows"] is True
        assert found["outlets"]["hidden.v"]["flows"] is False


def _ask(path: Path, op: str, **facts: Any) -> dict[str, Any]:
    with Attached(path) as run:
        return run.ask(op, **facts)


@pytest.mark.parametrize("together", [0, 0.05])
@pytest.mark.parametrize(("form", "sparse"), [("arrow", 2), ("ticks", 2), ("ticks", 1000)])
async def test_a_tap_tells_every_event_of_an_outlet(
    together: float, form: str, sparse: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taps, "SPARSE", sparse)
    how = {"outlet": "gate", "together": together, "form": form}
    async with looked_at(graph(300)) as (_, path, run):
        reader = await asyncio.to_thread(Reader, path, "tap", **how)
        some = await asyncio.to_thread(Reader, path, "tap", indices=[0, 4], **how)
        Gate.go.set()
        await run
        wanted = [row for k in range(300) for row in zip(*events_of(k), strict=True)]
        assert await asyncio.to_thread(reader.rows) == wanted
        assert await asyncio.to_thread(some.rows) == [row for row in wanted if row[1] in (0, 4)]
        told = [facts for facts, _ in reader.frames if facts["kind"] in ("batch", "ticks")]
        assert (told[-1]["end"], told[-1]["lost"]) == (3000, 0)
        kinds = {facts["kind"] for facts in told if facts["count"]}
        assert kinds <= {"batch"} if form == "arrow" else kinds == {"ticks"} or sparse == 2
        assert reader.frames[-1][0]["kind"] == "end"


async def test_a_tap_that_is_not_read_loses_and_counts_and_the_run_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(taps, "MOST_EVENTS", 64)
    reports = []
    for looking in (False, True):
        async with looked_at(graph(2000)) as (_engine, path, run):
            if looking:
                reader = await asyncio.to_thread(Reader, path, "tap", outlet="gate", together=1.0)
            Gate.go.set()
            reports.append(await run)
    assert [one["events_out"] for one in reports[0].nodes.values()] == [
        one["events_out"] for one in reports[1].nodes.values()
    ]
    rows = await asyncio.to_thread(reader.rows)
    lost = [facts["lost"] for facts, _ in reader.frames if facts["kind"] == "batch"][-1]
    assert lost > 0
    assert len(rows) + lost == reports[1].nodes["gate"]["events_out"]
    assert rows[-1][0] == events_of(1999)[0][-1]  # the oldest are given up


async def test_a_state_that_nobody_listens_to_is_told_tick_by_tick_as_its_port_would_be() -> None:
    heard: list[tuple[Any, ...]] = []
    Gate.go = asyncio.Event()
    Gate.go.set()
    engine = Engine(load(graph(60)))
    engine.watch("hidden.v", lambda batch: heard.extend(zip(*(c.tolist() for c in _columns(batch)), strict=True)))
    await engine.run()
    async with looked_at(graph(60)) as (_, path, run):
        reader = await asyncio.to_thread(Reader, path, "tap", outlet="hidden.v", indices=[2, 5])
        Gate.go.set()
        await run
        rows = await asyncio.to_thread(reader.rows)
    assert rows == [row for row in heard if row[1] in (2, 5)]
    assert len(rows) == 2 * 600


def _columns(batch: Any) -> Any:
    return batch.arrays


async def test_looking_at_a_state_leaves_every_spike_as_it_is() -> None:
    spikes = []
    for looking in (False, True):
        async with looked_at(graph(60)) as (_, path, run):
            reader = await asyncio.to_thread(Reader, path, "tap", outlet="hidden")
            if looking:
                await asyncio.to_thread(Reader, path, "tap", outlet="hidden.v")
            Gate.go.set()
            await run
            spikes.append(await asyncio.to_thread(reader.rows))
    assert spikes[0] == spikes[1] != []


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"op": "tap", "outlet": "hiden"}, "did you mean 'hidden'"),
        ({"op": "tap", "outlet": "hidden", "indices": [7]}, "name some of 0 to 6"),
        ({"op": "tap", "outlet": "hidden.v", "indices": [-1]}, "name some of 0 to 6"),
        ({"op": "tap", "outlet": "hidden", "indices": "all"}, "a list of whole numbers"),
        ({"op": "tap", "outlet": "hidden", "form": "csv"}, "write arrow or ticks"),
        ({"op": "figures", "every": "often"}, "a number of seconds"),
        ({"op": "stop"}, "ask info, figures, tap or cancel"),
    ],
)
async def test_what_cannot_be_told_is_refused_with_what_could(question: dict[str, Any], said: str) -> None:
    async with looked_at(graph()) as (_, path, _run):
        with pytest.raises(ParameterError, match=said):
            await asyncio.to_thread(_ask, path, question.pop("op"), **question)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", wire.HEAD.pack(4, 0) + b"null", wire.pack({"op": "info"})])
async def test_one_who_sends_no_question_is_hung_up_on_and_the_run_goes_on(data: bytes) -> None:
    async with looked_at(graph()) as (_, path, run):

        def hung_up() -> bool:
            with socket.socket(socket.AF_UNIX) as one:
                one.settimeout(10.0)
                one.connect(str(path))
                one.sendall(data)
                try:
                    return one.recv(1) == b""
                except ConnectionResetError:
                    return True

        assert await asyncio.to_thread(hung_up)
        Gate.go.set()
        assert (await run).ended == "ended"


async def test_figures_have_every_edge_and_the_log() -> None:
    async with looked_at(graph()) as (engine, path, run):
        engine.log("hidden", "warning", "it rains")
        reader = await asyncio.to_thread(Reader, path, "figures", every=0.05)
        Gate.go.set()
        await run
        await asyncio.to_thread(reader.join, 20.0)
        last = [facts for facts, _ in reader.frames if facts["kind"] == "figures"][-1]
        sent = sum(len(events_of(k)[1]) for k in range(20))
        assert [edge["events"] for edge in last["edges"]] == [
            sent,
            last["nodes"]["hidden"]["events_out"],
            last["nodes"]["hidden"]["events_out"],
        ]
        assert reader.frames[0][0]["log"][0]["text"] == "it rains"
        assert sum(facts["times"].get("hidden", 0) for facts, _ in reader.frames if "times" in facts) == 20


async def test_figures_have_the_names_of_channels_as_they_become_known() -> None:
    keys = ["press"]

    class Named(Gate):
        def channel_names(self) -> list[str]:
            return list(keys)

    async with looked_at(graph(gate={"source": Named, "windows": 20})) as (engine, _, _):
        looks = Figures(engine, every=1.0)
        looks.begin(lambda _: None)
        found = []
        for more in ("saw", "mill"):
            told = looks.take()
            assert told is not None
            found.append(told[0]["channels"])
            keys.append(more)
            looks.flushed()
    assert found == [{"gate": ["press"]}, {"gate": ["press", "saw"]}]


async def test_figures_can_be_asked_for_once_and_again() -> None:
    async with looked_at(graph()) as (_, path, _run):

        def twice() -> list[str]:
            with Attached(path) as run:
                return [run.ask("figures")["kind"] for _ in range(2)]

        assert await asyncio.to_thread(twice) == ["figures", "figures"]


GRAPH = """
spikeflow: 1
nodes:
  noise: {source: synthetic, signal: poisson, size: 8, rate: 50 Hz}
  hidden: {neuron: lif, size: 30, inputs: [{from: noise, weights: 2.0}]}
"""


def test_ps_and_tap_show_a_run_from_the_command_line(tmp_path: Path) -> None:
    def said(*arguments: str) -> bytes:
        command = [sys.executable, "-m", "spikeflow", *arguments]
        return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout

    (tmp_path / "one.yaml").write_text(GRAPH)
    with Running(tmp_path, "one.yaml", "--json") as run:
        run.shows(lambda nodes: nodes["hidden"]["events_out"] > 0)
        (found,) = orjson.loads(said("ps", "--json"))
        assert (found["graph"], found["process"]) == ("one", run.process.pid)
        lines = [orjson.loads(line) for line in said("tap", "hidden", "one", "--count", "5").splitlines()]
        assert [sorted(line) for line in lines] == [["neuron", "t"]] * 5
        table = pa.ipc.open_stream(said("tap", "hidden.v", "--neurons", "3,7:9", "--count", "6", "--arrow")).read_all()
        assert table["channel"].to_pylist() == [3, 7, 8, 3, 7, 8]
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 0
    assert paths() == []
