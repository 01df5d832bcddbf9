"""What a broker sends, cut into packets wherever the network cut it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeflow.nodes.mqtt_reader import Frames, MalformedError, Message
from tests.packets import length


def publish(message: Message, v5: bool = False) -> bytes:
    """A message as a broker sends it."""
    topic = message.topic.encode()
    body = len(topic).to_bytes(2, "big") + topic + (message.mid.to_bytes(2, "big") if message.qos else b"")
    body += length(len(message.properties)) + message.properties if v5 else b""
    body += message.payload
    head = 0x30 | message.again << 3 | message.qos << 1 | message.retained
    return bytes([head]) + length(len(body)) + body


def cut(blocks: list[bytes], **options: Any) -> tuple[list[Message], list[tuple[int, bytes]]]:
    """Messages and other packets in blocks."""
    messages: list[Message] = []
    others: list[tuple[int, bytes]] = []
    frames = Frames(messages.append, lambda head, body: others.append((head, body)), **options)
    for block in blocks:
        frames.feed(block)
    return messages, others


messages = st.builds(
    lambda topic, payload, qos, mid, flags, properties: Message(
        topic, payload, qos, mid if qos else 0, flags & 1 != 0, flags & 2 != 0, properties
    ),
    st.text(min_size=1, max_size=200),
    st.one_of(st.binary(max_size=300), st.integers(16_300, 16_500).map(bytes)),
    st.integers(0, 2),
    st.integers(1, 65_535),
    st.integers(0, 3),
    st.binary(max_size=200),
)


@given(st.lists(messages, max_size=6), st.booleans(), st.lists(st.integers(0, 40_000), max_size=12))
def test_messages_are_the_same_wherever_the_bytes_are_cut(sent: list[Message], v5: bool, places: list[int]) -> None:
    if not v5:
        sent = [message._replace(properties=b"") for message in sent]
    data = b"\x90\x03\x00\x01\x01" + b"\xd0\x00".join(publish(message, v5) for message in sent)
    ends = sorted({min(place, len(data)) for place in places} | {len(data)})
    blocks = [data[low:high] for low, high in zip([0, *ends[:-1]], ends, strict=True)]
    found, others = cut(blocks, v5=v5)
    assert found == sent
    assert others == [(0x90, b"\x00\x01\x01"), *[(0xD0, b"")] * max(0, len(sent) - 1)]


@given(st.integers(1, 700), st.integers(0, 2), st.booleans())
def test_a_message_that_is_too_large_is_passed_over_and_told(step: int, qos: int, v5: bool) -> None:
    mid = 7 if qos else 0
    large, small = Message("a/b", bytes(range(256)) * 4, qos, mid), Message("a", b"1", qos, mid)
    data = publish(small, v5) + publish(large, v5) + publish(small, v5)
    found, _ = cut([data[at : at + step] for at in range(0, len(data), step)], largest=500, v5=v5)
    assert found[0] == found[2] == small
    told = found[1]
    assert (told.topic, told.qos, told.mid) == ("a/b", qos, mid)
    assert told.too_large == len(publish(large, v5)) - 3
    assert large.payload.startswith(told.payload)


@pytest.mark.parametrize(
    "data",
    [
        b"\x30\xff\xff\xff\xff\x01",  # a length of five bytes
        b"\x32\x03\x00\x05a",  # a topic longer than the packet
        b"\x32\x03\x00\x01a",  # no number
        b"\x36\x06\x00\x01a\x00\x01x",  # a quality of service of three
        b"\x30\x01\x00",
        b"\x30\x00",
        b"\x90\xff\xff\xff\x7f" + bytes(16),  # an answer of 256 MB
    ],
)
def test_what_is_not_mqtt_is_an_error(data: bytes) -> None:
    with pytest.raises((MalformedError, IndexError)):
        cut([data])


@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_are_packets_or_an_error(data: bytes, v5: bool) -> None:
    try:
        found, others = cut([data[:7], data[7:]], v5=v5, largest=100)
    except (MalformedError, IndexError):
        return
    assert sum(len(m.payload) for m in found) + sum(len(body) for _, body in others) <= len(data)


@pytest.mark.parametrize("properties", [b"\x05ab", b"\xff\xff\xff\xff\x01"])
def test_properties_that_do_not_end_are_an_error(properties: bytes) -> None:
    body = b"\x00\x01a" + properties
    with pytest.raises(MalformedError):
        cut([b"\x30" + length(len(body)) + body], v5=True)


def test_a_topic_that_is_no_text_is_still_a_topic() -> None:
    found, _ = cut([b"\x30\x04\x00\x01\xff1"])
    assert found == [Message("\ufffd", b"1")]


def test_topics_without_end_are_not_all_remembered() -> None:
    kept: list[Message] = []
    frames = Frames(kept.append, lambda head, body: None)
    for number in range(25_000):
        frames.feed(publish(Message(f"t/{number}", b"")))
    assert kept[-1].topic == "t/24999"
    assert len(frames._topics) <= 10_000
