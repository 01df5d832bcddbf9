"""`spikeflow run`: a graph, its view or its JSON lines, its signals, its exit code."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import signal
import sys
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from spikeflow.cli.looking import choices
from spikeflow.cli.saying import (
    FAILED,
    changes,
    code_of,
    guarded,
    in_json,
    say,
    say_as,
    say_error,
    silence_output,
    time_of,
)
from spikeflow.errors import ParameterError, SpikeflowError, many

if TYPE_CHECKING:
    from spikeflow.monitor.feed import Feed
    from spikeflow.monitor.keeper import Keeper
    from spikeflow.monitor.screen import Screen
    from spikeflow.runtime.engine import Engine, Report
    from spikeflow.spec import GraphSpec


_log = logging.getLogger("spikeflow")
_QUIET_S = 0.5


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asks for; texts as they were typed."""

    graph: Path
    set: tuple[str, ...] = ()
    seconds: str | None = None
    speed: str | None = None
    connect_timeout: str = "10s"
    fail_behind: str | None = None
    view: str | None = None
    monitor: str | None = None
    log: str = "text"
    json: bool = False
    debug: bool = False


def run_graph(wish: Wish) -> int:
    """Run a graph as the command line asks; the exit code."""
    with Signals() as signals:
        return guarded(lambda: _run(wish, signals), wish.debug)


def _run(wish: Wish, signals: Signals) -> int:
    say_as(wish.log)
    seconds = time_of("--for", wish.seconds) if wish.seconds is not None else None
    patience = time_of("--connect-timeout", wish.connect_timeout)
    behind = time_of("--fail-behind", wish.fail_behind) if wish.fail_behind is not None else None
    speed = _speed(wish.speed)
    values = changes(wish.set)
    wants_view = sys.stdout.isatty() and not wish.json and wish.view != "none"
    if wants_view and (os.environ.get("TERM", "") in ("", "dumb")):
        wants_view = False

    from spikeflow.monitor.screen import Screen, view_outlet
    from spikeflow.spec import load

    spec = load(wish.graph, set=values)
    for warning in spec.warnings:
        say(f"warning: {warning}")
    for name, choice in choices(spec).items():
        say(f'node "{name}" is stepped on {choice.backend}: {choice.why}')
    prints = any(node.role == "sink" and node.kind == "console" for node in spec.nodes.values())
    if prints and wish.view is None:
        wants_view = False  # standard output is the graph's own
    view = None if wish.view == "none" else view_outlet(spec, wish.view)
    keeper = _keeper(wish, spec)
    screen = Screen(debug=wish.debug) if wants_view else None
    try:
        from spikeflow.runtime.engine import Engine, Options, fast_loop

        engine = Engine(spec, Options(seconds=seconds, speed=speed, connect_timeout=patience, most_behind=behind))
        with fast_loop() as runner:
            signals.engine, signals.loop, signals.screen = engine, runner.get_loop(), screen
            if screen is not None:
                shown = _with_view(engine, screen, view, wish.debug)
            else:
                shown = _with_lines(engine, wish, wish.json or not prints)
            code = int(runner.run(_with_page(engine, keeper, shown) if keeper is not None else shown))
            if engine.was_cut:
                leave(code, screen)
            return code
    finally:
        if screen is not None:
            screen.close()


def _keeper(wish: Wish, spec: GraphSpec) -> Keeper | None:
    """The page, where the command line or the graph asks for it."""
    if wish.monitor == "none" or (wish.monitor is None and spec.monitor is None):
        return None
    from spikeflow.monitor.keeper import Keeper, address

    where = wish.monitor or (spec.monitor.listen if spec.monitor else "")
    keeper = Keeper(address(where), spec.monitor.hosts if spec.monitor else (), wish.debug)
    for line in keeper.said():
        say(line)
    return keeper


async def _with_page(engine: Engine, keeper: Keeper, shown: Coroutine[Any, Any, int]) -> int:
    """Run with the page beside it, which ends with the run."""
    kept = asyncio.create_task(keeper.run(engine, _log.warning), name="spikeflow: monitor")
    began = asyncio.create_task(keeper.has_begun.wait(), name="spikeflow: monitor begins")
    try:
        # before the graph is wired, which may compile for a while and lets nothing else run meanwhile
        await asyncio.wait((kept, began), return_when=asyncio.FIRST_COMPLETED)
        return await shown
    finally:
        kept.cancel()
        began.cancel()
        await asyncio.gather(kept, began, return_exceptions=True)
        await keeper.close()


def _speed(text: str | None) -> float | None:
    if text is None:
        return None
    if text == "max":
        return math.inf
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < math.inf:
        raise ParameterError(f"--speed {text}: it is no speed", "write max, 1, or a number such as 10")
    from spikeflow.runtime.clock import SLOWEST

    if speed < SLOWEST:
        raise ParameterError(f"--speed {text}: it is too slow", f"write max, or a number from {SLOWEST:f} on")
    return speed


