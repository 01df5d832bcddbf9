"""The engine: runs a checked graph to its end, drains it when asked, and says what became of every event."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from spikeflow.errors import ConnectError, EventError, NodeError, ParameterError, RefusedError, nearest
from spikeflow.events import Batch, Grid
from spikeflow.node import Clock, Source
from spikeflow.runtime.blame import blamed
from spikeflow.runtime.channel import CAPACITY, Fan
from spikeflow.runtime.checkpoint import Checkpoint
from spikeflow.runtime.clock import SLOWEST, WallClock
from spikeflow.runtime.control import controlled
from spikeflow.runtime.sinks import SinkStage
from spikeflow.runtime.stages import Shared, SourceStage, Stage
from spikeflow.runtime.stepping import StepStage
from spikeflow.runtime.taps import Tap
from spikeflow.runtime.wiring import Plan, Wired, wire
from spikeflow.spec import GraphSpec

_log = logging.getLogger("spikeflow")
_SECOND_NS = 1_000_000_000
_BEHIND_S = 1.0
_LAST_S = 1.0
"""How long a node may take to end once it has been cut off."""
_LINES = 200
"""Lines of the log that are kept."""
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def log_line(node: str, level: str, text: str) -> None:
    """Put a line in the log named `spikeflow`."""
    _log.log(_LEVELS.get(level, logging.INFO), 'node "%s": %s', node, text)


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a run.

    Attributes:
        ended: ``"ended"``, ``"drained"``, or ``"failed"``.
        seconds: how long it took (s).
        nodes: node name to its figures, as `Engine.snapshot` gives them.
        pending: events that arrived at neurons and had not acted when these ended.
        abandoned: events that were accepted and neither processed nor counted otherwise.
        left: nodes that went on after they were cut off; the run ended without them.
    """

    ended: str
    seconds: float
    nodes: dict[str, dict[str, Any]]
    pending: int = 0
    abandoned: int = 0
    left: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 ended or drained, 4 with something abandoned or a node that did not end, 1 failed."""
        return 1 if self.ended == "failed" else 4 if self.abandoned or self.left else 0


@dataclass(slots=True)
class Options:
    """How a graph is run.

    Attributes:
        speed: event time to clock time; None: as fast as it can where all sources are finite, else 1.
        seconds: how long the run lasts; None: until its sources end.
        connect_timeout: how long nodes may take to connect (s).
        drain_timeout: how long a draining graph may take (s).
        most_behind: how far a live run may be behind the clock before it fails (s); None: it catches up.
        capacity: windows that a channel holds.
        clock: the run's clock.
        log: where lines go.
        checkpoint: a checkpoint to fill, at the end of the window before its tick.
        resume: a checkpoint to go on from.
    """

    speed: float | None = None
    seconds: float | None = None
    connect_timeout: float = 10.0
    drain_timeout: float = 10.0
    most_behind: float | None = None
    capacity: int = CAPACITY
    clock: Clock = field(default_factory=WallClock)
    log: Callable[[str, str, str], None] = log_line
    checkpoint: Checkpoint | None = None
    resume: Checkpoint | None = None


class Engine:
    """One run of a graph.

    Attributes:
        socket: where the run can be looked at from outside, once `is_listening`; None where it cannot.
    """

    def __init__(self, spec: GraphSpec, options: Options | None = None) -> None:
        self.spec = spec
        self.options = options or Options()
        self.clock = self.options.clock
        self.wired: Wired | None = None
        self.stopping = False
        self.error: NodeError | ConnectError | None = None
        self.report: Report | None = None
        self.was_cut = False
        self._left: list[str] = []
        self._bug: Exception | None = None
        self._ports: dict[str, set[str]] = {}
        self._taps: dict[str, list[Tap]] = {}
        self._watchers: dict[str, list[Callable[[Batch], None]]] = {}
        self._stop = asyncio.Event()
        self.socket: Path | None = None
        self.is_listening = asyncio.Event()
        self.began = time.monotonic()
        self.lines: deque[dict[str, Any]] = deque(maxlen=_LINES)
        self._line = 0
        self._ended: dict[str, bool] = {}
        sources = [node.node for node in spec.nodes.values() if isinstance(node.node, Source)]
        self.live = any(not source.finite for source in sources)
        endless = [n.name for n in spec.nodes.values() if isinstance(n.node, Source) and not n.node.finite]
        if self.options.speed is not None and not self.options.speed >= SLOWEST:
            found = f"a speed of {self.options.speed:g}"
            raise ParameterError(found, f"it is {SLOWEST:f} or more; 1 is the speed of the clock")
        if self.options.speed not in (None, 1.0) and endless:
            speed = "max" if self.options.speed == float("inf") else f"{self.options.speed:g}"
            found = f"speed {speed} and the source {endless[0]!r}, which does not end by itself"
            raise ParameterError(found, "such a source has speed 1")

    # Looking on.

    @property
    def grid(self) -> Grid:
        """The run's ticks and windows, once it has begun."""
        assert self.wired is not None
        return self.wired.grid

    def log(self, node: str, level: str, text: str) -> None:
        """Log a line, and keep it for those who look on."""
        self._line += 1
        self.lines.append({"number": self._line, "t": time.time(), "node": node, "level": level, "text": text})
        self.options.log(node, level, text)

    def outlet_named(self, outlet: str) -> str:
        """The name of an outlet, once it is known that there is one.

        Raises:
            ParameterError: there is no such outlet.
        """
        names = [f"{n}.{p}" if p else n for n, node in self.spec.nodes.items() for p in node.outlets]
        if outlet not in names:
            raise ParameterError(f"no outlet {outlet!r}", nearest(outlet, names))
        return outlet

    def tap(self, outlet: str) -> Tap:
        """Record batches of an outlet, ``node`` or ``node.port``, as an async iterator; slows the graph when not read.

        Raises:
            ParameterError: there is no such outlet, or the run has begun.
        """
        self._look_up(outlet)
        tap = Tap(self.spec.nodes[outlet.partition(".")[0]].outlets[outlet.partition(".")[2]])
        self._taps.setdefault(outlet, []).append(tap)
        return tap

    def watch(self, outlet: str, callback: Callable[[Batch], None]) -> None:
        """Call `callback` with every batch of an outlet; it must return at once."""
        self._look_up(outlet)
        self._watchers.setdefault(outlet, []).append(callback)

    def _look_up(self, outlet: str) -> None:
        name, _, port = self.outlet_named(outlet).partition(".")
        if self.wired is not None:
            raise ParameterError(f"outlet {outlet!r} is wanted after the run has begun", "ask for it before")
        self._ports.setdefault(name, set()).add(port)

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """Per node: what it did, how long a window takes (ns), how full its inputs are, what became of its events."""
        found: dict[str, dict[str, Any]] = {}
        if self.wired is None:
            return found
        for name, node in self.spec.nodes.items():
            stage, context = self.wired.stage_of[name], self.wired.contexts[name]
            meter = stage.meter
            p50, p99 = meter.window_time()
            queues = [(len(e.channel.queue), e.channel.capacity) for e in stage.entries]
            one: dict[str, Any] = {
                "role": node.role,
                "kind": node.kind,
                "windows": meter.windows,
                "events_in": self._received(name),
                "events_out": sum(fan.events for fan in self._fans(name)),
                "window_p50_us": round(p50 / 1e3, 1),
                "window_p99_us": round(p99 / 1e3, 1),
                "queue": max((fill for fill, _ in queues), default=0),
                "capacity": max((capacity for _, capacity in queues), default=0),
                "lag_ms": round(meter.lag_ns / 1e6, 3),
            }
            for key in ("errors", "missed", "restarts"):
                if getattr(meter, key):
                    one[key] = getattr(meter, key)
            if not isinstance(stage, StepStage):
                one |= context.counters.as_dict()
            if context.look is not None:
                one["connection"] = context.look()
            found[name] = one
        return found

    def _fans(self, name: str) -> list[Fan]:
        assert self.wired is not None
        return [fan for outlet, fan in self.wired.fans.items() if outlet.partition(".")[0] == name]

    def _received(self, name: str) -> int:
        """Events that a node took out of its channels: what was sent, less what is still in them or was never taken."""
        assert self.wired is not None
        links = [link for link in self.spec.nodes[name].links if not link.internal]
        sent = sum(self.wired.fans[link.stream].events for link in links)
        channels = [entry.channel for entry in self.wired.stage_of[name].entries if entry.member == name]
        waiting = sum(batch.count for channel in channels for batch in list(channel.queue))
        return max(0, sent - waiting - sum(channel.lost for channel in channels))

    # Running.

    def stop(self) -> None:
        """Drain: sources end, and what they have sent goes through the graph."""
        self.stopping = True
        self._stop.set()

    async def run(self) -> Report:
        """Run the graph to its end.

        Raises:
            ConnectError: a node could not connect in time; nothing was processed.
            NodeError: a node failed, and its rule says `stop`; the rest of the graph has drained.
        """
        self.began = time.monotonic()
        pool = ThreadPoolExecutor(thread_name_prefix="spikeflow")
        try:
            self.wired = self._wire(pool)
            if self.live:
                gc.freeze()  # what is there already lives as long as the run: no collection need look through it
            try:
                async with controlled(self):
                    await self._run(self.wired)
            finally:
                if self.live:
                    gc.unfreeze()
                if isinstance(self.clock, WallClock):
                    self.clock.close()
                self._release(self.wired)
        except NodeError as error:
            self.error = error
            raise
        finally:
            pool.shutdown(wait=not self.was_cut, cancel_futures=True)  # a step that was cut off may never return
        self.report = report = self._report(self.wired)
        if self.error is not None:
            self.error.add_note(f"report: {report}")
            raise self.error
        return report

    def _wire(self, pool: ThreadPoolExecutor) -> Wired:
        """Bind and join everything. A live run begins at the present, not where compiling began."""
        now = self.clock.now_ns()
        wired, grid = self._wired_at(now, pool)
        if self.live and self.clock.now_ns() - now > _SECOND_NS:
            wired, grid = self._wired_at(self.clock.now_ns(), pool)  # what was compiled is there now
        point = self.options.resume
        for outlet, taps in self._taps.items():
            fan = wired.fans[outlet]
            fan.channels += [tap.attached(fan.stream, grid) for tap in taps]
        for outlet, watchers in self._watchers.items():
            wired.fans[outlet].watchers += watchers
        if point is not None:
            wired.take(point.copies)
        for stage in wired.stages:
            if point is not None and isinstance(stage, SourceStage | StepStage):
                stage.resume(point)
        if self.options.checkpoint is not None:
            self._save_at(self.options.checkpoint, wired, grid)
        return wired

    def _wired_at(self, now: int, pool: ThreadPoolExecutor) -> tuple[Wired, Grid]:
        if self.live:
            origin = now // _SECOND_NS * _SECOND_NS
        else:
            origin = min((o for o in self._origins() if o is not None), default=0)
        grid = Grid(origin, self.spec.dt_ns, self.spec.window_ns // self.spec.dt_ns)
        if self.options.resume is not None:
            self.options.resume.fits(grid.dt_ns, grid.window_ticks)
            grid = replace(grid, origin_ns=self.options.resume.origin_ns)
        pace, options = self._pace(grid, now), self.options
        shared = Shared(grid, pool, self.live)
        return wire(self.spec, Plan(grid, self.clock, shared, options.capacity, pace, self.log, self._ports)), grid

    def _origins(self) -> Iterator[int | None]:
        """What the sources propose as tick 0."""
        for name, spec in self.spec.nodes.items():
            if isinstance(spec.node, Source):
                with blamed(name):
                    origin = spec.node.origin_ns()
                yield origin

    @staticmethod
    def _save_at(point: Checkpoint, wired: Wired, grid: Grid) -> None:
        point.fits(grid.dt_ns, grid.window_ticks)
        point.origin_ns, point.dt_ns = grid.origin_ns, grid.dt_ns
        for source in wired.sources:

            def save(tick: int, source: SourceStage = source) -> None:
                if tick == point.tick:
                    point.states[source.name] = source.node.save()
                    point.copies = {key: list(names.keys) for key, names in wired.copies.items()}

            source.outlet.on_window = save
        wired.stages[0].shared.checkpoint = point

    def _pace(self, grid: Grid, now: int) -> Callable[[int], Any] | None:
        speed = self.options.speed if self.options.speed is not None else (1.0 if self.live else None)
        if speed is None:
            return None
        clock = self.clock
        if self.live:
            return clock.sleep_until

        async def wait(end_ns: int) -> None:
            await clock.sleep_until(now + int((end_ns - grid.origin_ns) / speed))

        return wait

    async def _run(self, wired: Wired) -> None:
        stages = {asyncio.create_task(self._work(stage), name=stage.name): stage for stage in wired.stages}
        looking_on = {"connections": self._wait_open(wired, stages)}
        if self.options.seconds is not None:
            looking_on["time limit"] = self._limit(self.options.seconds)
        if self.live:
            looking_on["lag"] = self._watch_lag(wired)
        guards = [asyncio.create_task(self._guard(work), name=f"spikeflow: {of}") for of, work in looking_on.items()]
        stop = asyncio.create_task(self._stop.wait(), name="spikeflow: stop")
        try:
            await self._to_the_end(wired, stages, stop)
        finally:
            for task in (*guards, stop):
                task.cancel()
            await asyncio.gather(*guards, stop, return_exceptions=True)
            await self._cut_off(wired, stages)
        if self._bug is not None:
            raise self._bug

    async def _work(self, stage: Stage) -> None:
        try:
            with blamed(stage.name, lambda: stage.is_cut):
                await stage.run()
            self._ended[stage.name] = True
        except NodeError as error:
            unopened = isinstance(error.cause, RefusedError) and not stage.is_open
            self._fail(ConnectError(str(error)) if unopened else error)
        except asyncio.CancelledError:
            pass  # by the run, which says so where that is worth a word
        finally:
            stage.end()

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        """Look on while the stages work; a mistake here ends the run instead of being lost."""
        try:
            await work
        except Exception as error:
            self._bug = error
            self.stop()

    async def _to_the_end(
        self, wired: Wired, stages: dict[asyncio.Task[None], Stage], stop: asyncio.Task[Literal[True]]
    ) -> None:
        """Wait until all stages have ended; a run that drains waits for so long only."""
        ended = asyncio.create_task(asyncio.wait(stages), name="spikeflow: end")
        try:
            await asyncio.wait((ended, stop), return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                for source in wired.sources:
                    source.stop()
                await asyncio.wait((ended,), timeout=self.options.drain_timeout)
        finally:
            ended.cancel()

    async def _cut_off(self, wired: Wired, stages: dict[asyncio.Task[None], Stage]) -> None:
        """End what is left, if need be without its consent: no node may keep a run, or its process, alive."""
        left = {task: stage for task, stage in stages.items() if not task.done()}
        if not left:
            return
        self.was_cut = True
        self._cancel(left)
        await asyncio.wait(left, timeout=_LAST_S)
        alive = {t: stage for task, stage in left.items() for t in (task, *stage.tasks) if not t.done()}
        for task in alive:
            _put_down(task)
        if alive:
            await asyncio.wait(alive, timeout=_LAST_S)
        going_on = {id(stage) for stage in alive.values()}
        # what was cut off with all it had taken in safety, as in an outbox, is no error: the run ends with 0
        level, lost = ("error", "") if self._abandoned(wired) else ("warning", "; no event was abandoned")
        late = f"did not drain in {self.options.drain_timeout:g} s" if self.stopping else "was still at work"
        for stage in left.values():
            if id(stage) in going_on:
                self._left.append(stage.name)
                self.log(stage.name, "error", f"{late}, went on when it was cut off, and is left behind")
            elif self.stopping and not isinstance(self.error, ConnectError):
                self.log(stage.name, level, f"{late}, and was cut off{lost}")

    @staticmethod
    def _cancel(stages: Mapping[asyncio.Task[None], Stage]) -> None:
        for task, stage in stages.items():
            stage.is_cut = True
            task.cancel()

    def _fail(self, error: NodeError | ConnectError) -> None:
        """Remember the first failure; the rest of the graph drains."""
        if self.error is None:
            self.error = error
        self.stop()

    async def _wait_open(self, wired: Wired, stages: dict[asyncio.Task[None], Stage]) -> None:
        waits = {
            stage.name: (stage.outlet if isinstance(stage, SourceStage) else stage.inlet).is_open
            for stage in wired.stages
            if isinstance(stage, SourceStage | SinkStage)
        }
        deadline = self.clock.now_ns() + int(self.options.connect_timeout * 1e9)
        timer = asyncio.create_task(self.clock.sleep_until(deadline))
        opening = asyncio.gather(*(event.wait() for event in waits.values()))
        try:
            await asyncio.wait((timer, opening), return_when=asyncio.FIRST_COMPLETED)
            closed = [name for name, event in waits.items() if not event.is_set()]
            if closed and not self.stopping:
                names = ", ".join(f'"{name}"' for name in closed)
                said = f"node {names}: not open after {self.options.connect_timeout:g} s"
                hints = dict.fromkeys(self.spec.nodes[name].node.unopened for name in closed)
                self._fail(ConnectError(f"{said} — {' '.join(hints)}"))
                self._cancel(stages)
        finally:
            timer.cancel()
            opening.cancel()
            await asyncio.gather(timer, opening, return_exceptions=True)

    async def _limit(self, seconds: float) -> None:
        await self.clock.sleep_until(self.clock.now_ns() + int(seconds * 1e9))
        self.stop()

    async def _watch_lag(self, wired: Wired) -> None:
        """Say so, once in ten seconds, when the run is behind the clock; fail where it must not be."""
        most, said = self.options.most_behind, 0
        while True:
            await self.clock.sleep_until(self.clock.now_ns() + _SECOND_NS)
            late = max(wired.stages, key=lambda stage: stage.meter.lag_ns)
            behind = late.meter.lag_ns / 1e9
            if most is not None and behind > most:
                self._fail(
                    NodeError(late.name, EventError(f"the run is {behind:.1f} s behind the clock, {most:g} s allowed"))
                )
            elif behind > _BEHIND_S and self.clock.now_ns() - said >= 10 * _SECOND_NS:
                said = self.clock.now_ns()
                self.log(late.name, "warning", f"the run is {behind:.1f} s behind, and catches up")

    def _release(self, wired: Wired) -> None:
        for stage in wired.stages:
            stage.end()
        for taps in self._taps.values():
            for tap in taps:
                tap.channel.close()

    def _abandoned(self, wired: Wired) -> int:
        """Events that were accepted and neither processed nor counted otherwise, once all stages have ended."""
        abandoned = sum(context.counters.buffered for context in wired.contexts.values())
        for stage in wired.stages:
            if not self._ended.get(stage.name):
                abandoned += sum(entry.channel.lost for entry in stage.entries)
                abandoned += stage.outlet.unsent if isinstance(stage, SourceStage) else 0
        return abandoned

    def _report(self, wired: Wired) -> Report:
        pending = sum(stage.stepper.pending() for stage in wired.stages if isinstance(stage, StepStage))
        ended = "failed" if self.error else "drained" if self.stopping else "ended"
        took = time.monotonic() - self.began
        return Report(ended, took, self.snapshot(), pending, self._abandoned(wired), tuple(self._left))


def _put_down(task: asyncio.Task[None]) -> None:
    """End a task that goes on after it was cancelled: its coroutine is closed where it stands."""
    work: Any = task.get_coro()
    with contextlib.suppress(Exception):  # it may refuse even that, or fail as it goes
        work.close()
    task.cancel()
    task.add_done_callback(lambda task: task.cancelled() or task.exception())


@contextlib.contextmanager
def fast_loop() -> Any:
    """A runner for event loops: uvloop's where it is installed, else asyncio's."""
    try:
        import uvloop
    except ImportError:
        with asyncio.Runner() as runner:
            yield runner
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            yield runner
