"""Raw: a number as text."""

from __future__ import annotations

from typing import ClassVar

from spikeflow.nodes.payload import Envelope, Events, Format, Reading, text_of
from spikeflow.nodes.payload_rows import number_in


class Raw(Format):
    """One number as text, such as `21.5`."""

    holds_many: ClassVar[bool] = False

    def read(self, data: bytes, envelope: Envelope) -> Reading:
        """The one event."""
        return Reading(None, [number_in(text_of(data))])

    def write(self, events: Events) -> bytes:
        """The number, as short as its type has it."""
        return str(events.values[0]).encode()
