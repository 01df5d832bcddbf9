"""Binary records."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spikeflow.errors import PayloadError
from spikeflow.events import Stream
from spikeflow.nodes.payload import Envelope, Events
from spikeflow.nodes.payloads.struct import Struct
from tests.nodes.payload_checks import Cases, events_of, refused, said

RECORD = Struct(layout="<QHf", time=0, channel=1, value=2, time_unit="ns")
NAMED = Struct(layout=">8sd", channel=0, value=1)
SIGNED = Struct(layout="<qd", time=0, value=1, time_unit="s")

CASES = Cases(
    good=[
        (Struct(layout="<f", value=0), struct.pack("<f", 2.5)),
        (Struct(layout="!3h"), struct.pack("!3h", -1, 0, 1)),
        (RECORD, struct.pack("<QHfQHf", 5, 1, 2.5, 6, 0, 3.5)),
        (RECORD, struct.pack("<QHf", 5, 1, 2.5) * 40),
        (NAMED, struct.pack(">8sd", b"left", 1.5)),
        (SIGNED, struct.pack("<qd", 1_714_564_803, 1)),
    ],
    malformed=[
        (RECORD, b"", "wrong size"),
        (RECORD, b"\0", "wrong size"),
        (RECORD, bytes(15), "wrong size"),
        (Struct(layout="<f", value=0), struct.pack("<f", float("nan")), "not finite"),
        (Struct(layout="<d", value=0), struct.pack("<d", 1e39), "not finite"),
        (RECORD, struct.pack("<QHf", 2**64 - 1, 1, 2.5), "future"),
        (RECORD, struct.pack("<QHf", 2**64 - 1, 1, 2.5) * 40, "future"),
        (RECORD, struct.pack("<QHf", 5, 1, float("inf")) * 40, "not finite"),
        (SIGNED, struct.pack("<qd", -(2**62), 1), "before_origin"),
        (Struct(layout="<hf", channel=0), struct.pack("<hf", -1, 1), "no channel"),
    ],
    round_trips=[RECORD, Struct(layout="!f2xQI", value=0, time=1, channel=2, time_unit="ns")],
)


def test_fields_of_a_record_are_channels_unless_a_field_says_which() -> None:
    assert said(Struct(layout="<3h"), struct.pack("<3h", -1, 0, 1)) == [(0, -1.0), (1, 0.0), (2, 1.0)]
    assert said(RECORD, struct.pack("<QHfQHf", 5, 1, 2.5, 6, 0, 3.5)) == [(1, 2.5, 5), (0, 3.5, 6)]
    assert said(NAMED, struct.pack(">8sd", b"left", 1.5)) == [("left", 1.5)]


LAYOUTS = [
    RECORD,
    SIGNED,
    Struct(layout="!Hx3h"),
    Struct(layout="<BbHhIiQqefd"),
    Struct(layout="=2fI", value=[1, 0], channel=2),
    Struct(layout=">f4sH", value=0),
    Struct(layout="<?B", channel=1),
]


@pytest.mark.parametrize("payload", LAYOUTS, ids=lambda payload: payload.layout)
@given(choice=st.data())
def test_many_records_at_once_are_what_they_are_one_by_one(payload: Struct, choice: st.DataObject) -> None:
    size = struct.calcsize(payload.layout)
    count = choice.draw(st.integers(8, 20))
    small = st.binary(min_size=size, max_size=size) | st.just(bytes(size))
    data = b"".join(choice.draw(st.lists(small, min_size=count, max_size=count)))
    whole = payload.read(data, Envelope())
    slow = payload.read_rows(struct.Struct(payload.layout).iter_unpack(data), Envelope())
    assert events_of(whole) == events_of(slow) and whole.rejected == slow.rejected


@pytest.mark.parametrize("layout", ["", "<", "f", "<0s", "<5y", "@f", "<99999999f", "ä"])
def test_what_is_no_layout_is_refused(layout: str) -> None:
    with pytest.raises(ValidationError, match="write one as Python's struct has them"):
        Struct(layout=layout)


def problems(**fields: Any) -> list[str]:
    return [str(problem) for problem in Struct(**fields).problems()]


def test_columns_that_the_layout_does_not_have_are_named() -> None:
    assert problems(layout="<ff", value=2) == ["no column 2 in '<ff', which has 2 — columns count from 0"]
    assert problems(layout="<4sf", value=0) == ["column 0 of '<4sf' is text — name one that is a number"]
    assert problems(layout="<4sf", channel=0) == []


def test_a_number_that_does_not_fit_is_refused_when_it_is_written() -> None:
    small = Struct(layout="<Bh", channel=0, value=1)
    one = Events("x", "samples", np.array([0]), np.array([300], np.uint32), np.array([1], np.float32))
    with pytest.raises(PayloadError, match="does not fit"):
        small.write(one)
    assert list(small.write_problems(Stream("x", "samples", 3), "window")) == []
    assert refused(small, b"\0") == "wrong size"
