"""Payloads that are rows of columns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field

from spikeflow.errors import ParameterError, PayloadError, Problem
from spikeflow.events import Stream
from spikeflow.nodes.payload import Each, Envelope, Events, Format, Reading, TimeProperty, number_of, reading_of
from spikeflow.nodes.payload_times import NOTHING, said_in, short

_LONGEST_NUMBER = 400
_INFINITE = {sign + word for sign in ("", "+", "-") for word in ("nan", "inf", "infinity")}


def _counted(found: Any) -> Any:
    # variables are texts
    return int(found) if isinstance(found, str) and found.isascii() and found.isdigit() else found


def _from_zero(column: int) -> int:
    if not 0 <= column < 100_000:
        raise ParameterError(f"{column!r} is no column", "columns count from 0")
    return column


Column = Annotated[int, BeforeValidator(_counted), AfterValidator(_from_zero)]
"""A column, counted from 0."""

Row: TypeAlias = Sequence[Any]


def number_in(text: str) -> float:
    """The number that a text says.

    Raises:
        PayloadError: it says none, or one that is not finite.
    """
    if len(text) > _LONGEST_NUMBER or "_" in text:
        raise PayloadError("not a number", short(text[:100]))
    try:
        return number_of(float(text))
    except PayloadError:
        raise
    except ValueError:
        raise PayloadError("not a number", short(text)) from None


def quiet_number(text: Any) -> Any:
    """The number that a text says; the text itself where it says none."""
    if not isinstance(text, str):
        return text
    try:
        return number_in(text)
    except PayloadError:
        return math.nan if text.strip().lower() in _INFINITE else text


class RowFormat(Format):
    """A format whose messages are rows; columns are counted from 0."""

    value: Column | list[Column] | None = Field(
        None, description="the numbers: a column, or several, one channel each; all others if not said"
    )
    channel: Column | None = Field(None, description="the channels or neurons of the numbers: a column")
    time: Column | TimeProperty | None = Field(  # type: ignore[assignment]
        None, description="when it was: a column, or {property: name} for a user property of MQTT 5"
    )

    @property
    def valued(self) -> bool:
        """Whether spikes read with it carry a value."""
        return self.value is not None or self.channel is None

    @cached_property
    def _time_column(self) -> int | None:
        return self.time if isinstance(self.time, int) else None

    def read_rows(self, rows: Iterable[Row], envelope: Envelope, names: Sequence[str] | None = None) -> Reading:
        """The events in rows.

        Args:
            rows: what the columns hold.
            envelope: what is known of the message.
            names: of the columns, where the message says them.
        """
        stamp = self._stamp if envelope.timed else None
        return reading_of(self._events(rows, names), stamp)

    def _events(self, rows: Iterable[Row], names: Sequence[str] | None) -> Iterator[tuple[Any, Any, Any]]:
        time, channel, value = self._time_column, self.channel, self.value
        taken = {time, channel}
        for row in rows:
            places: Iterable[int]
            if isinstance(value, int):
                places = (value,)
            elif value is not None:
                places = value
            else:
                places = [place for place in range(len(row)) if place not in taken]
            at = NOTHING if time is None else _cell(row, time)
            for element, place in enumerate(places):
                if channel is not None:
                    which = self.channel_of(_cell(row, channel))
                elif isinstance(value, int):
                    which = None
                else:
                    which = element if names is None or place >= len(names) else names[place]
                yield which, self.number_of(_cell(row, place)), at

    def channel_of(self, cell: Any) -> Any:
        """The channel that a cell names."""
        return cell

    def number_of(self, cell: Any) -> Any:
        """The number in a cell; whatever it holds where that is none."""
        return cell

    # The way back.

    def places(self, width: int | None = None) -> tuple[int | None, int | None, int | None]:
        """The columns of time, channel and value in what is written; None where they are not in it.

        Args:
            width: how many columns a row has, where that is known.
        """
        time, channel, value = self._time_column, self.channel, self.value
        if isinstance(value, list):
            value = value[0] if len(value) == 1 else None
        elif value is None and time is None and channel is None and width is None:
            time, channel, value = 0, 1, 2
        elif value is None:
            free = [place for place in range(width or 3) if place not in (time, channel)]
            value = free[0] if free and (width is None or len(free) == 1) else None
        return time, channel, value

    def write_problems(self, stream: Stream, each: Each) -> Iterable[Problem]:
        """No column for the value."""
        yield from super().write_problems(stream, each)
        if isinstance(self.value, list) and len(self.value) > 1:
            yield Problem(("value",), "several columns of numbers cannot be written", "name one, and one for 'channel'")

    def rows_of(self, events: Events, width: int | None = None, filler: Any = "") -> Iterator[list[Any]]:
        """The events as rows, with `filler` in columns that nothing is said of."""
        time, channel, value = self.places(width)
        wide = max(width or 0, *(place + 1 for place in (time, channel, value) if place is not None), 1)
        unit = self.time_unit or "ns"
        times = said_in(events.t_ns, unit, self.time_zone) if time is not None else [0] * len(events.index)
        for t, index, number in zip(times, events.index.tolist(), events.values, strict=True):
            row = [filler] * wide
            if time is not None:
                row[time] = t
            if channel is not None:
                row[channel] = index
            if value is not None:
                row[value] = number
            yield row


def _cell(row: Row, place: int) -> Any:
    return row[place] if place < len(row) else NOTHING


__all__ = ["Column", "Row", "RowFormat", "number_in", "quiet_number"]
