"""CBOR."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import cbor2

from spikeflow.nodes.payloads.cbor import Cbor
from tests.nodes.payload_checks import Cases, said

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
        (Cbor(), b"\xd8\x23\x61(", "not cbor"),
        (Cbor(value="$.a"), b"\xa2\x61a\x01\x61a\x02", "not cbor"),
        (Cbor(), b"\xd8\x1c\x81\xd8\x1d\x00", "not a number"),
        (Cbor(), b"\xc2\x59\x03\xe8" + b"\xff" * 1000, "not finite"),
        (Cbor(), cbor2.dumps(Decimal("1e9999")), "not finite"),
        (Cbor(), cbor2.dumps(Decimal("NaN")), "not finite"),
        (Cbor(), cbor2.dumps("12"), "not a number"),
        (TIMED, cbor2.dumps({"v": 1, "t": Decimal("1e999999")}), "future"),
        (TIMED, cbor2.dumps({"v": 1, "t": 2**200}), "future"),
    ],
    round_trips=[Cbor(value="$.v", channel="$.c", time="$.t", time_unit="ns")],
)


def test_its_own_times_and_decimals_are_read() -> None:
    message = cbor2.dumps({"v": Decimal("1.5"), "t": datetime(2024, 5, 1, 12, 0, 3, 250_000, tzinfo=UTC)})
    assert said(TIMED, message) == [(None, 1.5, 1_714_564_803_250_000_000)]
