"""MQTT as a source, from a real mosquitto and from the embedded broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import numpy as np
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from spikeflow.errors import RefusedError
from spikeflow.events import Grid
from spikeflow.node import ChannelMap
from spikeflow.nodes.broker import embedded_broker
from spikeflow.nodes.mqtt_properties import user_properties
from spikeflow.nodes.payload import Events
from spikeflow.nodes.sources.mqtt import Mqtt
from tests.brokers import Mosquitto, flood, mosquitto, running_mosquitto
from tests.nodes.conftest import LiveSource
from tests.nodes.payloads.test_sparkplug_b import sent

__all__ = ["mosquitto"]

GRID = Grid(0, 1_000_000, 10)


@pytest.fixture(params=["mosquitto", "embedded"])
async def url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The address of a broker of each kind."""
    if request.param == "mosquitto":
        broker: Mosquitto = request.getfixturevalue("mosquitto")
        yield broker.url
    else:
        async with embedded_broker() as (host, port):
            yield f"mqtt://{host}:{port}"


def client(url: str, name: str = "publisher", **options: Any) -> aiomqtt.Client:
    host, _, port = url.removeprefix("mqtt://").rpartition(":")
    return aiomqtt.Client(host, int(port), identifier=name, **options)


async def published(url: str, messages: list[tuple[str, Any]], qos: int = 1) -> None:
    async with client(url) as publisher:
        for topic, payload in messages:
            data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
            await publisher.publish(topic, data, qos)


async def test_keys_of_topics_become_channels_as_they_are_heard(url: str) -> None:
    node = Mqtt(url=url, topic="plant/{machine}/vibration", channels=4, payload={"value": "$.acc"}, qos=1)
    async with LiveSource(node) as live:
        messages = [("plant/press/vibration", {"acc": 1}), ("plant/saw/vibration", {"acc": 2.5})]
        await published(url, [*messages, ("plant/press/heat", {"acc": 9}), messages[0]])
        await live.outlet.heard(3)
        assert live.outlet.pushed == [(0, 1.0, None), (1, 2.5, None), (0, 1.0, None)]
        assert node.channel_names() == ["press", "saw"]
        assert node.save()["keys"] == ["press", "saw"]


async def test_arrays_objects_and_lists_of_keys_find_their_channels(url: str) -> None:
    by_place = LiveSource(Mqtt(url=url, topic="a", channels=3, qos=1), "one")
    by_name = LiveSource(Mqtt(url=url, topic="b", channels=["y", "x"], qos=1), "two")
    by_both = LiveSource(Mqtt(url=url, topic="c/{k}", channels=4, qos=1), "three")
    async with by_place, by_name, by_both:
        await published(
            url, [("a", [1, 2, 3, 4]), ("b", {"x": 1, "y": 2, "z": 3}), ("c/p", [1, 2]), ("c/q", [3, 4]), ("c/p", [5])]
        )
        await by_place.outlet.heard(3)
        await by_name.outlet.heard(2)
        await by_both.outlet.heard(5)
    assert [(c, v) for c, v, _ in by_place.outlet.pushed] == [(0, 1.0), (1, 2.0), (2, 3.0)]
    assert by_place.outlet.rejected == by_name.outlet.rejected == {"channels": 1}
    assert [(c, v) for c, v, _ in by_name.outlet.pushed] == [(1, 1.0), (0, 2.0)]
    assert [(c, v) for c, v, _ in by_both.outlet.pushed] == [(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0), (0, 5.0)]
    assert by_both.node.save()["keys"] == ["p[0]", "p[1]", "q[0]", "q[1]"]


