"""Channels: order, bounds, ends."""

from __future__ import annotations

import asyncio

from spikeflow.events import Batch, Grid, Stream, Window
from spikeflow.runtime.channel import Channel, Fan

GRID = Grid(0, 1_000_000, 10)
STREAM = Stream("a", "spikes", 4)


def batch(k: int) -> Batch:
    return Batch.none(Window.at(GRID, 10 * k, 10), STREAM.schema(GRID))


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_channel_gives_batches_in_the_order_they_came() -> None:
    channel = Channel(STREAM, 4)
    for k in range(4):
        await channel.send(batch(k))
    channel.close()
    got = []
    while (one := await channel.receive()) is not None:
        got.append(one.window.first_tick)
    assert got == [0, 10, 20, 30]


async def test_a_full_channel_blocks_its_sender_until_there_is_room() -> None:
    channel = Channel(STREAM, 2)

    async def send() -> None:
        for k in range(5):
            await channel.send(batch(k))

    task = asyncio.create_task(send())
    await settle()
    assert len(channel.queue) == 2
    assert channel.fullest == 2
    assert channel.waits == 1
    await channel.receive()
    await settle()
    assert len(channel.queue) == 2
    while channel.poll() is not None:
        await settle()
    await task


async def test_what_a_loop_starts_with_does_not_count_as_filled() -> None:
    channel = Channel(STREAM, 1, [batch(-2), batch(-1)])
    assert channel.offer(batch(0))
    assert not channel.offer(batch(1))


async def test_a_channel_without_a_receiver_takes_all_and_counts_what_it_loses() -> None:
    channel = Channel(STREAM, 1)
    await channel.send(batch(0))
    task = asyncio.create_task(channel.send(batch(1)))
    await settle()
    channel.abandon()
    await task
    await channel.send(batch(2))
    assert not channel.queue


async def test_a_receiver_that_waits_is_woken_by_the_end() -> None:
    channel = Channel(STREAM)
    task = asyncio.create_task(channel.receive())
    await settle()
    channel.close()
    assert await task is None


async def test_an_outlet_with_two_channels_waits_for_the_slower_one() -> None:
    fan = Fan(STREAM)
    fast, slow = Channel(STREAM, 4), Channel(STREAM, 1)
    fan.channels += [fast, slow]
    seen: list[int] = []
    fan.watchers.append(lambda one: seen.append(one.window.first_tick))
    await fan.send(batch(0))
    task = asyncio.create_task(fan.send(batch(1)))
    await settle()
    assert not task.done()
    assert len(fast.queue) == 2
    await slow.receive()
    await task
    assert seen == [0, 10]
