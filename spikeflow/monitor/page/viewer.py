"""Viewers: each says what it shows, gets what is new of it, and loses frames where it is slow."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import orjson
from aiohttp import WSMessage, WSMsgType, web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spikeflow.monitor.page.following import MOST_CHANNELS, Following, Looked
from spikeflow.monitor.page.history import COARSE_COLUMNS, Part, Samples, Spikes
from spikeflow.units import round_number

FRAMES_PER_S = 20
MOST_UNREAD = 4
"""Frames that a viewer may be behind; then it gets none until it has caught up."""
MOST_BAD = 16
MOST_WIDTH, MOST_ROWS = 2048, 512
STRIP_COLUMNS = 300
MOST_MARKS = 2000
_HEAVY = 200_000
_LENGTH = struct.Struct("<I")


class Panel(BaseModel):
    """A raster or some lines, as wide as the viewer's pixels; of samples the first channels unless it says which."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(max_length=300)
    width: int = Field(ge=1, le=MOST_WIDTH)
    rows: int = Field(64, ge=1, le=MOST_ROWS)
    low: int = Field(0, ge=0)
    high: int | None = Field(None, ge=1)
    channels: tuple[Annotated[int, Field(ge=0)], ...] = Field((), max_length=MOST_CHANNELS)


class Trace(BaseModel):
    """A state variable of some neurons."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    outlet: str = Field(max_length=300)
    neurons: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1, max_length=MOST_CHANNELS)
    width: int = Field(ge=1, le=MOST_WIDTH)


class View(BaseModel):
    """What a viewer shows: the last `span` ticks, or those before tick `end`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    op: Literal["view"]
    number: int
    span: int = Field(ge=1)
    end: int | None = None
    panels: tuple[Panel, ...] = Field((), max_length=64)
    traces: tuple[Trace, ...] = Field((), max_length=8)


Look = tuple[str, tuple[int, ...]]
"""An outlet, and which of its neurons or channels, in order."""


@dataclass(slots=True)
class Sent:
    """How far one panel has been sent.

    Attributes:
        column: ticks of a column.
        is_coarse: whether the counts that are kept longest serve it.
        next: the next column; None before the first time.
    """

    column: int
    is_coarse: bool = False
    next: int | None = None