async def test_payload_times_go_with_the_events(url: str) -> None:
    payload = {"value": "$.v", "time": "$.ts", "time_unit": "ms"}
    node = Mqtt(url=url, topic="t", channels=2, payload=payload, time={"by": "payload"}, qos=1)
    async with LiveSource(node) as live:
        await published(url, [("t", {"v": 1, "ts": 5}), ("t", {"v": [1, 2], "ts": 6}), ("t", {"v": 1})])
        await live.outlet.heard(3)
        await published(url, [("t", {"v": 1, "ts": 7})])
        await live.outlet.heard(4)
    at_6 = [(0, 1.0, 6_000_000), (1, 2.0, 6_000_000)]
    assert live.outlet.pushed == [(0, 1.0, 5_000_000), *at_6, (0, 1.0, 7_000_000)]
    assert live.outlet.rejected == {"no time": 1}


async def test_spikes_come_from_arrays_of_neurons(url: str) -> None:
    node = Mqtt(url=url, topic="s", channels=10, kind="spikes", payload={"channel": "$.neuron"}, qos=1)
    assert not node.outlets(())[""].valued
    async with LiveSource(node) as live:
        await published(url, [("s", {"neuron": [7, 3]}), ("s", {"neuron": 9})])
        await live.outlet.heard(3)
    assert live.outlet.pushed == [(7, 1.0, None), (3, 1.0, None), (9, 1.0, None)]


async def test_what_a_graph_publishes_as_arrow_a_graph_takes_as_it_was(url: str) -> None:
    payload: dict[str, Any] = {"format": "arrow", "holds": "spikes", "compression": "zstd"}
    node = Mqtt(url=url, topic="s", channels=10, kind="spikes", payload=payload, time={"by": "payload"}, qos=1)
    assert not node.outlets(())[""].valued
    spikes = Events("hidden", "spikes", np.array([5, 5, 6]), np.array([3, 7, 12], np.uint32), None)
    async with LiveSource(node) as live:
        await published(
            url, [("s", node.payload.encode(spikes)), ("s", b"no arrow"), ("s", node.payload.encode(spikes))]
        )
        await live.outlet.heard(4)
    assert live.outlet.pushed == [(3, 1.0, 5), (7, 1.0, 5)] * 2
    assert live.outlet.rejected == {"channels": 2, "not zstd": 1}


async def test_elements_of_long_arrays_are_channels_of_the_key_they_come_under(url: str) -> None:
    async with LiveSource(Mqtt(url=url, topic="c/{k}", channels=4, qos=1)) as live:
        await published(url, [("c/p", [1, 2]), ("c/q", [3, 4, 5])])
        await live.outlet.heard(4)
    assert live.node.save()["keys"] == ["p[0]", "p[1]", "q[0]", "q[1]"]
    assert live.outlet.rejected == {"channels": 1}


async def test_births_are_remembered_over_a_restart(url: str) -> None:
    node = Mqtt(url=url, topic="spBv1.0/plant/#", channels=["speed"], payload={"format": "sparkplug_b"}, qos=1)
    born = sent({"name": "speed", "alias": 1, "datatype": 9, "float_value": 2.5})
    async with LiveSource(node) as live:
        await published(url, [("spBv1.0/plant/NBIRTH/press", born)])
        await live.outlet.heard(1)
    saved = node.save()
    again = LiveSource(node)
    node.load(saved)
    async with again:
        await published(url, [("spBv1.0/plant/NDATA/press", sent({"alias": 1, "float_value": 3}))])
        await again.outlet.heard(1)
    assert [value for _, value, _ in again.outlet.pushed] == [3.0]


async def test_a_message_far_larger_than_any_that_is_read_is_never_held(mosquitto: Mosquitto) -> None:
    payload = {"value": "$.v", "max_size": 1000}
    live = LiveSource(Mqtt(url=mosquitto.url, topic="x", channels=1, qos=1, payload=payload))
    kept: list[int] = []
    live.context.collect = lambda reason, topic, t_ns, data: kept.append(len(data))
    async with live:
        sizes = (0, 2_000, 400_000, 20_000_000, 0)
        await flood(mosquitto, "x", [b'{"v": %d, "pad": "%s"}' % (size, b"x" * size) for size in sizes], 1)
        await live.outlet.heard(2)
    assert [value for _, value, _ in live.outlet.pushed] == [0, 0]
    assert kept[0] > 2_000 and max(kept[1:]) <= 64
    assert live.outlet.rejected == {"too large": 3}
    assert live.context.counters.noted == {}


