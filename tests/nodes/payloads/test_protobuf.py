"""Protocol Buffers, by a descriptor set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spikeflow.events import Stream
from spikeflow.nodes.payloads.protobuf import Protobuf
from tests.nodes.payload_checks import Cases, refused, said
from tests.nodes.payloads.plant import DESCRIPTOR, descriptor_set, message

Reading = message("plant.Reading")


def proto(**fields: Any) -> Protobuf:
    return Protobuf(descriptor=DESCRIPTOR, message=fields.pop("message", "plant.Reading"), **fields)


SPEED = proto(value="$.speed", time="$.ts", time_unit="ms")
SAMPLES = proto(value="$.samples[*].value", channel="$.samples[*].channel", time="$.samples[*].t", time_unit="ns")
AT = proto(value="$.acceleration", time="$.at", time_unit="iso")
FULL = Reading(machine="press", acceleration=[1, 2.5], temperature=21, speed=7, ts=1_714_564_803_250)
FULL.samples.add(value=2, channel=4, t=9)
FULL.at.seconds, FULL.at.nanos = 1_714_564_803, 5
BYTES = FULL.SerializeToString()

CASES = Cases(
    good=[
        (SPEED, BYTES),
        (SAMPLES, BYTES),
        (AT, BYTES),
        (proto(value="$.acceleration[1]"), BYTES),
        (proto(message="plant.Sample"), FULL.samples[0].SerializeToString()),
        (proto(value="$.speed", channel="$.machine"), BYTES),
    ],
    malformed=[
        (SPEED, b"\xff", "not protobuf"),
        (SPEED, BYTES[:-1], "not protobuf"),
        (SPEED, b"\x0a\xff\xff\xff\xff\x0f", "not protobuf"),
        (proto(value="$.machine"), b"\x0a\x02\xff\xff", "not protobuf"),
        (proto(value="$.temperature"), b"", "no value"),
        (proto(value="$.best.value"), b"", "no value"),
        (proto(value="$.acceleration"), b"", "no value"),
        (proto(value="$.acceleration[5]"), BYTES, "no value"),
        (proto(value="$.acceleration"), Reading(acceleration=[float("nan")]).SerializeToString(), "not finite"),
        (proto(value="$.speed"), Reading(speed=1e300).SerializeToString(), "not finite"),
        (SPEED, Reading(ts=2**64 - 1).SerializeToString(), "future"),
        (AT, Reading(acceleration=[1]).SerializeToString(), "no time"),
        (SAMPLES, b"", "no value"),
    ],
    round_trips=[SAMPLES],
)


def test_the_descriptor_set_is_the_one_that_the_tests_describe() -> None:
    assert DESCRIPTOR.read_bytes() == descriptor_set()


def test_paths_go_by_the_names_of_fields() -> None:
    assert said(SPEED, BYTES) == [(None, 7.0, 1_714_564_803_250_000_000)]
    assert said(AT, BYTES) == [(n, v, 1_714_564_803_000_000_005) for n, v in enumerate((1.0, 2.5))]
    assert said(SAMPLES, BYTES) == [(4, 2.0, 9)]
    assert said(proto(value="$.speed", channel="$.machine"), BYTES) == [("press", 7.0)]
    assert said(proto(message="plant.Sample"), FULL.samples[0].SerializeToString()) == [
        ("value", 2.0),
        ("channel", 4.0),
        ("t", 9.0),
    ]


def test_a_field_that_may_be_absent_is_no_zero_and_one_that_may_not_is() -> None:
    assert refused(proto(value="$.temperature"), b"") == "no value"
    assert said(proto(value="$.speed"), b"") == [(None, 0.0)]


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"value": "$.sped"}, "no field 'sped' in plant.Reading — did you mean 'speed'?"),
        ({"value": "$.best"}, "$.best is no number — name a field that is one"),
        ({"value": "$.machine"}, "$.machine is no number — name a field that is one"),
        ({"value": "$.samples.value"}, "$.samples.value goes on below samples — write [0] or [*] behind an array"),
        ({"value": "$.speed[0]"}, "$.speed[0]: what stands before [0] is no array — leave it out"),
        ({"message": "plant.Readin"}, f"no message 'plant.Readin' in {DESCRIPTOR} — did you mean 'plant.Reading'?"),
        ({"value": "$.samples[*].value", "time": "$.at", "time_unit": "iso"}, ""),
    ],
)
def test_what_the_schema_does_not_have_is_named_at_check(
    fields: dict[str, Any], found: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "; ".join(map(str, proto(**fields).problems())) == found


def test_a_file_that_is_no_descriptor_set_is_named_at_check(tmp_path: Path) -> None:
    (tmp_path / "x.desc").write_bytes(b"\xff no")
    for path, text in ((tmp_path / "x.desc", "is no descriptor set"), (tmp_path / "y.desc", "did you mean 'x.desc'?")):
        (problem,) = Protobuf(descriptor=path, message="plant.Reading").problems()
        assert text in str(problem)


def test_a_window_needs_paths_with_room_for_several_numbers() -> None:
    stream = Stream("x", "samples", 3)
    assert "write each: event" in "".join(map(str, proto(value="$.speed").write_problems(stream, "window")))
    assert list(proto(value="$.speed").write_problems(stream, "event")) == []
    assert list(SAMPLES.write_problems(stream, "window")) == []
