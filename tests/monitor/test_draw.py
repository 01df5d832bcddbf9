"""Drawing: fixed frames give fixed pictures, at any size."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from spikeflow.monitor.draw import Look, Picture, clock, short
from spikeflow.monitor.frames import Frame
from tests.monitor.frames_of import figures, hello, look

GOLDEN = Path(__file__).parent / "golden"


def picture(columns: int = 120, size: int = 64, **changes: object) -> Picture:
    found = Picture()
    found.take(hello(size))
    for number in range(columns):
        found.take(look(number, size, **changes))
    return found


def text(drawn: Picture, width: int, height: int, look: Look) -> str:
    """The picture as plain text, one line each."""
    return "\n".join("".join(segment.text for segment in line) for line in drawn.draw(width, height, look)) + "\n"


def faulty() -> Picture:
    """A run that has lost something, has a length, and something to say."""
    nodes = figures()["nodes"]
    nodes["telemetry"]["rejected"] = {"no_number": 12}
    nodes["hidden"] |= {"queue": 16, "lag_ms": 2345.6, "restarts": 2}
    found = picture(nodes=nodes, progress=0.42)
    found.take(
        Frame("look", {**look(120).facts, "nodes": nodes, "log": ['12:00:01 WARNING node "telemetry": it rains']})
    )
    return found


@pytest.mark.parametrize(
    ("connection", "said"),
    [
        ({"connected": True, "reconnects": 0, "last_message_s": {"plant/+": 0.2}}, None),
        ({"connected": True, "reconnects": 0, "last_message_s": {"plant/+": None}}, None),
        (
            {"connected": True, "reconnects": 2, "last_message_s": {"plant/+": 65.2}},
            "reconnected 2 times, {silent} 65 s",
        ),
        ({"connected": True, "last_message_s": {"plant/+": 7300.0}}, "{silent} 2 h"),
        ({"connected": False, "away_s": 150.0, "outbox": 7}, "not connected to mqtt://b for 2 min, 7 in the outbox"),
        ({"connected": False}, None),
    ],
)
def test_what_is_wrong_with_a_connection_stands_below_the_table(
    connection: dict[str, object], said: str | None
) -> None:
    nodes = figures()["nodes"]
    nodes["telemetry"]["connection"] = {"broker": "mqtt://b", **connection}
    drawn = text(picture(2, nodes=nodes), 100, 24, Look(colour=False)).splitlines()
    found = [line.strip() for line in drawn if line.startswith("telemetry: ")]
    assert found == ([] if said is None else ["telemetry: " + said.format(silent="nothing on plant/+ for")])


CASES = {
    "80x24": (picture, 80, 24),
    "80x24-faults": (faulty, 80, 24),
    "120x40": (picture, 120, 40),
    "56x16": (picture, 56, 16),
}


@pytest.mark.parametrize("name", CASES)
def test_a_picture_without_colours_is_the_golden_one(name: str) -> None:
    make, width, height = CASES[name]
    assert text(make(), width, height, Look(colour=False)) == (GOLDEN / f"{name}.txt").read_text()


def coloured() -> str:
    """A small picture as a terminal gets it."""
    file = io.StringIO()
    console = Console(file=file, width=64, height=16, force_terminal=True, color_system="truecolor")
    console.print(picture())
    return file.getvalue()


def test_a_picture_in_colours_is_the_golden_one() -> None:
    assert coloured() == (GOLDEN / "64x16.ansi").read_text()


@pytest.mark.parametrize("width", [20, 40, 80, 133, 200])
@pytest.mark.parametrize("height", [5, 10, 24, 60])
@pytest.mark.parametrize("size", [1, 2, 64, 1000])
def test_a_picture_fills_the_terminal_and_no_more(width: int, height: int, size: int) -> None:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system="truecolor")
    lines = console.render_lines(picture(30, size), console.options.update(width=width, height=height))
    assert len(lines) == height
    assert {sum(segment.cell_length for segment in line) for line in lines} == {width}


def test_a_graph_without_spikes_or_decoder_has_a_table_only() -> None:
    found = Picture()
    found.take(hello(0, view=None, decoder=None))
    found.take(Frame("look", figures()))
    drawn = text(found, 80, 24, Look())
    assert "answers" in drawn
    assert "┤" not in drawn


def test_more_nodes_than_lines_are_counted() -> None:
    nodes = {f"node_{k}": figures()["nodes"]["hidden"] for k in range(30)}
    drawn = text(picture(5, nodes=nodes), 80, 24, Look())
    assert "more" in drawn
    assert "┤" in drawn


def test_ascii_terminals_get_ascii() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "ascii", errors="strict")
    console = Console(file=stream, width=80, height=24, color_system=None)
    console.print(faulty())
    stream.flush()
    assert b"hidden" in stream.buffer.getvalue()


def test_the_hottest_cell_of_the_last_while_sets_the_scale() -> None:
    found = picture(1)
    found.columns[-1] = found.columns[-1] * 0 + 100
    assert int(found._levels(10, 8)[0].max()) == 19
    found.columns[-1] = found.columns[-1] * 0 + 1
    assert 1 < int(found._levels(10, 8)[0].max()) < 5


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0"), (3.21, "3.2"), (12.34, "12.3"), (999.6, "1k"), (1234, "1.23k"), (56_000_000, "56M"), (2.5e9, "2.5G")],
)
def test_numbers_are_short(number: int, said: str) -> None:
    assert short(number) == said


@pytest.mark.parametrize(("elapsed", "said"), [(0.4, "0:00"), (83, "1:23"), (3725, "1:02:05")])
def test_the_clock_counts_minutes_and_hours(elapsed: float, said: str) -> None:
    assert clock(elapsed) == said


def test_a_picture_that_goes_back_shows_what_was() -> None:
    then, now = picture(100), picture(120)
    now.back = 20
    before, after = (text(one, 80, 24, Look(colour=False)).splitlines() for one in (then, now))
    assert after[7:-1] == before[7:-1]  # the title speaks of what is shown, too
    assert (before[-1].split()[-1], after[-1].split()[-2:]) == ("now", ["-2", "s"])


def test_rates_are_spikes_a_second_of_a_neuron() -> None:
    found = Picture()
    found.take(hello(size=512))
    counts = np.zeros((2, 256), np.uint16)
    counts[1] = 1
    found.take(Frame("look", figures(), counts))
    assert list(found.rates) == [0.0, 5.0]
    assert "512 neurons · 2.5 Hz" in text(found, 80, 24, Look())


def test_spikes_that_were_lost_on_the_way_are_counted_in_the_title() -> None:
    found = picture(3)
    found.missed = 12_345
    assert "· 12.3k not seen" in text(found, 80, 24, Look())


def test_a_terminal_that_wants_no_colours_gets_shades() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", no_color=True)
    assert not Look.of(console).colour
