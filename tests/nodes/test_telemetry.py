"""Telemetry."""

from __future__ import annotations

from collections.abc import Sequence

import psutil
import pytest

from spikeflow.nodes.telemetry import PARTS, Look, Part, Telemetry, look


def told(*looks: Look) -> Telemetry:
    """Telemetry of a machine that says these things, one after the other; the first one gives the names."""
    waiting = [looks[0], *looks]

    def tell(parts: Sequence[Part]) -> Look:
        return waiting.pop(0)

    return Telemetry(PARTS, tell)


def machine(cores: Sequence[tuple[float, float]], sent: float = 0.0) -> Look:
    found = Look()
    for number, (busy, whole) in enumerate(cores):
        found.core(f"cpu.{number}", busy, whole)
    found.gauge("memory.used", 0.25)
    found.count("network.sent", sent)
    return found


def test_rates_are_over_the_time_since_the_reading_before() -> None:
    telemetry = told(machine([(1, 2)], sent=10), machine([(1.25, 2.5)], sent=11), machine([(1.25, 3)], sent=11))
    assert telemetry.names == ["cpu.0", "memory.used", "network.sent"]
    assert telemetry.read(100.0) == {"memory.used": 0.25}
    assert telemetry.read(100.5) == {"cpu.0": 0.5, "memory.used": 0.25, "network.sent": 2.0}
    assert telemetry.read(101.0) == {"cpu.0": 0.0, "memory.used": 0.25, "network.sent": 0.0}


def test_a_core_whose_clock_has_not_ticked_is_as_busy_as_it_was() -> None:
    telemetry = told(*(machine([(busy, whole)]) for busy, whole in [(0, 0), (1, 2), (1, 2), (1.5, 2), (2, 4)]))
    assert [telemetry.read(float(second)).get("cpu.0") for second in range(5)] == [None, 0.5, 0.5, 0.5, 0.5]


def test_counters_that_start_again_give_no_negative_rate() -> None:
    telemetry = told(machine([(5, 9)], sent=10), machine([(1, 20)], sent=1))
    telemetry.read(0.0)
    assert telemetry.read(1.0) == {"cpu.0": 0.0, "memory.used": 0.25, "network.sent": 0.0}


def test_this_machine_tells_of_its_cores_and_memory() -> None:
    names = look(PARTS).names
    assert {"cpu.0", "memory.used"} <= set(names)
    assert len(set(names)) == len(names)
    assert all(name.partition(".")[0] in PARTS for name in names)
    assert look(["memory"]).names[0] == "memory.used"


def test_what_a_machine_refuses_to_tell_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise PermissionError

    monkeypatch.setattr(psutil, "disk_io_counters", refuse)
    monkeypatch.setattr(psutil, "net_io_counters", lambda: None)
    assert look(["disk", "network"]).names == []
