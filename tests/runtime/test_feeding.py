"""A coroutine that is fed takes a batch in its sender's turn, and is in all else what its own task would make of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeflow.events import SAMPLES, Batch, Stream, Window
from spikeflow.runtime.channel import Channel
from spikeflow.runtime.feeding import Feeding

Work = Callable[[Channel], Coroutine[Any, Any, None]]
who: ContextVar[str] = ContextVar("who", default="nobody")


def batch(number: int = 0) -> Batch:
    """An empty window."""
    return Batch.none(Window(number, 1, number, number + 1), SAMPLES)


class Fed:
    """A coroutine that is fed, in a task that has come to wait for its first batch."""

    @classmethod
    async def by(cls, work: Work) -> Fed:
        fed = cls()
        fed.channel = Channel(Stream("in", "samples", 1))
        fed.feeding = Feeding(work(fed.channel), lambda: fed.channel)

        async def run() -> None:
            await fed.feeding

        fed.task = asyncio.create_task(run())
        await asyncio.sleep(0)
        return fed

    channel: Channel
    feeding: Feeding
    task: asyncio.Task[None]

    def feed(self, number: int = 0) -> bool:
        return self.feeding.feed(self.channel, batch(number))

    async def end(self) -> None:
        self.channel.close()
        await self.task


def taking(log: list[Any], then: Callable[[], Any] = lambda: None) -> Work:
    """A coroutine that notes each batch that it takes, and does something then."""

    async def work(channel: Channel) -> None:
        while (taken := await channel.receive()) is not None:
            log.append(taken.window.first_tick)
            done = then()
            if done is not None:
                await done
        log.append("end")

    return work


async def test_what_is_fed_is_taken_before_the_sender_goes_on() -> None:
    log: list[Any] = []
    fed = await Fed.by(taking(log))
    for number in range(3):
        assert fed.feed(number)
        log.append("sent")
    await fed.end()
    assert log == [0, "sent", 1, "sent", 2, "sent", "end"]


async def test_it_runs_as_its_own_task_with_its_own_variables() -> None:
    seen: list[Any] = []

    def look() -> None:
        seen.append((asyncio.current_task(), who.get()))
        who.set("fed")

    fed = await Fed.by(taking([], look))
    me = asyncio.current_task()
    who.set("sender")
    fed.feed()
    fed.feed()
    assert asyncio.current_task() is me
    assert who.get() == "sender"
    await fed.end()
    assert seen == [(fed.task, "nobody"), (fed.task, "fed")]


async def test_a_sender_that_is_no_task_can_feed() -> None:
    log: list[Any] = []
    fed = await Fed.by(taking(log))
    loop = asyncio.get_running_loop()
    loop.call_soon(lambda: log.append((fed.feed(), asyncio.current_task())))
    await asyncio.sleep(0)
    await fed.end()
    assert log == [0, (True, None), "end"]


async def test_what_else_it_awaits_its_task_waits_for_and_it_is_not_fed_meanwhile() -> None:
    log: list[Any] = []
    gate = asyncio.get_running_loop().create_future()
    fed = await Fed.by(taking(log, lambda: gate))
    assert fed.feed(0)
    assert not fed.feed(1)
    fed.channel.offer(batch(1))
    await asyncio.sleep(0)
    assert log == [0]
    gate.set_result(None)
    await fed.end()
    assert log == [0, 1, "end"]


async def test_a_timeout_inside_cuts_itself_off_and_not_the_sender() -> None:
    log: list[Any] = []

    async def late() -> None:
        try:
            async with asyncio.timeout(0):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            log.append("timeout")

    fed = await Fed.by(taking(log, late))
    fed.feed()
    await fed.end()
    assert log == [0, "timeout", "end"]


async def test_tasks_that_it_makes_are_waited_for() -> None:
    log: list[Any] = []

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.sleep(0)).add_done_callback(lambda _: log.append("done"))

    fed = await Fed.by(taking(log, group))
    fed.feed()
    await fed.end()
    assert log == [0, "done", "end"]


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt])
async def test_what_it_raises_is_raised_in_its_own_task(kind: type[BaseException]) -> None:
    async def work(channel: Channel) -> None:
        await channel.receive()
        raise kind("mine")

    caught: list[BaseException] = []
    channel = Channel(Stream("in", "samples", 1))
    feeding = Feeding(work(channel), lambda: channel)

    async def run() -> None:
        try:
            await feeding
        except BaseException as error:
            caught.append(error)

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    assert feeding.feed(channel, batch())
    assert not caught
    await task
    assert [type(error) for error in caught] == [kind]


async def test_the_end_of_the_stream_and_a_batch_that_is_only_offered_wake_its_task() -> None:
    log: list[Any] = []
    fed = await Fed.by(taking(log))
    fed.feed(0)
    fed.channel.offer(batch(1))
    assert log == [0]
    assert not fed.feed(2), "its task is about to go on"
    await asyncio.sleep(0)
    assert log == [0, 1]
    assert fed.feed(2)
    await fed.end()
    assert log == [0, 1, 2, "end"]


async def test_a_cancellation_reaches_it_where_it_waits_for_a_batch() -> None:
    log: list[Any] = []

    async def work(channel: Channel) -> None:
        try:
            await channel.receive()
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    fed = await Fed.by(work)
    fed.task.cancel()
    assert not fed.feed()
    with pytest.raises(asyncio.CancelledError):
        await fed.task
    assert log == ["cancelled"]


async def test_a_cancellation_cancels_what_it_has_just_begun_to_await() -> None:
    gate = asyncio.get_running_loop().create_future()
    fed = await Fed.by(taking([], lambda: gate))
    fed.feed()
    fed.task.cancel()  # before its task has come to wait for the gate
    with pytest.raises(asyncio.CancelledError):
        await fed.task
    assert gate.cancelled()


async def test_a_cancellation_that_comes_after_its_end_is_no_end_of_its_own() -> None:
    async def work(channel: Channel) -> None:
        await channel.receive()

    fed = await Fed.by(work)
    fed.feed()
    fed.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fed.task


async def test_it_may_wait_for_its_batch_in_a_task_of_its_own() -> None:
    log: list[Any] = []

    async def work(channel: Channel) -> None:
        taken = await asyncio.create_task(channel.receive())
        assert taken is not None
        log.append(taken.window.first_tick)

    fed = await Fed.by(work)
    await asyncio.sleep(0)
    assert not fed.feed(5)
    fed.channel.offer(batch(5))
    await fed.task
    assert log == [5]


async def test_it_is_closed_where_its_task_is() -> None:
    log: list[Any] = []

    async def work(channel: Channel) -> None:
        try:
            await channel.receive()
        finally:
            log.append("closed")

    channel = Channel(Stream("in", "samples", 1))
    feeding = Feeding(work(channel), lambda: channel)

    async def run() -> None:
        await feeding

    coroutine = run()
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    coroutine.close()
    assert log == ["closed"]
    task.cancel()
    await asyncio.wait([task])


async def nothing() -> None:
    """Ends without waiting."""


async def other_task() -> None:
    """Waits for a task."""
    await asyncio.create_task(asyncio.sleep(0))


STEPS: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "nothing": nothing,
    "yield": lambda: asyncio.sleep(0),
    "task": other_task,
    "shielded": lambda: asyncio.shield(other_task()),
}


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.sampled_from(sorted(STEPS))), max_size=30))
def test_every_batch_is_taken_once_and_in_order_however_it_comes(script: list[tuple[bool, int, str]]) -> None:
    async def run() -> list[Any]:
        log: list[Any] = []
        todo = iter([STEPS[name] for _, _, name in script])

        def then() -> Any:
            return next(todo)()

        fed = await Fed.by(taking(log, then))
        for number, (by_hand, turns, _) in enumerate(script):
            if fed.channel.queue or not by_hand or not fed.feed(number):
                await fed.channel.send(batch(number))
            for _ in range(turns):
                await asyncio.sleep(0)
        await fed.end()
        return log

    assert asyncio.run(run()) == [*range(len(script)), "end"]
