"""Stages: one task a node or block, which takes a batch of every input, and sends a batch on every outlet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, ClassVar

from spikeflow.errors import NodeError, ordinal, said
from spikeflow.events import Grid
from spikeflow.node import Context, Source
from spikeflow.runtime.blame import blamed
from spikeflow.runtime.channel import Channel, Fan, Pressure
from spikeflow.runtime.checkpoint import Checkpoint
from spikeflow.runtime.meters import Meter
from spikeflow.runtime.windows import SourceOutlet

_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 10.0
_MOST_DOUBLINGS = 10


@dataclass(slots=True)
class Entry:
    """One input of a stage.

    Attributes:
        channel: where its batches come from.
        member: the node whose input it is.
        lag: windows by which a loop's input is behind.
        inside: True where it comes from the stage's own loop, and so does not keep the stage alive.
        forgets: the member that goes back to its initial state at this input's events.
        keep: how many of the next batches belong to the checkpoint that the stage has passed.
        stepped: False where the input only says when to forget, or how long the stage's loop goes on.
    """

    channel: Channel
    member: str = ""
    lag: int = 0
    inside: bool = False
    forgets: str | None = None
    stepped: bool = True
    keep: int = 0


@dataclass(slots=True)
class Shared:
    """What all stages of a run share.

    Attributes:
        grid: origin, dt and window.
        pool: threads for heavy windows.
        live: True where the run follows the clock.
        heavy: how many stages have heavy windows at present.
        jobs: how many threads work at present.
        checkpoint: what is to be filled when its tick has come.
        pressure: whether a channel was full.
    """

    grid: Grid
    pool: ThreadPoolExecutor
    live: bool = False
    heavy: int = 0
    jobs: int = 0
    checkpoint: Checkpoint | None = None
    pressure: Pressure = field(default_factory=Pressure)


@dataclass(slots=True)
class Stage:
    """What every stage has: the name of its task, its members' contexts, its meter.

    Attributes:
        tasks: those that it has begun beside its own.
        is_cut: True once the run has cancelled it; any other cancellation is the node's own.
    """

    name: str
    shared: Shared
    contexts: list[Context]
    on_error: str = "stop"
    meter: Meter = field(default_factory=Meter)
    entries: list[Entry] = field(default_factory=list)
    fans: list[Fan] = field(default_factory=list)
    has_windows: ClassVar[bool] = True
    """Whether a failure costs a window that can be skipped; else `skip` means `restart`."""
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    is_cut: bool = False

    async def run(self) -> None:
        """Work until the stage ends."""
        raise TypeError(f"{type(self).__name__} does not run")

    @property
    def is_open(self) -> bool:
        """Whether all that it connects to stands, or has stood."""
        return True

    def end(self) -> None:
        """Close the outlets and leave the inlets."""
        for fan in self.fans:
            fan.close()
        for entry in self.entries:
            entry.channel.abandon()

    async def failed(self, error: NodeError, waits: int) -> None:
        """Count a failure and wait as the `on_error` rule says; raises where it says `stop`."""
        self.meter.errors += 1
        context = self.contexts[0]
        if self.on_error == "stop":
            raise error
        if self.on_error == "skip" and not isinstance(self, SourceStage):
            errors = self.meter.errors
            if errors & (errors - 1) == 0:  # the first, the second, the fourth …: a node may fail at every window
                which = f", the {ordinal(errors)} so far" if errors > 2 else ""
                context.log("error", f"{said(error.cause)}; the window is skipped{which}")
            return
        self.meter.restarts += 1
        wait = min(_FIRST_WAIT_S * 2 ** min(waits, _MOST_DOUBLINGS), _LONGEST_WAIT_S)
        context.log("error", f"{said(error.cause)}; restarts in {wait:g} s")
        await context.clock.sleep_until(context.clock.now_ns() + int(wait * 1e9))


@dataclass(slots=True)
class SourceStage(Stage):
    """Runs `produce`, and closes windows beside it."""

    node: Source = field(kw_only=True)
    outlet: SourceOutlet = field(kw_only=True)
    has_windows: ClassVar[bool] = False
    stopping: bool = False
    leaves: list[Callable[[], None]] = field(default_factory=list)
    """Called once when it has ended."""
    _working: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether the source's connection stands, or has stood."""
        return self.outlet.is_open.is_set()

    async def run(self) -> None:
        """Produce until the source ends or the run drains, then send what is left."""
        if not self.node.opens:
            self.outlet.opened()
        await self._until_stopped(self._produce, self._close_windows)
        self.outlet.opened()
        if not await self._until_stopped(self._finish):
            await self._finish()  # once more, without waiting for the clock

    def end(self) -> None:
        """Close the outlets, and leave what takes rejects."""
        Stage.end(self)
        while self.leaves:
            self.leaves.pop()()

    def resume(self, point: Checkpoint) -> None:
        """Go on from a checkpoint: what the source sends of the time before it is left out."""
        self.node.load(point.state(self.name))
        self.outlet.resume(point.tick)

    def stop(self) -> None:
        """End the source: what it has sent so far still goes through the graph."""
        self.stopping = self.outlet.stopping = True
        if self._working is not None:
            self._working.cancel()

    async def _until_stopped(self, *works: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Do the first of these, the others beside it, until it is done or the run drains; False where that came first.

        Whatever one of them raises ends all.
        """
        if self.stopping:
            return False
        tasks = [asyncio.create_task(work(), name=f"{self.name}: {work.__name__.strip('_')}") for work in works]
        for task in tasks:
            task.add_done_callback(lambda task: task.cancelled() or task.exception())  # of several one is told
        self.tasks += tasks
        self._working = tasks[0]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._working = None
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()
        return not tasks[0].cancelled()

    async def _produce(self) -> None:
        """Produce, again after each failure where the rule says so."""
        waits, clock = 0, self.contexts[0].clock
        while True:
            began = clock.now_ns()
            try:
                with blamed(self.name, self._is_ending):
                    await self.node.produce(self.outlet)
                return
            except NodeError as error:
                waits = 0 if clock.now_ns() - began > _LONGEST_WAIT_S * 1e9 else waits
                await self.failed(error, waits)
                waits += 1

    async def _close_windows(self) -> None:
        with blamed(self.name, self._is_ending):
            await self.outlet.close_windows()

    async def _finish(self) -> None:
        with blamed(self.name, self._is_ending):
            await self.outlet.finish()

    def _is_ending(self) -> bool:
        """Whether a cancellation is the run's: it drains, it has cut the source off, or one task ends the others."""
        return self.stopping or self.is_cut or self._working is None


__all__ = ["Entry", "Shared", "SourceStage", "Stage"]
