"""The terminal view with keys: it shows what the picture is, at any size, and does what keys and clicks say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from spikeflow.monitor.app import Drawn, Head, Heat, Log, Nodes, TopApp
from spikeflow.monitor.draw import Look, Picture
from spikeflow.monitor.frames import Frame
from tests.monitor.frames_of import figures, hello, look

SIZES = [(80, 24), (200, 60)]


class Scripted:
    """A run that goes on by one column at each look."""

    def __init__(self, outlets: Sequence[str] = ("edges", "hidden"), **changes: Any) -> None:
        self.outlets = outlets
        self.ended = False
        self.changes = changes
        self.number = 0
        self.choose(outlets[-1] if outlets else None)

    def choose(self, view: str | None) -> None:
        self.view = view
        self.picture = Picture()
        self.picture.take(hello(view=view, size=64 if view else 0))

    def look(self) -> None:
        frame = look(self.number, elapsed=float(self.number), **self.changes)
        self.number += 1
        self.picture.take(frame if self.view else Frame("look", frame.facts))


def app_of(sees: Scripted, colour: bool = False) -> TopApp:
    return TopApp(sees, Look(colour=colour), goes=False)


def lines(app: TopApp, part: type[Drawn]) -> list[str]:
    """What a part shows, line by line."""
    found = app.query_one(part)
    return [found.render_line(y).text for y in range(found.size.height)]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("colour", [False, True])
async def test_the_view_fills_the_terminal_with_what_run_shows(width: int, height: int, colour: bool) -> None:
    app = app_of(Scripted(), colour)
    async with app.run_test(size=(width, height)) as pilot:
        for _ in range(100):
            app.step()
        await pilot.pause()
        shown = [line for part in (Head, Nodes, Heat, Log) for line in lines(app, part)]
        assert len(shown) == height - 1  # the keys are below
        assert {len(line) for line in shown} == {width}
        heat = app.query_one(Heat).size.height
        assert heat >= height - 8
        drawn = app.picture.raster(width, heat, Look(colour=colour))
        assert lines(app, Heat) == ["".join(s.text for s in line).ljust(width) for line in drawn]
        assert "12.3k events/s" in shown[0]
        assert shown[1].split()[0] == "node"
        assert [line.split()[0] for line in shown[2:7]] == ["telemetry", "edges", "hidden", "rate", "answers"]


async def test_keys_and_clicks_choose_whose_spikes_are_shown() -> None:
    sees = Scripted()
    app = app_of(sees)
    async with app.run_test(size=(80, 24)) as pilot:
        for key, view in (("n", "edges"), ("down", "hidden"), ("p", "edges"), ("up", "hidden")):
            await pilot.press(key)
            assert sees.view == view
            assert lines(app, Heat)[0].startswith(f"{view} · 64 neurons")
        await pilot.click(Nodes, offset=(3, 2))
        assert sees.view == "edges"
        await pilot.click(Nodes, offset=(3, 5))  # no spikes come from there
        assert sees.view == "edges"


async def test_a_pause_holds_the_picture_and_loses_nothing() -> None:
    app = app_of(Scripted())
    async with app.run_test(size=(80, 24)) as pilot:
        for _ in range(30):
            app.step()
        await pilot.press("space")
        held = lines(app, Heat), lines(app, Nodes)
        assert "paused" in lines(app, Head)[0]
        for _ in range(25):
            app.step()
        assert (lines(app, Heat), lines(app, Nodes)) == held
        await pilot.press("left", "right")
        assert lines(app, Heat)[1:-1] == held[0][1:-1]  # below, the time that has passed meanwhile
        assert lines(app, Heat)[-1].rstrip().endswith("-2.5 s")
        await pilot.press("space")
        assert len(app.picture.columns) == app.picture.taken == 57
        assert lines(app, Heat)[-1].rstrip().endswith("now")
        assert "paused" not in lines(app, Head)[0]


async def test_one_can_go_back_as_far_as_there_is_something_and_return() -> None:
    app = app_of(Scripted())
    async with app.run_test(size=(80, 24)) as pilot:
        for _ in range(49):
            app.step()
        await pilot.press("left", "left", "left", "left")
        assert (app.paused, app.picture.back) == (True, len(app.picture.columns) - 1)
        await pilot.press("end")
        assert (app.paused, app.picture.back) == (False, 0)


async def test_the_chosen_one_of_many_nodes_is_in_sight() -> None:
    nodes = {f"node_{k}": figures()["nodes"]["hidden"] for k in range(40)}
    app = app_of(Scripted([f"node_{k}" for k in range(40)], nodes=nodes))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        shown = lines(app, Nodes)
        assert any(line.startswith("node_39") for line in shown)
        assert shown[-1].split()[-1] == "above"
        await pilot.press("n")
        shown = lines(app, Nodes)
        assert shown[1].startswith("node_0")
        assert shown[-1].split()[-1] == "below"
        assert len(shown) <= 12


async def test_a_graph_without_spikes_has_a_table_and_says_so() -> None:
    app = app_of(Scripted(()))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("n", "left", "space", "end")
        assert lines(app, Nodes)[1].startswith("telemetry")
        assert lines(app, Heat)[0].startswith("no spikes flow")


async def test_what_is_wrong_and_what_was_logged_have_lines_of_their_own() -> None:
    nodes = figures()["nodes"]
    nodes["telemetry"]["rejected"] = {"no_number": 12}
    sees = Scripted(nodes=nodes)
    app = app_of(sees)
    async with app.run_test(size=(80, 24)) as pilot:
        sees.picture.lines.append("it rains")
        app.step()
        await pilot.pause()
        assert lines(app, Log) == ["it rains".ljust(80)]
        texts = [strip for part in app.query(Drawn) for strip in [part.render_line(0).text.strip()]]
        assert "telemetry: 12 rejected (no number)" in texts


@pytest.mark.parametrize("key", ["q", "escape", "ctrl+c"])
async def test_keys_leave(key: str) -> None:
    app = app_of(Scripted())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(key)
    assert app.left


async def test_the_view_ends_with_the_run() -> None:
    sees = Scripted()
    sees.ended = True
    app = TopApp(sees, Look())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
    assert (app.left, app.is_running) == (False, False)


async def test_a_terminal_without_blocks_gets_ascii() -> None:
    app = TopApp(Scripted(), Look(False, False), goes=False)
    async with app.run_test(size=(80, 24)):
        app.step()
        assert all(line.isascii() for part in (Head, Nodes, Heat) for line in lines(app, part))