def leave(code: int, screen: Screen | None) -> None:
    """End the process at once: what a node that was cut off has left, such as a thread, could keep it for ever."""
    if screen is not None:
        screen.close()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)


# The two ways to show a run.


async def _with_view(engine: Engine, screen: Screen, view: str | None, debug: bool) -> int:
    """Run with the terminal view; what stays is its last table, and below it what went wrong."""
    from spikeflow.monitor.feed import Feed, LogLines

    feed = Feed(engine, screen, view)
    handler = LogLines(feed)
    with _logging(handler):
        shown = asyncio.create_task(feed.run(), name="spikeflow: view")
        shown.add_done_callback(_view_gone)
        try:
            return await _outcome(engine, debug, feed)
        finally:
            shown.cancel()
            for line in handler.kept:
                say(line)


def _view_gone(shown: asyncio.Task[None]) -> None:
    """A view that ends before it is told to has died; that is no reason to end the run."""
    if not shown.cancelled():
        why = f" ({error})" if (error := shown.exception()) else ""
        say(f"warning: the view has died{why}; the run goes on, ctrl-C drains it")


async def _with_lines(engine: Engine, wish: Wish, lines: bool) -> int:
    """Run with a JSON line a second on standard output, and a last one with the report."""
    from spikeflow.monitor.lines import JsonLines

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if wish.log == "json" else _Plain("%(levelname)s: %(message)s"))
    with _logging(handler):
        if not lines:
            return await _outcome(engine, wish.debug)
        writer = JsonLines(engine, sys.stdout.buffer)
        told = asyncio.create_task(writer.run(), name="spikeflow: lines")
        code = await _outcome(engine, wish.debug)
        told.cancel()
        await asyncio.gather(told, return_exceptions=True)
        await writer.close(code)
        if writer.error is not None:
            silence_output()
            if not isinstance(writer.error, BrokenPipeError):
                say(f"error: standard output: {writer.error.strerror}")
                return code or FAILED
        return code


async def _outcome(engine: Engine, debug: bool, feed: Feed | None = None) -> int:
    """Run to the end: the exit code; errors are said once the screen is the shell's again."""
    error: SpikeflowError | None = None
    code = 0
    try:
        report = await engine.run()
        code, ended = report.exit_code, report.ended
    except SpikeflowError as found:
        error, code, ended = found, code_of(found), "failed"
    if feed is not None:
        feed.close(ended)
    if error is not None:
        if debug:
            raise error
        say_error(error)
    elif engine.report is not None:
        say_lost(engine.report)
    return code


def say_lost(report: Report) -> None:
    """What a run that drained could not end well."""
    if report.abandoned:
        were = f"{many(report.abandoned, 'event')} {'was' if report.abandoned == 1 else 'were'} abandoned"
        say(f"error: {were} — accepted, and the run ended before they acted")
    if report.left:
        names = ", ".join(f'"{name}"' for name in report.left)
        say(f"error: node {names} did not end — it went on when it was cut off, and the run ended without it")


class _Json(logging.Formatter):
    """A line of JSON, with the node where it is one's."""

    def format(self, record: logging.LogRecord) -> str:
        arguments = record.args
        node, text = None, record.getMessage()
        if record.name == "spikeflow" and isinstance(arguments, tuple) and len(arguments) == 2:
            node, text = map(str, arguments)
        more = {} if node is None else {"node": node}
        return in_json(text, record.levelname.lower(), logger=record.name, **more)


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        record.levelname = record.levelname.lower()
        text = super().format(record)
        return "".join(c if c.isprintable() else "�" for c in text)


@contextlib.contextmanager
def _logging(handler: logging.Handler) -> Iterator[None]:
    """Send spikeflow's log, and everybody's warnings, to one handler."""
    root, own = logging.getLogger(), logging.getLogger("spikeflow")
    level = own.level
    root.addHandler(handler)
    own.setLevel(logging.INFO)
    try:
        yield
    finally:
        own.setLevel(level)
        root.removeHandler(handler)


class Signals:
    """SIGINT and SIGTERM: the first drains the run, the second ends the process at once."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.screen: Screen | None = None
        self._seen = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._came)
        return self

    def __exit__(self, *error: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _came(self, number: int, frame: FrameType | None) -> None:
        if self._seen or self.engine is None or self.loop is None:
            if self.screen is not None:
                self.screen.close()
            os._exit(128 + number)
        self._seen = True
        self.loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        """Let the run end; say so where that takes a while."""
        assert self.engine is not None and self.loop is not None
        self.engine.stop()
        self.loop.call_later(_QUIET_S, _log.info, "the run drains; a second signal stops it at once")


__all__ = ["Signals", "Wish", "run_graph"]
