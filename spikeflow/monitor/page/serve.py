"""Serving: the page, its modules, the frames, the metrics; everything that a browser or Prometheus may ask."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from aiohttp import WSCloseCode, web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from spikeflow.events import SPIKES, build
from spikeflow.monitor.page.following import Following
from spikeflow.monitor.page.guard import Guard
from spikeflow.monitor.page.metrics import RunMetrics
from spikeflow.monitor.page.viewer import Viewer

MOST_VIEWERS = 32
_MOST_MESSAGE = 1 << 16
_HEARTBEAT_S = 20.0
_KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_FOLLOWING: web.AppKey[Following] = web.AppKey("following", Following)
_VIEWERS: web.AppKey[Any] = web.AppKey("viewers", set)


def application(following: Following, guard: Guard) -> web.Application:
    """The web application over what is followed."""
    app = web.Application(middlewares=[guard.middleware], client_max_size=1024)
    app.on_response_prepare.append(guard.prepare)
    app[_FOLLOWING] = following
    viewers: set[Viewer] = set()
    app[_VIEWERS] = viewers

    def figures_came() -> None:
        for viewer in viewers:
            viewer.figures_came()

    following.on_figures = figures_came
    for route, file in _pages().items():
        app.router.add_get(route, _static(file))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RunMetrics(following))
    app.router.add_get("/frames", _frames)
    app.router.add_get("/spikes.arrows", _spikes)
    app.router.add_get("/healthz", _healthy)
    app.router.add_get("/readyz", _ready)

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))  # OpenMetrics for who asks for it
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    app.router.add_get("/metrics", metrics)
    app.on_shutdown.append(_hang_up)
    return app


def _pages() -> dict[str, Traversable]:
    """Route to the file that is served there; no other file is."""
    folder = files("spikeflow.monitor.page") / "www"
    found = {f"/{one.name}": one for one in folder.iterdir() if Path(one.name).suffix in _KINDS}
    found["/"] = found.pop("/index.html")
    return found


def _static(file: Traversable) -> Handler:
    body, kind = file.read_bytes(), _KINDS[Path(file.name).suffix]

    async def served(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type=kind, charset="utf-8", headers={"Cache-Control": "no-cache"})

    return served


async def _frames(request: web.Request) -> web.StreamResponse:
    """The WebSocket of one viewer."""
    viewers: set[Viewer] = request.app[_VIEWERS]
    if len(viewers) >= MOST_VIEWERS:
        return web.Response(status=503, text=f"{MOST_VIEWERS} viewers are looking on already.\n")
    answer = web.WebSocketResponse(max_msg_size=_MOST_MESSAGE, heartbeat=_HEARTBEAT_S, compress=False)
    await answer.prepare(request)
    viewer = Viewer(request.app[_FOLLOWING], answer)
    viewers.add(viewer)
    try:
        await viewer.run()
    finally:
        viewers.discard(viewer)
    return answer


async def _hang_up(app: web.Application) -> None:
    for viewer in list(app[_VIEWERS]):
        await viewer.socket.close(code=WSCloseCode.GOING_AWAY)


async def _spikes(request: web.Request) -> web.Response:
    """The single spikes of an outlet from a tick to another, as an Arrow IPC stream."""
    following = request.app[_FOLLOWING]
    stream = following.spikes.get(request.query.get("outlet", ""))
    try:
        first, end = int(request.query["first"]), int(request.query["end"])
        low, high = int(request.query.get("low", 0)), int(request.query.get("high", 1 << 32))
    except (KeyError, ValueError):
        return web.Response(status=400, text="Ask for outlet, first, end and, if need be, low and high.\n")
    if stream is None:
        return web.Response(status=404, text="There is no such stream of spikes.\n")
    return await asyncio.to_thread(_file, following, request.query["outlet"], first, end, (low, high))


def _file(following: Following, outlet: str, first: int, end: int, neurons: Sequence[int]) -> web.Response:
    info, stream = following.info, following.spikes[outlet]
    tick, neuron = stream.spikes(first, end)
    keep = (neuron >= neurons[0]) & (neuron < neurons[1])
    t_ns = tick[keep] * info["dt_ns"] + info["origin_ns"]
    about = {"stream": outlet, "size": str(stream.size), "dt": f"{info['dt_ns']} ns", "origin": str(info["origin_ns"])}
    schema = SPIKES.with_metadata(about)
    out = io.BytesIO()
    with pa.ipc.new_stream(out, schema) as writer:
        writer.write_batch(build(schema, t_ns.astype(np.int64), neuron[keep]))
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in f"{info['graph']}-{outlet}.arrows")
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(body=out.getvalue(), content_type="application/vnd.apache.arrow.stream", headers=headers)


async def _healthy(request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _ready(request: web.Request) -> web.Response:
    """Whether the run is on and all its connections stand."""
    following = request.app[_FOLLOWING]
    closed = [name for name, is_open in following.figures.get("open", {}).items() if not is_open]
    if not following.connected or not following.figures:
        return web.Response(status=503, text="the run does not answer\n")
    if closed or following.figures["stopping"]:
        return web.Response(status=503, text=f"not open: {', '.join(closed)}\n" if closed else "the run drains\n")
    return web.Response(text="ready\n")