async def test_a_gap_is_told_and_the_node_asked_to_be_born_again(url: str) -> None:
    payload = {"format": "sparkplug_b", "gap": "rebirth"}
    node = Mqtt(url=url, topic="spBv1.0/plant/#", channels=["speed"], payload=payload, qos=1)
    metric = {"name": "speed", "datatype": 9, "float_value": 2.5}
    async with LiveSource(node) as live, client(url, "press") as press:
        await press.subscribe("spBv1.0/plant/NCMD/press", 1)
        await published(url, [("spBv1.0/plant/NDATA/press", sent(metric, seq=seq)) for seq in (0, 1, 4, 5)])
        command = await anext(aiter(press.messages))
        await live.outlet.heard(4)
    assert isinstance(command.payload, bytes) and b"Node Control/Rebirth" in command.payload
    assert live.context.counters.noted == {"sequence_gap": 2, "answered": 1}
    told = "sequence_gap: on spBv1.0/plant/NDATA/press: 2 messages of plant/press are missing: 4 came after 1"
    assert [text for level, text in live.log.lines if level == "warning"] == [told]


async def test_a_user_property_of_mqtt_5_says_when_it_was(mosquitto: Mosquitto) -> None:
    payload = {"value": "$.v", "time": {"property": "ts"}, "time_unit": "ms"}
    node = Mqtt(
        url=mosquitto.url, topic="t", channels=2, payload=payload, time={"by": "payload"}, qos=1, protocol="5"
    )  # fmt: skip
    properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.UserProperty = [("unit", "mm"), ("ts", "7")]
    async with LiveSource(node) as live:
        async with client(mosquitto.url, protocol=aiomqtt.ProtocolVersion.V5) as publisher:
            await publisher.publish("t", b'{"v": 1}', 1)
            await publisher.publish("t", b'{"v": 2}', 1, properties=properties)
        await live.outlet.heard(1)
    assert live.outlet.pushed == [(0, 2.0, 7_000_000)]
    assert live.outlet.rejected == {"no time": 1}


def test_properties_that_are_broken_are_none() -> None:
    assert user_properties(b"\x26\x00\x02ts\x00\x015") == [("ts", "5")]
    for data in (b"", b"\xff", b"\x26\x00\x02ts", b"\x26\xff\xffts\x00\x015", b"\x26\x00\x01\xff\x00\x015", b"\x01"):
        assert user_properties(data) == ()


async def test_keys_past_the_last_channel_are_counted_and_named_once(url: str) -> None:
    async with LiveSource(Mqtt(url=url, topic="m/{k}", channels=1, qos=1)) as live:
        await published(url, [("m/a", 1), ("m/b", 1), ("m/b", 1), ("m/c", 1), ("m/a", 2)])
        await live.outlet.heard(2)
    assert live.outlet.rejected == {"channels": 3}
    assert [text for level, text in live.log.lines if level == "warning"] == [
        "no channel is left for b; there are 1",
        "no channel is left for c; there are 1",
    ]


FLEET = {"replicate": "machine", "copies": 2, "qos": 1}


