"""A page over a run of the tests' own, in one event loop or as processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, web

from spikeflow.monitor.page.following import Following
from spikeflow.monitor.page.guard import Guard
from spikeflow.monitor.page.serve import application

_PATIENCE_S = 20.0


@dataclass
class Followed(Following):
    """Lets a test wait for what it hears of the run, and for who looks where."""

    news: asyncio.Event = field(default_factory=asyncio.Event)

    def _take(self, facts: dict[str, Any], raw: bytes) -> None:
        super()._take(facts, raw)
        self.news.set()

    def look(self, outlet: str, indices: Sequence[int]) -> str:
        self.news.set()
        return super().look(outlet, indices)

    def look_away(self, name: str) -> None:
        super().look_away(name)
        self.news.set()

    async def until(self, holds: Callable[[], Any]) -> None:
        """Wait until something holds of what is known here."""
        async with asyncio.timeout(_PATIENCE_S):
            while not holds():
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def page(path: Path, guard: Guard | None = None) -> AsyncIterator[tuple[str, Followed, ClientSession]]:
    """The address of a page that follows a run, what it knows, and a client."""
    following = Followed(path)
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
