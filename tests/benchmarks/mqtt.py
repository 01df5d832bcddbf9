"""MQTT into a graph: cost of a message, rate, and latency, beside the clients that are installed."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

import spikeflow
from spikeflow.events import sample_batch
from spikeflow.node import Inlet, Sink
from spikeflow.runtime.engine import Engine, Options, fast_loop
from spikeflow.runtime.live import LiveOutlet
from tests.benchmarks.table import show
from tests.brokers import running_mosquitto

CLIENT = Path(__file__).parent / "streaming_peers" / "s3_client.py"
JSON = b'{"t":9999999999999999999,"s":"imu/3","v":[1,2.5]}'.ljust(50)
START = 1_700_000_000_000_000_000
MESSAGES, PACED, REPEATS = 200_000, 3000, 3
_SKIPPED = 100


class Counted(Sink):
    """Counts events, and ends the run at the last one."""

    wanted: int
    seen: ClassVar[int] = 0
    times: ClassVar[dict[str, float]] = {}
    ended: ClassVar[asyncio.Event]

    async def consume(self, inlet: Inlet) -> None:
        cls = Counted
        async for batch in inlet:
            if batch.num_rows and not cls.seen:
                cls.times.update(first=time.monotonic(), cpu=time.process_time())
            cls.seen += batch.num_rows
            if cls.seen >= self.wanted and "last" not in cls.times:
                cls.times.update(last=time.monotonic(), cpu_last=time.process_time())
                cls.ended.set()


def arrow(rows: int = 640) -> bytes:
    """Samples as one Arrow message of about 10 kB."""
    record = sample_batch(START + np.arange(rows) * 1000, np.arange(rows) % 2, np.linspace(0, 1, rows))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, record.schema) as writer:
        writer.write_batch(record)
    return bytes(sink.getvalue())


def graph(port: int, qos: int, protocol: str, events: int, payload: dict[str, str]) -> dict[str, Any]:
    """Messages into spikes: each number is compared with the one before."""
    source = {
        "source": "mqtt", "url": f"mqtt://127.0.0.1:{port}", "topic": "s/1", "channels": 2, "qos": qos,
        "protocol": protocol, "inflight": 0 if protocol == "3.1.1" else None, "payload": payload,
    }  # fmt: skip
    return {
        "name": "mqtt",
        "nodes": {
            "sensor": source,
            "spikes": {"encoder": "level_crossing", "input": "sensor", "threshold": 0.5},
            "count": {"sink": Counted, "input": "sensor", "wanted": events},
        },
    }


async def flat_out(port: int, qos: int, protocol: str, count: int, format: str) -> dict[str, float]:
    """CPU µs a message, and messages a second, from the first window to the last."""
    Counted.seen, Counted.times, Counted.ended = 0, {}, asyncio.Event()
    payload, events = ({"value": "$.v"}, 2) if format == "json" else ({"format": "arrow"}, 640)
    described = graph(port, qos, protocol, events * count, payload)
    engine = Engine(spikeflow.load(described), Options(log=lambda *_: None))
    running = asyncio.create_task(engine.run())
    await Counted.ended.wait()
    engine.stop()
    await running
    times = Counted.times
    return {
        "cpu_us_per_msg": (times["cpu_last"] - times["cpu"]) / count * 1e6,
        "msg_s": count / (times["last"] - times["first"]),
    }


async def paced(port: int, qos: int, count: int) -> list[tuple[int, int]]:
    """(number, ns at which it was in its window) of messages from a publisher that keeps a pace."""
    taken: list[tuple[int, int]] = []
    push_all = LiveOutlet.push_all

    async def noting(self: LiveOutlet, index: Any, value: Any, t_ns: Any = None, ends: Any = ()) -> None:
        await push_all(self, index, value, t_ns, ends)
        now = time.monotonic_ns()
        taken.extend((int(number), now) for number in value)

    Counted.seen, Counted.times, Counted.ended = 0, {}, asyncio.Event()
    LiveOutlet.push_all = noting  # type: ignore[method-assign]
    try:
        described = graph(port, qos, "3.1.1", count, {"value": "$.v"})
        engine = Engine(spikeflow.load(described), Options(log=lambda *_: None))
        running = asyncio.create_task(engine.run())
        await asyncio.sleep(0.5)
        print("ready", flush=True)
        await Counted.ended.wait()
        engine.stop()
        await running
    finally:
        LiveOutlet.push_all = push_all  # type: ignore[method-assign]
    return taken


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def load(*arguments: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.benchmarks.mqtt_load", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def blasted(template: Path, qos: int, count: int, command: list[str]) -> dict[str, Any]:
    """What a client reports of a stub broker that pushes."""
    port = free_port()
    with load("blast", port, "s/1", qos, count, template) as broker:
        assert broker.stdout is not None
        broker.stdout.readline()
        done = subprocess.run(
            [part.replace("PORT", str(port)) for part in command],
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        broker.kill()
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def latency(broker_port: int, qos: int, client: str | None = None) -> tuple[float, float]:
    """Median and 99th percentile (µs) at 1 000 messages a second: into a window, or into the hands of a client."""
    if client is None:
        command = [sys.executable, "-m", "tests.benchmarks.mqtt", "paced", str(broker_port), str(qos), str(PACED)]
    else:
        command = [sys.executable, str(CLIENT), "--client", client, "--port", str(broker_port), "--qos", str(qos)]
        command += ["--count", str(PACED), "--decode", "orjson", "--latency", "--skip", str(_SKIPPED)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT if client else None, text=True
    ) as subscriber:
        assert subscriber.stdout is not None
        assert subscriber.stdout.readline().strip() == "ready"
        with load("pace", broker_port, "s/1", qos, PACED, 1000) as publisher:
            sent = json.loads(publisher.communicate(timeout=60)[0])
        found = json.loads(subscriber.communicate(timeout=60)[0].strip().splitlines()[-1])
    if client is not None:
        return found["p50_us"], found["p99_us"]
    took = sorted((now - sent[number]) / 1e3 for number, now in found[_SKIPPED:])
    return took[len(took) // 2], took[len(took) * 99 // 100]


def latencies(folder: Path) -> list[list[Any]]:
    """The middle of several runs of each client, one after the other in turn, at one broker."""
    clients: dict[str, str | None] = {"a window of spikeflow": None}
    clients |= {f"the hands of {name}, unread": name for name in _installed() if name != "gmqtt+uvloop"}
    settings = ["persistence false", "max_inflight_messages 0", "set_tcp_nodelay true"]
    rows: list[list[Any]] = []
    with running_mosquitto(folder, settings=settings) as broker:
        for qos in (0, 1):
            took = [[latency(broker.port, qos, client) for client in clients.values()] for _ in range(REPEATS)]
            for said, found in zip(clients, zip(*took, strict=True), strict=True):
                rows.append([said, qos, *(float(sorted(each)[REPEATS // 2]) for each in zip(*found, strict=True))])
    return rows


def _installed() -> list[str]:
    """The clients that can be measured here; the raw one is a bare socket, which no client undercuts."""
    needs = {"paho": "paho", "raw+uvloop": "uvloop"}
    names = ("aiomqtt+uvloop", "gmqtt+uvloop", "paho", "raw+uvloop")
    return [name for name in names if importlib.util.find_spec(needs.get(name, name.partition("+")[0]))]


def main() -> None:
    """Print µs of CPU a message and messages a second flat out, and the latency at 1 000 a second."""
    rows: list[list[Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        template = {"json": Path(folder) / "json50.bin", "arrow": Path(folder) / "arrow10k.bin"}
        template["json"].write_bytes(JSON)
        template["arrow"].write_bytes(arrow())
        clients = [
            ("spikeflow, 3.1.1, two samples a message into windows", ["ours", "3.1.1", "json"]),
            ("spikeflow, MQTT 5", ["ours", "5", "json"]),
            ("spikeflow, 3.1.1, Arrow, 640 samples in 10 kB", ["ours", "3.1.1", "arrow"]),
        ]
        clients += [(f"{name}, counted only", [name]) for name in _installed()]
        for name, client in clients:
            for qos in (0, 1):
                found = [
                    _flat(template[client[-1] if "ours" in client else "json"], qos, client) for _ in range(REPEATS)
                ]
                found.sort(key=lambda row: row["cpu_us_per_msg"])
                middle = found[REPEATS // 2]
                rows.append([name, qos, float(middle["cpu_us_per_msg"]), round(middle["msg_s"])])
        show(["client", "QoS", "CPU µs a message", "messages/s"], rows)
        print()
        show(["latency at 1 000/s, from the publisher to", "QoS", "p50 µs", "p99 µs"], latencies(Path(folder)))


def _flat(template: Path, qos: int, client: list[str]) -> dict[str, Any]:
    count = MESSAGES
    if client[0] == "ours":
        count = count // 20 if client[2] == "arrow" else count
        more = ["tests.benchmarks.mqtt", "flat", "PORT", str(qos), client[1], str(count), client[2]]
        return blasted(template, qos, count, [sys.executable, "-m", *more])
    count = count // 4 if "aiomqtt" in client[0] or client[0] == "paho" else count
    options = ["--client", client[0], "--port", "PORT", "--qos", str(qos), "--count", str(count), "--decode", "orjson"]
    return blasted(template, qos, count, [sys.executable, str(CLIENT), *options])


if __name__ == "__main__":
    with fast_loop() as runner:
        if sys.argv[1] == "flat":
            port, qos, protocol, count, kind = sys.argv[2:7]
            print(json.dumps(runner.run(flat_out(int(port), int(qos), protocol, int(count), kind))))
        else:
            print(json.dumps(runner.run(paced(int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))))
