"""The feed: what it sends of a run is what happened in it."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from typing import Any

import numpy as np
import pytest

from spikeflow.errors import ParameterError
from spikeflow.monitor.feed import Feed
from spikeflow.monitor.figures import Figures
from spikeflow.monitor.frames import Frame, pack, read
from spikeflow.monitor.lines import JsonLines
from spikeflow.monitor.screen import curve_outlet, view_outlet
from spikeflow.runtime.engine import Engine, Options
from spikeflow.spec import GraphSpec, load

GRAPH: dict[str, Any] = {
    "nodes": {
        "noise": {"source": "synthetic", "signal": "poisson", "size": 8, "rate": "50 Hz", "length": "2 s"},
        "hidden": {"neuron": "lif", "size": 300, "inputs": [{"from": "noise", "weights": 2.0}]},
        "rate": {"decoder": "rate", "input": "hidden", "over": "50 ms", "per": "population"},
    }
}


class Recorder:
    """Keeps what a screen would get; takes a frame only every other time."""

    def __init__(self) -> None:
        self.alive = True
        self.frames: list[Frame] = []
        self._asked = 0

    def ready(self) -> bool:
        self._asked += 1
        return self._asked % 2 == 0

    def send(self, frame: Frame) -> None:
        self.frames.append(frame)

    def close(self, frame: Frame | None = None) -> None:
        if frame is not None:
            self.frames.append(frame)


def graph(**nodes: Any) -> GraphSpec:
    return load(GRAPH | {"nodes": GRAPH["nodes"] | nodes})


async def test_every_spike_of_a_run_is_in_one_frame() -> None:
    engine, recorder = Engine(graph(), Options(speed=4.0)), Recorder()
    feed = Feed(engine, recorder, "hidden")
    shown = asyncio.create_task(feed.run())
    report = await engine.run()
    shown.cancel()
    feed.close(report.ended)
    hello, *looks, end = recorder.frames
    assert (hello.kind, hello.facts["size"], hello.facts["rows"]) == ("hello", 300, 256)
    assert (end.kind, end.facts["ended"], end.facts["progress"]) == ("end", "ended", 1.0)
    assert sum(int(frame.counts.sum()) for frame in recorder.frames) == report.nodes["hidden"]["events_out"] > 0
    assert sum(len(frame.counts) for frame in [*looks, end]) == 2.0 / hello.facts["column_s"]
    assert max(value for frame in [*looks, end] for value in frame.facts["curve"] if value is not None) > 0


async def test_a_graph_without_spikes_is_shown_without_a_raster() -> None:
    spec = load({"nodes": {"wave": {"source": "synthetic", "signal": "sine", "length": "100 ms"}}})
    recorder = Recorder()
    engine = Engine(spec)
    feed = Feed(engine, recorder, view_outlet(spec, None))
    feed.close((await engine.run()).ended)
    assert recorder.frames[-1].facts["nodes"]["wave"]["events_out"] == 10


def test_the_view_is_of_the_last_population_unless_one_is_named() -> None:
    spec = graph(more={"neuron": "lif", "size": 3, "inputs": [{"from": "hidden", "weights": 1.0}]})
    assert view_outlet(spec, None) == "more"
    assert view_outlet(spec, "noise") == "noise"
    assert curve_outlet(spec) == "rate"
    with pytest.raises(ParameterError, match="samples, not spikes"):
        view_outlet(spec, "rate")


@pytest.mark.parametrize(("speed", "column_s"), [(None, 0.0125), (float("inf"), 0.0125), (1.0, 0.1), (10.0, 1.0)])
def test_a_column_is_a_tenth_of_a_second_as_the_clock_goes(speed: float | None, column_s: float) -> None:
    recorder = Recorder()
    Feed(Engine(graph(), Options(speed=speed)), recorder, "hidden")
    assert recorder.frames[0].facts["column_s"] == pytest.approx(column_s, rel=0.1)


async def test_figures_have_rates_and_progress() -> None:
    engine = Engine(graph())
    figures = Figures(engine)
    assert figures.look()["nodes"] == {}
    await engine.run()
    found = figures.look()
    assert found["progress"] == 1.0
    assert found["nodes"]["hidden"]["in_per_s"] > 0.0


def test_frames_come_back_as_they_were_sent_from_a_pipe_that_gives_little_at_a_time() -> None:
    counts = np.arange(12, dtype=np.uint16).reshape(3, 4)

    class Dribble(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 3))

    stream = Dribble(pack(Frame("look", {"elapsed": 1.5}, counts)) * 2)
    for _ in range(2):
        frame = read(stream)
        assert frame is not None
        assert (frame.kind, frame.facts, frame.counts.tolist()) == ("look", {"elapsed": 1.5}, counts.tolist())
    assert read(stream) is None


async def test_lines_end_with_the_report() -> None:
    engine, stream = Engine(graph()), io.BytesIO()
    lines = JsonLines(engine, stream)
    report = await engine.run()
    await lines.close(report.exit_code)
    (last,) = stream.getvalue().splitlines()
    assert json.loads(last)["report"]["nodes"]["hidden"]["windows"] == 200


async def test_the_report_is_the_last_line_even_behind_one_that_is_still_on_its_way() -> None:
    began, goes_on = threading.Event(), threading.Event()

    class Held(io.BytesIO):
        def write(self, data: Any) -> int:
            if not began.is_set():
                began.set()
                goes_on.wait(20)
            return super().write(data)

    engine, stream = Engine(graph()), Held()
    lines = JsonLines(engine, stream)
    report = await engine.run()
    told = asyncio.create_task(lines._write({"t": 1.0}))
    await asyncio.to_thread(began.wait)
    told.cancel()
    await asyncio.gather(told, return_exceptions=True)
    last = asyncio.create_task(lines.close(report.exit_code))
    for _ in range(9):  # had it been written in another thread at once, it would have been by now
        await asyncio.to_thread(lambda: None)
    goes_on.set()
    await last
    assert ["report" in json.loads(line) for line in stream.getvalue().splitlines()] == [False, True]


async def test_a_stream_that_takes_no_more_lines_ends_the_run() -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    engine = Engine(graph(noise={"source": "synthetic", "signal": "poisson", "size": 8, "rate": "50 Hz"}))
    lines = JsonLines(engine, Full())
    told = asyncio.create_task(lines.run())
    report = await engine.run()
    await told
    assert (report.ended, lines.error is not None) == ("drained", True)