async def test_a_key_gets_a_copy_and_the_others_a_channel_that_is_the_same_in_all_copies(url: str) -> None:
    node = Mqtt(url=url, topic="plant/{machine}/{axis}", channels=2, **FLEET)
    async with LiveSource(node) as live:
        topics = ["a/x", "b/y", "b/x", "a/y", "a/z", "c/x", "c/y", "a/x"]
        await published(url, [(f"plant/{topic}", k) for k, topic in enumerate(topics)])
        await live.outlet.heard(5)
    assert [(c, v) for c, v, _ in live.outlet.pushed] == [(0, 0.0), (3, 1.0), (2, 2.0), (1, 3.0), (0, 7.0)]
    assert (live.context.named["machine"].keys, node.channel_names()) == (["a", "b"], ["x", "y"])
    assert live.context.outlet.shape == (2, 2)
    assert live.outlet.rejected == {"channels": 1, "copies": 2}
    assert [text for level, text in live.log.lines if level == "warning"] == [
        "no channel is left for z; there are 2",
        "no copy is left for c; there are 2",
    ]


async def test_elements_of_an_array_are_channels_of_the_machine_they_come_from(url: str) -> None:
    async with LiveSource(Mqtt(url=url, topic="{machine}", channels=3, **FLEET)) as live:
        await published(url, [("p", [1, 2]), ("q", [3, 4, 5, 6]), ("r", [7]), ("p", [[8]])])
        await live.outlet.heard(5)
        await published(url, [("p", 9)])
        await live.outlet.heard(6)
    rows = [(0, 1.0), (1, 2.0), (3, 3.0), (4, 4.0), (5, 5.0), (0, 9.0)]
    assert [(c, v) for c, v, _ in live.outlet.pushed] == rows
    assert live.outlet.rejected["copies"] == live.outlet.rejected["channels"] == 1


async def test_a_machine_without_a_channel_takes_no_copy(url: str) -> None:
    node = Mqtt(url=url, topic="{machine}/{axis}", channels=["x"], **FLEET)
    async with LiveSource(node) as live:
        await published(url, [("p/y", 1), ("q/y", 1), ("r/x", 2)])
        await live.outlet.heard(1)
    assert (live.context.named["machine"].keys, live.outlet.pushed) == (["r"], [(0, 2.0, None)])


async def test_a_machine_that_two_sources_hear_has_the_same_copy_at_both(url: str) -> None:
    named: dict[str, ChannelMap] = {}
    left = LiveSource(Mqtt(url=url, topic="left/{machine}", channels=2, **FLEET), named=named)
    right = LiveSource(Mqtt(url=url, topic="right/{machine}", channels=3, **FLEET), named=named)
    async with left, right:
        for topic, source, count in [
            ("left/p", left, 1),
            ("right/q", right, 1),
            ("right/p", right, 2),
            ("left/q", left, 2),
        ]:
            await published(url, [(topic, 1)])
            await source.outlet.heard(count)
        await published(url, [("left/r", 1), ("right/r", 1), ("left/p", 1), ("right/p", 1)])
        await left.outlet.heard(3)
        await right.outlet.heard(3)
    assert [c for c, _, _ in left.outlet.pushed] == [0, 2, 0]
    assert [c for c, _, _ in right.outlet.pushed] == [3, 0, 0]
    assert left.outlet.rejected == right.outlet.rejected == {"copies": 1}
    assert named["machine"].keys == ["p", "q"]


async def test_ten_thousand_unreadable_payloads_are_counted_and_the_next_good_one_gets_through(
    mosquitto: Mosquitto,
) -> None:
    async with LiveSource(Mqtt(url=mosquitto.url, topic="g", channels=1)) as live:
        await flood(mosquitto, "g", [b"\xff garbage"] * 10_000 + [b"1"])
        await live.outlet.heard(1)
    assert live.outlet.rejected == {"not json": 10_000}


async def test_a_broker_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    live = LiveSource(Mqtt(url=broker.url, topic="x", channels=1))
    assert "cannot connect to" in await live.log.says("trying again")
    assert not live.outlet.is_open.is_set()
    try:
        broker.start()
        async with live:
            await published(broker.url, [("x", 1)])
            await live.outlet.heard(1)
        assert live.context.counters.noted == {}
    finally:
        broker.kill()


