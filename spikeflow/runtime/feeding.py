"""Feeding: a coroutine that waits for its next batch goes on where the batch is sent, without a turn of the loop."""

from __future__ import annotations

import asyncio
from asyncio import _enter_task, _leave_task, current_task
from collections.abc import Callable, Coroutine, Generator
from contextvars import copy_context
from typing import Any

from spikeflow.events import Batch
from spikeflow.runtime.channel import Channel


class Feeding:
    """Awaits a coroutine that takes batches out of channels, and lets a sender step it.

    A coroutine that waits for its next batch awaits `Channel.receiver`. A sender that only sets that future has the
    event loop call the task in a turn of its own, which costs 45 µs on a core that was idle. The sender calls `feed`
    instead, and the coroutine goes on at once, as the relay's nodes do. Whatever else the coroutine awaits, its task
    awaits as ever.

    While a sender steps it, the coroutine's own task is the current one, so that `asyncio.timeout` and task groups
    work, and it sees its own context variables. What it raises is raised in its task, never in the sender.

    Args:
        work: the coroutine; awaited once, as this is.
        channel: says which channel it takes its next batch from.
    """

    __slots__ = ("_awaited", "_channel", "_context", "_error", "_idle", "_inner", "_loop", "_over", "_task", "_work")

    def __init__(self, work: Coroutine[Any, Any, None], channel: Callable[[], Channel]) -> None:
        self._work, self._channel = work, channel
        self._context = copy_context()
        self._over = False
        self._error: BaseException | None = None
        self._awaited: Any = None
        self._inner: asyncio.Future[None] | None = None  # what the coroutine awaits while it waits for a batch
        self._idle: asyncio.Future[None]  # what its task awaits meanwhile

    def feed(self, channel: Channel, batch: Batch) -> bool:
        """Put a batch into the channel that the coroutine waits for, and let it take the batch.

        Returns:
            False where it does not wait, or its task is about to go on; then nothing has been done.
        """
        if self._inner is None or self._idle.done():
            return False
        channel.queue.append(batch)
        loop, own = self._loop, self._task
        other = current_task(loop)
        if other is not None:
            _leave_task(loop, other)
        _enter_task(loop, own)
        try:
            self._go_on()
        finally:
            _leave_task(loop, own)
            if other is not None:
                _enter_task(loop, other)
        if self._inner is None and not self._idle.done():
            self._idle.set_result(None)  # it has ended, or waits for something that its task is to wait for
        return True

    def __await__(self) -> Generator[Any, None, None]:
        task = current_task()
        assert task is not None
        self._loop, self._task = asyncio.get_running_loop(), task
        self._idle = self._loop.create_future()
        self._go_on()
        while not self._over:
            waited = self._inner is not None
            try:
                if waited:
                    yield from self._idle
                else:
                    yield self._awaited
            except BaseException as error:
                self._thrown(error, waited)
            else:
                if not waited or self._inner is not None:
                    self._go_on()
                # else a sender has stepped it, and has left what it awaits now to its task
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # it holds this frame, which holds it

    def _thrown(self, error: BaseException, waited: bool) -> None:
        """The task was cancelled, or what it waited for failed."""
        if waited and self._inner is None:  # a sender has stepped it since
            if self._over:
                raise error
            if self._awaited is not None and self._awaited.cancel():
                return  # as its task would have done, had it waited for it already
        self._go_on(error)

    def _go_on(self, error: BaseException | None = None) -> None:
        """Step the coroutine to what it awaits next, or to its end."""
        inner, self._inner = self._inner, None
        try:
            if error is not None:
                awaited = self._context.run(self._work.throw, error)
            else:
                if inner is not None:
                    inner.set_result(None)
                awaited = self._context.run(self._work.send, None)
        except StopIteration:
            self._over = True
        except BaseException as raised:
            self._over, self._error = True, raised
        else:
            channel = self._channel()
            if awaited is None or awaited is not channel.receiver:
                self._awaited = awaited
                return
            if self._idle.done():
                self._idle = self._loop.create_future()
            self._inner, channel.receiver = awaited, self._idle
