"""Brokers that die, stand still and come back in mid-stream: graphs go on, and every message is accounted for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pyarrow as pa
import pytest

import spikeflow
from spikeflow.runtime.engine import Engine, Options
from tests.brokers import Mosquitto, mosquitto
from tests.commands import Running, accounted
from tests.publishing import AT_ONCE, Publisher, listener, publishing
from tests.witness import witnessed

__all__ = ["mosquitto"]


def values(payloads: list[bytes]) -> list[float]:
    """The numbers among payloads."""
    return [float(json.loads(payload)["value"]) for payload in payloads if payload.startswith(b"{")]


def taped(path: Path) -> list[float]:
    """The values in an event file."""
    with pa.ipc.open_file(str(path)) as reader:
        found: list[float] = reader.read_all().column("value").to_pylist()
    return found


def write(folder: Path, url: str, keepalive: str = "15 s") -> None:
    more = ["    client_id: watch", f"    keepalive: {keepalive}"]
    tape = "  tape: {sink: file, input: sensor, path: tape.arrow}"
    (folder / "graph.yaml").write_text(listener(url, *more, tape))


async def opened(command: Running, publisher: Publisher) -> None:
    """Return once the stream flows."""
    await publisher.acknowledged(AT_ONCE)
    await asyncio.to_thread(command.shows, lambda nodes: nodes["sensor"]["accepted"] > 0)


async def test_a_broker_killed_in_mid_stream_costs_nothing_that_it_delivered(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with witnessed(mosquitto) as witness:
        write(tmp_path, witness.url)
        with Running(tmp_path, "graph.yaml") as command:
            await asyncio.to_thread(command.shows, lambda nodes: True)
            async with publishing(mosquitto) as publisher:
                await opened(command, publisher)
                gaps = []
                for kill in (1, 2):
                    await publisher.acknowledged(150)
                    before = time.monotonic()
                    publisher.back.clear()
                    mosquitto.kill()
                    await asyncio.to_thread(command.says, "lost mqtt://", kill)
                    lost = time.monotonic()
                    mosquitto.start()
                    least = time.monotonic() - lost
                    publisher.back.set()
                    said = await asyncio.to_thread(command.says, "back on mqtt://", kill)
                    gaps.append((least, said, time.monotonic() - before))
                    last_lost = len(publisher.log)
                await publisher.acknowledged(150)
                publisher.stop = True
            await witness.has(publisher.log[-1])
            await asyncio.to_thread(command.shows, lambda nodes: nodes["sensor"]["accepted"] >= len(witness.delivered))
            command.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(command.end) == 0
    counts = command.report["nodes"]["sensor"]
    good = values(witness.delivered)
    assert counts["accepted"] == len(witness.delivered) == accounted(counts)
    twice = counts.get("dropped", {}).get("duplicate", 0)  # the broker died before it had stored that it was answered
    assert twice + counts["noted"].get("redelivered", 0) == witness.again
    assert list(counts["rejected"]) == ["not json"] and list(counts.get("dropped", {})) in ([], ["duplicate"])
    found = Counter(taped(tmp_path / "tape.arrow"))
    assert set(found) == set(good) and found <= Counter(good) and found.total() == counts["processed"]
    garbage = [payload for payload in witness.delivered if payload.startswith(b"garbage")]
    assert len(good) + len(garbage) == len(witness.delivered)
    passed_over = len(good) - counts["processed"]  # of the good ones; the other duplicates were garbage
    assert 0 <= passed_over <= twice
    assert counts["rejected"]["not json"] == len(garbage) - (twice - passed_over) >= len(set(garbage))
    never = set(publisher.log) - set(witness.delivered)  # acknowledged, and dead with the broker's memory
    assert never <= set(publisher.log[:last_lost])
    assert set(publisher.log[last_lost:]) <= set(witness.delivered)
    assert counts["noted"]["reconnected"] == 2
    for least, said, most in gaps:
        length = re.search(r"back on mqtt://\S+ after (\S+) s$", said)
        assert length is not None
        assert 0.99 * least <= float(length[1]) <= 1.01 * most
    assert sum("rejected: not json" in line for line in command.said) == 1
    assert len(command.said) == 5  # lost and back, twice; no word of a library
    assert sum(line.endswith(": the connection broke; trying again") for line in command.said) == 2


@pytest.mark.parametrize(("keepalive", "given_up"), [("15 s", False), ("1 s", True)])
async def test_a_broker_that_stands_still_for_a_while_costs_nothing(
    mosquitto: Mosquitto, tmp_path: Path, keepalive: str, given_up: bool
) -> None:
    write(tmp_path, mosquitto.url, keepalive)
    with Running(tmp_path, "graph.yaml") as command:
        await asyncio.to_thread(command.shows, lambda nodes: True)
        async with publishing(mosquitto) as publisher:
            await opened(command, publisher)
            await publisher.acknowledged(150)
            mosquitto.freeze()
            if given_up:
                await asyncio.to_thread(command.says, "lost mqtt://")
            windows = (await asyncio.to_thread(command.shows, lambda nodes: True))["sensor"]["windows"]
            await asyncio.to_thread(command.shows, lambda nodes: nodes["sensor"]["windows"] > windows)  # it goes on
            mosquitto.thaw()
            if given_up:
                await asyncio.to_thread(command.says, "back on mqtt://")
            await publisher.acknowledged(150)
            publisher.stop = True
        await asyncio.to_thread(command.shows, lambda nodes: nodes["sensor"]["accepted"] >= len(publisher.log))
        command.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(command.end) == 0
    counts = command.report["nodes"]["sensor"]
    assert counts["accepted"] == accounted(counts)
    found = Counter(taped(tmp_path / "tape.arrow"))
    assert counts["processed"] == found.total()
    assert set(values(publisher.log)) <= set(found)
    assert counts.get("noted", {}).get("reconnected", 0) == given_up
    if not given_up:
        assert max(found.values()) == 1


WINDOWS = 400

OUTWARD = """
spikeflow: 1
nodes:
  recorded: {{source: file, path: in.csv, size: 1}}
  out: {{sink: mqtt, input: recorded, url: {url}, topic: out}}
