"""One graph for a fleet of machines on a broker: each gives exactly what it gives alone, whenever it appears."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiomqtt
import numpy as np
import pyarrow as pa
import pytest

import spikeflow
from spikeflow.events import build, columns, raw_columns
from spikeflow.nodes.broker import embedded_broker
from spikeflow.nodes.event_files import read_header
from spikeflow.nodes.event_writers import EventWriter
from spikeflow.session import start
from tests.brokers import Mosquitto, mosquitto

__all__ = ["mosquitto"]

STREAMS = ["machines", "edges", "hidden", "rate"]
NODES: dict[str, Any] = {
    "edges": {"encoder": "level_crossing", "input": "machines", "threshold": 0.2},
    "hidden": {
        "neuron": "lif",
        "size": 64,
        "inputs": [
            {"from": "edges", "weights": {"normal": {"mean": 0.8, "std": 0.6}}},
            {"from": "hidden", "connect": {"probability": 0.1}, "weights": -0.2, "delay": "2 ms"},
        ],
    },
    "rate": {"decoder": "rate", "input": "hidden", "over": "20 ms"},
    "tape": {"sink": "file", "input": STREAMS},
}


def graph(source: dict[str, Any], folder: Path) -> dict[str, Any]:
    return {"seed": 5, "nodes": {"machines": source, **NODES, "tape": {**NODES["tape"], "path": str(folder)}}}


class Plant:
    """Machines that publish random walks on two axes."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("mqtt://").rpartition(":")
        self.client = aiomqtt.Client(host, int(port), identifier="plant")
        self.rng = np.random.default_rng(4)
        self.at: dict[str, float] = {}

    async def publish(self, names: list[str], rounds: int) -> int:
        """Some samples of each machine; returns how many."""
        for _ in range(rounds):
            for name in names:
                for axis in ("x", "y"):
                    topic = f"plant/{name}/{axis}"
                    self.at[topic] = self.at.get(topic, 0.0) + float(self.rng.normal(0, 0.5))
                    await self.client.publish(topic, json.dumps(self.at[topic]), 1)
        return rounds * len(names) * 2


def tape(folder: Path, name: str) -> pa.RecordBatch:
    with pa.memory_map(str(folder / f"{name}.arrow")) as opened:
        table = pa.ipc.open_file(opened).read_all().combine_chunks()
    batches = table.to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


