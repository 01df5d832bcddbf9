"""Windows that close early at a broker's limit, and what becomes of the events that come for them afterwards."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from pathlib import Path

import pytest

from tests.brokers import FAST, flood, running_mosquitto
from tests.commands import Running, accounted

GRAPH = """
spikeflow: 1
nodes:
  sensor:
    source: mqtt
    url: {url}
    topic: "x"
    channels: 30
    qos: 1
    {limit}
    payload: {{value: $.v, time: $.t, time_unit: ns}}
    time: {{by: payload, lateness: 5 s, idle_after: 60 s, late: {late}}}
  tape: {{sink: file, input: sensor, path: out.csv}}
"""
LIMIT, MESSAGES = 20, 25
WINDOW_NS = 10_000_000


@pytest.mark.parametrize("limit", ["protocol: 3.1.1", "inflight: 20"], ids=["assumed", "known"])
@pytest.mark.parametrize("late", ["drop", "clamp"])
async def test_events_that_come_after_their_window_was_forced_are_late_and_kept_where_the_rule_says_so(
    tmp_path: Path, late: str, limit: str
) -> None:
    with running_mosquitto(tmp_path, settings=[*FAST, f"max_inflight_messages {LIMIT}"]) as broker:
        (tmp_path / "graph.yaml").write_text(GRAPH.format(url=broker.url, late=late, limit=limit))
        with Running(tmp_path, "graph.yaml") as command:
            await asyncio.to_thread(command.shows, lambda nodes: nodes["sensor"]["connection"]["connected"])
            begin = time.time_ns() // WINDOW_NS * WINDOW_NS
            # one window, and within 'lateness': by itself it would close in some seconds
            sent = [{"v": {f"c{number:02}": number}, "t": begin + number} for number in range(MESSAGES)]
            await flood(broker, "x", [json.dumps(one).encode() for one in sent], 1)
            await asyncio.to_thread(command.shows, lambda nodes: nodes["sensor"]["accepted"] == MESSAGES)
            command.process.send_signal(signal.SIGINT)
            assert await asyncio.to_thread(command.end) == 0
    counts = command.report["nodes"]["sensor"]
    assert counts["accepted"] == accounted(counts) == MESSAGES
    assert counts["noted"]["forced"] >= 1
    lost = 0 if late == "clamp" else MESSAGES - LIMIT
    assert counts.get("dropped", {}) == ({"late": lost} if lost else {})
    assert counts["noted"].get("clamped", 0) == MESSAGES - LIMIT - lost
    rows = [line.split(",") for line in (tmp_path / "out.csv").read_text().splitlines()[1:]]
    assert [int(float(row[-1])) for row in rows] == list(range(MESSAGES - lost))
