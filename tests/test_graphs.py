"""The example graphs run, and the main job answers when a core gets busy."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import mean
from time import monotonic
from typing import Any

import aiomqtt
import numpy as np
import numpy.typing as npt
import psutil
import pyarrow as pa
import pytest

import spikeflow
from spikeflow.events import columns
from spikeflow.nodes.broker import start_broker
from spikeflow.nodes.sources.host import Host
from tests.terminals import Terminal

GRAPHS = sorted((Path(__file__).parent.parent / "graphs").glob("*.yaml"))
HOST = next(path for path in GRAPHS if path.stem == "host")
SHORTER: dict[str, dict[str, str]] = {
    "familiar_pattern": {"params.length": "3 s"},
    "file_to_file": {},
    "fleet": {"params.length": "500 ms"},
    "habituation": {"params.length": "2 s"},
    "host": {},
    "rewarded_choice": {"params.length": "2 s"},
    "synthetic": {"params.length": "500 ms"},
    "vogels_abbott": {"params.length": "100 ms"},
}
BUSY = "while True: pass"


def run(path: Path, folder: Path, **options: Any) -> spikeflow.Report:
    """A graph for a short while; what it would write goes into `folder`."""
    graph = spikeflow.load(path, set=SHORTER[path.stem])
    files = [name for name, node in graph.nodes.items() if (node.role, node.kind) == ("sink", "file")]
    graph = spikeflow.load(path, set=SHORTER[path.stem] | {f"nodes.{name}.path": str(folder / name) for name in files})
    return spikeflow.run_blocking(graph, **options)


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_a_graph_runs_and_accounts_for_every_event(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MQTT_URL", raising=False)
    report = run(path, tmp_path, **({"seconds": 3.0} if path == HOST else {}))
    assert report.exit_code == 0
    silent = [name for name, one in report.nodes.items() if not one["events_in"] + one["events_out"]]
    assert silent == []
    for one in report.nodes.values():
        if "accepted" in one:
            lost = sum(sum(one.get(what, {}).values()) for what in ("rejected", "dropped"))
            assert one["accepted"] == one["processed"] + lost + one["buffered"]


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_a_graph_begins_with_a_sentence(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    assert re.fullmatch(r"# [A-Z].*\.", first)


@pytest.mark.parametrize("stem", ["synthetic", "vogels_abbott", "file_to_file", "fleet"])
def test_a_finite_graph_gives_the_same_bytes_every_time(stem: str, tmp_path: Path) -> None:
    path = next(path for path in GRAPHS if path.stem == stem)
    for turn in ("one", "two"):
        run(path, tmp_path / turn)
    one, two = ({p.name: read(p) for p in (tmp_path / turn).rglob("*.arrow*")} for turn in ("one", "two"))
    assert one == two
    assert any(table.num_rows for table in one.values())


def test_a_repeated_touch_is_answered_less_and_less_by_depressing_synapses_alone(tmp_path: Path) -> None:
    path = next(path for path in GRAPHS if path.stem == "habituation")
    run(path, tmp_path)
    first, *later = read(tmp_path / "tape" / "rate.arrow")["value"].to_pylist()
    assert first > 20 and later and max(later) < first / 3
    text = path.read_text()
    plain = tmp_path / "plain.yaml"
    plain.write_text(text.replace("{from: synapses, weights", "{from: skin, weights"))
    graph = spikeflow.load(plain, set={"params.length": "2 s", "nodes.tape.path": str(tmp_path / "plain")})
    spikeflow.run_blocking(graph)
    first, *later = read(tmp_path / "plain" / "rate.arrow")["value"].to_pylist()
    assert min(later) > first / 2


def whole(name: str, folder: Path, text: str | None = None) -> Path:
    """A graph for as long as it says, or another text in its place; where its tape is."""
    path = folder / f"{name}.yaml"
    given = GRAPHS[0].parent / f"{name}.yaml"
    path.write_text(text or given.read_text())
    for file in given.parent.glob("*.npy"):
        (folder / file.name).write_bytes(file.read_bytes())
    assert spikeflow.run_blocking(spikeflow.load(path, set={"nodes.tape.path": str(folder / name)})).exit_code == 0
    return folder / name


def weights(path: Path, post: int) -> npt.NDArray[np.float64]:
    """[samples, post] the mean weight of each neuron."""
    tape = read(path)
    samples = len(set(tape["t"].to_pylist()))
    return tape["value"].to_numpy().reshape(samples, post, -1).mean(axis=2)  # type: ignore[no-any-return]


def test_a_neuron_comes_to_listen_to_the_sensors_that_fire_together(tmp_path: Path) -> None:
    tape = whole("familiar_pattern", tmp_path)
    together, apart = (weights(tape / f"listener.w_{name}.arrow", 1)[:, 0] for name in ("together", "apart"))
    assert together[0] == apart[0] == 1.0
    assert together[-1] > 0.8 and apart[-1] < 0.1


def choices(tape: Path) -> npt.NDArray[np.float64]:
    """The share of the second action in each quarter of the run."""
    spikes = read(tape / "action.arrow")
    t = spikes["t"].cast(pa.int64()).to_numpy()
    quarters = np.array_split(spikes["neuron"].to_numpy(), np.searchsorted(t, t[-1] - np.array([15, 10, 5]) * 10**9))
    return np.array([quarter.mean() for quarter in quarters])


def test_the_action_that_is_praised_is_chosen_more_and_more(tmp_path: Path) -> None:
    shares = choices(whole("rewarded_choice", tmp_path))
    assert shares[0] < 0.9 < shares[-1]


def test_with_praise_and_blame_exchanged_the_other_action_is_chosen(tmp_path: Path) -> None:
    text = next(path for path in GRAPHS if path.stem == "rewarded_choice").read_text()
    np.save(tmp_path / "blame.npy", np.array([[1.0, -1.0], [1.0, -1.0]]))
    assert choices(whole("rewarded_choice", tmp_path, text.replace("praise.npy", "blame.npy")))[-1] < 0.1


def test_without_a_reward_nothing_is_learned(tmp_path: Path) -> None:
    text = next(path for path in GRAPHS if path.stem == "rewarded_choice").read_text()
    lines = [line for line in text.splitlines() if "to: reward" not in line]
    tape = whole("rewarded_choice", tmp_path, "\n".join(lines))
    learned = weights(tape / "action.w_cue.arrow", 2)
    assert (learned == learned[0]).all() and 0.2 < choices(tape)[-1] < 0.8


def read(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source:
        opened = pa.ipc.open_stream(source) if path.suffix == ".arrows" else pa.ipc.open_file(source)
        return opened.read_all()


def test_the_vogels_abbott_network_fires_irregularly_at_a_few_hertz(tmp_path: Path) -> None:
    path = next(path for path in GRAPHS if path.stem == "vogels_abbott")
    graph = spikeflow.load(path, set={"params.length": "300 ms", "nodes.tape.path": str(tmp_path / "tape")})
    report = spikeflow.run_blocking(graph)
    spikes = report.nodes["excitatory"]["events_out"] / 3200 / 0.3
    assert 3.0 < spikes < 40.0
    (file,) = (p for p in (tmp_path / "tape").rglob("excitatory.*"))
    t_ns, neuron, _ = columns(read(file).combine_chunks().to_batches()[0])
    assert len(set(neuron.tolist())) > 1000
    assert len(set(t_ns.tolist())) > 1000


# The main job.


@asynccontextmanager
async def main_job() -> AsyncIterator[aiomqtt.Client]:
    """`spikeflow run graphs/host.yaml` on a broker of its own, and a client that hears what it publishes."""
    broker, port = await start_broker()
    environment = os.environ | {"MQTT_URL": f"mqtt://127.0.0.1:{port}"}
    job = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "spikeflow", "run", str(HOST), env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with aiomqtt.Client("127.0.0.1", port, identifier="test") as client:
            await client.subscribe("spikeflow/#")
            yield client
    finally:
        job.terminate()
        code = await job.wait()
        await broker.shutdown()
    assert code == 0


async def hear(client: aiomqtt.Client, answers: int) -> tuple[float, dict[int, float]]:
    """Spikes/s of a neuron over the next `answers`, and each channel's mean meanwhile."""
    rates: list[float] = []
    telemetry: dict[int, list[float]] = {}
    async for message in client.messages:
        assert isinstance(message.payload, bytes)
        said = json.loads(message.payload)
        if message.topic.matches("spikeflow/rate"):
            rates += said["value"]
            if len(rates) >= answers:
                break
        else:
            for channel, value in zip(said["channel"], said["value"], strict=True):
                telemetry.setdefault(channel, []).append(value)
    return mean(rates), {channel: mean(values) for channel, values in telemetry.items()}


