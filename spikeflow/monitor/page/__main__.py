"""The process that serves the page: its socket is given to it, and it ends with the run that began it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
from pathlib import Path

from aiohttp import web

from spikeflow.monitor.loopback import is_loopback
from spikeflow.monitor.page.following import Following
from spikeflow.monitor.page.guard import Guard
from spikeflow.monitor.page.serve import application

TOKEN = "SPIKEFLOW_MONITOR_TOKEN"


def main() -> None:
    """Serve until standard input ends, which is when the run that began this process has gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", type=int, required=True, metavar="DESCRIPTOR")
    parser.add_argument("--host", action="append", default=[])
    wish = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C is for the run
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536) if hard > 0 else 65_536, hard))
    asyncio.run(_serve(socket.socket(fileno=wish.listen), wish.host))


async def _serve(listening: socket.socket, hosts: list[str]) -> None:
    following = Following()
    guard = Guard(os.environ.get(TOKEN) or None, is_loopback(listening.getsockname()[0]), hosts)
    runner = web.AppRunner(application(following, guard), access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    await web.SockSite(runner, listening, backlog=1024).start()
    follows = asyncio.create_task(following.run(), name="spikeflow: following")
    loop, ends = asyncio.get_running_loop(), asyncio.Event()
    told = bytearray()

    def tell() -> None:
        """Standard input says where the run is, once it listens; its end, that the run has gone."""
        part = os.read(sys.stdin.fileno(), 4096)
        told.extend(part)
        if not part:
            ends.set()
        elif told.endswith(b"\n"):
            following.path = Path(os.fsdecode(bytes(told[:-1])))

    loop.add_reader(sys.stdin.fileno(), tell)
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ends.set)
    ending = asyncio.create_task(ends.wait(), name="spikeflow: end")
    await asyncio.wait((ending, follows), return_when=asyncio.FIRST_COMPLETED)
    follows.cancel()
    ending.cancel()
    await asyncio.gather(follows, return_exceptions=True)
    await runner.cleanup()


if __name__ == "__main__":
    main()
