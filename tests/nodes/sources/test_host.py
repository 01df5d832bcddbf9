"""The machine as a source."""

from __future__ import annotations

import asyncio

import psutil
import pytest

from spikeflow.events import Grid, Stream, verify
from spikeflow.events import Window as EventWindow
from spikeflow.node import Context, Outlet
from spikeflow.nodes.sources.host import Host
from spikeflow.nodes.telemetry import Telemetry
from spikeflow.testing import VirtualClock, run_virtually
from tests.nodes.conftest import Examples, KeepingOutlet

GRID = Grid(0, 1_000_000, 10)


class Steady(Host):
    """A machine that always tells the same."""

    async def produce(self, outlet: Outlet) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Telemetry, "read", lambda self, now: dict.fromkeys(self.names, now % 1.0))
            await super().produce(outlet)


EXAMPLES: Examples = [(lambda _: Steady(rate="40 Hz"), {"seconds": 0.35})]


class LateClock(VirtualClock):
    """A clock that is late once."""

    def __init__(self, late_ns: int) -> None:
        super().__init__(5)
        self._late_ns = late_ns

    async def sleep_until(self, t_ns: int) -> None:
        late, self._late_ns = self._late_ns, 0
        await super().sleep_until(t_ns + late)


def produced(clock: VirtualClock, until: int, **fields: object) -> tuple[Host, KeepingOutlet]:
    """What a host source gives until it has sent `until` batches."""
    node = Host.model_validate(fields)

    async def main() -> KeepingOutlet:
        [stream] = node.outlets(()).values()
        named = Stream("host", stream.kind, stream.size)
        node.bind(Context("host", GRID, clock, (), {"": named}))
        outlet = KeepingOutlet(clock)
        task = asyncio.create_task(node.produce(outlet))
        for batch in range(1, until + 1):
            while len(outlet.batches) < batch:
                await outlet.heard(sum(b.num_rows for b in outlet.batches) + 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for record in outlet.batches:
            verify(record, named, EventWindow(0, 0, 0, 2**62))
        return outlet

    return node, run_virtually(main(), clock)


def test_every_channel_has_a_sample_at_each_multiple_of_the_period() -> None:
    node, outlet = produced(VirtualClock(1_000_000_010), 3, rate="20 Hz", fields=["memory", "network", "load"])
    names = node.channel_names()
    assert node.size_out(()) == len(names)
    assert [t for t, channel, _ in outlet.events if channel == 0][:3] == [1_050_000_000, 1_100_000_000, 1_150_000_000]
    assert [channel for _, channel, _ in outlet.events[: len(names)]] == list(range(len(names)))
    assert 0.0 < outlet.events[0][2] < 1.0


def test_beats_that_are_missed_are_left_out_and_counted() -> None:
    node, outlet = produced(LateClock(170_000_000), 2, rate="20 Hz", fields=["memory"])
    assert sorted({t for t, _, _ in outlet.events})[:2] == [220_000_000, 250_000_000]
    assert node.context.counters.noted == {"missed beats": 3}


def test_a_part_that_the_machine_does_not_tell_is_named_at_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "net_io_counters", lambda: None)
    [problem] = Host.model_validate({"fields": ["cpu", "network"]}).check((), GRID)
    assert problem.warning and problem.path == ("fields", 1)
    assert str(problem) == "this machine tells nothing of its network — leave it out; a container often hides it"
    assert list(Host().check((), GRID)) == []
