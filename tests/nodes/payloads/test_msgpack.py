"""MessagePack."""

from __future__ import annotations

import tracemalloc

import msgpack

from spikeflow.nodes.payloads.msgpack import Msgpack
from tests.nodes.payload_checks import Cases, refused, said

TIMED = Msgpack(value="$.v", time="$.t", time_unit="iso")

CASES = Cases(
    good=[
        (Msgpack(value="$.v"), msgpack.packb({"v": 2.5})),
        (Msgpack(), msgpack.packb(list(range(2000)))),
        (Msgpack(value="$[7]"), msgpack.packb({7: 1})),
        (TIMED, msgpack.packb({"v": [1, 2], "t": msgpack.Timestamp(1_714_564_803, 5)})),
    ],
    malformed=[
        (Msgpack(), b"", "not msgpack"),
        (Msgpack(), b"\xc1", "not msgpack"),
        (Msgpack(), b"\x01\x02", "not msgpack"),
        (Msgpack(), b"\xa1\xff", "not msgpack"),
        (Msgpack(), b"\xdd\xff\xff\xff\xff", "not msgpack"),
        (Msgpack(), b"\xdf\xff\xff\xff\xff", "not msgpack"),
        (Msgpack(), b"\x91" * 100_000, "not msgpack"),
        (Msgpack(), b"\x81\x80\x01", "not msgpack"),
        (Msgpack(), b"\xd6\xff\xff\xff\xff\xff", "not a number"),
        (Msgpack(), b"\xc0", "no value"),
        (Msgpack(), msgpack.packb(dict.fromkeys(range(20000), 1)), "not msgpack"),
        (Msgpack(), b"\xcb\x7f\xf8\0\0\0\0\0\0", "not finite"),
        (Msgpack(value="$.v"), b"\x81\xa1w\x01", "no value"),
        (TIMED, msgpack.packb({"v": 1, "t": msgpack.Timestamp(2**62, 0)}), "future"),
    ],
    round_trips=[Msgpack(value="$.v", channel="$.c", time="$.t", time_unit="ns")],
)


def test_its_own_timestamps_keep_their_nanoseconds() -> None:
    message = msgpack.packb({"v": 1, "t": msgpack.Timestamp(1_714_564_803, 5)})
    assert said(TIMED, message) == [(None, 1.0, 1_714_564_803_000_000_005)]


def test_arrays_that_claim_more_than_they_hold_take_no_memory() -> None:
    nested = b"\xdd\x00\x0f\x00\x00" * 180_000
    tracemalloc.start()
    try:
        assert refused(Msgpack(), nested) == "not msgpack"
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()
