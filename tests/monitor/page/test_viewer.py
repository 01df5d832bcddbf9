"""Viewers: each gets what it asks for and what is new of it; one that is slow loses frames, and nobody else does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from aiohttp import ClientWebSocketResponse
from aiohttp.web import WebSocketResponse

from spikeflow.monitor.page.history import Part
from spikeflow.monitor.page.viewer import MOST_UNREAD, Viewer
from tests.monitor.page.pages import page
from tests.runtime.looking import SIZE, Gate, events_of, graph, looked_at, own_folder


@pytest.fixture(autouse=True)
def place() -> Iterator[None]:
    with own_folder():
        yield


async def _frame(socket: ClientWebSocketResponse, ack: bool = True) -> tuple[dict[str, Any], dict[str, Any]]:
    """The facts of the next frame, and the numbers of its parts by outlet."""
    data = await socket.receive_bytes(timeout=20.0)
    length = int.from_bytes(data[:4], "little")
    facts = orjson.loads(data[4 : 4 + length])
    at = 4 + length
    found: dict[str, Any] = {}
    assert at % 4 == 0
    for part in facts["parts"]:
        raw = data[at : at + part["bytes"]]
        at += part["bytes"]
        if part["type"] == "raster":
            found[part["id"]] = np.frombuffer(raw, "<u2")[: part["columns"] * part["rows"]].reshape(-1, part["rows"])
        else:
            found[part["id"]] = np.frombuffer(raw, "<f4").reshape(len(part["channels"]), 3, part["columns"])
    assert at == len(data)
    if ack:
        await socket.send_str('{"op":"ack"}')
    return facts, found


def _view(**more: Any) -> str:
    view = {"op": "view", "number": 1, "span": 500, "panels": [{"id": "gate", "width": 100, "rows": SIZE}]} | more
    return orjson.dumps(view).decode()


async def test_a_viewer_gets_every_spike_of_what_it_asks_for_and_the_graph_once() -> None:
    async with looked_at(graph(50), stays=True) as (_, path, _run), page(path) as (url, following, client):
        await following.until(lambda: following.connected)
        Gate.go.set()
        await following.until(lambda: following.spikes["gate"].end == 500)
        async with client.ws_connect(f"{url}/frames", max_msg_size=0) as socket:
            await socket.send_str(_view(traces=[{"outlet": "hidden.v", "neurons": [1, 2], "width": 100}]))
            infos, counts = 0, None
            while counts is None:
                facts, found = await _frame(socket)
                infos += "info" in facts
                counts = found.get("gate")
            assert infos <= 1
            wanted = following.spikes["gate"].counts(Part(0, SIZE, SIZE, 5, 0, 100))
            assert counts.tolist() == wanted.tolist()
            assert int(counts.sum()) == sum(len(events_of(k)[1]) for k in range(50))
            await following.until(lambda: following.looks)
        await following.until(lambda: not following.looks)  # nobody looks there any more


async def test_a_run_that_is_too_busy_to_tell_its_figures_is_shown_once_it_has_told_them() -> None:
    async with page(Path("/nonexistent/1.sock")) as (_, following, _client):
        viewer = Viewer(following, WebSocketResponse())
        following.info = {"graph": "busy", "started": 1.0}
        assert await viewer._frame() is None
        following.figures = {"nodes": {}}
        frame = await viewer._frame()
        assert frame is not None
        facts = orjson.loads(frame[4:])
        assert (facts["info"]["graph"], facts["figures"]) == ("busy", {"nodes": {}})


async def test_a_viewer_that_does_not_read_loses_frames_which_are_counted_and_others_get_theirs() -> None:
    async with (
        looked_at(graph(50)) as (_, path, _run),
        page(path) as (url, _following, client),
        client.ws_connect(f"{url}/frames") as slow,
        client.ws_connect(f"{url}/frames") as quick,
    ):
        for _ in range(MOST_UNREAD):
            await _frame(slow, ack=False)
        for _ in range(MOST_UNREAD + 2):
            await _frame(quick)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(slow.receive(), 0.3)
        for _ in range(MOST_UNREAD):
            await slow.send_str('{"op":"ack"}')
        assert (await _frame(slow))[0]["lost"] > 0
        assert (await _frame(quick))[0]["lost"] == 0


@pytest.mark.parametrize(
    "more",
    [{"panels": [{"id": "gate", "width": 100, "rows": 7, "low": 900, "high": 2}]}, {"span": 10**15}, {"end": -5}],
)
async def test_a_view_of_what_is_not_there_shows_what_is(more: dict[str, Any]) -> None:
    async with looked_at(graph(50), stays=True) as (_, path, _run), page(path) as (url, following, client):
        await following.until(lambda: following.connected)
        Gate.go.set()
        await following.until(lambda: following.spikes["gate"].end == 500)
        async with client.ws_connect(f"{url}/frames", max_msg_size=0) as socket:
            await socket.send_str(_view(**more))
            found: dict[str, Any] = {}
            while "gate" not in found:
                _, found = await _frame(socket)
            assert found["gate"].size < 1 << 20


async def test_a_viewer_gets_the_channels_and_the_neurons_that_it_asks_for_each_by_itself() -> None:
    async with looked_at(graph(50), stays=True) as (_, path, _run), page(path) as (url, following, client):
        await following.until(lambda: following.connected)
        Gate.go.set()
        async with client.ws_connect(f"{url}/frames", max_msg_size=0) as socket:
            panels = [{"id": "rate", "width": 100, "channels": [0]}]
            traces = [{"outlet": "hidden.v", "neurons": list(n), "width": 100} for n in ((1, 2), (5,))]
            await socket.send_str(_view(panels=panels, traces=traces))
            seen: set[tuple[str, tuple[int, ...]]] = set()
            while len(seen) < 3:
                facts, _ = await _frame(socket)
                seen |= {(part["id"], tuple(part["channels"])) for part in facts["parts"]}
            assert seen == {("rate", (0,)), ("hidden.v", (1, 2)), ("hidden.v", (5,))}
            assert len(following.looks) == 3
            await socket.send_str(_view(panels=[{"id": "rate", "width": 100}]))
            await following.until(lambda: not following.looks)
            await socket.send_str(_view(panels=[{"id": "rate", "width": 100, "channels": [-1]}]))
            await socket.send_str(_view(panels=[{"id": "rate", "width": 100, "channels": list(range(9))}]))
            facts, _ = await _frame(socket)
            assert not following.looks