@pytest.mark.alone
async def test_a_busy_core_is_heard_in_the_rates_that_the_main_job_publishes() -> None:
    names = Host().channel_names()
    cores = {names.index(f"cpu.{core}"): core for core in psutil.Process().cpu_affinity() or ()}
    async with main_job() as client:
        await hear(client, 10)
        for _ in range(30):  # other work may keep the machine busy: wait for a core with something to spare
            before, used = await hear(client, 10)
            quiet = min(cores, key=lambda channel: used.get(channel, 1.0))
            if used.get(quiet, 1.0) < 0.3:
                break
        else:
            pytest.skip(
                "no core of this machine had anything to spare in 30 looks; a machine with one free core runs it"
            )
        busy = await asyncio.create_subprocess_exec(sys.executable, "-c", BUSY)
        try:
            psutil.Process(busy.pid).cpu_affinity([cores[quiet]])
            await hear(client, 10)
            after, loaded = await hear(client, 20)
        finally:
            busy.kill()
            await busy.wait()
    assert loaded[quiet] > used[quiet] + 0.3
    assert after > before + 1.0


@pytest.mark.slow
@pytest.mark.alone
def test_spikes_come_on_screen_and_the_time_to_the_first_one_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MQTT_URL", raising=False)
    for turn in ("cold", "warm"):  # the first run fills the cache
        began = monotonic()
        with Terminal(["-m", "spikeflow", "run", str(HOST)]) as terminal:
            terminal.until_matches(r"[1-9][\d.]* Hz")
            print(f"first spike on screen, {turn} cache: {monotonic() - began:.2f} s")
