"""spikeflow in the harness's form: the bare kernel, and the node in a running graph (Arrow in, Arrow out)."""
import sys
from pathlib import Path

import common as c

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.benchmarks import graphs, kernels


def timing(found, scale):
    v = sorted(x * scale for x in found.values)
    return dict(median=found.median * scale, min=v[0], max=v[-1], reps=len(v))


def w1(a):
    ticks = c.w1_ticks(a.n)
    scale = a.n * ticks * 1e-9
    for name, f in (
            ("kernel, a tick a call", lambda: kernels.w1(a.n, 1, repetitions=a.reps)),
            ("kernel, windows of 100, record batch built",
             lambda: kernels.w1(a.n, 100, True, repetitions=a.reps)),
            ("in a graph, windows of 1 tick", lambda: graphs.w1(a.n, 1, a.reps)),
            ("in a graph, windows of 100 ticks", lambda: graphs.w1(a.n, 100, a.reps))):
        m = f()["ns"]
        c.emit_w1(a, name, timing(m, scale), ticks, m.rate_hz * a.n * ticks * c.DT)


def w2(a):
    ticks = 1000
    sp, _ = c.w2_inputs(a.n, ticks)
    syn = sum(map(len, sp)) * a.n
    for name, f in (
            ("kernel, a tick a call", lambda: kernels.w2(a.n, 1, a.reps)),
            ("in a graph, windows of 10 ticks", lambda: graphs.w2(a.n, 10, a.reps))):
        m = f()["ns"]
        c.emit_w2(a, name, timing(m, syn * 1e-9), ticks, syn, m.rate_hz * a.n * ticks * c.DT)


def w3(a):
    ticks = kernels.w3_ticks(a.n)
    bio = ticks * c.W3["dt"]
    for name, f in (
            ("kernel, calls of 1 ms", lambda: kernels.w3(a.n, 10, a.reps)),
            ("in a graph, windows of 1 ms", lambda: graphs.w3(a.n, 10, a.reps))):
        m = f()["rtf"]
        spikes = m.rate_hz * a.n * bio
        c.emit_w3(a, name, timing(m, bio), ticks, spikes * (c.W3["k_e"] + c.W3["k_i"]), spikes)


def w4(a):
    for name, f in (
            ("kernel", lambda: kernels.w4(a.n, 1)),
            ("in a graph, flat out", lambda: graphs.w4(a.n, repetitions=1)),
            ("in a graph, paced at 1 kHz", lambda: graphs.w4_paced(a.n, 1))):
        m = f()
        p50, p99 = m["p50"].median, m["p99"].median
        c.emit(a, name, ticks=c.W4_TICKS - 50, p50_us=p50, p99_us=p99, max_us=m["max"].median,
               rate_hz=m["p50"].rate_hz, setup_s=0.0)


if __name__ == "__main__":
    c.main(globals(), ["spikeflow"])
