"""CSV."""

from __future__ import annotations

import csv
import io
from typing import Annotated, Any

from pydantic import Field

from spikeflow.errors import PayloadError
from spikeflow.nodes.payload import Envelope, Events, Reading, start_of, text_of
from spikeflow.nodes.payload_rows import RowFormat, quiet_number
from spikeflow.nodes.payload_times import NOTHING


class Csv(RowFormat):
    """Lines of numbers; columns are counted from 0.

    Each number of a line is one event: `1.5,2.5` gives one to each of two channels, and several lines are several
    rows. With `channel`, a column says which one it is. What is written has the same columns; without any it is
    time, channel or neuron, value.
    """

    delimiter: Annotated[str, Field(min_length=1, max_length=1, pattern=r'[^"\r\n0-9.+-]')] = Field(
        ",", description="what stands between columns"
    )
    header: bool = Field(False, description="the first line of a message names the columns, and so the channels")

    def read(self, data: bytes, envelope: Envelope) -> Reading:
        """The events of all lines."""
        text = text_of(data)
        lines = [line for line in text.splitlines() if line.strip()]
        if not lines:
            raise PayloadError("no value", "it is empty")
        if '"' in text:
            try:
                cells = [row for row in csv.reader(io.StringIO(text, ""), delimiter=self.delimiter, strict=True) if row]
            except csv.Error:
                raise PayloadError("not csv", start_of(data)) from None
        else:
            cells = [line.split(self.delimiter) for line in lines]
        names = None
        if self.header:
            names = [cell.strip() for cell in cells.pop(0)]
            if not cells:
                raise PayloadError("no value", "there is a header, and no line after it")
        return self.read_rows(([cell.strip() for cell in row] for row in cells), envelope, names)

    def channel_of(self, cell: Any) -> Any:
        """A number, or a name that is not empty."""
        if not isinstance(cell, str):
            return cell
        return int(cell) if len(cell) < 12 and cell.isascii() and cell.isdigit() else cell or NOTHING

    def number_of(self, cell: Any) -> Any:
        """The number that a cell says."""
        return quiet_number(cell)

    def write(self, events: Events) -> bytes:
        """A line for each event."""
        text = io.StringIO("")
        writer = csv.writer(text, delimiter=self.delimiter, lineterminator="\n")
        time, channel, value = self.places()
        rows = list(self.rows_of(events))
        if self.header:
            names = {time: "t", channel: events.word, value: "value"}
            writer.writerow([names.get(place, "") for place in range(len(rows[0]))])
        writer.writerows(rows)
        return text.getvalue().encode()
