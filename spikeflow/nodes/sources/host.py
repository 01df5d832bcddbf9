"""Host: the telemetry of the machine that the graph runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from spikeflow.errors import Problem
from spikeflow.events import Grid, Kind, Stream, sample_batch
from spikeflow.node import Outlet, Source
from spikeflow.nodes.beat import Beat
from spikeflow.nodes.telemetry import PARTS, Part, Telemetry
from spikeflow.units import Hertz


class Host(Source):
    """CPU use of each core, memory, disk and network, load and temperatures, one sample a channel and beat.

    Values are made for looking at side by side: CPU, memory and load from 0 to 1 (load: 1 keeps all cores busy),
    temperatures in units of 100 °C, disk and network in MB/s. What the machine does not tell has no channel.
    """

    gives: ClassVar[tuple[Kind, ...]] = ("samples",)

    rate: Annotated[Hertz, Field(gt=0, le=1000)] = Field(20.0, description="samples a second of each channel")
    fields: list[Part] = Field(default_factory=lambda: list(PARTS), min_length=1, description="what to read")

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """Parts of which this machine tells nothing."""
        told = {name.partition(".")[0] for name in self.channel_names()}
        for place, part in enumerate(self.fields):
            if part not in told and "fields" in self.model_fields_set:
                hint = "leave it out; a container often hides it"
                yield Problem(("fields", place), f"this machine tells nothing of its {part}", hint, warning=True)

    def channel_names(self) -> list[str]:
        """What each channel is: `cpu.0`, `memory.used`, `network.sent`."""
        return list(Telemetry(self.fields).names)

    def size_out(self, inputs: Sequence[Stream]) -> int:
        """One channel for each number that this machine tells."""
        return len(self.channel_names())

    async def produce(self, outlet: Outlet) -> None:
        """Read at the multiples of 1 / rate, for as long as the run lasts."""
        context = self.context
        clock, beat, telemetry = context.clock, Beat(self.rate), Telemetry(self.fields)
        channels = {name: channel for channel, name in enumerate(telemetry.names)}
        await asyncio.to_thread(telemetry.read, clock.now_ns() / 1e9)  # what rates are counted from
        due = beat.first(clock.now_ns() + 1)
        while True:
            await clock.sleep_until(beat.at(due))
            found = await asyncio.to_thread(telemetry.read, clock.now_ns() / 1e9)
            channel = np.array([channels[name] for name in found], np.uint32)
            t_ns = np.full(len(channel), outlet.now_ns())
            await outlet.send(sample_batch(t_ns, channel, np.array([*found.values()], np.float32)))
            following = max(due + 1, beat.first(clock.now_ns()))
            if following > due + 1:
                context.counters.note("missed beats", following - due - 1)
            due = following
