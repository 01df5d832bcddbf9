"""Measure while nobody else does: wait for a quiet machine, and say how much others used of it meanwhile.

Only the standard library, so that `run.py` needs nothing but Python; where there is no /proc/stat nothing is known,
and nothing is waited for.
"""
import os
import resource
import time
from pathlib import Path

STAT = Path("/proc/stat")
QUIET = 0.1     # cores that others may use: a system's own housekeeping
TRIES = 3
LONGEST_S = 30.0  # of one wait
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


def quietly(work):
    """As `others`, on a quiet machine where it gets quiet: the quietest of at most `TRIES`, whatever they measured."""
    global patience_s
    best = None
    for _ in range(TRIES):
        began = time.monotonic()
        while STAT.exists() and time.monotonic() - began < min(LONGEST_S, patience_s):
            if others(lambda: time.sleep(0.5))[1] <= QUIET:
                break
        waited = time.monotonic() - began
        began = time.monotonic()
        found = others(work)
        patience_s -= waited + (time.monotonic() - began if best else 0)
        if best is None or (found[1] is not None and found[1] < best[1]):
            best = found
        if best[1] is None or best[1] <= QUIET or patience_s <= 0:
            break
    return best
