"""A graph that is slower than its broker: it pushes back, holds no more than it may, and loses nothing."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tests.brokers import FAST, Mosquitto, flood, running_mosquitto
from tests.commands import Running, accounted

UNLIMITED = [*FAST, "max_inflight_messages 0"]

SINK = '''
import asyncio

from spikeflow import Sink


class Slow(Sink):
    """Takes so long (s) for each event."""

    seconds: float

    async def consume(self, inlet):
        async for batch in inlet:
            if batch.num_rows:
                await asyncio.sleep(batch.num_rows * self.seconds)
'''

GRAPH = """
spikeflow: 1
nodes:
  sensor:
    source: mqtt
    url: {url}
    topic: flood
    channels: 1
    qos: 1
    inflight: {inflight}
    buffer: 2000
    client_id: me
    keepalive: 1 s
  relay: {{encoder: scale, input: sensor}}
  slow: {{sink: "slow:Slow", input: relay, seconds: {seconds}}}
"""


class Watched:
    """A command whose memory is looked at whenever it writes a line."""

    def __init__(self, command: Running) -> None:
        self._command, self._process = command, psutil.Process(command.process.pid)
        self.megabytes: list[float] = []
        self.most_buffered = 0

    def until(self, count: int) -> dict[str, Any]:
        """The source's counts, once it has processed so many events."""
        while True:
            found: dict[str, Any] = self._command.shows(lambda nodes: True)["sensor"]
            self.megabytes.append(self._process.memory_info().rss / 1e6)
            self.most_buffered = max(self.most_buffered, found["buffered"])
            if found["processed"] >= count:
                return found


async def slow_run(broker: Mosquitto, folder: Path, messages: int, seconds: float, inflight: int) -> Watched:
    """Publish so many messages at once into a graph that takes so long (s) for each; what was watched."""
    (folder / "slow.py").write_text(SINK)
    (folder / "graph.yaml").write_text(GRAPH.format(url=broker.url, seconds=seconds, inflight=inflight))
    with Running(folder, "graph.yaml") as command:
        await asyncio.to_thread(broker.says, " as me ")
        await asyncio.to_thread(command.shows, lambda nodes: True)
        watched = Watched(command)
        publishing = asyncio.create_task(flood(broker, "flood", (b"%d" % k for k in range(messages)), 1))
        await asyncio.to_thread(watched.until, messages)
        assert await publishing == messages
        command.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(command.end) == 0
    counts = command.report["nodes"]["sensor"]
    assert counts["accepted"] == counts["processed"] == accounted(counts) == messages
    assert command.report["nodes"]["slow"]["processed"] == messages
    assert "reconnected" not in counts.get("noted", {})  # though answers to pings had to wait
    assert watched.most_buffered <= 2000 + 1000  # the buffer, and what is taken before the source looks at it
    return watched


@pytest.mark.parametrize(("settings", "inflight"), [(UNLIMITED, 0), (FAST, 20)], ids=["unlimited", "limited"])
async def test_a_graph_that_is_far_too_slow_loses_nothing(tmp_path: Path, settings: list[str], inflight: int) -> None:
    with running_mosquitto(tmp_path, settings=settings) as broker:
        await slow_run(broker, tmp_path, 12_000, 1 / 2000, inflight)


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_a_graph_ten_times_too_slow_needs_no_more_memory_the_longer_it_lasts(tmp_path: Path) -> None:
    messages = int(os.environ.get("SPIKEFLOW_SLOW_MESSAGES", "100000"))
    with running_mosquitto(tmp_path, settings=UNLIMITED) as broker:
        watched = await slow_run(broker, tmp_path, messages, 1 / 3000, 0)
    settled = np.array(watched.megabytes[len(watched.megabytes) // 4 :])
    slope = np.polyfit(np.arange(settled.size), settled, 1)[0] * 60
    print(f"{messages} messages: {settled[0]:.1f} to {settled[-1]:.1f} MB, {slope:.2f} MB a minute")
    assert settled.max() - settled.min() < 8.0
