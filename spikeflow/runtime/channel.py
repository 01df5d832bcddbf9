"""Channels: batches on their way from one outlet to one inlet, bounded by windows."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from spikeflow.events import Batch, Stream

CAPACITY = 16
"""Windows that a channel holds by default; at one, a hop costs three times as much."""
_ALWAYS_NS = 1 << 100


@dataclass(slots=True)
class Pressure:
    """Whether a channel somewhere was full since a source looked last; it then lets the others run."""

    felt: bool = False


class Channel:
    """A bounded queue of batches with one sender and one receiver; a full one blocks its sender.

    Attributes:
        stream: what flows through it.
        capacity: windows that it holds.
        queue: the batches in it, oldest first.
        ended: True once the sender has closed it.
        fullest: the most windows it has held.
        waits: how often the sender had to wait.
        arrive: takes a batch at once, while the receiver waits and can; then the channel stays empty.
        quiet_until: says until when (ns) windows without events mean nothing to the receiver, or to those after it.
        receiver: what the receiver waits on while the channel is empty.
        sender: what the sender waits on while the channel is full.
        lost: events that came after the receiver had gone, or that it left behind.
    """

    __slots__ = (
        "abandoned",
        "arrive",
        "capacity",
        "ended",
        "fullest",
        "lost",
        "queue",
        "quiet_until",
        "receiver",
        "sender",
        "stream",
        "waits",
    )

    def __init__(self, stream: Stream, capacity: int = CAPACITY, head: Iterable[Batch] = ()) -> None:
        self.stream = stream
        self.queue: deque[Batch] = deque(head)
        self.capacity = capacity + len(self.queue)  # what a loop starts with does not count
        self.ended = False
        self.abandoned = False
        self.fullest = len(self.queue)
        self.waits = 0
        self.lost = 0
        self.arrive: Callable[[Batch], None] | None = None
        self.quiet_until: Callable[[], int] = int
        self.receiver: asyncio.Future[None] | None = None
        self.sender: asyncio.Future[None] | None = None

    def offer(self, batch: Batch) -> bool:
        """Put a batch in, unless the channel is full. One without a receiver takes all and keeps none."""
        if self.arrive is not None:
            self.arrive(batch)
            return True
        queue = self.queue
        if len(queue) >= self.capacity:
            return False
        if self.abandoned:
            self.lost += batch.count
            return True
        queue.append(batch)
        receiver = self.receiver
        if receiver is not None:
            self.receiver = None
            if not receiver.done():
                receiver.set_result(None)
        return True

    async def send(self, batch: Batch) -> None:
        """Put a batch in, and wait while the channel is full."""
        if self.offer(batch):
            return
        self.waits += 1
        self.fullest = self.capacity
        while not self.offer(batch):
            self.sender = asyncio.get_running_loop().create_future()
            await self.sender

    def close(self) -> None:
        """End the stream; the receiver still gets what is in the channel."""
        self.ended = True
        self.wake()

    def abandon(self) -> None:
        """The receiver has gone: keep nothing any more."""
        self.abandoned = True
        self.arrive = None
        self.lost += sum(batch.count for batch in self.queue)
        self.queue.clear()
        self.made_room()

    def poll(self) -> Batch | None:
        """The oldest batch, if there is one."""
        if not self.queue:
            return None
        batch = self.queue.popleft()
        if self.sender is not None:
            self.made_room()
        return batch

    async def wait(self) -> None:
        """Return once there is a batch, or the stream has ended."""
        while not self.queue and not self.ended:
            await self.turn()
        self.fullest = max(self.fullest, len(self.queue))

    async def turn(self) -> None:
        """Return once there is a batch, the stream has ended, or somebody has called `wake`."""
        self.receiver = asyncio.get_running_loop().create_future()
        await self.receiver

    async def receive(self) -> Batch | None:
        """The oldest batch; None once the stream has ended."""
        await self.wait()
        return self.poll()

    def made_room(self) -> None:
        """Let the waiting sender go on."""
        sender, self.sender = self.sender, None
        if sender is not None and not sender.done():
            sender.set_result(None)

    def wake(self) -> None:
        """Let the waiting receiver go on."""
        receiver, self.receiver = self.receiver, None
        if receiver is not None and not receiver.done():
            receiver.set_result(None)


class Fan:
    """One outlet: each batch goes to every channel that leaves it, and to those who watch without slowing it.

    Attributes:
        stream: what flows out.
        channels: where it goes.
        watchers: called with each batch before it is sent, in time, so that a graph that could rest does not.
        taps: called with each batch before it is sent, whenever that is; come and go during the run.
        events: events sent so far.
    """

    __slots__ = ("channels", "events", "stream", "taps", "watchers")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.channels: list[Channel] = []
        self.watchers: list[Callable[[Batch], None]] = []
        self.taps: list[Callable[[Batch], None]] = []
        self.events = 0

    def offer(self, batch: Batch) -> list[Channel] | None:
        """Send without waiting; the channels that were full, None where there were none."""
        self.events += batch.count
        if self.watchers or self.taps:
            for look in (*self.watchers, *self.taps):
                look(batch)
        channels = self.channels
        if len(channels) == 1:  # as mostly, and half the time of the loop
            return None if channels[0].offer(batch) else [channels[0]]
        full: list[Channel] | None = None
        for channel in channels:
            if not channel.offer(batch):
                full = [channel] if full is None else [*full, channel]
        return full

    def quiet_until(self) -> int:
        """Until when (ns) windows without events mean nothing to all who take them; 0 where each does."""
        until = 0 if self.watchers else _ALWAYS_NS
        for channel in self.channels:
            if not until:
                break
            until = min(until, channel.quiet_until())
        return until

    async def send(self, batch: Batch) -> None:
        """Send to every channel; a full one blocks."""
        full = self.offer(batch)
        if full is not None:
            for channel in full:
                await channel.send(batch)

    def close(self) -> None:
        """End the stream."""
        for channel in self.channels:
            channel.close()
