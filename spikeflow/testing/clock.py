"""A clock that jumps instead of waiting, and a loop that lives by it."""

from __future__ import annotations

import asyncio
import heapq
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualClock:
    """Time that stands still while anything can run, then jumps to the next thing that waits for it.

    Args:
        start_ns: where it starts (ns since 1970, UTC).
    """

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = count()

    def now_ns(self) -> int:
        """Nanoseconds since 1970, UTC."""
        return self._now_ns

    async def sleep_until(self, t_ns: int) -> None:
        """Return once the clock has jumped to `t_ns`."""
        if t_ns <= self._now_ns:
            return
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (t_ns, next(self._order), sleeper))
        await sleeper

    def call_at(self, t_ns: int, call: Callable[[], None]) -> None:
        """Call once the clock has jumped to `t_ns`."""
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sleeper.add_done_callback(lambda _: call())
        heapq.heappush(self._sleepers, (t_ns, next(self._order), sleeper))

    def next_ns(self) -> int | None:
        """When the next sleeper wakes."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def jump(self, t_ns: int) -> None:
        """Let it be `t_ns`, and wake who waits for that."""
        self._now_ns = max(self._now_ns, t_ns)
        while self._sleepers and self._sleepers[0][0] <= self._now_ns:
            sleeper = heapq.heappop(self._sleepers)[2]
            if not sleeper.done():
                sleeper.set_result(None)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is a `VirtualClock`: where it would wait, the clock jumps.

    It still waits for threads, and for sockets when nothing waits for the clock.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self._start_ns = clock.now_ns()
        self._working = 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Seconds since the loop was made: a float of those since 1970 would be too coarse for timers."""
        return (self.clock.now_ns() - self._start_ns) / 1e9

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """As any loop does; the clock stands still until the thread is done."""
        self._working += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._worked)
        return future

    def _worked(self, _: asyncio.Future[Any]) -> None:
        self._working -= 1

    @property
    def working(self) -> bool:
        """Whether threads are at work."""
        return self._working > 0


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        loop, clock = self._loop, self._loop.clock
        if loop.working:
            return super().select(None)
        due = clock.next_ns()
        if timeout is not None:
            timer = clock.now_ns() + max(1, round(timeout * 1e9))
            due = timer if due is None else min(due, timer)
        if due is None:
            return super().select(None)
        clock.jump(due)
        return []


def run_virtually(main: Coroutine[Any, Any, T], clock: VirtualClock | None = None) -> T:
    """Run a coroutine on a loop whose clock jumps."""
    used = clock or VirtualClock()
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(used)) as runner:
        return runner.run(main)
