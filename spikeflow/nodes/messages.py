"""Events as messages: which topic, and which bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from spikeflow.errors import PayloadError
from spikeflow.events import Batch, Indices, Stream, Values
from spikeflow.nodes.payload import Each, Events, Format


class Message(NamedTuple):
    """What is published at once.

    Attributes:
        topic: where to.
        data: the bytes.
        events: how many events they are.
        properties: user properties of MQTT 5, names and values.
    """

    topic: str
    data: bytes
    events: int
    properties: Sequence[tuple[str, str]] = ()


class Messages:
    """Turns the batches of one stream into messages.

    Args:
        stream: what the batches are of.
        payload: how a message is written.
        each: what a message is made of.
        topic: the topic of a channel; of None where all channels share one.
        apart: whether each channel has a topic of its own.
        last: [size] what each channel was last published with, for `each: change`; NaN before the first. Updated.
        reject: counts events that cannot be written: the reason, how many, and what was wrong.
    """

    def __init__(
        self,
        stream: Stream,
        payload: Format,
        each: Each,
        topic: Callable[[int | None], str],
        apart: bool,
        last: Values,
        reject: Callable[[str, int, str], None],
    ) -> None:
        self._stream, self._payload, self._each = stream, payload, each
        self._apart, self._last, self._reject = apart, last, reject
        self._topic, self._topics = topic, dict[int | None, str]()

    def of(self, batch: Batch) -> Iterator[Message]:
        """The messages of a window, in order; of a window without events there are none."""
        t_ns, index, value = batch.arrays
        if self._each == "window":
            for rows in self._by_channel(index) if self._apart else [slice(None)] if len(index) else []:
                part = None if value is None else value[rows]
                events = Events(self._stream.name, self._stream.kind, t_ns[rows], index[rows], part)
                yield from self._written(events)
            return
        rows_left = range(len(index)) if self._each == "event" else self._changed(index, batch)
        for row in rows_left:
            one = slice(row, row + 1)
            part = None if value is None else value[one]
            yield from self._written(Events(self._stream.name, self._stream.kind, t_ns[one], index[one], part, True))

    def _by_channel(self, index: Indices) -> Iterator[Indices]:
        """The rows of each channel, by channel."""
        order = np.argsort(index, kind="stable").astype(np.uint32)
        ends = np.flatnonzero(np.diff(index[order])) + 1
        yield from (rows for rows in np.split(order, ends) if len(rows))

    def _changed(self, index: Indices, batch: Batch) -> Iterator[int]:
        """The rows whose value is not the one that their channel had before."""
        values = batch.arrays[2]
        assert values is not None
        last = self._last
        for row, (channel, value) in enumerate(zip(index.tolist(), values.tolist(), strict=True)):
            if last[channel] != value and not (np.isnan(value) and np.isnan(last[channel])):
                last[channel] = value
                yield row

    def _written(self, events: Events) -> Iterator[Message]:
        key = int(events.index[0]) if self._apart else None
        topic = self._topics.get(key)
        if topic is None:
            topic = self._topics[key] = self._topic(key)
        try:
            yield Message(topic, self._payload.encode(events), len(events.index))
        except PayloadError as error:
            self._reject(error.reason, len(events.index), error.detail)


__all__ = ["Message", "Messages"]
