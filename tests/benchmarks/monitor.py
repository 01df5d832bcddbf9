"""The page at a million spikes a second: its cost with no, one and ten viewers, one of whom has stalled."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import psutil

import spikeflow
from spikeflow.monitor.keeper import Keeper
from spikeflow.runtime.engine import Engine, Options, fast_loop
from tests.benchmarks.table import show
from tests.benchmarks.waves import graph

SECONDS = float(os.environ.get("SPIKEFLOW_BENCHMARK_SECONDS", "20"))
WARM_S = 5.0
VIEW = """{"op":"view","number":1,"span":10000,"panels":[{"id":"left","width":900,"rows":230},
{"id":"right","width":900,"rows":230},{"id":"sum","width":900,"rows":200},{"id":"rate","width":900}]}"""


async def look(url: str, viewers: int, stalled: int) -> None:
    """Be so many viewers, until the page is gone; prints the frames that each one who reads got a second."""
    import aiohttp

    async def one(session: aiohttp.ClientSession, reads: bool) -> float:
        loop = asyncio.get_running_loop()
        async with session.ws_connect(f"{url}frames", max_msg_size=0) as socket:
            await socket.send_str(VIEW)
            frames, began = 0, loop.time()
            if not reads:
                await asyncio.sleep(3600)
            async for _ in socket:
                frames += 1
                await socket.send_str('{"op":"ack"}')
                if loop.time() - began > SECONDS:
                    break
            return frames / (loop.time() - began)

    async with aiohttp.ClientSession() as session:
        waits = [asyncio.create_task(one(session, reads=False)) for _ in range(stalled)]
        rates = await asyncio.gather(*(one(session, reads=True) for _ in range(viewers - stalled)))
        for task in waits:
            task.cancel()
    print(min(rates))


@asynccontextmanager
async def _viewers(url: str, viewers: int, stalled: int) -> Any:
    arguments = ["-m", "tests.benchmarks.monitor", url, str(viewers), str(stalled)]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _measured(page: bool, viewers: int, stalled: int) -> list[Any]:
    engine = Engine(spikeflow.load(graph()), Options(seconds=3600))
    run = asyncio.create_task(engine.run())
    await engine.is_listening.wait()
    async with AsyncExitStack() as stack:
        frames: Any = "–"
        memory: Any = "–"
        process = None
        if page:
            keeper = Keeper(("127.0.0.1", 0))
            kept = asyncio.create_task(keeper.run(engine, print))
            stack.push_async_callback(keeper.close)
            stack.callback(kept.cancel)
            await asyncio.sleep(3.0)
            if viewers:
                process = await stack.enter_async_context(_viewers(keeper.url, viewers, stalled))
        await asyncio.sleep(WARM_S)
        before, began = resource.getrusage(resource.RUSAGE_SELF), psutil.Process().memory_info().rss
        times: list[int] = []
        await _gather(engine, times.extend)
        after, ended = resource.getrusage(resource.RUSAGE_SELF), psutil.Process().memory_info().rss
        busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if process is not None:
            assert process.stdout is not None
            frames = float(await process.stdout.readline())
        if page:
            assert keeper.process is not None
            memory = psutil.Process(keeper.process.pid).memory_info().rss / 1e6
    engine.stop()
    await run
    times.sort()
    p50, p99 = times[len(times) // 2] / 1e3, times[len(times) * 99 // 100] / 1e3
    return [100 * busy / SECONDS, p50, p99, (ended - began) / 1e6, frames, memory]


async def _gather(engine: Engine, put: Callable[[list[int]], None]) -> None:
    """The times of the windows of the population, for as long as is measured."""
    assert engine.wired is not None
    meter = engine.wired.stage_of["sum"].meter
    seen = meter.windows
    for _ in range(round(SECONDS)):
        await asyncio.sleep(1.0)
        new = min(meter.windows - seen, len(meter.recent))
        put([meter.recent[k % len(meter.recent)] for k in range(meter.windows - new, meter.windows)])
        seen = meter.windows


CASES = {
    "no monitor": (False, 0, 0),
    "the page, nobody looks": (True, 0, 0),
    "one viewer": (True, 1, 0),
    "ten viewers, one stalled": (True, 10, 1),
    "no monitor, again": (False, 0, 0),
}


def main() -> None:
    """Print what each case costs the run."""
    rows = []
    for name, case in CASES.items():
        with fast_loop() as runner:
            rows.append([name, *runner.run(_measured(*case))])
    head = ["1 M spikes/s", "% of a core", "p50 µs", "p99 µs", "growth MB", "frames/s", "page's memory MB"]
    show(head, rows)


if __name__ == "__main__":
    asyncio.run(look(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
