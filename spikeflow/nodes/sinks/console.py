"""Console: a line for what happens, at a pace that can be read."""

from __future__ import annotations

import sys
from typing import Annotated, ClassVar

import pyarrow as pa
from pydantic import Field

from spikeflow.events import raw_columns
from spikeflow.node import Inlet, Sink
from spikeflow.units import Hertz

_SECOND_NS = 1_000_000_000


class Console(Sink):
    """One line on standard output for a window with events, at most `rate` of them a second for each input.

    `12.340 s  hidden  3 spikes: 4 7 9`, or `12.400 s  rate  2 samples: 0=12.5 1=0`. Times count from the origin. Lines
    that are left out are counted, and the next one says how many events they held.
    """

    rate: Annotated[Hertz, Field(gt=0)] = Field(10.0, description="lines a second for each input, at most")
    events: int = Field(8, ge=1, description="events named in a line, at most")

    hears_silence: ClassVar[bool] = False
    most: ClassVar[int] = 200
    """Characters of a line."""

    async def consume(self, inlet: Inlet) -> None:
        """Write until all inputs have ended."""
        clock, grid = self.context.clock, self.context.grid
        pause_ns = int(_SECOND_NS / self.rate)
        free_ns: dict[str, int] = {}
        left_out: dict[str, int] = {}
        while True:
            try:
                batch = await inlet.take()
            except StopAsyncIteration:
                break
            if not batch.count:
                continue
            record = batch.record
            stream, now = record.schema.metadata[b"stream"].decode(), clock.now_ns()
            if now < free_ns.get(stream, now):
                left_out[stream] = left_out.get(stream, 0) + batch.count
                self.context.counters.note("lines left out")
                continue
            free_ns[stream] = now + pause_ns
            text = line(record, stream, grid.origin_ns, self.events)[: self.most]
            missed = left_out.pop(stream, 0)
            print(f"{text}  (+{missed} before)" if missed else text, file=sys.stdout, flush=True)


def line(record: pa.RecordBatch, stream: str, origin_ns: int, most: int) -> str:
    """The events of a record batch in one line."""
    t_ns, index, value = raw_columns(record)
    shown = [str(place) for place in index[:most].tolist()]
    if value is not None:
        shown = [f"{place}={number:.4g}" for place, number in zip(shown, value[:most].tolist(), strict=True)]
    what = "spike" if record.schema.names[1] == "neuron" else "sample"
    more = " …" if len(index) > most else ""
    seconds = (int(t_ns[0]) - origin_ns) / _SECOND_NS
    return f"{seconds:.3f} s  {stream}  {len(index)} {what}{'s' if len(index) != 1 else ''}: {' '.join(shown)}{more}"
