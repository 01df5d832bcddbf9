"""Sinks with an outbox, while brokers and processes are killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt

from tests.brokers import Mosquitto, mosquitto
from tests.commands import Running, accounted

__all__ = ["mosquitto"]

GRAPH = """
spikeflow: 1
nodes:
  recorded: {{source: file, path: in.csv, size: 1}}
  out:
    sink: mqtt
    input: recorded
    url: {url}
    topic: out
    first_connect: wait
    outbox: {{path: out.db, size: {size}, overflow: {rule}}}
"""


def write(
    folder: Path, broker: Mosquitto, first: int, last: int, size: str = "10 MB", rule: str = "drop_oldest"
) -> None:
    """A graph that publishes one number a window."""
    rows = "".join(f"{(number - first) * 10_000_000},0,{number}\n" for number in range(first, last))
    (folder / "in.csv").write_text(f"t,channel,value\n{rows}")
    (folder / "graph.yaml").write_text(GRAPH.format(url=broker.url, size=size, rule=rule))


class Ear:
    """Hears numbers."""

    def __init__(self, messages: AsyncIterator[aiomqtt.Message]) -> None:
        self.numbers: list[float] = []
        self._messages = messages

    async def until(self, number: float) -> list[float]:
        """All numbers so far, once this one has come."""
        while number not in self.numbers:
            message = await anext(self._messages)
            assert isinstance(message.payload, bytes)
            self.numbers += json.loads(message.payload)["value"]
        return self.numbers


@contextlib.asynccontextmanager
async def hearing(broker: Mosquitto) -> AsyncIterator[Ear]:
    async with aiomqtt.Client(broker.host, broker.port, identifier="ear", clean_session=False) as client:
        await client.subscribe("out", 1)
        yield Ear(aiter(client.messages))


def ordered(first: int, last: int) -> list[float]:
    return [float(number) for number in range(first, last)]


async def test_messages_wait_for_a_broker_that_is_away_and_come_in_order(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with hearing(mosquitto):
        pass  # from now on the broker keeps what comes
    write(tmp_path, mosquitto, 0, 400)
    with Running(tmp_path, "graph.yaml", "--speed", "1") as command:
        await asyncio.to_thread(command.shows, lambda nodes: nodes["out"].get("noted", {}).get("messages", 0) > 10)
        mosquitto.stop()
        await asyncio.to_thread(command.says, "lost ")
        shown = await asyncio.to_thread(command.shows, lambda nodes: nodes["out"]["connection"]["outbox"] > 10)
        assert shown["out"]["queue"] < shown["out"]["capacity"]  # the graph goes on
        mosquitto.start()
        assert await asyncio.to_thread(command.end) == 0
    counts = command.report["nodes"]["out"]
    assert counts["accepted"] == counts["processed"] == counts["noted"]["messages"] == 400
    assert counts["connection"]["outbox"] == 0
    async with hearing(mosquitto) as ear:
        assert list(dict.fromkeys(await ear.until(399))) == ordered(0, 400)  # some may come again


async def test_what_a_killed_process_leaves_is_sent_before_what_is_new(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with hearing(mosquitto):
        pass
    mosquitto.stop()
    write(tmp_path, mosquitto, 0, 50)
    with Running(tmp_path, "graph.yaml") as command:
        assert await asyncio.to_thread(command.end) == 0
    counts = command.report["nodes"]["out"]
    assert counts["processed"] == counts["noted"]["left_in_outbox"] == 50
    assert any("50 messages stay in " in line for line in command.said)
    write(tmp_path, mosquitto, 50, 1000)
    with Running(tmp_path, "graph.yaml", "--speed", "1") as command:
        await asyncio.to_thread(command.shows, lambda nodes: nodes["out"]["connection"].get("outbox", 0) > 60)
        command.process.kill()
        assert await asyncio.to_thread(command.end) != 0
    mosquitto.start()
    write(tmp_path, mosquitto, 1000, 1050)
    with Running(tmp_path, "graph.yaml") as command:
        assert await asyncio.to_thread(command.end) == 0
    assert "messages of an earlier run wait in " in command.said[0]
    async with hearing(mosquitto) as ear:
        heard = await ear.until(1049)
    middle = heard[50:-50]
    assert heard == [*ordered(0, 50), *ordered(50, 50 + len(middle)), *ordered(1000, 1050)]
    assert len(middle) > 10
    counts = command.report["nodes"]["out"]
    assert counts["processed"] == 50 and counts["noted"]["messages"] == len(heard)


async def test_an_outbox_that_is_full_counts_what_it_drops(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with hearing(mosquitto):
        pass
    mosquitto.stop()
    write(tmp_path, mosquitto, 0, 100, size="5 kB")
    with Running(tmp_path, "graph.yaml") as command:
        assert await asyncio.to_thread(command.end) == 0
    counts = command.report["nodes"]["out"]
    kept = counts["noted"]["left_in_outbox"]
    assert counts["accepted"] == accounted(counts) == 100
    assert counts["dropped"] == {"outbox_full": 100 - kept}
    assert 0 < kept < 50
    assert sum("is full: the oldest messages are dropped" in line for line in command.said) == 1
    mosquitto.start()
    write(tmp_path, mosquitto, 100, 101)
    with Running(tmp_path, "graph.yaml") as command:
        assert await asyncio.to_thread(command.end) == 0
    async with hearing(mosquitto) as ear:
        assert await ear.until(100) == ordered(100 - kept, 101)


async def test_an_outbox_that_shall_not_drop_lets_the_graph_wait(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with hearing(mosquitto):
        pass
    mosquitto.stop()
    write(tmp_path, mosquitto, 0, 400, size="5 kB", rule="block")
    with Running(tmp_path, "graph.yaml") as command:
        shown = await asyncio.to_thread(
            command.shows, lambda nodes: nodes["out"]["queue"] == nodes["out"]["capacity"] > 0
        )
        assert 0 < shown["out"]["connection"]["outbox"] < 50
        mosquitto.start()
        assert await asyncio.to_thread(command.end) == 0
    counts = command.report["nodes"]["out"]
    assert counts["accepted"] == counts["processed"] == counts["noted"]["messages"] == 400
    async with hearing(mosquitto) as ear:
        assert await ear.until(399) == ordered(0, 400)
