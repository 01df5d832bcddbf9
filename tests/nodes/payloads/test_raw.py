"""A number as text."""

from __future__ import annotations

from spikeflow.nodes.payloads.raw import Raw
from tests.nodes.payload_checks import Cases, said

CASES = Cases(
    good=[(Raw(), b" -12.5e-1\n"), (Raw(), b"7")],
    malformed=[
        (Raw(), b"", "not a number"),
        (Raw(), b"\xff", "not text"),
        (Raw(), b"high", "not a number"),
        (Raw(), b"1_0", "not a number"),
        (Raw(), b"1 2", "not a number"),
        (Raw(), b"nan", "not finite"),
        (Raw(), b"-inf", "not finite"),
        (Raw(), b"1e39", "not finite"),
        (Raw(), b"9" * 500, "not a number"),
        (Raw(), b"9" * 1_000_001, "too large"),
    ],
    round_trips=[Raw(), Raw(compression="zstd")],
)


def test_text_is_one_number() -> None:
    assert said(Raw(), b" -12.5e-1\n") == [(None, -1.25)]
