"""The guide's table of payloads is run: every message is read as its row says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from spikeflow.nodes.payload import Envelope
from spikeflow.nodes.payloads import formats
from spikeflow.nodes.sources.mqtt import Mqtt
from tests.nodes.payload_checks import events_of

GUIDE = (Path(__file__).parents[1] / "docs" / "guide.md").read_text()
SECTION = GUIDE.partition("## Payloads\n")[2].partition("\n## ")[0]
ROWS = re.findall(r"^\| (\w+) \| `(.*?)` \| `(.*?)` \| `(.*?)` \|$", SECTION, re.MULTILINE)
HEX = re.compile(r"([0-9a-f]{2} )+[0-9a-f]{2}")


def told(event: tuple[object, ...]) -> str:
    """An event as the table has it."""
    element, value, *time = event
    channel = "" if element is None else f"{element}: "
    at = "".join(f" at {int(str(t)) // 1_000_000} ms" for t in time)
    return f"{channel}{value:g}{at}"


@pytest.mark.parametrize(("kind", "message", "payload", "events"), ROWS)
def test_a_message_of_the_guide_is_read_as_it_says(kind: str, message: str, payload: str, events: str) -> None:
    fields = YAML(typ="safe", pure=True).load(payload)
    assert fields.get("format", "json") == kind
    if "descriptor" in fields:
        fields["descriptor"] = Path(__file__).parent / "data" / fields["descriptor"]
    node = Mqtt(url="embedded", topic="x", channels=3, payload=fields)
    assert list(node.payload.read_problems()) == []
    data = bytes.fromhex(message) if HEX.fullmatch(message) else message.encode()
    reading = node.payload.decode(data, Envelope("spBv1.0/plant/NDATA/press"))
    assert reading.rejected == {}
    assert ", ".join(map(told, events_of(reading))) == events


def test_the_guide_has_every_format() -> None:
    assert {kind for kind, *_ in ROWS} | {"arrow"} == set(formats())
    assert "`arrow`" in SECTION
