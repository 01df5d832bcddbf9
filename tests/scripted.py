"""A broker that does what a test says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any


@contextlib.asynccontextmanager
async def scripted(
    answer: Callable[[int, bytes, asyncio.StreamWriter], Coroutine[Any, Any, bool | None]],
) -> AsyncIterator[str]:
    """The address of a broker of 3.1.1 that greets and answers pings, and does all else as a test says.

    Args:
        answer: called with the kind, the body and the writer of each packet, the greeted one among them; True to hang
            up. It hangs up where its peer takes its leave, too.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
            kind = 0
            while kind != 14:
                head, length = await reader.readexactly(2)
                kind, body = head >> 4, await reader.readexactly(length)
                if kind in (1, 12):
                    writer.write(b"\x20\x02\0\0" if kind == 1 else b"\xd0\0")
                if await answer(kind, body, writer):
                    return

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