async def test_a_killed_broker_is_come_back_to_and_the_gap_is_told(mosquitto: Mosquitto) -> None:
    async with LiveSource(Mqtt(url=mosquitto.url, topic="x", channels=1, qos=1)) as live:
        await published(mosquitto.url, [("x", 1)])
        await live.outlet.heard(1)
        mosquitto.kill()
        await live.log.says(f"lost {mosquitto.url}: ")
        mosquitto.start()
        assert " s" in await live.log.says(f"back on {mosquitto.url} after ")
        await published(mosquitto.url, [("x", 2)])
        await live.outlet.heard(2)
    assert live.context.counters.noted == {"reconnected": 1}
    assert [value for _, value, _ in live.outlet.pushed] == [1.0, 2.0]


async def test_with_a_client_id_and_qos_1_the_broker_keeps_what_comes_meanwhile(mosquitto: Mosquitto) -> None:
    node = Mqtt(url=mosquitto.url, topic="x", channels=1, qos=1, client_id="me")
    async with LiveSource(node) as live:
        await published(mosquitto.url, [("x", 1)])
        await live.outlet.heard(1)
    await published(mosquitto.url, [("x", value) for value in range(2, 100)])
    async with LiveSource(node) as live:
        await live.outlet.heard(98)
    assert [value for _, value, _ in live.outlet.pushed] == list(range(2, 100))


async def test_a_broker_that_stands_still_is_given_up(mosquitto: Mosquitto) -> None:
    async with LiveSource(Mqtt(url=mosquitto.url, topic="x", channels=1, keepalive="1 s")) as live:
        mosquitto.freeze()
        await live.log.says("lost ")
        mosquitto.thaw()
        await live.log.says("back on ")
        await published(mosquitto.url, [("x", 2)])
        await live.outlet.heard(1)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Mosquitto]:
    with running_mosquitto(tmp_path, {"me": "secret"}) as broker:
        yield broker


