"""What every format of payloads is held to."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from spikeflow.errors import PayloadError
from spikeflow.nodes.payload import Envelope, Events, Format, Reading
from spikeflow.nodes.payloads import formats

KINDS = sorted(kind for kind, cls in formats().items() if cls.__module__.startswith("spikeflow."))


@dataclass
class Cases:
    """What the test of a format says to try.

    Attributes:
        good: formats with a message that each can read.
        malformed: formats, messages that they cannot read, and the reason.
        round_trips: formats whose messages they can read themselves, event by event.
        topic: where the messages were published.
    """

    good: list[tuple[Format, bytes]]
    malformed: list[tuple[Format, bytes, str]]
    round_trips: list[Format] = field(default_factory=list)
    topic: str = "plant/press"


def cases(kind: str) -> Cases:
    """The cases of a format."""
    found: Cases = importlib.import_module(f"tests.nodes.payloads.test_{kind}").CASES
    return found


def events_of(reading: Reading) -> list[tuple[Any, ...]]:
    """(element, value), or (element, value, t_ns) where the message says when."""
    count = len(reading.value)
    element = [None] * count if reading.element is None else [_plain(one) for one in reading.element]
    columns = [element, [float(one) for one in reading.value]]
    if reading.t_ns is not None:
        columns.append([int(one) for one in reading.t_ns])
    return list(zip(*columns, strict=True))


def _plain(element: Any) -> Any:
    return int(element) if isinstance(element, np.integer) else element


def said(payload: Format, data: bytes, **envelope: Any) -> list[tuple[Any, ...]]:
    """The events of a message of which every number can be used."""
    reading = payload.decode(data, Envelope(**envelope))
    assert reading.rejected == {}
    return events_of(reading)


def refused(payload: Format, data: bytes, **envelope: Any) -> str:
    """The reason for which a message is rejected."""
    try:
        reading = payload.decode(data, Envelope(**envelope))
    except PayloadError as error:
        assert len(str(error)) < 300
        return error.reason
    assert not len(reading.value), f"it was read: {events_of(reading)}"
    (reason,) = reading.rejected
    assert len(reading.details[reason]) < 300
    return reason


def hold(payload: Format, data: bytes, envelope: Envelope) -> None:
    """Whatever the bytes: numbers that samples can hold, or a reason.

    Raises:
        AssertionError: events that cannot be.
        Exception: whatever a format lets out that is no `PayloadError`; its `read` is called, without the net around.
    """
    try:
        reading = payload.read(data, envelope)
    except PayloadError as error:
        assert error.reason and len(str(error)) < 400
        return
    count = len(reading.value)
    assert reading.element is None or len(reading.element) == count
    assert reading.t_ns is None or len(reading.t_ns) == count
    assert np.isfinite(np.asarray(reading.value, np.float32)).all()
    for element in [] if reading.element is None else reading.element:
        assert element is None or isinstance(element, str) or 0 <= element < 2**32
    for t_ns in [] if reading.t_ns is None else reading.t_ns:
        assert -(2**63) <= t_ns < 2**63
    assert all(rejected > 0 for rejected in reading.rejected.values())


@st.composite
def events(draw: st.DrawFn, most: int = 12) -> Events:
    """Samples of a window, one or several."""
    count = draw(st.integers(1, most))
    first = draw(st.integers(10**18, 2 * 10**18))
    steps = draw(st.lists(st.integers(0, 10**11), min_size=count, max_size=count))
    index = draw(st.lists(st.integers(0, 2**16 - 1), min_size=count, max_size=count))
    numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
    value = draw(st.lists(numbers, min_size=count, max_size=count))
    t_ns = first + np.cumsum(np.array(steps, np.int64))
    columns = t_ns, np.array(index, np.uint32), np.array(value, np.float32)
    return Events("rate", "samples", *columns, single=count == 1 and draw(st.booleans()))
