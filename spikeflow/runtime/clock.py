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

from spikeflow.node import Clock

_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1
_LATEST_NS = 2**63 - 1
_ONCE = (1).to_bytes(8, sys.byteorder)
_LONGEST_S = 86400.0

SLOWEST = 1e-6
"""The lowest speed of a run: a second of events takes eleven days."""


class WallClock:
    """UTC that never goes back: the system's time at the start, then the monotonic clock.

    Sleepers are woken by one timerfd (10 to 50 µs late); an event loop's own timers are 0.5 to 1 ms late.
    """

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()
        self._calls: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self._timer: _TimerFd | _LoopTimer | None = None
        self._is_arming = False

    def now_ns(self) -> int:
        """Nanoseconds since 1970, UTC."""
        return time.monotonic_ns() + self._offset_ns

    async def sleep_until(self, t_ns: int) -> None:
        """Return once `t_ns` has come."""
        if t_ns - self._offset_ns <= time.monotonic_ns():
            return
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def rouse() -> None:
            if not sleeper.done():
                sleeper.set_result(None)

        self.call_at(t_ns, rouse)
        await sleeper

    def call_at(self, t_ns: int, call: Callable[[], None]) -> None:
        """Call from the event loop once `t_ns` has come; cheaper than waking a task."""
        timer = self._timer
        if timer is None or timer.loop is not asyncio.get_running_loop():
            loop = asyncio.get_running_loop()
            timer = self._timer = _TimerFd.open(loop, self._wake) or _LoopTimer(loop, self._wake)
            self._calls.clear()  # those of a loop that has ended
            self._is_arming = False
        due = max(1, min(t_ns - self._offset_ns, _LATEST_NS))
        calls = self._calls
        heapq.heappush(calls, (due, next(self._order), call))
        if due != timer.next_ns and calls[0][0] == due:
            self._arm_soon()

    def close(self) -> None:
        """Give the timer back."""
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    def _wake(self) -> None:
        now = time.monotonic_ns()
        calls = self._calls
        while calls and calls[0][0] <= now:
            heapq.heappop(calls)[2]()
        if self._timer is not None and (not calls or calls[0][0] != self._timer.next_ns):
            self._arm_soon()

    def _arm_soon(self) -> None:
        """Arm the timer once those have run who were woken before: a sink need not wait for the next sleep."""
        if not self._is_arming and self._timer is not None:
            self._is_arming = True
            self._timer.loop.call_soon(self._arm)

    def _arm(self) -> None:
        self._is_arming = False
        if self._timer is not None:
            self._timer.arm(self._calls[0][0] if self._calls else 0)


def caller(clock: Clock) -> Callable[[int, Callable[[], None]], None]:
    """What makes a clock call: its own `call_at`, else a task that sleeps."""

    def call_at(t_ns: int, call: Callable[[], None]) -> None:
        sleeping = asyncio.ensure_future(clock.sleep_until(t_ns))
        sleeping.add_done_callback(lambda done: None if done.cancelled() else call())

    found: Callable[[int, Callable[[], None]], None] = getattr(clock, "call_at", call_at)
    return found


class _TimerFd:
    """A Linux timer that a loop can read. It goes on by itself at the pace of the last two instants it was armed for.

    A run that closes a window every 10 ms so arms it once, and not at every window.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, descriptor: int, settime: Callable[..., int]) -> None:
        self.loop, self._fd, self._settime = loop, descriptor, settime
        self.next_ns = self._period_ns = self._fired_ns = 0

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
        read = os.read

        def expired() -> None:
            try:
                times = read(descriptor, 8)
            except BlockingIOError:
                return  # armed anew meanwhile
            passed = 1 if times == _ONCE else int.from_bytes(times, sys.byteorder)
            timer._fired_ns = timer.next_ns + (passed - 1) * timer._period_ns
            timer.next_ns = timer._fired_ns + timer._period_ns if timer._period_ns else 0
            wake()

        try:
            loop.add_reader(descriptor, expired)
        except NotImplementedError:
            os.close(descriptor)
            return None
        return timer

    def arm(self, due_ns: int) -> None:
        """Wake at the monotonic instant `due_ns`; never where it is 0."""
        if due_ns == self.next_ns:
            return
        self._period_ns = due_ns - self._fired_ns if 0 < self._fired_ns < due_ns else 0
        self.next_ns = due_ns
        period, due = divmod(self._period_ns, 1_000_000_000), divmod(due_ns, 1_000_000_000)
        self._settime(self._fd, _ABSOLUTE, struct.pack("@4q", *period, *due), None)

    def close(self) -> None:
        """Leave the loop."""
        if not self.loop.is_closed():
            self.loop.remove_reader(self._fd)
        os.close(self._fd)


class _LoopTimer:
    """The loop's own timer, where the system has no better one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> None:
        self.loop, self._wake = loop, wake
        self.next_ns = 0
        self._handle: asyncio.TimerHandle | None = None

    def arm(self, due_ns: int) -> None:
        """Wake at the monotonic instant `due_ns`, or before it, as such timers do; never where it is 0."""
        self.close()
        if due_ns:
            self.next_ns = due_ns
            left = max(0.0, (due_ns - time.monotonic_ns()) / 1e9)
            self._handle = self.loop.call_later(min(left, _LONGEST_S), self._fired)

    def _fired(self) -> None:
        self.next_ns = 0
        self._wake()

    def close(self) -> None:
        """Leave the loop."""
        self.next_ns = 0
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