@dataclass(eq=False)
class Viewer:
    """One browser.

    Attributes:
        lost: frames that it did not get, because it was behind.
    """

    following: Following
    socket: web.WebSocketResponse
    lost: int = 0
    _view: View | None = None
    _sent: dict[str, Sent] = field(default_factory=dict)
    _looks: dict[Look, str] = field(default_factory=dict)
    _unread: int = 0
    _number: int = 0
    _bad: int = 0
    _figures_due: bool = True
    _process: Any = None

    async def run(self) -> None:
        """Serve it until it goes."""
        sending = asyncio.create_task(self._send_all(), name="spikeflow: viewer")
        try:
            async for message in self.socket:
                if not self._heed(message):
                    break
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            for name in self._looks.values():
                self.following.look_away(name)
            with contextlib.suppress(ConnectionError):
                await self.socket.close()

    def figures_came(self) -> None:
        """There are new figures to be sent."""
        self._figures_due = True

    # What it asks for.

    def _heed(self, message: WSMessage) -> bool:
        """Take a message; False where the viewer makes no sense any more."""
        try:
            said = orjson.loads(message.data) if message.type is WSMsgType.TEXT else None
            if isinstance(said, dict) and said.get("op") == "ack":
                self._unread = max(0, self._unread - 1)
                return True
            self._show(View.model_validate(said))
        except (orjson.JSONDecodeError, ValidationError, ValueError):
            self._bad += 1
        return self._bad < MOST_BAD

    def _show(self, view: View) -> None:
        self._view, self._sent = view, {}
        asked = [(one.outlet, one.neurons) for one in view.traces]
        asked += [(one.id, one.channels) for one in view.panels if one.channels and one.id in self.following.samples]
        wanted = {_look(outlet, indices) for outlet, indices in asked}
        for look in set(self._looks) - wanted:
            self.following.look_away(self._looks.pop(look))
        for outlet, indices in wanted - set(self._looks):
            self._looks[outlet, indices] = self.following.look(outlet, indices)

    # What it gets.

    async def _send_all(self) -> None:
        loop = asyncio.get_running_loop()
        while not self.socket.closed:  # all at the same instants, so that what they ask for is counted once
            await asyncio.sleep(1 / FRAMES_PER_S - loop.time() % (1 / FRAMES_PER_S))
            if self._unread >= MOST_UNREAD:
                self.lost += 1
                continue
            await self._send(await self._frame())

    async def _send(self, frame: bytes | None) -> None:
        if frame is not None:
            self._unread += 1
            await self.socket.send_bytes(frame)

    async def _frame(self) -> bytes | None:
        """What is new, as one message; None where nothing is."""
        following, view = self.following, self._view
        facts: dict[str, Any] = {"now": following.now, "connected": following.connected, "lost": self.lost}
        if self._figures_due and following.info and following.figures:  # a busy run may say who it is first
            self._figures_due = False
            if self._process != following.info["started"]:
                self._process = following.info["started"]
                facts["info"] = following.info
            facts |= {"figures": following.figures, "lines": list(following.lines), "lost_events": following.lost}
            facts["strip"] = self._strip()
        parts: list[dict[str, Any]] = []
        raws: list[bytes] = []
        if view is not None:
            facts["view"] = view.number
            for panel in view.panels:
                if (stream := following.spikes.get(panel.id)) is not None:
                    await self._raster(view, panel, stream, parts, raws)
                elif (samples := following.samples.get(panel.id)) is not None:
                    look = self._looked(panel.id, panel.channels)
                    self._lines(view, "lines", panel.id, panel.width, look.samples if look else samples, parts, raws)
            for trace in view.traces:
                look = self._looked(trace.outlet, trace.neurons)
                if look is not None and self._lines(
                    view, f"trace {trace.neurons}", trace.outlet, trace.width, look.samples, parts, raws
                ):
                    self._mark(trace, parts[-1], look.refused)
        if not parts and "figures" not in facts:
            return None
        facts["parts"] = parts
        self._number += 1
        facts["number"] = self._number
        text = orjson.dumps(facts, option=orjson.OPT_NON_STR_KEYS)
        text += b" " * (-(len(text) + _LENGTH.size) % 4)
        return b"".join((_LENGTH.pack(len(text)), text, *raws))

    def _looked(self, outlet: str, indices: Sequence[int]) -> Looked | None:
        """What was asked for besides what everybody gets."""
        return self.following.looks.get(self._looks.get(_look(outlet, indices), ""))

    def _strip(self) -> dict[str, Any]:
        """How many spikes there were in the last ten minutes, for who scrubs back."""
        streams = list(self.following.spikes.values())
        if not streams:
            return {"column": 1, "counts": []}
        each = COARSE_COLUMNS // STRIP_COLUMNS
        sums = np.sum([stream.totals(each, STRIP_COLUMNS) for stream in streams], axis=0).tolist()
        return {"column": each * streams[0].coarse, "counts": sums}

    @staticmethod
    def _range(view: View, end: int, sent: Sent) -> tuple[int, int, bool] | None:
        """First column, one past the last, and whether it is the first time; None where nothing is new."""
        whole = sent.next is None
        last = min(view.end, end) if view.end is not None else end
        stop = last // sent.column
        oldest = stop - view.span // sent.column - 2
        first = max(0, oldest) if sent.next is None else max(sent.next, oldest)
        if not whole and stop <= first:
            return None
        sent.next = max(stop, first)
        return first, sent.next, whole

    async def _raster(
        self, view: View, panel: Panel, stream: Spikes, parts: list[dict[str, Any]], raws: list[bytes]
    ) -> None:
        low = min(panel.low, stream.size - 1)
        high = min(max(panel.high or stream.size, low + 1), stream.size)
        sent = self._sent.get(f"raster {panel.id}")
        if sent is None:
            begin = (min(view.end, stream.end) if view.end is not None else stream.end) - view.span
            sent = self._sent[f"raster {panel.id}"] = Sent(round_number(view.span / panel.width))
            if max(begin, 0) < stream.whole_from:
                sent.is_coarse = True
                sent.column = stream.coarse * round_number(view.span / panel.width / stream.coarse)
        found = self._range(view, stream.end, sent)
        if found is None:
            return
        first, stop, whole = found
        column, is_coarse = sent.column, sent.is_coarse
        part = Part(low, high, min(panel.rows, high - low), column, first, stop - first)
        if is_coarse:
            counts = stream.coarse_counts(part)
        elif whole and stream.spikes_about(first * column, stop * column) > _HEAVY:
            async with stream.turn:
                counts = await asyncio.to_thread(stream.counts, part)
        else:
            counts = stream.counts(part)
        raw = _aligned(np.ascontiguousarray(counts).tobytes())
        parts.append(
            {
                "type": "raster",
                "id": panel.id,
                "whole": whole,
                "coarse": is_coarse,
                "column": column,
                "first": first,
                "columns": part.count,
                "rows": part.rows,
                "low": low,
                "high": high,
                "bytes": len(raw),
            }
        )
        raws.append(raw)

    def _lines(
        self,
        view: View,
        what: str,
        name: str,
        width: int,
        samples: Samples,
        parts: list[dict[str, Any]],
        raws: list[bytes],
    ) -> bool:
        """Add what is new of some samples; False where nothing is."""
        sent = self._sent.setdefault(f"{what} {name}", Sent(round_number(view.span / width)))
        column = sent.column
        found = self._range(view, samples.end, sent)
        if found is None:
            return False
        first, stop, whole = found
        values: npt.NDArray[np.float32] = samples.columns(column, first, stop - first)
        raw = values.tobytes()
        parts.append(
            {
                "type": "lines",
                "id": name,
                "whole": whole,
                "column": column,
                "first": first,
                "columns": stop - first,
                "channels": list(samples.channels),
                "bytes": len(raw),
            }
        )
        raws.append(raw)
        return True

    def _mark(self, trace: Trace, part: dict[str, Any], refused: str) -> None:
        """Say of the lines of a trace that they are one, and when its neurons spiked."""
        part |= {"trace": True, "refused": refused, "marks": []}
        stream = self.following.spikes.get(trace.outlet.partition(".")[0])
        if stream is None:
            return
        first = part["first"] * part["column"]
        tick, neuron = stream.spikes(first, first + part["columns"] * part["column"])
        chosen = np.array(part["channels"])
        keep = np.isin(neuron, chosen)
        places = np.searchsorted(chosen, neuron[keep])
        part["marks"] = list(zip(places.tolist(), tick[keep].tolist(), strict=True))[-MOST_MARKS:]


def _look(outlet: str, indices: Sequence[int]) -> Look:
    return outlet, tuple(sorted(set(indices)))


def _aligned(raw: bytes) -> bytes:
    """Followed by zeros up to a multiple of four bytes."""
    return raw + b"\0" * (-len(raw) % 4)
