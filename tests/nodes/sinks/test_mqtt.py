"""MQTT as a sink."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiomqtt
import numpy as np
import paho.mqtt.client as paho
import pyarrow as pa
import pytest

from spikeflow import load
from spikeflow.errors import GraphError
from spikeflow.events import Batch, Grid, Stream, Window, sample_batch, spike_batch
from spikeflow.node import Context
from spikeflow.nodes.broker import embedded_broker
from spikeflow.nodes.messages import Messages
from spikeflow.nodes.payload import Each
from spikeflow.nodes.payloads.json import Json
from spikeflow.nodes.sinks.mqtt import Mqtt
from spikeflow.nodes.sources.mqtt import Mqtt as MqttSource
from spikeflow.testing import check_node
from tests.brokers import Mosquitto, mosquitto, running_mosquitto
from tests.nodes.conftest import GivingInlet, LiveSource, Log, WallClock
from tests.nodes.test_mqtt_versions import OldBroker, listening

__all__ = ["mosquitto"]

GRID = Grid(1_714_564_803_000_000_000, 1_000_000, 10)
RATE = Stream("rate", "samples", 3)
SPIKES = Stream("hidden", "spikes", 9)


def made(
    record: pa.RecordBatch, stream: Stream, each: Each = "window", apart: bool = False, **fields: Any
) -> list[Any]:
    """(topic, tree) of the messages of a window."""
    window = Window.at(GRID, 0, GRID.window_ticks)
    last = np.full(stream.size, np.nan)
    messages = Messages(stream, Json(**fields), each, lambda channel: f"on/{channel}", apart, last, lambda *_: None)
    return [(m.topic, json.loads(m.data)) for m in messages.of(Batch.of(window, stream.schema(GRID), record))]


def test_events_become_one_object_with_arrays() -> None:
    samples = sample_batch([GRID.origin_ns, GRID.origin_ns + 1], [0, 2], np.array([0.5, -1], np.float32))
    assert made(samples, RATE) == [
        (
            "on/None",
            {
                "stream": "rate",
                "t": [1_714_564_803_000_000_000, 1_714_564_803_000_000_001],
                "channel": [0, 2],
                "value": [0.5, -1.0],
            },
        )
    ]
    spikes = spike_batch([GRID.origin_ns + 5], [7])
    assert made(spikes, SPIKES, time_unit="iso") == [
        (
            "on/None",
            {
                "stream": "hidden",
                "t": ["2024-05-01T12:00:03.000000005Z"],
                "neuron": [7],
            },
        )
    ]


THREE = sample_batch([GRID.origin_ns + n for n in range(4)], [0, 2, 0, 2], np.array([0.5, -1, 0.5, 3], np.float32))


def test_a_message_is_a_window_an_event_or_a_change() -> None:
    path: dict[str, Any] = {"value": "$.v"}
    assert made(THREE, RATE, **path) == [("on/None", {"v": [0.5, -1.0, 0.5, 3.0]})]
    assert made(THREE, RATE, "event", **path) == [("on/None", {"v": value}) for value in (0.5, -1.0, 0.5, 3.0)]
    assert made(THREE, RATE, "change", **path) == [("on/None", {"v": value}) for value in (0.5, -1.0, 3.0)]
    assert made(sample_batch([], [], np.array([], np.float32)), RATE) == []


def test_a_channel_in_the_topic_parts_the_messages() -> None:
    path: dict[str, Any] = {"value": "$.v"}
    assert made(THREE, RATE, apart=True, **path) == [("on/0", {"v": [0.5, 0.5]}), ("on/2", {"v": [-1.0, 3.0]})]
    assert made(THREE, RATE, "change", apart=True, **path) == [
        ("on/0", {"v": 0.5}),
        ("on/2", {"v": -1.0}),
        ("on/2", {"v": 3.0}),
    ]


def test_one_event_is_told_without_arrays() -> None:
    t = GRID.origin_ns
    assert made(sample_batch([t], [1], np.array([0.1], np.float32)), RATE, "event") == [
        ("on/None", {"stream": "rate", "t": t, "channel": 1, "value": 0.1})
    ]


async def test_each_event_goes_to_the_topic_of_its_channel_in_the_format_that_is_asked_for(
    mosquitto: Mosquitto,
) -> None:
    async with aiomqtt.Client(mosquitto.host, mosquitto.port) as reader:
        await reader.subscribe("touch/#", 1)
        given = [Batch.of(Window.at(GRID, 0, 10, True), RATE.schema(GRID), THREE)]
        fields: dict[str, Any] = {"topic": "touch/{stream}/{channel}", "each": "change", "payload": {"format": "raw"}}
        sink = LiveSink(GivingInlet([RATE], given), url=mosquitto.url, **fields)
        await sink.task
        found = []
        async for message in reader.messages:
            found.append((str(message.topic), message.payload))
            if len(found) == 3:
                break
    assert found == [("touch/rate/0", b"0.5"), ("touch/rate/2", b"-1.0"), ("touch/rate/2", b"3.0")]


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_each_message_comes_once_at_every_qos(mosquitto: Mosquitto, protocol: Any, qos: Any) -> None:
    values = np.arange(600, dtype=np.float32)  # more than go out at once
    times = [GRID.origin_ns + number for number in range(600)]
    given = [Batch.of(Window.at(GRID, 0, 10, True), RATE.schema(GRID), sample_batch(times, [0] * 600, values))]
    fields: dict[str, Any] = {"topic": "all", "each": "event", "payload": {"format": "raw"}, "protocol": protocol}
    async with aiomqtt.Client(mosquitto.host, mosquitto.port) as reader:
        await reader.subscribe("all", 2)
        sink = LiveSink(GivingInlet([RATE], given), url=mosquitto.url, qos=qos, **fields)
        await sink.task
        found = []
        async for message in reader.messages:
            assert isinstance(message.payload, bytes)
            found.append(float(message.payload))
            if len(found) == len(values):
                break
    assert found == values.tolist()
    assert sink.context.counters.noted == {"messages": 600}


MANY = [
    Batch.of(
        Window.at(GRID, 0, 10, True),
        RATE.schema(GRID),
        sample_batch([GRID.origin_ns] * 90, [0] * 90, np.arange(90, dtype=np.float32)),
    )
]


@pytest.mark.parametrize(
    ("fields", "most"),
    [({}, 7), ({"inflight": 3}, 3), ({"protocol": "3.1.1"}, 90), ({"protocol": "3.1.1", "inflight": 5}, 5)],
)
async def test_as_much_is_under_way_as_the_broker_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], most: int
) -> None:
    under_way: list[int] = []
    send = paho.Client._send_publish

    def noted(self: paho.Client, *arguments: Any, **options: Any) -> Any:
        under_way.append(self._inflight_messages)
        return send(self, *arguments, **options)

    monkeypatch.setattr(paho.Client, "_send_publish", noted)
    with running_mosquitto(tmp_path, settings=["max_inflight_messages 7"]) as broker:
        sink = LiveSink(GivingInlet([RATE], MANY), url=broker.url, topic="x", each="event", **fields)
        await sink.task
    assert sink.context.counters.noted == {"messages": 90}
    assert max(under_way) == most


WIDE = Stream("wide", "samples", 400)


CLOSES, TOO_LARGE = "the broker closes the connection on it", "the message is larger than the broker takes"


@pytest.mark.parametrize(
    ("protocol", "why", "box"), [("3.1.1", CLOSES, False), ("5", TOO_LARGE, False), ("5", TOO_LARGE, True)]
)
async def test_a_message_that_the_broker_does_not_take_is_given_up_and_the_others_come(
    tmp_path: Path, protocol: str, why: str, box: bool
) -> None:
    sizes = [3, 3, 400, 3]
    windows = [Window.at(GRID, number * 10, number * 10 + 10) for number in range(len(sizes))]
    given = [
        Batch.of(window, WIDE.schema(GRID), sample_batch([GRID.origin_ns] * size, range(size), np.zeros(size, "f4")))
        for window, size in zip(windows, sizes, strict=True)
    ]
    more: dict[str, Any] = {"outbox": {"path": tmp_path / "out.db"}} if box else {}
    with running_mosquitto(tmp_path, settings=["max_packet_size 1000"]) as broker:
        async with aiomqtt.Client(broker.host, broker.port) as reader:
            await reader.subscribe("x", 1)
            sink = LiveSink(GivingInlet([WIDE], given), url=broker.url, topic="x", protocol=protocol, **more)
            async with asyncio.timeout(60):
                await sink.task
            heard = set()
            async for message in reader.messages:  # those that were under way with one of them may come twice
                assert isinstance(message.payload, bytes)
                heard.add(json.loads(message.payload)["channel"][-1])
                if len(reader.messages) == 0:
                    break
    counters = sink.context.counters
    assert heard == {2}
    assert counters.rejected == {f"refused: {why}": 400}
    assert counters.noted["messages"] == 3
    assert ("warning", f"{why}: 'x' is refused") in sink.log.lines
    assert (counters.noted.get("reconnected", 0) > 0) == (protocol == "3.1.1")


async def test_a_broker_that_answers_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikeflow.nodes.mqtt_outgoing._SILENCE_S", 0.2)
    async with listening(OldBroker("says so")) as url:
        sink = LiveSink(GivingInlet([RATE], MANY), url=url, topic="x", each="event", payload={"format": "raw"})
        said = await sink.log.says("the broker has answered none of ")
        assert said == "the broker has answered none of 90 messages for 0.2 s; is 'inflight' more than it takes?"
        sink.task.cancel()
        await asyncio.gather(sink.task, return_exceptions=True)


async def test_what_a_format_cannot_hold_is_rejected_and_counted(mosquitto: Mosquitto) -> None:
    given = [Batch.of(Window.at(GRID, 0, 10, True), RATE.schema(GRID), THREE)]
    payload = {"format": "struct", "layout": "<B", "value": 0}
    sink = LiveSink(GivingInlet([RATE], given), url=mosquitto.url, topic="x", each="event", payload=payload)
    await sink.task
    assert sink.context.counters.rejected == {"does not fit": 1}
    assert sink.context.counters.noted == {"messages": 3}
    assert ["does not fit" in text for _, text in sink.log.lines if "rate" in text] == [True]


def batches(stream: Stream, values: list[float | None]) -> list[Batch]:
    """One batch a window; None is an empty one."""
    found = []
    for number, value in enumerate(values):
        window = Window.at(GRID, number * GRID.window_ticks, GRID.window_ticks, number == len(values) - 1)
        record = sample_batch([window.start_ns], [1], np.array([value], np.float32)) if value is not None else None
        schema = stream.schema(GRID)
        found.append(Batch.none(window, schema) if record is None else Batch.of(window, schema, record))
    return found


class LiveSink:
    """A sink at work."""

    def __init__(self, inlet: GivingInlet, names: Sequence[str] = (), **fields: Any) -> None:
        self.inlet, self.log = inlet, Log()
        node = Mqtt(**fields)
        assert list(node.check(inlet.streams, GRID)) == []
        self.context = Context("out", GRID, WallClock(), inlet.streams, log=self.log)
        for stream in inlet.streams:
            self.context.names(stream).take(names)
        node.bind(self.context)
        self.task = asyncio.create_task(node.consume(inlet))


class StepInlet(GivingInlet):
    """Gives each batch only when it is let go."""

    def __init__(self, streams: list[Stream], given: list[Batch]) -> None:
        super().__init__(streams, given)
        self.go = asyncio.Semaphore(0)
        self.asked = asyncio.Semaphore(0)

    async def take(self) -> Batch:
        self.asked.release()
        await self.go.acquire()
        return await super().take()


async def test_each_window_with_events_is_one_message(mosquitto: Mosquitto) -> None:
    async with aiomqtt.Client(mosquitto.host, mosquitto.port) as reader:
        await reader.subscribe("touch/#", 1)
        sink = LiveSink(
            GivingInlet([RATE], batches(RATE, [1, None, None, 2])), url=mosquitto.url, topic="touch/{stream}"
        )
        await sink.task
        assert sink.inlet.is_open.is_set()
        found = []
        async for message in reader.messages:
            assert isinstance(message.payload, bytes)
            found.append((str(message.topic), json.loads(message.payload)["value"]))
            if len(found) == 2:
                break
    assert found == [("touch/rate", [1.0]), ("touch/rate", [2.0])]
    assert sink.context.counters.noted == {"messages": 2}


@pytest.mark.parametrize("url", ["embedded", "mosquitto"])
async def test_what_a_sink_publishes_a_source_takes_back_event_by_event(mosquitto: Mosquitto, url: str) -> None:
    address = mosquitto.url if url == "mosquitto" else url
    events = [Batch.of(w.window, SPIKES.schema(GRID), spike_batch([w.window.start_ns] * 2, [1, n])) for n, w in
              enumerate(batches(SPIKES, [0, 0, 0]), start=2)]  # fmt: skip
    payload = {"channel": "$.neuron", "time": "$.t", "time_unit": "ns"}
    node = MqttSource(url=address, topic="s", channels=9, kind="spikes", payload=payload, time={"by": "payload"}, qos=1)
    async with LiveSource(node) as live:
        await LiveSink(GivingInlet([SPIKES], events), url=address, topic="s").task
        await live.outlet.heard(6)
    expected = [(batch.window.start_ns, n) for batch, k in zip(events, (2, 3, 4), strict=True) for n in (1, k)]
    assert [(t, n) for n, _, t in live.outlet.pushed] == expected


async def test_nothing_is_lost_while_the_broker_is_away(mosquitto: Mosquitto) -> None:
    reader = MqttSource(url=mosquitto.url, topic="x", channels=3, qos=1, client_id="reader",
                        payload={"value": "$.value", "channel": "$.channel"})  # fmt: skip
    inlet = StepInlet([RATE], batches(RATE, [float(n) for n in range(40)]))
    async with LiveSource(reader) as live:
        sink = LiveSink(inlet, url=mosquitto.url, topic="x")
        for number in range(40):
            await inlet.asked.acquire()
            if number == 20:
                mosquitto.stop()
                inlet.go.release()
                await sink.log.says("lost ")
                mosquitto.start()
                continue
            inlet.go.release()
        inlet.go.release()
        await sink.task
        # a broker that comes back may say again what it has said before
        await live.outlet.told(lambda: len({value for _, value, _ in live.outlet.pushed}) >= 40)
    assert sorted({value for _, value, _ in live.outlet.pushed}) == [float(n) for n in range(40)]
    assert sink.context.counters.noted["reconnected"] == 1
    assert any("back on" in text for _, text in sink.log.lines)


async def test_a_retained_message_is_there_for_whoever_comes_later(mosquitto: Mosquitto) -> None:
    await LiveSink(GivingInlet([RATE], batches(RATE, [1, 2])), url=mosquitto.url, topic="r", retain=True).task
    async with aiomqtt.Client(mosquitto.host, mosquitto.port) as reader:
        await reader.subscribe("r")
        message = await anext(aiter(reader.messages))
    assert isinstance(message.payload, bytes)
    assert json.loads(message.payload)["value"] == [2.0]


async def test_a_sink_alone_with_the_embedded_broker_ends() -> None:
    sink = LiveSink(GivingInlet([RATE], batches(RATE, [1, 2])), url="embedded", topic="r")
    await sink.task
    async with embedded_broker():
        pass


FLEET = replace(RATE.times(3, "machine"), name="rate")


async def test_changes_are_those_of_a_channel_of_a_machine(mosquitto: Mosquitto) -> None:
    schema, window = FLEET.schema(GRID), Window.at(GRID, 0, 10, True)
    at = [window.start_ns + row for row in range(5)]
    value = np.array([1, 1, 1, 1, 2], np.float32)
    given = [Batch.of(window, schema, sample_batch(at, [0, 3, 0, 4, 3], value))]
    async with aiomqtt.Client(mosquitto.host, mosquitto.port) as reader:
        await reader.subscribe("plant/#", 1)
        sink = LiveSink(
            GivingInlet([FLEET], given), ["press", "saw"], url=mosquitto.url, topic="plant/{machine}/{channel}",
            each="change", payload={"value": "$.v"},
        )  # fmt: skip
        await sink.task
        found = []
        async for message in reader.messages:
            assert isinstance(message.payload, bytes)
            found.append((str(message.topic), json.loads(message.payload)["v"]))
            if len(found) == 4:
                break
    assert found == [("plant/press/0", 1.0), ("plant/saw/0", 1.0), ("plant/saw/1", 1.0), ("plant/saw/0", 2.0)]
    assert sink.context.counters.noted == {"messages": 4}


@pytest.mark.parametrize("qos", [0, 1])
async def test_each_machine_gets_a_topic_and_what_has_no_name_yet_is_counted(mosquitto: Mosquitto, qos: int) -> None:
    schema, (first, second) = FLEET.schema(GRID), [batch.window for batch in batches(FLEET, [None, None])]
    value = np.arange(5, dtype=np.float32)
    given = [
        Batch.of(first, schema, sample_batch([first.start_ns] * 5, [0, 2, 4, 7, 8], value)),
        Batch.of(second, schema, sample_batch([second.start_ns], [3], value[:1])),
    ]
    async with aiomqtt.Client(mosquitto.host, mosquitto.port) as reader:
        await reader.subscribe("plant/#", 1)
        sink = LiveSink(
            GivingInlet([FLEET], given), ["press", "saw"], url=mosquitto.url, topic="plant/{machine}/{stream}", qos=qos
        )
        await sink.task
        found = []
        async for message in reader.messages:
            assert isinstance(message.payload, bytes)
            body = json.loads(message.payload)
            found.append((str(message.topic), body["stream"], body["channel"], body["value"]))
            if len(found) == 3:
                break
    assert found == [
        ("plant/press/rate", "rate", [0, 2], [0.0, 1.0]),
        ("plant/saw/rate", "rate", [1], [2.0]),
        ("plant/saw/rate", "rate", [0], [0.0]),
    ]
    assert sink.context.counters.noted == {"messages": 3}
    assert sink.context.counters.dropped == {"unnamed": 2}
    assert sink.context.counters.processed == -2  # the run counts whole batches


async def test_of_many_messages_of_one_window_none_is_lost_while_the_broker_is_away(mosquitto: Mosquitto) -> None:
    count, windows = 50, 6
    fleet = replace(Stream("rate", "samples", 1).times(count, "machine"), name="rate")
    given = [
        Batch.of(batch.window, fleet.schema(GRID), sample_batch([batch.window.start_ns] * count, range(count),
                                                                np.full(count, number, np.float32)))
        for number, batch in enumerate(batches(fleet, [None] * windows))
    ]  # fmt: skip
    names = [f"m{number}" for number in range(count)]
    reader = MqttSource(url=mosquitto.url, topic="x/{machine}", channels=count, qos=1, client_id="reader",
                        payload={"value": "$.value"})  # fmt: skip
    inlet = StepInlet([fleet], given)
    async with LiveSource(reader) as live:
        sink = LiveSink(inlet, names, url=mosquitto.url, topic="x/{machine}")
        for number in range(windows + 1):
            await inlet.asked.acquire()
            if number == windows // 2:
                mosquitto.stop()
                inlet.go.release()
                await sink.log.says("lost ")
                mosquitto.start()
            else:
                inlet.go.release()
        await sink.task
        await live.outlet.told(lambda: len({(c, v) for c, v, _ in live.outlet.pushed}) >= count * windows)
    assert reader.channel_names() == [f"{name}[0]" for name in names]
    assert sink.context.counters.noted["messages"] == count * windows


def test_topics_that_cannot_be_published_to_are_named_at_check() -> None:
    def said(topic: str) -> list[str]:
        return [str(p) for p in Mqtt(url="embedded", topic=topic).check([RATE], GRID)]

    assert said("a/+") == ["nothing can be published to 'a/+' — a topic without + and #; they are for listening"]
    assert said("a/{streams}") == ["unknown placeholder {streams} — did you mean 'stream'?"]
    assert said("a/{stream") == ["'a/{stream' has a brace without its other half — write {stream}"]
    assert said("a/{stream}/{name}/{channel}") == []
    (problem,) = Mqtt(url="embedded", topic="x", each="change").check([SPIKES], GRID)
    assert str(problem) == "the spikes of 'hidden' have no value that changes — each: event"
    assert said("a/{machine}") == ["unknown placeholder {machine} — valid: channel, name, stream"]


def test_a_key_in_the_topic_is_one_that_all_inputs_have() -> None:
    def said(topic: str, *streams: Stream) -> list[str]:
        return [str(p) for p in Mqtt(url="embedded", topic=topic).check(streams, GRID)]

    assert said("a/{machine}/{stream}", FLEET) == []
    assert said("a/{machin}", FLEET) == ["unknown placeholder {machin} — did you mean 'machine'?"]
    assert said("a/{machine}", FLEET, SPIKES) == ["'hidden' has no {machine} — publish it by a sink of its own"]
    name = replace(FLEET, key="name")
    assert said("a/{name}", name) == [
        "{name} is also the key of the copies of 'rate' — call the key otherwise with 'replicate'"
    ]
    assert said("a/{stream}", name) == []


@pytest.mark.parametrize("name", ["a+b", "#"])
def test_a_graph_whose_name_is_a_wildcard_is_refused_where_a_topic_holds_it(name: str) -> None:
    source = {"source": "synthetic", "signal": "sine", "length": "20 ms"}
    sink = {"sink": "mqtt", "input": "wave", "url": "embedded", "topic": "plant/{name}/{stream}"}

    def said(**more: Any) -> list[str]:
        with pytest.raises(GraphError) as caught:
            load({"name": name, "nodes": {"wave": source, "out": {**sink, **more}}})
        return str(caught.value).splitlines()

    is_one = f"is that of the graph, {name!r}, which holds a wildcard"
    hint = "give the graph another 'name', or write the level out"
    assert said() == [f"node \"out\": {{name}} in 'plant/{{name}}/{{stream}}' {is_one} — {hint}"]
    birth = {"topic": "up/{name}"}
    assert said(topic="plant", birth=birth) == [f"node \"out\": {{name}} in 'up/{{name}}' {is_one} — {hint}"]
    assert load({"name": name, "nodes": {"wave": source, "out": {**sink, "topic": "plant"}}}).name == name
    assert load({"name": "a-b.c d", "nodes": {"wave": source, "out": sink}})


def test_the_place_of_a_topic_with_such_a_name_is_said(tmp_path: Path) -> None:
    (tmp_path / "a+b.yaml").write_text(
        "spikeflow: 1\nnodes:\n  wave: {source: synthetic, signal: sine, length: 20 ms}\n"
        "  out: {sink: mqtt, input: wave, url: embedded, topic: 'plant/{name}'}\n"
    )
    with pytest.raises(GraphError, match=r"a\+b.yaml:4:\d+: node \"out\": \{name\} in .* 'a\+b'"):
        load(tmp_path / "a+b.yaml")


def test_the_sink_keeps_the_rules_of_sinks(mosquitto: Mosquitto) -> None:
    check_node(lambda: Mqtt(url=mosquitto.url, topic="spikeflow/rules"), clock=WallClock, ticks=130)


@pytest.mark.parametrize("name", ["", "a+", "#", "a\0b", "a\x07", "\ud800", "\ufffe", "\ufdd0", "long" * 16_384])
async def test_a_machine_whose_name_no_broker_takes_does_not_stop_the_others(mosquitto: Mosquitto, name: str) -> None:
    schema, [window] = FLEET.schema(GRID), [batch.window for batch in batches(FLEET, [None])]
    record = sample_batch([window.start_ns] * 3, [0, 3, 4], np.arange(3, dtype=np.float32))
    async with aiomqtt.Client(mosquitto.host, mosquitto.port) as reader:
        await reader.subscribe("saw", 1)
        inlet = GivingInlet([FLEET], [Batch.of(window, schema, record)])
        sink = LiveSink(inlet, [name, "saw"], url=mosquitto.url, topic="{machine}")
        await sink.task
        message = await anext(aiter(reader.messages))
    assert isinstance(message.payload, bytes)
    assert json.loads(message.payload)["value"] == [1.0, 2.0]
    assert sink.context.counters.noted == {"messages": 1}
    assert sink.context.counters.dropped == {"topic": 1}
    [(level, text)] = sink.log.lines
    assert level == "warning" and "nothing can be published for the machine" in text


@pytest.mark.parametrize(
    "topic", ["p/{machine!r}", "p/{machine:d}", "p/{machine:{stream}}", "p/{stream!x}", "p\x07", ""]
)
def test_a_topic_that_could_not_be_made_or_published_to_is_refused(topic: str) -> None:
    assert list(Mqtt(url="embedded", topic=topic).check([FLEET], GRID))
