"""What MQTT promises: nothing is acknowledged before it has gone through the graph, whatever befalls whom."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from tests.brokers import Mosquitto, flood, mosquitto
from tests.commands import Running, accounted
from tests.publishing import Publisher, listener, publishing
from tests.test_mqtt_faults import opened, values
from tests.witness import Witness, witnessed

__all__ = ["mosquitto"]

SINK = '''
import asyncio, os

from spikeflow import Sink, columns


class Slow(Sink):
    """Writes each window after a while, past all buffers."""

    path: str
    seconds: float = 0.02

    async def consume(self, inlet):
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        async for batch in inlet:
            if batch.num_rows:
                await asyncio.sleep(self.seconds)
                os.write(file, b"".join(b"%d\\n" % value for value in columns(batch)[2].tolist()))
        os.close(file)
'''

TAPE = """
  relay: {encoder: scale, input: sensor}
  tape: {sink: "slow:Slow", input: relay, path: tape.txt}
"""


def write(folder: Path, url: str, qos: int = 1, protocol: str = "5") -> None:
    (folder / "slow.py").write_text(SINK)
    more = [f"    protocol: {protocol}", "    client_id: watch"]
    (folder / "graph.yaml").write_text(listener(url, *more, TAPE, qos=qos))


def taped(folder: Path) -> list[float]:
    """What the sink has written, in all its lives."""
    return [float(line) for line in (folder / "tape.txt").read_text().splitlines()]


async def written(command: Running, publisher: Publisher, folder: Path) -> None:
    """Return once all that the broker has acknowledged is written, or some seconds have passed."""
    wanted = set(values(publisher.log))
    for _ in range(30):  # lines, one a second
        if wanted <= set(taped(folder)):
            return
        await asyncio.to_thread(command.shows, lambda nodes: True)


async def drained(command: Running, publisher: Publisher, witness: Witness, broker: Mosquitto, folder: Path) -> Any:
    """What the source has counted, once all that was published has been taken and written, and the run has ended.

    A last message of another publisher comes after all others.
    """
    await written(command, publisher, folder)
    last = b'{"value": -1}'
    await flood(broker, "plant/vibration", [last], 1)
    await witness.has(last)
    await asyncio.to_thread(command.shows, lambda nodes: nodes["sensor"]["accepted"] >= len(witness.delivered))
    command.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(command.end) == 0
    counts = command.report["nodes"]["sensor"]
    assert counts["accepted"] == len(witness.delivered) == accounted(counts)
    return counts


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
async def test_a_process_killed_in_mid_stream_has_acknowledged_nothing_that_its_sink_did_not_write(
    mosquitto: Mosquitto, tmp_path: Path, protocol: str
) -> None:
    write(tmp_path, mosquitto.url, protocol=protocol)
    redelivered = 0
    async with AsyncExitStack() as stack:
        publisher = Publisher(mosquitto)
        for life in range(3):
            with Running(tmp_path, "graph.yaml") as command:
                await asyncio.to_thread(command.shows, lambda nodes: True)
                if not life:
                    publisher = await stack.enter_async_context(publishing(mosquitto))
                await opened(command, publisher)
                await publisher.acknowledged(150)
                if life < 2:
                    before = (await asyncio.to_thread(command.shows, lambda nodes: True))["sensor"]
                    assert before["accepted"] == accounted(before) + before["buffered"]
                    redelivered += before.get("noted", {}).get("redelivered", 0)
                    command.process.kill()
                    command.process.wait()
                    await publisher.acknowledged(50)  # while nobody listens
                    continue
                publisher.stop = True
                await stack.aclose()  # its last messages have been acknowledged, too
                await written(command, publisher, tmp_path)
                command.process.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(command.end) == 0
    found = Counter(taped(tmp_path))
    assert set(values(publisher.log)) <= set(found)
    counts = command.report["nodes"]["sensor"]
    assert counts["accepted"] == accounted(counts)
    redelivered += counts.get("noted", {}).get("redelivered", 0)
    assert redelivered > 0  # of both kills: one may hit a moment at which nothing was under way
    twice = sum(times - 1 for times in found.values())
    assert twice <= redelivered


@pytest.mark.parametrize(("qos", "protocol"), [(1, "5"), (2, "5"), (1, "3.1.1"), (2, "3.1.1")])
async def test_a_connection_cut_in_the_middle_of_a_message_costs_nothing_and_what_comes_twice_is_counted(
    mosquitto: Mosquitto, tmp_path: Path, qos: int, protocol: str
) -> None:
    async with witnessed(mosquitto) as witness:
        write(tmp_path, witness.url, qos, protocol)
        with Running(tmp_path, "graph.yaml") as command:
            await asyncio.to_thread(command.shows, lambda nodes: True)
            async with publishing(mosquitto, qos) as publisher:
                await opened(command, publisher)
                for time, part in enumerate((0.0, 0.1, 0.5, 0.9), start=1):
                    await publisher.acknowledged(30)
                    witness.cut = part
                    await asyncio.to_thread(command.says, "back on mqtt://", time)
                await publisher.acknowledged(30)
                publisher.stop = True
            counts = await drained(command, publisher, witness, mosquitto, tmp_path)
    assert counts["noted"]["reconnected"] == 4
    found = Counter(taped(tmp_path))
    assert set(values(publisher.log)) <= set(found)
    twice = found.total() - len(found)
    assert twice <= counts["noted"].get("redelivered", 0)
    if qos == 2:  # the broker says when it will not send a message again; at 1 an answer may be lost on its way
        assert twice == 0
    known = counts.get("dropped", {}).get("duplicate", 0)
    assert known + twice <= len(witness.delivered) - len(set(witness.delivered))  # garbage comes twice, too
    assert known + counts["noted"].get("redelivered", 0) == witness.again
    assert sum("lost mqtt://" in line for line in command.said) == 4


async def test_a_slow_broker_is_waited_for(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with witnessed(mosquitto) as witness:
        witness.delay_s = 0.02
        write(tmp_path, witness.url)
        with Running(tmp_path, "graph.yaml") as command:
            await asyncio.to_thread(command.shows, lambda nodes: True)
            async with publishing(mosquitto) as publisher:
                await opened(command, publisher)
                await publisher.acknowledged(100)
                publisher.stop = True
            counts = await drained(command, publisher, witness, mosquitto, tmp_path)
    found = Counter(taped(tmp_path))
    assert set(values(publisher.log)) <= set(found)
    assert max(found.values()) == 1
    assert "reconnected" not in counts.get("noted", {})


async def test_a_run_that_is_drained_has_acknowledged_all_that_it_has_taken(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    write(tmp_path, mosquitto.url)
    with Running(tmp_path, "graph.yaml") as command:
        await asyncio.to_thread(command.shows, lambda nodes: True)
        async with publishing(mosquitto) as publisher:
            await opened(command, publisher)
            await publisher.acknowledged(50)
            publisher.stop = True
        command.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(command.end) == 0
    await asyncio.to_thread(mosquitto.says, "Client watch ")
    came: list[Any] = []
    async with aiomqtt.Client(mosquitto.host, mosquitto.port, identifier="watch", clean_session=False) as client:
        await client.publish("last", b"", 1)
        await client.subscribe("last", 1)
        await client.publish("last", b"last", 1)
        async for message in client.messages:
            if message.topic.value == "last":
                break
            came.append(message.payload)
    assert not set(came) & {b'{"value": %d}' % value for value in taped(tmp_path)}
    left = command.report["nodes"]["sensor"].get("dropped", {}).get("stopped", 0)
    assert left <= len(came)
    assert set(values(publisher.log)) <= set(taped(tmp_path)) | set(values(came))
