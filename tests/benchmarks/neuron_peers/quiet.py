"""Measure while nobody else does: wait for a quiet machine, and say how much others used of it meanwhile.

What runs beside this machine on the same processor no counter in it shows, and a core then takes half as long again for
everything. So each measurement says its *pace*: how long a fixed piece of Python took at its end.

Only the standard library, so that `run.py` needs nothing but Python; where there is no /proc/stat nothing is known,
and nothing is waited for.
"""
import math
import os
import resource
import statistics
import time
from pathlib import Path

STAT = Path("/proc/stat")
QUIET = 0.1     # cores that others may use: a system's own housekeeping; and how much slower than at its best a core may be
TRIES = 3
LONGEST_S = 30.0  # of one wait
best_us = float(os.environ.get("SPIKEFLOW_PACE_US", math.inf))  # the best pace so far
patience_s = float(os.environ.get("SPIKEFLOW_PATIENCE", 600))
"""Seconds that this process may wait and repeat, in all."""


def busy_s():
    """CPU seconds of all cores since boot, those that the host took away among them."""
    user, nice, system, _, _, irq, softirq, steal = map(int, STAT.read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def own_s():
    """CPU seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def others(work):
    """The result of `work()`, and how many cores others used meanwhile; None where that is not known."""
    if not STAT.exists():
        return work(), None
    began, busy, own = time.monotonic(), busy_s(), own_s()
    result = work()
    used = busy_s() - busy - (own_s() - own)
    return result, max(0.0, round(used / (time.monotonic() - began), 3))


def pace_us(pieces=100):
    """How long a fixed piece of Python takes now (us): the middle of so many."""
    took = []
    for _ in range(pieces):
        began, x = time.perf_counter_ns(), 0
        for i in range(1000):
            x += i * i
        took.append((time.perf_counter_ns() - began) / 1e3)
    return statistics.median(took)


def slower(pace):
    """How much slower than the best one so far a pace is: 0.5 where things take half as long again."""
    global best_us
    if math.isinf(best_us):
        best_us = min(pace_us() for _ in range(50))
    best_us = min(best_us, pace)
    return round(pace / best_us - 1, 3)


def quietly(work, pace_of=None):
    """The result of `work()`, how many cores others used, and how much slower than at its best the core was.

    On a quiet machine where it gets quiet: the quietest of at most `TRIES`, whatever they measured.
    `pace_of` finds the pace in a result; without it, or where that is None, nothing is known of it.
    """
    global patience_s
    best = None
    for _ in range(TRIES):
        began = time.monotonic()
        while STAT.exists() and time.monotonic() - began < min(LONGEST_S, patience_s):
            if others(lambda: time.sleep(0.5))[1] <= QUIET:
                break
        waited = time.monotonic() - began
        began = time.monotonic()
        result, used = others(work)
        pace = pace_of(result) if pace_of else None
        found = result, used, None if pace is None else slower(pace)
        patience_s -= waited + (time.monotonic() - began if best else 0)
        if best is None or _noise(found) < _noise(best):
            best = found
        if max(best[1] or 0, best[2] or 0) <= QUIET or patience_s <= 0:
            break
    return best


def _noise(found):
    return (found[1] or 0) + (found[2] or 0)