async def agree(url: str, folder: Path, machines: int, later: int, rounds: int, protocol: str = "3.1.1") -> None:
    """Run a fleet of which `later` appear on the way, and one too many; then each machine of it alone."""
    copies = machines
    source = {
        "source": "mqtt", "url": url, "topic": "plant/{machine}/{axis}", "replicate": "machine", "copies": copies,
        "channels": ["x", "y"], "qos": 1, "protocol": protocol,
    }  # fmt: skip
    names = [f"press{k}" for k in range(machines)]
    async with start(graph(source, folder / "fleet")) as run:
        tap = run.tap("machines")
        await anext(tap)
        wired: Any = run.engine.wired
        source_stage = next(stage for stage in wired.stages if stage.name == "machines")
        await source_stage.outlet.is_open.wait()  # windows close before it has subscribed, too
        plant = Plant(url)
        async with plant.client:
            expected = await plant.publish(names[:-later], rounds)
            expected += await plant.publish(names, rounds)
            lost = await plant.publish(["stray"], 1)
            expected += await plant.publish(names[:3], 1)
            heard = 0
            async for batch in tap:
                heard += batch.num_rows
                if heard >= expected:
                    break
    report = await run.finished()
    assert report.exit_code == 0
    counted = report.nodes["machines"]
    assert counted["rejected"] == {"copies": lost}
    assert counted["accepted"] == counted["processed"] + lost == expected + lost
    whole = {name: tape(folder / "fleet", name) for name in STREAMS}
    schema = whole["machines"].schema
    assert schema.metadata[b"copies"] == str(copies).encode()
    t_ns, channel, value = raw_columns(whole["machines"])
    spoken = 0
    # alone each takes a run of its own: of many machines one in twenty, and all that came later
    compared = sorted({*range(0, machines, 20 if machines > 20 else 1), *range(machines - later, machines)})
    for k in compared:
        own = channel // 2 == k
        one = {key: text for key, text in schema.metadata.items() if key not in (b"copies", b"shape")} | {b"size": b"2"}
        path = folder / "one.arrow"
        writer = EventWriter(path, schema.with_metadata(one))
        assert value is not None
        part = build(schema.with_metadata(one), t_ns[own], channel[own] % 2, value[own])
        writer.write([part])
        length = max(int(columns(record)[0].max(initial=0)) for record in whole.values()) + 50_000_000
        writer.close(-(-(length - int(schema.metadata[b"origin"])) // 10_000_000) * 10_000_000)
        await spikeflow.run(graph({"source": "file", "path": str(path)}, folder / "alone"))
        for name in STREAMS[1:]:
            alone = tape(folder / "alone", name)
            t, index, values = columns(whole[name])
            size = int(whole[name].schema.metadata[b"size"]) // copies
            mine = index // size == k
            until = columns(alone)[0] <= t.max(initial=0)  # alone it runs on for a little
            pairs: Any = zip((t[mine], index[mine] % size, values[mine]), columns(alone), strict=True)
            for got, want in pairs:
                assert got.tobytes() == want[until].tobytes(), f"{name} of machine {k}"
            spoken += name == "hidden" and bool(mine.any())
    assert spoken > len(compared) // 2


async def test_machines_that_appear_on_the_way_give_what_they_give_alone(mosquitto: Mosquitto, tmp_path: Path) -> None:
    await agree(mosquitto.url, tmp_path, machines=8, later=3, rounds=15)


async def test_the_embedded_broker_serves_a_fleet_too(tmp_path: Path) -> None:
    async with embedded_broker() as (host, port):
        await agree(f"mqtt://{host}:{port}", tmp_path, machines=4, later=1, rounds=10)


async def test_each_machine_is_answered_under_its_own_topic_by_what_two_sources_say(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    listening = {"source": "mqtt", "url": mosquitto.url, "replicate": "machine", "copies": 6, "qos": 1}
    nodes: dict[str, Any] = {
        "walks": {**listening, "topic": "plant/{machine}/{axis}", "channels": ["x", "y"]},
        "heat": {**listening, "topic": "heat/{machine}", "channels": 1},
        "edges": {"encoder": "level_crossing", "input": "walks", "threshold": 0.2},
        "warm": {"encoder": "level_crossing", "input": "heat", "threshold": 0.2},
        "hidden": {
            "neuron": "lif", "size": 2,
            "inputs": [{"from": "edges", "weights": 0.8}, {"from": "warm", "weights": 0.8}],
        },
        "alarm": {
            "sink": "mqtt", "input": ["edges", "hidden"], "url": mosquitto.url, "topic": "alarms/{machine}/{stream}"
        },
        "tape": {"sink": "file", "input": ["walks", "heat", "edges", "hidden"], "path": str(tmp_path / "fleet")},
    }  # fmt: skip
    names = [f"press{k}" for k in range(5)]
    answers: dict[str, list[tuple[int, int]]] = {}
    async with aiomqtt.Client(mosquitto.host, mosquitto.port) as reader:
        await reader.subscribe("alarms/#", 1)
        async with start({"seed": 5, "nodes": nodes}) as run:
            tap = run.tap("walks"), run.tap("heat")
            await asyncio.gather(*(anext(one) for one in tap))
            wired: Any = run.engine.wired
            for stage in wired.sources:
                await stage.outlet.is_open.wait()
            plant = Plant(mosquitto.url)
            async with plant.client:
                expected = 0
                for known in (2, 4, 5):  # the others come later, some to the one source first and some to the other
                    await plant.client.publish(f"heat/{names[known - 1]}", "1.5", 1)
                    expected += await plant.publish(names[:known], 8)
                    for name in names[:known]:
                        await plant.client.publish(f"heat/{name}", str(known), 1)
                expected_heat = 3 + 2 + 4 + 5

                async def hear(tap: Any, count: int) -> None:
                    async for batch in tap:
                        count -= batch.num_rows
                        if count <= 0:
                            break

                await asyncio.gather(hear(tap[0], expected), hear(tap[1], expected_heat))
        report = await run.finished()
        assert report.exit_code == 0
        sent = report.nodes["alarm"]
        assert sent["accepted"] == sent["processed"] > 0
        for _ in range(sent["noted"]["messages"]):
            message = await anext(aiter(reader.messages))
            assert isinstance(message.payload, bytes)
            body = json.loads(message.payload)
            assert str(message.topic).endswith(f"/{body['stream']}")
            rows = zip(body["t"], body["neuron"], strict=True)
            answers.setdefault(str(message.topic), []).extend(rows)
    taped = read_header(tmp_path / "fleet" / "heat.arrow").names
    assert sorted(taped) == names
    assert taped == read_header(tmp_path / "fleet" / "hidden.arrow").names
    for stream in ("edges", "hidden"):
        t_ns, index, _ = columns(tape(tmp_path / "fleet", stream))
        for copy, name in enumerate(taped):
            mine = index // 2 == copy
            expected_rows = list(zip(t_ns[mine].tolist(), (index[mine] % 2).tolist(), strict=True))
            assert answers.get(f"alarms/{name}/{stream}", []) == expected_rows
            assert expected_rows or stream == "hidden"
    assert any(topic.endswith("hidden") for topic in answers)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_thousand_machines_give_what_each_gives_alone(mosquitto: Mosquitto, tmp_path: Path) -> None:
    # by MQTT 5, for by 3.1.1 a broker sends twenty messages ahead, however many wait
    await agree(mosquitto.url, tmp_path, machines=1000, later=10, rounds=5, protocol="5")
