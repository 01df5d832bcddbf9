"""A fleet that comes and goes, in virtual time: from a broker's bytes to windows, and back to its receipts."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar

import aiomqtt
import numpy as np
import pytest

import spikeflow
from spikeflow.node import Context, Inlet, Sink
from spikeflow.nodes.mqtt_reader import Frames
from spikeflow.nodes.mqtt_session import Inbox
from spikeflow.nodes.sources.mqtt import Mqtt
from spikeflow.runtime.engine import Engine, Options
from spikeflow.testing import VirtualClock, run_virtually
from tests.benchmarks.mqtt_load import publish

MS, SECOND = 1_000_000, 1_000_000_000
START = 1_700_000_000 * SECOND
MINUTES = 10
AWAY_EVERY = 97

Sent = tuple[int, str, bytes]
"""When (ns), the topic, the payload."""


class ScriptedBroker:
    """What a broker sends (QoS 1), as bytes, when the clock says so, and what it is answered; no socket in between.

    Every so many messages the connection is lost, and what had not been acknowledged comes again.
    """

    url, version = "mqtt://scripted", "3.1.1"

    def __init__(self, script: Sequence[Sent], context: Context, lost_after: int) -> None:
        self.script, self.context, self.lost_after = deque(script), context, lost_after
        self.unacknowledged: dict[int, tuple[str, bytes]] = {}
        self.acknowledged: Counter[int] = Counter()
        self.most_unacknowledged = self.sent = self.reconnects = 0
        self._mid = 0
        self._disconnected: asyncio.Future[None]
        self._frames: Frames

    # What the source sees of its link and its client.

    async def stands(self, client: object) -> None:
        """The source has subscribed."""

    async def subscribe(self, topics: str, qos: int) -> tuple[int]:
        """Grant it."""
        return (qos,)

    async def keep(self, work: Callable[[Any], Awaitable[None]], inbox: Inbox) -> None:
        """As `Link.keep`: work on one connection after the other."""
        resumed = False
        while True:
            self._disconnected = asyncio.get_running_loop().create_future()
            self._frames = Frames(inbox.put, lambda head, body: None)
            inbox.attached(self, self.hears, resumed)  # type: ignore[arg-type]
            resumed = True
            feeding = asyncio.create_task(self.feed(inbox))
            try:
                await work(self)
            except aiomqtt.MqttError:
                inbox.detached()
                self.reconnects += 1
                continue
            finally:
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)

    def pause(self) -> None:
        raise AssertionError("the source is never so slow")

    def resume(self) -> None:
        """Nothing was paused."""

    async def heard(self) -> None:
        """All that was said has been heard."""

    # The broker.

    def hears(self, answers: bytes) -> None:
        """Take acknowledgements."""
        for at in range(0, len(answers), 4):
            assert answers[at : at + 2] == b"\x40\x02"
            mid = int.from_bytes(answers[at + 2 : at + 4], "big")
            del self.unacknowledged[mid]  # a KeyError: acknowledged twice, or never sent
            self.acknowledged[mid] += 1

    async def feed(self, inbox: Inbox) -> None:
        """Send what is due, first of all what was lost with the connection before."""
        clock = self.context.clock
        for mid, (topic, payload) in list(self.unacknowledged.items()):
            message = publish(topic, payload, 1, mid)
            self._frames.feed(bytes([message[0] | 8]) + message[1:])
        inbox.told()
        while self.script:
            await clock.sleep_until(self.script[0][0])
            while self.script and self.script[0][0] <= clock.now_ns():
                _, topic, payload = self.script.popleft()
                self._mid = self._mid % 65_535 + 1
                self.unacknowledged[self._mid] = topic, payload
                self.sent += 1
                self._frames.feed(publish(topic, payload, 1, self._mid))
                if self.sent % self.lost_after == 0:
                    inbox.told()
                    inbox.detached()
                    self._disconnected.set_exception(ConnectionAbortedError())
                    self._disconnected.exception()
                    return
            self.most_unacknowledged = max(self.most_unacknowledged, len(self.unacknowledged))
            inbox.told()


class Plant(Mqtt):
    """The source, on a scripted broker."""

    script: ClassVar[Sequence[Sent]] = ()
    lost_after: ClassVar[int] = 10**9

    def link(self, context: Context, qos: int, most_unacknowledged: int = 0, under_way: int | None = None) -> Any:
        self.__dict__["_broker"] = ScriptedBroker(self.script, context, self.lost_after)
        return self.__dict__["_broker"]


class Watch(Sink):
    """Keeps how many events of each channel came, and the longest time an event took to get here (ms)."""

    async def consume(self, inlet: Inlet) -> None:
        clock = self.context.clock
        self._seen: Counter[int] = Counter()
        self._longest_ms = 0.0
        async for batch in inlet:
            if batch.num_rows:
                self._seen.update(batch.column(1).to_pylist())
                first = batch.column(0)[0].value
                self._longest_ms = max(self._longest_ms, (clock.now_ns() - first) / MS)


def fleet(machines: int, minutes: float, seed: int) -> list[Sent]:
    """Machines that come and go: each publishes two axes every two seconds or so while it is there."""
    rng = np.random.default_rng(seed)
    sent: list[Sent] = []
    for machine in range(machines):
        for _ in range(int(rng.integers(1, 4))):  # some come again
            comes, stays = rng.uniform(0.0, minutes * 60.0), rng.exponential(minutes * 60.0 / 6.0)
            t = comes
            while t < min(comes + stays, minutes * 60.0):
                stamp = int(t * 1e9)
                arrives = stamp + int(rng.uniform(0.0, 0.08) * 1e9)
                for axis in ("x", "y"):
                    body = b'{"v": %.3f, "t": %d}' % (rng.normal(), START + stamp)
                    payload = b"garbage" if rng.random() < 0.01 else body
                    sent.append((START + arrives, f"plant/m{machine}/{axis}", payload))
                t += rng.uniform(1.0, 3.0)
    return sorted(sent, key=lambda one: one[0])


@pytest.mark.parametrize(
    ("machines", "copies"), [(100, 90), pytest.param(1000, 900, marks=pytest.mark.slow)], ids=["100", "1000"]
)
def test_a_fleet_that_comes_and_goes_is_accounted_for_to_the_last_message(machines: int, copies: int) -> None:
    script = fleet(machines, MINUTES, 7)

    class Machines(Plant):
        pass

    Machines.script, Machines.lost_after = script, len(script) // 8
    nodes: dict[str, Any] = {
        "machines": {
            "source": Machines, "url": "mqtt://nowhere", "topic": "plant/{machine}/{axis}", "replicate": "machine",
            "copies": copies, "channels": ["x", "y"], "qos": 1, "inflight": 0,
            "payload": {"value": "$.v", "time": "$.t", "time_unit": "ns"},
            "time": {"by": "payload", "lateness": "100 ms", "idle_after": "300 ms"},
        },
        "edges": {"encoder": "level_crossing", "input": "machines", "threshold": 0.2},
        "watch": {"sink": Watch, "input": "machines"},
    }  # fmt: skip
    clock = VirtualClock(START)
    log: list[tuple[str, str, str]] = []
    options = Options(clock=clock, seconds=MINUTES * 60.0 + 1.0, log=lambda *line: log.append(line))
    engine = Engine(spikeflow.load({"time": {"window": "50 ms"}, "nodes": nodes}), options)
    report = run_virtually(engine.run(), clock)
    assert engine.wired is not None
    source: Any = engine.wired.nodes["machines"]
    sink: Any = engine.wired.nodes["watch"]
    broker: ScriptedBroker = source.__dict__["_broker"]
    counts = report.nodes["machines"]
    assert broker.sent == len(script)
    assert not broker.unacknowledged and broker.acknowledged.total() == len(script)  # each once
    garbage = sum(payload == b"garbage" for _, _, payload in script)
    again = counts.get("dropped", {}).get("duplicate", 0)
    assert counts["accepted"] == len(script) + again
    assert again > 0 or broker.lost_after > len(script)
    lost = counts["rejected"].get("copies", 0) + counts["dropped"].get("late", 0)
    assert counts["rejected"]["not json"] == garbage
    assert counts["processed"] == len(script) - garbage - lost
    heard = list(dict.fromkeys(topic.split("/")[1] for _, topic, payload in script if payload != b"garbage"))
    assert report.nodes["watch"]["processed"] == sum(sink._seen.values()) == counts["processed"]
    assert len(sink._seen) == 2 * min(copies, len(heard))
    strays = set(heard[copies:])
    assert counts["rejected"]["copies"] == sum(
        topic.split("/")[1] in strays for _, topic, payload in script if payload != b"garbage"
    )
    assert counts["dropped"].get("late", 0) < len(script) / 100
    assert sink._longest_ms < 100 + 300 + 2 * 50 + 80  # who has left holds no window open
    assert broker.most_unacknowledged < machines
    assert report.exit_code == 0
    assert sum("rejected: copies" in text for _, _, text in log) <= MINUTES + 1
