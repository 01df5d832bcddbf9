"""A page over a run of the tests' own, in one event loop or as processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, web

from spikeflow.monitor.page.following import Following
from spikeflow.monitor.page.guard import Guard
from spikeflow.monitor.page.serve import application


@asynccontextmanager
async def page(path: Path, guard: Guard | None = None) -> AsyncIterator[tuple[str, Following, ClientSession]]:
    """The address of a page that follows a run, what it knows, and a client."""
    following = Following(path)
    runner = web.AppRunner(application(following, guard or Guard(None, True)), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    follows = asyncio.create_task(following.run())
    host, port = runner.addresses[0][:2]
    try:
        async with ClientSession() as client:
            yield f"http://{host}:{port}", following, client
    finally:
        follows.cancel()
        await asyncio.gather(follows, return_exceptions=True)
        await runner.cleanup()


async def until(holds: Any, patience: float = 20.0) -> None:
    """Let the loop turn until something holds."""

    async def turn() -> None:
        while not holds():  # noqa: ASYNC110 - there is no event for what somebody else knows
            await asyncio.sleep(0.01)

    await asyncio.wait_for(turn(), patience)
