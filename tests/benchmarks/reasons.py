"""Why a row misses its goal: a key of a row to a sentence or two. Rows that reach it may stay, and are not shown."""

from __future__ import annotations

_CALL = "A call costs 3 to 5 µs before its first neuron, as the row of a thousand neurons shows."
_SHARED = "Other work kept the other core, and its part of the shared cache and of memory's bandwidth, busy."
_ARROW = (
    "The kernel takes 6 µs of it; reading one record batch, building and reading another take 24 µs alone beside "
    "such a neighbour (the last row of `python -m tests.benchmarks tick`)."
)
_COLD = "A core that sleeps most of each millisecond beside a busy one finds its caches cold."

REASONS: dict[str, str] = {
    "kernels.w1(n=10000,per=1).ns": _CALL,
    "kernels.w1(n=100000,per=100,arrow=True).ns": f"{_SHARED} The same work in a graph took less.",
    "kernels.w1(n=1000000,per=100,arrow=True).ns": f"{_SHARED} The same work in a graph took less.",
    "kernels.w2(n=10000).ns": f"{_SHARED} 40 MB of weights do not fit into that cache. Longer windows reach the goal.",
    "kernels.w3(n=4000,per=10).rtf": f"2.2 µs a tick of 4,000 neurons with their synapses. {_SHARED}",
    "graphs.w3(n=4000).rtf": "As the kernel, and 17 µs more a window of 1 ms for the node and its record batches.",
    "kernels.w3(n=40000,per=10).rtf": f"{_SHARED} State and synapses live in that cache.",
    "graphs.w3(n=40000).rtf": f"{_SHARED} State and synapses live in that cache.",
    "kernels.w4().p99": _SHARED,
    "graphs.w4().p50": _ARROW,
    "graphs.w4_paced().p50": f"{_COLD} {_ARROW}",
    "graphs.w4_paced().p99": _COLD,
    "kernels.after_silence(work=w2,n=10000).ratio": f"Not told apart from the row's own spread. {_SHARED}",
    "kernels.sparse_events(per=10).us": f"{_CALL} Ten ticks share it here.",
    "kernels.sparse_events(per=100).us": f"{_CALL} A hundred ticks share it here. {_SHARED}",
    "graphs.two_threads().ratio": "The second core was not free: other work used it.",
    "graphs.million().percent": "Half is the population, the file is 8 %, the decoder 5 %. " + _COLD,
    "startup.startup(cold=False).s": "Imports are a third of it, checks a sixth, the run up to its first window half.",
}
