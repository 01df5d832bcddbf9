"""Telemetry: what this machine says of itself, as named numbers."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import psutil

Part: TypeAlias = Literal["cpu", "memory", "disk", "network", "load", "temperature"]

PARTS: tuple[Part, ...] = ("cpu", "memory", "disk", "network", "load", "temperature")
_MEGABYTE = 1e6


@dataclass(slots=True)
class Look:
    """What the machine says at one moment.

    Attributes:
        gauges: numbers as they are.
        counts: what only counts up (MB); its rate is told.
        cores: (busy, all) time of each core (s); the part that is busy is told.
        names: of all of them, in order.
    """

    gauges: dict[str, float] = field(default_factory=dict)
    counts: dict[str, float] = field(default_factory=dict)
    cores: dict[str, tuple[float, float]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)

    def gauge(self, name: str, value: float) -> None:
        """Add a number as it is."""
        self.names.append(name)
        self.gauges[name] = value

    def count(self, name: str, megabytes: float) -> None:
        """Add something that counts up."""
        self.names.append(name)
        self.counts[name] = megabytes

    def core(self, name: str, busy: float, whole: float) -> None:
        """Add the time of a core."""
        self.names.append(name)
        self.cores[name] = busy, whole


def look(parts: Sequence[Part]) -> Look:
    """What the machine says now; what it does not tell is left out."""
    found = Look()
    for part in PARTS:
        if part in parts:
            _READERS[part](found)
    return found


class Telemetry:
    """Reads parts of the machine's state, always under the same names.

    CPU, memory and load are parts of 1 (load: of what all cores can do), temperatures are in units of 100 °C, disk and
    network in MB/s. Rates and the use of cores are over the time since the reading before; the first one gives none.
    """

    def __init__(self, parts: Sequence[Part] = PARTS, look: Callable[[Sequence[Part]], Look] = look) -> None:
        self._parts, self._look = parts, look
        self.names = look(parts).names
        self._before: Look | None = None
        self._before_s = 0.0
        self._busy: dict[str, float] = {}

    def read(self, now_s: float) -> dict[str, float]:
        """The numbers by name; those that are not known at this moment are left out.

        Args:
            now_s: the time (s).
        """
        now, before, passed = self._look(self._parts), self._before, now_s - self._before_s
        known = dict(now.gauges)
        if before is not None:
            for name, (busy, whole) in now.cores.items():
                was_busy, was_whole = before.cores.get(name, (busy, whole))
                if whole > was_whole:  # a core's clock ticks slowly: until it does, the core is as busy as it was
                    self._busy[name] = min(1.0, max(0.0, (busy - was_busy) / (whole - was_whole)))
                else:
                    now.cores[name] = was_busy, was_whole
            known.update(self._busy)
            if passed > 0.0:
                for name, count in now.counts.items():
                    if name in before.counts:
                        known[name] = max(0.0, count - before.counts[name]) / passed
        self._before, self._before_s = now, now_s
        return {name: known[name] for name in self.names if name in known}


def _cpu(found: Look) -> None:
    for core, times in enumerate(psutil.cpu_times(percpu=True)):
        # guests are counted in user, too
        whole = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        found.core(f"cpu.{core}", whole - times.idle - getattr(times, "iowait", 0.0), whole)


def _memory(found: Look) -> None:
    found.gauge("memory.used", psutil.virtual_memory().percent / 100.0)
    swap = _asked(psutil.swap_memory)
    if swap is not None and swap.total:
        found.gauge("memory.swap", swap.percent / 100.0)


def _disk(found: Look) -> None:
    counters = _asked(psutil.disk_io_counters)
    if counters is not None:
        found.count("disk.read", counters.read_bytes / _MEGABYTE)
        found.count("disk.written", counters.write_bytes / _MEGABYTE)


def _network(found: Look) -> None:
    counters = _asked(psutil.net_io_counters)
    if counters is not None:
        found.count("network.received", counters.bytes_recv / _MEGABYTE)
        found.count("network.sent", counters.bytes_sent / _MEGABYTE)


def _load(found: Look) -> None:
    loads = _asked(psutil.getloadavg)
    if loads is not None:
        found.gauge("load.1min", loads[0] / (os.cpu_count() or 1))


def _temperature(found: Look) -> None:
    sensors = _asked(getattr(psutil, "sensors_temperatures", None)) or {}
    for chip in sorted(sensors):
        for place, sensor in enumerate(sensors[chip]):
            if sensor.current is not None:
                found.gauge(f"temperature.{chip}.{place}", sensor.current / 100.0)


def _asked(ask: Callable[[], Any] | None) -> Any:
    """What psutil says; None where the machine, or its container, does not tell."""
    try:
        return None if ask is None else ask()
    except (OSError, RuntimeError, NotImplementedError):
        return None


_READERS: dict[Part, Callable[[Look], None]] = {
    "cpu": _cpu, "memory": _memory, "disk": _disk, "network": _network, "load": _load, "temperature": _temperature
}  # fmt: skip
