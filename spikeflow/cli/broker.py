"""`spikeflow broker`: the embedded broker as a process of its own."""

from __future__ import annotations

import asyncio
import signal

from spikeflow.cli.saying import OK, guarded
from spikeflow.nodes.broker import start_broker


def run_broker(port: int, debug: bool) -> int:
    """Run until a signal comes."""
    return guarded(lambda: asyncio.run(_serve(port)), debug)


async def _serve(port: int) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    broker, bound = await start_broker(port=port)
    try:
        print(f"mqtt://127.0.0.1:{bound}", flush=True)
        await stop.wait()
    finally:
        # clients that are still there are cut off, and Python 3.11's streams cannot take that in silence
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        await broker.shutdown()
    return OK
