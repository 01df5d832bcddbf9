"""SenML: the examples of RFC 8428, and what a pack must not be."""

from __future__ import annotations

import json

import cbor2

from spikeflow.nodes.payload import Envelope
from spikeflow.nodes.payloads.senml import Senml
from tests.nodes.payload_checks import Cases, events_of, refused, said

BINARY = Senml(encoding="cbor")
URN = "urn:dev:ow:10e2073a01080063"
SINGLE = b'[{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1}]'
SEVERAL = b"""[
  {"bn":"urn:dev:ow:10e2073a0108006:","bt":1.276020076001e+09,"bu":"A","bver":5,"n":"voltage","u":"V","v":120.1},
  {"n":"current","t":-5,"v":1.2},{"n":"current","t":-4,"v":1.3},{"n":"current","v":1.7}]"""

CASES = Cases(
    good=[
        (Senml(), SINGLE),
        (Senml(), SEVERAL),
        (Senml(value="s"), b'[{"bn":"m","bs":10,"s":2,"v":1}]'),
        (BINARY, cbor2.dumps([{-2: "m", 0: "x", 2: 22.5, 6: 0}])),
    ],
    malformed=[
        (Senml(), b"", "not json"),
        (Senml(), b"{}", "not senml"),
        (Senml(), b"[1]", "not senml"),
        (Senml(), b"[]", "no value"),
        (Senml(), b'[{"n":"x"}]', "no value"),
        (Senml(), b'[{"n":"x","v":null}]', "no value"),
        (Senml(), b'[{"n":"x","v":"1"}]', "not a number"),
        (Senml(), b'[{"n":"x","vs":"on"}]', "not a number"),
        (Senml(), b'[{"v":1}]', "no channel"),
        (Senml(), b'[{"n":" x","v":1}]', "no channel"),
        (Senml(), b'[{"bn":1,"n":"x","v":1}]', "no channel"),
        (Senml(), b'[{"n":"x","v":1,"t":"now"}]', "no time"),
        (Senml(), b'[{"n":"x","v":1,"t":1e308}]', "future"),
        (Senml(), b'[{"bt":-1e308,"n":"x","v":1}]', "before_origin"),
        (Senml(), b'[{"bver":11,"n":"x","v":1}]', "version"),
        (Senml(), b'[{"n":"x","v":1,"rotate_":1}]', "version"),
        (Senml(), b'[{"bv":1e308,"n":"x","v":1e308}]', "not finite"),
        (BINARY, b"", "not cbor"),
        (BINARY, cbor2.dumps({2: 1}), "not senml"),
        (BINARY, b"\x81" * 50, "not cbor"),
        (BINARY, cbor2.dumps([{0: "x", 2: 2**200}]), "not finite"),
        (BINARY, cbor2.dumps([{0: "x", 2: 2**3000}]), "not cbor"),
        (BINARY, cbor2.dumps([{0: "x", 2: 1}] * 20_000), "too large"),
        (BINARY, cbor2.dumps([{(1, 2): "x", 2: 1}]), "no channel"),
    ],
    round_trips=[Senml(), BINARY, Senml(value="s", compression="gzip")],
)


def test_base_fields_hold_for_the_records_after_them() -> None:
    base = 1_276_020_076_001_000_000
    assert said(Senml(), SEVERAL) == [
        ("urn:dev:ow:10e2073a0108006:voltage", 120.1, base),
        ("urn:dev:ow:10e2073a0108006:current", 1.2, base - 5_000_000_000),
        ("urn:dev:ow:10e2073a0108006:current", 1.3, base - 4_000_000_000),
        ("urn:dev:ow:10e2073a0108006:current", 1.7, base),
    ]
    assert said(Senml(), SINGLE, timed=False) == [(URN, 23.1)]
    assert said(Senml(), b'[{"bn":"a","bv":20},{"v":2.5,"t":300000000},{"n":"b","t":300000001}]') == [
        ("a", 22.5, 300_000_000_000_000_000),
        ("ab", 20.0, 300_000_001_000_000_000),
    ]


def test_small_times_count_from_now() -> None:
    now = 1_714_564_803_000_000_007
    assert said(Senml(), b'[{"n":"x","v":1,"t":-2.5},{"n":"x","vb":true}]', now_ns=now) == [
        ("x", 1.0, now - 2_500_000_000),
        ("x", 1.0, now),
    ]


def test_one_record_that_cannot_be_used_leaves_the_others_alone() -> None:
    reading = Senml().decode(b'[{"bn":"a","vs":"on"},{"n":"b","v":2}]', Envelope(timed=False))
    assert (events_of(reading), reading.rejected) == ([("ab", 2.0)], {"not a number": 1})


def test_what_is_written_is_a_pack_by_the_letter() -> None:
    assert refused(Senml(), json.dumps([{"bver": "10", "n": "x", "v": 1}]).encode()) == "version"