"""


def record(folder: Path) -> None:
    """A file with one sample a window."""
    rows = "".join(f"{number * 10_000_000},0,{number}\n" for number in range(WINDOWS))
    (folder / "in.csv").write_text(f"t,channel,value\n{rows}")


class Reader:
    """Reads what a sink publishes, in a session that the broker keeps, until the last value has come.

    Attributes:
        heard: the values, in order; some come again after the broker was away.
        listening: set once it has subscribed.
        quarter: set once it has heard a quarter.
        back: set while there is a broker.
    """

    def __init__(self, broker: Mosquitto) -> None:
        self.heard: list[float] = []
        self.listening, self.quarter, self.back = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.back.set()
        self._broker = broker

    async def run(self) -> None:
        """Read."""
        while WINDOWS - 1.0 not in self.heard:
            await self.back.wait()
            with contextlib.suppress(aiomqtt.MqttError):
                await self._read()

    async def _read(self) -> None:
        address = self._broker.host, self._broker.port
        async with aiomqtt.Client(*address, identifier="reader", clean_session=False) as client:
            await client.subscribe("out", 1)
            self.listening.set()
            async for message in client.messages:
                assert isinstance(message.payload, bytes)
                self.heard += json.loads(message.payload)["value"]
                if len(self.heard) >= WINDOWS // 4:
                    self.quarter.set()
                if self.heard[-1] == WINDOWS - 1:
                    return


@pytest.mark.parametrize("away", ["stopped", "frozen"])
async def test_a_sink_waits_for_its_broker_and_delivers_in_order(
    mosquitto: Mosquitto, tmp_path: Path, away: str
) -> None:
    record(tmp_path)
    (tmp_path / "graph.yaml").write_text(OUTWARD.format(url=mosquitto.url))
    reader = Reader(mosquitto)
    reading = asyncio.create_task(reader.run())
    await reader.listening.wait()
    with Running(tmp_path, "graph.yaml") as command:
        await reader.quarter.wait()
        if away == "stopped":
            reader.back.clear()
            mosquitto.stop()
            await asyncio.to_thread(command.says, "lost mqtt://")
        else:
            mosquitto.freeze()
        blocked = await asyncio.to_thread(
            command.shows, lambda nodes: nodes["out"]["queue"] == nodes["out"]["capacity"]
        )
        later = await asyncio.to_thread(command.shows, lambda nodes: True)
        assert later["recorded"]["windows"] == blocked["recorded"]["windows"] < WINDOWS
        assert later["out"]["processed"] == blocked["out"]["processed"]
        if away == "stopped":
            mosquitto.start()
            reader.back.set()
        else:
            mosquitto.thaw()
        assert await asyncio.to_thread(command.end) == 0
    await reading
    assert list(dict.fromkeys(reader.heard)) == [float(number) for number in range(WINDOWS)]  # some come again
    counts = command.report["nodes"]["out"]
    assert counts["accepted"] == counts["processed"] == WINDOWS
    assert counts["noted"]["messages"] == WINDOWS
    assert counts["noted"].get("reconnected", 0) == (away == "stopped")
    assert (command.report["ended"], command.report["abandoned"]) == ("ended", 0)


async def test_what_a_sink_could_not_deliver_before_the_end_is_counted_as_abandoned(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    record(tmp_path)
    graph = tmp_path / "graph.yaml"
    graph.write_text(OUTWARD.format(url=mosquitto.url))
    lost, said = asyncio.Event(), []

    def log(node: str, level: str, text: str) -> None:
        said.append((node, text))
        if text.startswith("lost "):
            lost.set()

    engine = Engine(spikeflow.load(graph), Options(drain_timeout=0.2, log=log))
    halfway = asyncio.Event()
    engine.watch("recorded", lambda batch: halfway.set() if batch.window.first_tick >= 10 * 50 else None)
    running = asyncio.create_task(engine.run())
    await halfway.wait()
    mosquitto.stop()
    await lost.wait()
    engine.stop()
    report = await running
    assert (report.ended, report.exit_code) == ("drained", 4)
    source, sink = report.nodes["recorded"], report.nodes["out"]
    assert report.abandoned == source["accepted"] - sink["processed"] > 0
    assert ("out", "did not drain in 0.2 s, and was cut off") in said


@pytest.mark.parametrize("kept", [False, True])
async def test_a_sink_that_is_cut_off_while_its_broker_stands_still_ends_in_good_order(
    mosquitto: Mosquitto, tmp_path: Path, kept: bool
) -> None:
    record(tmp_path)
    graph = tmp_path / "graph.yaml"
    will = "will: {topic: state, payload: gone}"  # and the closing message, which the broker does not answer either
    more = will + (f", outbox: {{path: {tmp_path / 'out.db'}}}" if kept else "")
    graph.write_text(OUTWARD.format(url=mosquitto.url).replace("sink: mqtt,", f"sink: mqtt, {more},"))
    said: list[tuple[str, str]] = []
    options = Options(drain_timeout=0.2, log=lambda node, level, text: said.append((level, text)))
    engine = Engine(spikeflow.load(graph), options)
    halfway = asyncio.Event()
    engine.watch("recorded", lambda batch: halfway.set() if batch.window.first_tick >= 10 * 50 else None)
    running = asyncio.create_task(engine.run())
    await halfway.wait()
    mosquitto.freeze()
    engine.stop()
    report = await running
    assert (report.ended, report.exit_code, report.left) == ("drained", 0 if kept else 4, ())
    assert (report.abandoned > 0) != kept
    assert (report.nodes["out"].get("noted", {}).get("left_in_outbox", 0) > 0) == kept
    late = "did not drain in 0.2 s, and was cut off"
    cut = [(level, text) for level, text in said if "cut off" in text]
    assert set(cut) == {("warning", f"{late}; no event was abandoned") if kept else ("error", late)}
    assert kept != any(level == "error" for level, _ in said)  # as the exit code says


@pytest.fixture
def void() -> Iterator[int]:
    """A port on loopback that never answers: its queue is full."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        callers = [socket.socket() for _ in range(4)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(("127.0.0.1", port))
        yield port
        for caller in callers:
            caller.close()


def test_an_address_that_never_answers_holds_nothing_up(void: int, tmp_path: Path) -> None:
    write(tmp_path, f"mqtt://127.0.0.1:{void}")
    with Running(tmp_path, "graph.yaml", "--connect-timeout", "300ms") as command:
        command.says("not open after 0.3 s")
        said = time.monotonic()
        assert command.end() == 3
    assert time.monotonic() - said < 3.0  # the system tries for minutes, the library for five seconds


async def test_what_accepts_connections_for_a_dead_broker_is_asked_again_at_once(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    mosquitto.stop()
    async with witnessed(mosquitto) as witness:
        write(tmp_path, witness.url)
        with Running(tmp_path, "graph.yaml") as command:
            said = await asyncio.to_thread(command.says, "cannot connect to mqtt://")
            assert said.endswith(": it hung up before it answered; trying again")
            mosquitto.start()
            assert "after" not in await asyncio.to_thread(command.says, "connected to mqtt://")
            command.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(command.end) == 0
