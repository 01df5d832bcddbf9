"""Lines of numbers."""

from __future__ import annotations

from spikeflow.nodes.payload import Envelope
from spikeflow.nodes.payloads.csv import Csv
from tests.nodes.payload_checks import Cases, events_of, said

TIMED = Csv(value=[1, 2], time=0, time_unit="ms")
ROWS = Csv(value=1, channel=2, time=0, time_unit="iso")

CASES = Cases(
    good=[
        (Csv(), b"1,2\n3, 4\n"),
        (TIMED, b"5,1,2\n6,1,2"),
        (ROWS, b"2024-05-01T12:00:03Z,0.5,left"),
        (Csv(header=True, delimiter=";"), b'x;"y";z\r\n1;2;3\r\n'),
        (Csv(), b'"1","2"'),
    ],
    malformed=[
        (Csv(), b"", "no value"),
        (Csv(), b" \n", "no value"),
        (Csv(), b"\xff", "not text"),
        (Csv(), b"a,b", "not a number"),
        (Csv(), b'"1', "not csv"),
        (Csv(), b'"1"2,3', "not csv"),
        (Csv(), b'"' + b"1" * 200_000 + b'"', "not csv"),
        (Csv(), b"inf,nan", "not finite"),
        (Csv(value=3), b"1,2", "no value"),
        (Csv(header=True), b"x,y", "no value"),
        (TIMED, b",1,2", "no time"),
        (TIMED, b"1e400,1,2", "future"),
        (TIMED, b"-99999999999999999999,1,2", "before_origin"),
        (ROWS, b"2024-05-01T12:00:03Z,0.5,", "no channel"),
        (Csv(channel=0, value=1), b"1", "no value"),
    ],
    round_trips=[
        Csv(time=0, channel=1, value=2, time_unit="ns"),
        Csv(value=0, time=4, channel=1, time_unit="iso", delimiter=";"),
        Csv(time=0, channel=1, value=2, time_unit="ns", header=True, compression="zstd"),
    ],
)


def test_a_column_is_a_channel_and_lines_are_rows() -> None:
    assert said(Csv(), b"1,2\n3, 4\n") == [(0, 1.0), (1, 2.0), (0, 3.0), (1, 4.0)]
    assert said(Csv(value=[2, 1]), b"9,1,2") == [(0, 2.0), (1, 1.0)]
    assert said(Csv(value=1), b"9,1,2") == [(None, 1.0)]
    assert said(Csv(channel=0, value=1), b"7,0.5\n3,1.5") == [(7, 0.5), (3, 1.5)]


def test_a_header_names_the_channels() -> None:
    assert said(Csv(header=True, delimiter=";"), b'x;"y"\n1;2\n3;4') == [("x", 1.0), ("y", 2.0), ("x", 3.0), ("y", 4.0)]


def test_times_in_nanoseconds_keep_every_digit() -> None:
    payload = Csv(time=0, value=1, time_unit="ns")
    assert said(payload, b"1714564803250000001,2") == [(None, 2.0, 1_714_564_803_250_000_001)]


def test_one_bad_cell_leaves_the_others_alone() -> None:
    reading = Csv().decode(b"1,,inf,x", Envelope())
    assert (events_of(reading), reading.rejected) == ([(0, 1.0)], {"not a number": 2, "not finite": 1})
