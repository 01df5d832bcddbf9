"""Addresses and topics of MQTT."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeflow.errors import ParameterError
from spikeflow.nodes.mqtt_addresses import MqttUrl, parse_url
from spikeflow.nodes.mqtt_topics import parse_topic
from spikeflow.secret import Secret


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("mqtt://127.0.0.1:1884", MqttUrl("127.0.0.1", 1884)),
        ("mqtt://broker", MqttUrl("broker", 1883)),
        ("mqtts://broker", MqttUrl("broker", 8883, tls=True)),
        ("mqtt://me:p%40ss@[::1]:9", MqttUrl("::1", 9, "me", Secret("p@ss"))),
        ("ws://broker/mqtt", MqttUrl("broker", 80, path="/mqtt")),
        ("wss://broker:8084", MqttUrl("broker", 8084, tls=True, path="/")),
        ("embedded", MqttUrl("")),
    ],
)
def test_an_address_says_where_the_broker_is(text: str, url: MqttUrl) -> None:
    assert parse_url(text) == url


def test_an_address_never_shows_its_password() -> None:
    url = parse_url("mqtt://me:secret@broker")
    assert "secret" not in f"{url} {url!r}"
    with pytest.raises(ParameterError) as error:
        parse_url("http://me:secret@broker")
    assert str(error.value) == (
        "'http://…@broker' is not a broker's address — "
        "write mqtt://host:1883, mqtts://host:8883, ws://host/path, wss://host/path or embedded"
    )


@pytest.mark.parametrize(
    "text", ["", "broker:1883", "mqtt://", "mqtt://broker:99999", "mqtt://broker/topic", "ftp://x"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ParameterError):
        parse_url(text)


@pytest.mark.parametrize(
    ("pattern", "topic", "key"),
    [
        ("a/b", "a/b", ""),
        ("a/b", "a/b/c", None),
        ("plant/{machine}/vibration", "plant/press/vibration", "press"),
        ("plant/{machine}/vibration", "plant/press/heat", None),
        ("plant/{machine}/+/{axis}", "plant/press/v/x", "press/x"),
        ("plant/#", "plant", ""),
        ("plant/#", "plant/a/b", ""),
        ("{line}/#", "one/a", "one"),
        ("#", "x/y", ""),
        ("+", "x/y", None),
        ("$share/group/a/{k}", "a/7", "7"),
        ("a//{k}", "a//7", "7"),
    ],
)
def test_a_pattern_takes_the_named_levels_as_the_key(pattern: str, topic: str, key: str | None) -> None:
    assert parse_topic(pattern).key(topic) == key


def test_a_pattern_is_a_filter_for_the_broker() -> None:
    assert parse_topic("plant/{machine}/+/{axis}/#").filter == "plant/+/+/+/#"
    assert parse_topic("$share/group/{k}").filter == "$share/group/+"


@pytest.mark.parametrize("text", ["", "a/#/b", "a/b+", "a/{x", "a/{x}y", "{x}/{x}", "a/{}", "a#", "a/{1}"])
def test_a_pattern_that_is_not_clear_is_refused(text: str) -> None:
    with pytest.raises(ParameterError):
        parse_topic(text)


def test_a_topic_that_is_too_long_is_refused() -> None:
    with pytest.raises(ParameterError, match="65535 bytes"):
        parse_topic("ä" * 40_000)


@pytest.mark.parametrize("text", ["$share/g", "$share/g/", "$share//a", "$share/+/a", "$share/{g}/a", "$share/"])
def test_a_group_without_a_name_or_a_topic_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="does not share a topic"):
        parse_topic(text)


@given(text=st.text(), topic=st.text())
def test_any_text_is_a_pattern_or_is_refused(text: str, topic: str) -> None:
    with contextlib.suppress(ParameterError):
        parse_topic(text).key(topic)
    with contextlib.suppress(ParameterError):
        parse_url(text)