async def test_a_password_that_is_changed_while_a_run_is_on_is_told_and_waited_for(
    guarded: Mosquitto, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    fields = {"url": guarded.url, "topic": "x", "channels": 1, "username": "me", "password": {"file": str(secret)}}
    async with LiveSource(Mqtt.model_validate(fields)) as live:
        guarded.stop()
        await live.log.says("lost ")
        guarded.protect({"me": "another"})
        guarded.start()
        said = await live.log.says("cannot connect to ")
        assert said.endswith(": the broker does not let this user in, or the password is wrong; trying again")
        secret.write_text("another")
        await live.log.says("back on ")


async def test_a_name_and_a_password_open_a_guarded_broker(guarded: Mosquitto) -> None:
    wrong = LiveSource(Mqtt(url=guarded.url, topic="x", channels=1, username="me", password="marmalade"))
    with pytest.raises(RefusedError) as error:
        await wrong.task
    why = "the broker does not let this user in, or the password is wrong"
    assert str(error.value) == f"{guarded.url}: {why} — are name and password right?"
    assert [text for _, text in wrong.log.lines] == [f"cannot connect to {guarded.url}: {why}; trying again"]
    in_fields = LiveSource(Mqtt(url=guarded.url, topic="x", channels=1, username="me", password="secret"))
    in_url = LiveSource(Mqtt(url=guarded.url.replace("//", "//me:secret@"), topic="x", channels=1))
    async with in_fields, in_url:
        pass
    assert "secret" not in repr(in_fields.node) + repr(in_url.node)


@pytest.mark.parametrize("open_first", [True, False])
async def test_a_cancelled_source_leaves_neither_task_nor_socket(mosquitto: Mosquitto, open_first: bool) -> None:
    loop = asyncio.get_running_loop()
    before = asyncio.all_tasks()
    if not open_first:
        mosquitto.freeze()
    live = LiveSource(Mqtt(url=mosquitto.url, topic="x", channels=1))
    if open_first:
        await live.open()
    else:
        await loop.run_in_executor(None, int)  # the thread that connects has had its turn
    live.task.cancel()
    await asyncio.gather(live.task, return_exceptions=True)
    mosquitto.thaw()
    while left := asyncio.all_tasks() - before:
        await asyncio.wait(left)


async def test_the_embedded_broker_is_one_for_all_nodes_and_ends_with_the_last() -> None:
    first = LiveSource(Mqtt(url="embedded", topic="x", channels=1), "one")
    second = LiveSource(Mqtt(url="embedded", topic="x", channels=1), "two")
    async with first:
        async with second, embedded_broker() as (host, port):
            await published(f"mqtt://{host}:{port}", [("x", 1)])
            await first.outlet.heard(1)
            await second.outlet.heard(1)
        async with embedded_broker() as address:
            assert address == (host, port)
    with pytest.raises(OSError):
        await asyncio.open_connection(host, port)


def problems(**fields: Any) -> list[str]:
    return [
        str(p) for p in Mqtt.model_validate({"url": "embedded", "topic": "x", "channels": 1, **fields}).check((), GRID)
    ]


def test_times_that_are_missing_or_do_nothing_are_named_at_check() -> None:
    assert problems(time={"by": "payload"}) == [
        "time is by payload, and the payload says no time — say where: payload: {time: $.ts, time_unit: ms}"
    ]
    assert problems(payload={"time": "$.t", "time_unit": "s"}) == [
        "the payload's time does nothing, time is by arrival — write time: {by: payload} where it shall count"
    ]
    assert problems() == []
    by_property = {"time": {"property": "ts"}, "time_unit": "ms"}
    assert problems(payload=by_property, time={"by": "payload"}) == [
        "the property 'ts' cannot come with MQTT 3.1.1 — write protocol: 5"
    ]
    assert problems(payload=by_property, time={"by": "payload"}, url="mqtt://broker", protocol="3.1.1") == [
        "the property 'ts' cannot come with MQTT 3.1.1 — write protocol: 5"
    ]
    assert problems(payload=by_property, time={"by": "payload"}, url="mqtt://broker") == []
    assert problems(protocol="5") == ["the embedded broker does not speak MQTT 5 — leave it out"]


def test_copies_need_a_name_in_the_topic_and_a_number() -> None:
    assert problems(topic="plant/{machine}/x", replicate="machin", copies=3) == [
        "no {machin} in the topic 'plant/{machine}/x' — did you mean 'machine'?"
    ]
    assert problems(replicate="machine", copies=3) == [
        "no {machine} in the topic 'x' — write plant/{machine}/vibration"
    ]
    assert problems(topic="{machine}", replicate="machine") == [
        "no number of copies for the keys of {machine} — say how many at most: copies: 100"
    ]
    assert problems(copies=3) == ["3 copies of nothing — say which name in the topic they are for: replicate: machine"]


@pytest.mark.parametrize("channels", [0, [], ["a", "a"]])
def test_channels_that_cannot_be_are_refused(channels: Any) -> None:
    with pytest.raises(ValueError, match=r"channels|twice"):
        Mqtt(url="embedded", topic="x", channels=channels)


def test_what_a_broker_is_to_be_set_to_is_said_where_it_matters() -> None:
    def said(**fields: Any) -> str:
        return Mqtt.model_validate({"url": "embedded", "topic": "x", "channels": 1, **fields}).see_to() or ""

    assert said() == ""
    limited = said(qos=1, protocol="3.1.1")
    assert "max_inflight_messages 0" in limited and "max_queued_messages" in limited
    assert "persistence" not in limited
    assert "persistence true" in said(qos=1, client_id="me")
    assert "max_inflight_messages" not in said(qos=1, url="mqtt://broker")
    for fields in ({"inflight": 100}, {"protocol": 5}, {"ack": "arrival"}):
        assert "max_inflight_messages" not in said(**{"qos": 1, "protocol": "3.1.1"} | fields)
