"""CBOR."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from decimal import Decimal

import cbor2
import pytest
from cbor2 import CBORTag

from spikeflow.nodes.payloads.cbor import Cbor
from tests.nodes.payload_checks import Cases, refused, said

TIMED = Cbor(value="$.v", time="$.t", time_unit="s")

CASES = Cases(
    good=[
        (Cbor(value="$.v"), cbor2.dumps({"v": 2.5})),
        (Cbor(value="$[7]"), cbor2.dumps({7: 1})),
        (Cbor(), b"\x9f\x01\xf9\x3c\x00\xff"),
        (TIMED, cbor2.dumps({"v": Decimal("1.5"), "t": datetime(2024, 5, 1, 12, 0, 3, tzinfo=UTC)})),
    ],
    malformed=[
        (Cbor(), b"", "not cbor"),
        (Cbor(), b"\xff", "not cbor"),
        (Cbor(), b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff", "not cbor"),
        (Cbor(), b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff", "not cbor"),
        (Cbor(), b"\x81" * 100_000, "not cbor"),
        (Cbor(), b"\x9a\x7f\xff\xff\xff" * 5000, "not cbor"),
        (Cbor(), b"\xc1\xfb\x7f\xef\xff\xff\xff\xff\xff\xff", "not cbor"),
        (Cbor(), b"\xd8\x23\x61(", "not a number"),
        (Cbor(value="$.a"), b"\xa2\x61a\x01\x61a\x02", "not cbor"),
        (Cbor(), b"\xd8\x1c\x81\xd8\x1d\x00", "not a number"),
        (Cbor(), b"\xc2\x59\x03\xe8" + b"\xff" * 1000, "not cbor"),
        (Cbor(), cbor2.dumps(Decimal("1e9999")), "not finite"),
        (Cbor(), cbor2.dumps(Decimal("NaN")), "not finite"),
        (Cbor(), cbor2.dumps("12"), "not a number"),
        (TIMED, cbor2.dumps({"v": 1, "t": Decimal("1e999999")}), "future"),
        (TIMED, cbor2.dumps({"v": 1, "t": 2**200}), "future"),
        (Cbor(), cbor2.dumps(2**200), "not finite"),
        (Cbor(), cbor2.dumps({"x": 1, "a" * 20_000: 1, 7: 1}), "not cbor"),
    ],
    round_trips=[Cbor(value="$.v", channel="$.c", time="$.t", time_unit="ns")],
)


def test_its_own_times_and_decimals_are_read() -> None:
    message = cbor2.dumps({"v": Decimal("1.5"), "t": datetime(2024, 5, 1, 12, 0, 3, 250_000, tzinfo=UTC)})
    assert said(TIMED, message) == [(None, 1.5, 1_714_564_803_250_000_000)]


MILLION_DIGITS = b"\xc2\x5a\x00\x06\x00\x00" + b"\xff" * 0x60000
ALIKE = (2**61 - 1) * 2**70
"""Multiples of it have the same hash."""


@pytest.mark.parametrize(
    "data",
    [
        b"\xc4\x82\x01" + MILLION_DIGITS,
        b"\xc5\x82\x01" + MILLION_DIGITS,
        b"\xd8\x1e\x82\x01" + MILLION_DIGITS,
        cbor2.dumps({ALIKE * number: 1 for number in range(1, 40_000)}),
        cbor2.dumps({(number, ALIKE): 1 for number in range(40_000)}),
        cbor2.dumps(CBORTag(35, "(?:a{1,1000}){1,1000}" * 40_000)),
    ],
    ids=["decimal", "bigfloat", "rational", "keys", "tuples", "pattern"],
)
def test_what_would_take_minutes_is_refused_at_once(data: bytes) -> None:
    began = time.process_time()
    assert refused(Cbor(), data) in ("not cbor", "not a number")
    assert time.process_time() - began < 1.0
