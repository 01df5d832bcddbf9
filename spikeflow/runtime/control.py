"""Control: the local socket that every run opens for its owner, to be looked at while it goes on.

A frame (`spikeflow.wire`) asks: ``{"op": …, "id": …}``; answers carry the same ``id``.

- ``info``: what the graph is. ``figures``: what it does, again every ``every`` seconds where that is above zero.
- ``tap``: the events of ``outlet``, a node or one of its ports, as Arrow IPC messages: a schema, then record batches,
  one a window, or all of ``together`` seconds at once. ``indices`` limits them to some neurons. A state variable that
  nobody listens to is noted tick by tick for as long as somebody taps it. What a slow reader does not take is lost and
  counted. With ``form: ticks`` many spikes come without their values in a third of the bytes, ``{"kind": "ticks", …}``:
  how many there are in each tick from ``first`` to before ``end`` (uint32), then their indices (uint32); where they are
  few, they come as ever.
- ``cancel``: end the subscription ``of``.

Nothing here can change a run.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from spikeflow import wire
from spikeflow.errors import ConnectError, ParameterError, SpikeflowError
from spikeflow.runtime.runs import listening
from spikeflow.runtime.taps import LookTap, OutletTap, Subscription
from spikeflow.runtime.telling import Figures, info

if TYPE_CHECKING:
    from spikeflow.runtime.engine import Engine

MOST_SESSIONS = 64
_MOST_ASKED = 1 << 16
_HIGH_WATER = 1 << 20
_LAST_S = 0.2
_SLOWEST_S, _FASTEST_S = 60.0, 0.01
_SLACK_S = 0.02
"""How long what is due waits for the next window."""


class Control:
    """The control endpoint of one run; made by the engine, and gone with the run."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.started = time.time()
        self.path: Path | None = None
        self.sessions: set[Session] = set()
        self.gone = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen. Where that cannot be, the run goes on without, and says so."""
        try:
            made = listening()
        except ConnectError as error:
            self.engine.log("control", "info", f"this run cannot be looked at from outside: {error}")
            return
        self.path = Path(made.getsockname())
        self._server = await asyncio.get_running_loop().create_unix_server(lambda: Session(self), sock=made)

    async def close(self) -> None:
        """Tell everybody that it is over, and listen no more."""
        if self._server is None:
            return
        self._server.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)
        for session in list(self.sessions):
            session.finish()
        self.gone.clear()
        if self.sessions:
            with contextlib.suppress(TimeoutError):  # those who still read get the rest; nobody else is waited for
                await asyncio.wait_for(self.gone.wait(), _LAST_S)
        for session in list(self.sessions):
            session.abort()


class Session(asyncio.Protocol):
    """One who looks on."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._parser = wire.Parser(_MOST_ASKED, 0)
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._loop = asyncio.get_running_loop()
        self._subscriptions: dict[Any, Subscription] = {}
        self._timers: dict[Any, asyncio.Handle] = {}
        self._dues: dict[Any, float] = {}

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has come; too many are sent away."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are of no class that asyncio knows
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        own = self._transport.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _HIGH_WATER)  # a frame goes out at once where it may
        if len(self._control.sessions) >= MOST_SESSIONS:
            self._transport.abort()
            return
        self._control.sessions.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Somebody has gone."""
        self._control.sessions.discard(self)
        if not self._control.sessions:
            self._control.gone.set()
        for number in list(self._subscriptions):
            self._cancel(number)
        self._transport = None

    def pause_writing(self) -> None:
        """The reader is slow."""
        self._paused = True

    def resume_writing(self) -> None:
        """The reader has caught up."""
        self._paused = False
        for number in list(self._subscriptions):
            self._flush(number)

    def data_received(self, data: bytes) -> None:
        """Somebody asks; one who sends what is no question is hung up on."""
        try:
            questions = self._parser.feed(data)
        except wire.WireError:
            self.abort()
            return
        for question, _ in questions:
            self._answer(question)

    # Questions.

    def _answer(self, question: dict[str, Any]) -> None:
        number, op = question.get("id"), question.get("op")
        if not isinstance(number, int | str):
            self.abort()
            return
        try:
            if op == "info":
                self.tell({"kind": "info", "id": number, **info(self._control.engine, self._control.started)})
            elif op == "figures":
                self._subscribe(number, Figures(self._control.engine, self._period(question, "every")))
            elif op == "tap":
                self._subscribe(number, self._tap(question))
            elif op == "cancel":
                self._cancel(question.get("of"))
                self.tell({"kind": "cancelled", "id": number})
            else:
                raise ParameterError(f"no question {op!r}", "ask info, figures, tap or cancel")
        except (SpikeflowError, TypeError, ValueError) as error:
            found, hint = (error.found, error.hint) if isinstance(error, ParameterError) else (str(error), "")
            self.tell({"kind": "refused", "id": number, "found": found, "hint": hint})

    def _tap(self, question: dict[str, Any]) -> Subscription:
        engine, together = self._control.engine, self._period(question, "together")
        outlet, indices = question.get("outlet"), question.get("indices")
        if indices is not None and not (isinstance(indices, list) and all(type(k) is int for k in indices)):
            raise ParameterError(f"indices: {indices!r}", "write a list of whole numbers")
        name = engine.outlet_named(outlet if isinstance(outlet, str) else "")
        assert engine.wired is not None
        form = question.get("form", "arrow")
        if form not in ("arrow", "ticks"):
            raise ParameterError(f"form: {form!r}", "write arrow or ticks")
        if name in engine.wired.fans:
            return OutletTap(engine, name, indices, together, by_tick=form == "ticks")
        return LookTap(engine, name, indices, together)

    @staticmethod
    def _period(question: dict[str, Any], key: str) -> float:
        value = question.get(key, 0)
        if not isinstance(value, int | float) or not 0 <= value <= _SLOWEST_S:
            raise ParameterError(f"{key}: {value!r}", f"write a number of seconds up to {_SLOWEST_S:g}")
        return max(_FASTEST_S, value) if value else 0.0

    def _subscribe(self, number: Any, made: Subscription) -> None:
        if number in self._subscriptions:
            made.close()
            raise ParameterError(f"id {number!r} twice", "give every question a number of its own")
        self._subscriptions[number] = made
        for facts, raw in made.first():
            self.tell({"id": number, **facts}, raw)
        if made.once:
            self._flush(number)
            self._cancel(number)
        else:
            made.begin(lambda delay: self._soon(number, delay))

    def _soon(self, number: Any, delay: float) -> None:
        """Flush a subscription after about `delay`; to be called again at each window that brings more.

        All are due at the same instants, and the first window after one flushes them: in a turn of the loop that is on
        anyway, and with one write. A wake-up of its own would cost as much again; it is for when no window comes.
        """
        if self._transport is None:
            return
        now = self._loop.time()
        timer = self._timers.get(number)
        if timer is None:
            due = self._dues[number] = now - now % delay + delay if delay else now
            self._timers[number] = self._loop.call_at(due + min(delay, _SLACK_S), self._due, number)
        elif now >= self._dues[number]:
            timer.cancel()
            self._dues[number] = math.inf
            self._timers[number] = self._loop.call_soon(self._due, number)

    def _due(self, number: Any) -> None:
        self._timers.pop(number, None)
        self._flush(number)

    def _flush(self, number: Any, to_the_end: bool = False) -> None:
        """Send what there is, as long as the reader takes it."""
        subscription = self._subscriptions.get(number)
        if subscription is None or (self._paused and not to_the_end):
            return
        while (found := subscription.take(to_the_end)) is not None:
            facts, raw = found
            self.tell({"id": number, **facts}, raw)
            if self._paused and not to_the_end:
                return
        subscription.flushed()

    def _cancel(self, number: Any) -> None:
        self._dues.pop(number, None)
        timer = self._timers.pop(number, None)
        if timer is not None:
            timer.cancel()
        subscription = self._subscriptions.pop(number, None)
        if subscription is not None:
            subscription.close()

    # Answers.

    def tell(self, facts: dict[str, Any], raw: Any = b"") -> None:
        """Send a frame; `raw` is a buffer, or several."""
        if self._transport is not None and not self._transport.is_closing():
            parts = [memoryview(part).cast("B") for part in (raw if isinstance(raw, list) else [raw]) if len(part)]
            self._transport.writelines([wire.pack(facts, sum(map(len, parts))), *parts])

    def finish(self) -> None:
        """The run has ended: send the rest, and say so."""
        for number in list(self._subscriptions):
            self._flush(number, to_the_end=True)
            self._cancel(number)
        self.tell({"kind": "end"})
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()


@contextlib.asynccontextmanager
async def controlled(engine: Engine) -> Any:
    """The control endpoint of a run, for as long as that is on; none where the machine knows no such sockets."""
    control = Control(engine)
    if hasattr(os, "getuid"):
        await control.open()
    engine.socket = control.path
    engine.is_listening.set()
    try:
        yield control
    finally:
        await control.close()
