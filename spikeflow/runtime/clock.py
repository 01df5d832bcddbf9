"""Clocks: the wall clock, woken by a timerfd where there is one."""

from __future__ import annotations

import asyncio
import ctypes
import heapq
import os
import struct
import sys
import time
from collections.abc import Callable
from itertools import count

_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1
_LATEST_NS = 2**63 - 1
_LONGEST_S = 86400.0

SLOWEST = 1e-6
"""The lowest speed of a run: a second of events takes eleven days."""


class WallClock:
    """UTC that never goes back: the system's time at the start, then the monotonic clock.

    Sleepers are woken by one timerfd (10 to 50 µs late); an event loop's own timers are 0.5 to 1 ms late.
    """

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = count()
        self._timer: _TimerFd | None = None
        self._is_arming = False

    def now_ns(self) -> int:
        """Nanoseconds since 1970, UTC."""
        return time.monotonic_ns() + self._offset_ns

    async def sleep_until(self, t_ns: int) -> None:
        """Return once `t_ns` has come."""
        due = min(t_ns - self._offset_ns, _LATEST_NS)
        if due <= time.monotonic_ns():
            return
        loop = asyncio.get_running_loop()
        if self._timer is None or self._timer.loop is not loop:
            self._timer = _TimerFd.open(loop, self._wake)
        if self._timer is None:
            while (left := due - time.monotonic_ns()) > 0:  # noqa: ASYNC110 - a loop's timer may fire early
                await asyncio.sleep(min(left / 1e9, _LONGEST_S))
            return
        sleeper: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._sleepers, (due, next(self._order), sleeper))
        if self._sleepers[0][2] is sleeper:
            self._arm_soon(loop)
        await sleeper

    def close(self) -> None:
        """Give the timer back."""
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    def _wake(self) -> None:
        now = time.monotonic_ns()
        while self._sleepers and (self._sleepers[0][0] <= now or self._sleepers[0][2].done()):
            sleeper = heapq.heappop(self._sleepers)[2]
            if not sleeper.done():
                sleeper.set_result(None)
        if self._sleepers and self._timer is not None:
            self._arm_soon(self._timer.loop)

    def _arm_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Arm the timer once those have run who were woken before: a sink need not wait for the next sleep."""
        if not self._is_arming:
            self._is_arming = True
            loop.call_soon(self._arm)

    def _arm(self) -> None:
        self._is_arming = False
        if self._sleepers and self._timer is not None:
            self._timer.arm(self._sleepers[0][0])


class _TimerFd:
    """A Linux timer that a loop can read."""

    def __init__(self, loop: asyncio.AbstractEventLoop, descriptor: int, settime: Callable[..., int]) -> None:
        self.loop, self._fd, self._settime = loop, descriptor, settime

    @classmethod
    def open(cls, loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> _TimerFd | None:
        """A timer that calls `wake`; None where the system has none."""
        if not sys.platform.startswith("linux"):
            return None
        try:
            library = ctypes.CDLL(None, use_errno=True)  # os.timerfd_create came with Python 3.13
            descriptor = library.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, AttributeError):
            return None
        if descriptor < 0:
            return None
        timer = cls(loop, descriptor, library.timerfd_settime)

        def expired() -> None:
            try:
                os.read(descriptor, 8)
            except BlockingIOError:
                return  # armed anew meanwhile
            wake()

        try:
            loop.add_reader(descriptor, expired)
        except NotImplementedError:
            os.close(descriptor)
            return None
        return timer

    def arm(self, due_ns: int) -> None:
        """Wake at the monotonic instant `due_ns`."""
        seconds, nanoseconds = divmod(max(due_ns, 1), 1_000_000_000)
        self._settime(self._fd, _ABSOLUTE, struct.pack("@4q", 0, 0, seconds, nanoseconds), None)

    def close(self) -> None:
        """Leave the loop."""
        if not self.loop.is_closed():
            self.loop.remove_reader(self._fd)
        os.close(self._fd)
