"""Stepping: the stage of nodes that turn one window of their inputs into one of their outlets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from spikeflow.errors import NodeError
from spikeflow.events import Batch, Window, merge
from spikeflow.node import Block, Stepper
from spikeflow.runtime.blame import blamed
from spikeflow.runtime.checkpoint import Checkpoint
from spikeflow.runtime.relay import HEAVY_NS, relay
from spikeflow.runtime.stages import Entry, Stage

HAND_OVER_NS = 500_000
"""Work (ns) below which a thread is not worth the hand-over, which costs 40 µs."""


@dataclass(slots=True)
class StepStage(Stage):
    """Steps a node or a block, one window after the other.

    Attributes:
        stepper: the node or block.
        members: the nodes in it.
        depth: how many plain stages, itself among them, follow one another down to here.
    """

    stepper: Stepper | Block = field(kw_only=True)
    members: list[Stepper] = field(kw_only=True)
    depth: int = 0
    _next_tick: int = 0
    _quiet_ns: int = 0
    _cost_ns: float = 0.0
    _is_heavy: bool = False
    _waits: int = 0

    async def run(self) -> None:
        """Step until every input from outside the stage's own loop has ended."""
        if self.is_plain:
            cost = await relay(self, self.entries[0].channel, self.fans[0])
            if cost is None:
                return
            self._cost_ns = cost
        while True:
            for entry in self.entries:
                await entry.channel.wait()
            taken = self._poll()
            if taken is None:
                return
            window = await self._hand_over(taken) if self._cost_ns > HEAVY_NS else None
            if window is None:
                window, batches = taken
                began = time.perf_counter_ns()
                if window.end_ns > self._quiet_ns or any(batch.count for batch in batches):
                    sent = await self._careful(window, batches)
                else:
                    sent = self._silence(window)
                self._took(time.perf_counter_ns() - began)
                await self._send(window, sent)
            if window.last:
                return

    @property
    def is_plain(self) -> bool:
        """One input, one outlet, and nothing to look after: most nodes."""
        careful = self.on_error != "stop" or self.shared.checkpoint or any(member.forget for member in self.members)
        return not careful and len(self.entries) == len(self.fans) == 1 and self.entries[0].lag == 0

    def _took(self, nanoseconds: int) -> None:
        self.meter.took(nanoseconds)
        self._cost_ns += (nanoseconds - self._cost_ns) * 0.1

    async def _send(self, window: Window, sent: Sequence[Batch]) -> None:
        """Send one window, and save the state where a checkpoint is due."""
        point = self.shared.checkpoint
        if point is not None and window.first_tick + window.ticks == point.tick:
            point.states[self.name] = self.stepper.save()
            for entry in self.entries:
                entry.keep = entry.lag
        for fan, batch in zip(self.fans, sent, strict=True):
            await fan.send(batch)
        if self.shared.live:
            self.meter.lag_ns = self.contexts[0].clock.now_ns() - window.end_ns

    def _poll(self) -> tuple[Window, list[Batch]] | None:
        """One batch of every input, all of which are there or have ended."""
        outside = [e for e in self.entries if not e.inside] or self.entries
        here = [e for e in outside if e.channel.queue]
        if not here:
            return None
        grid = self.shared.grid
        due = [e.channel.queue[0].window for e in here if e.lag == 0]
        ticks = max((w.ticks for w in due), default=grid.window_ticks)
        last = all((e.channel.queue and e.channel.queue[0].window.last) or not e.channel.queue for e in outside)
        first = due[0].first_tick if due else self._next_tick
        window = due[0] if len(self.entries) == 1 and due else Window.at(grid, first, ticks, last)
        batches = []
        for entry in self.entries:
            batch = entry.channel.poll()
            if batch is not None and entry.keep:
                self._keep(entry, batch)
            if batch is None:
                batch = Batch.none(window, entry.channel.stream.schema(grid))
            elif batch.window.ticks > window.ticks:  # a loop's input goes on beyond the stage's own end
                batch = batch.cut(Window.at(grid, batch.window.first_tick, window.ticks))
            batches.append(batch)
        self._next_tick = window.first_tick + window.ticks
        return window, batches

    def _keep(self, entry: Entry, batch: Batch) -> None:
        """Put a loop's batch, sent before the checkpoint and due after it, with the checkpoint."""
        entry.keep -= 1
        assert self.shared.checkpoint is not None
        place = self.name, self.entries.index(entry)
        self.shared.checkpoint.on_the_way.setdefault(place, []).append(batch)

    def resume(self, point: Checkpoint) -> None:
        """Go on from a checkpoint."""
        self.stepper.load(point.state(self.name))
        self._next_tick = point.tick
        for place, entry in enumerate(self.entries):
            if entry.lag:
                entry.channel.queue.clear()
                entry.channel.queue.extend(point.on_the_way.get((self.name, place), []))

    # Failures and forgetting.

    async def _careful(self, window: Window, batches: list[Batch]) -> Sequence[Batch]:
        """Step one window under the `on_error` rule: a failed one gives empty batches and leaves the state alone."""
        if self.on_error == "stop":
            try:
                return self._stepped(window, batches)
            except NodeError:
                self.meter.errors += 1
                raise
        before = self.stepper.save()
        try:
            sent = self._stepped(window, batches)
            self._waits = 0
            return sent
        except NodeError as error:
            self.stepper.load(before)
            self.meter.missed += 1
            await self.failed(error, self._waits)
            self._waits += 1
            return self._silence(window)

    def _stepped(self, window: Window, batches: list[Batch]) -> Sequence[Batch]:
        """Step one window; what comes of the node's own code is the node's failure, in any thread."""
        self._quiet_ns = 0
        with blamed(self.name):
            sent = self._forgetful(window, batches)
            if not any(batch.count for batch in batches) and not any(m.forget for m in self.members):
                self._quiet_ns = self.shared.grid.time(self.stepper.rests_until())
            return sent

    def _silence(self, window: Window) -> list[Batch]:
        """Nothing on every outlet."""
        return [Batch.none(window, fan.stream.schema(self.shared.grid)) for fan in self.fans]

    def _forgetful(self, window: Window, batches: list[Batch]) -> Sequence[Batch]:
        """Step one window in parts: each part begins where a member forgets."""
        given = [batch for entry, batch in zip(self.entries, batches, strict=True) if entry.stepped]
        resets = self._resets(window, batches)
        if not resets:
            return self.stepper.step(window, given)
        grid = self.shared.grid
        edges = sorted({window.first_tick, *resets, window.first_tick + window.ticks})
        parts: list[Sequence[Batch]] = []
        for low, high in pairwise(edges):
            for name in resets.get(low, ()):
                self._reset(name)
            part = Window.at(grid, low, high - low, window.last and high == edges[-1])
            shifts = [entry.lag * grid.window_ticks for entry in self.entries if entry.stepped]
            cut = [
                batch.cut(Window.at(grid, low - shift, high - low)) for batch, shift in zip(given, shifts, strict=True)
            ]
            parts.append(self.stepper.step(part, cut))
        schemas = [fan.stream.schema(grid) for fan in self.fans]
        return [merge(window, schema, [part[k] for part in parts]) for k, schema in enumerate(schemas)]

    def _resets(self, window: Window, batches: list[Batch]) -> dict[int, list[str]]:
        """Tick to the members that forget before it."""
        found: dict[int, list[str]] = {}
        grid = self.shared.grid
        for member in self.members:
            every = member.forget.every if member.forget else None
            if every is not None:
                step = max(1, every // grid.dt_ns)
                first = -(-max(window.first_tick, 1) // step) * step
                for tick in range(first, window.first_tick + window.ticks, step):
                    found.setdefault(tick, []).append(member.context.name)
        for entry, batch in zip(self.entries, batches, strict=True):
            if entry.forgets is not None and batch.count:
                for tick in dict.fromkeys(grid.ticks(batch.arrays[0]).tolist()):
                    found.setdefault(tick, []).append(entry.forgets)
        return found

    def _reset(self, name: str) -> None:
        if isinstance(self.stepper, Stepper):
            self.stepper.reset()
        else:
            self.stepper.reset(name)

    # Heavy windows.

    async def _hand_over(self, taken: tuple[Window, list[Batch]]) -> Window | None:
        """Step all queued windows in a thread, where that is worth it: the last one of them; None where it is not."""
        if self.on_error != "stop" or self.shared.checkpoint is not None:
            return None  # the state is wanted after each window
        if self._is_heavy != (self._cost_ns > HEAVY_NS):
            self._is_heavy = not self._is_heavy
            self.shared.heavy += 1 if self._is_heavy else -1
        if not (self.shared.live or self.shared.heavy > 1):
            return None  # nothing else could run meanwhile
        ready = 1 + min(len(entry.channel.queue) for entry in self.entries)
        if ready * self._cost_ns < HAND_OVER_NS:
            return None
        queued = [taken]
        while len(queued) < ready and not queued[-1][0].last and (more := self._poll()) is not None:
            queued.append(more)
        self.shared.jobs += 1
        try:
            done = await asyncio.get_running_loop().run_in_executor(self.shared.pool, self._steps, queued)
        except NodeError:
            self.meter.errors += 1
            raise
        finally:
            self.shared.jobs -= 1
        for (window, _), (sent, took) in zip(queued, done, strict=True):
            self._took(took)
            await self._send(window, sent)
        return queued[-1][0]

    def _steps(self, queued: list[tuple[Window, list[Batch]]]) -> list[tuple[Sequence[Batch], int]]:
        done = []
        for window, batches in queued:
            began = time.perf_counter_ns()
            sent = self._stepped(window, batches)
            done.append((sent, time.perf_counter_ns() - began))
        return done
