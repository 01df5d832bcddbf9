"""Why a row misses its goal: a key of a row to a sentence or two. Rows that reach it may stay, and are not shown."""

from __future__ import annotations

_CALL = (
    "Of a call, 3 to 3.5 µs are not the loop's: events in 1.1 to 1.4, spikes out 0.7, the table and the call the rest, "
    "as the row of a thousand neurons shows. Tried and kept: views of memory for the copies, one table in place of "
    "arguments, machine code without Numba's wrapper, nothing made anew for a silent call."
)
_SHARED = "The last cache and memory belong to other machines as well."
_CUBA = (
    "Four states and two sums of 4,000 neurons, 97 kB, pass the second cache in and out in each tick of 2.2 µs: 1.7 "
    "at the bandwidth above. A delay of one tick keeps it from taking several ticks in hand, which helps W1. "
    "Tried and kept: rows of synapses asked for four ahead, the first sum of a tick without one apart."
)
_LARGE_CUBA = (
    f"The state of 40,000 neurons (960 kB) and their 3.2 million synapses are in the last cache. {_SHARED} Tried and "
    "kept: rows of synapses asked for four ahead."
)
_ARROW = (
    "The kernel takes 6 µs of it, and the reader of the spikes 3, for an array object a column; the batches were made "
    "beforehand and come cold from memory. Tried and kept: windows as slices of one record batch, which took 5 µs off; "
    "record batches read where they lie, by Arrow's C data interface, 2 to 3; stepping a light node where its batch is "
    "sent."
)
_COLD = (
    "A core that sleeps most of each millisecond is slow when it wakes: here a piece of Python that takes 3 µs takes "
    "12 after a sleep of 1 ms, and parsing 40 bytes of JSON 25 in place of 3. What is left to do is to touch less code."
)

REASONS: dict[str, str] = {
    "kernels.w1(n=10000,per=1).ns": _CALL,
    "kernels.w1(n=10000,per=100,arrow=True).ns": _SHARED,
    "kernels.w1(n=100000,per=100,arrow=True).ns": f"{_SHARED} The same work in a graph took less.",
    "kernels.w1(n=1000000,per=100,arrow=True).ns": f"{_SHARED} The same work in a graph took less.",
    "kernels.w2(n=10000).ns": f"{_SHARED} 40 MB of weights do not fit into it. Longer windows reach the goal.",
    "kernels.w3(n=4000,per=10).rtf": _CUBA,
    "graphs.w3(n=4000).rtf": "As the kernel, and 12 to 15 µs a window of 1 ms for the node and its record batches.",
    "kernels.w3(n=40000,per=10).rtf": _LARGE_CUBA,
    "graphs.w3(n=40000).rtf": f"As the kernel. {_SHARED}",
    "kernels.w4().p50": _SHARED,
    "kernels.w4().p99": _SHARED,
    "graphs.w4().p50": _ARROW,
    "graphs.w4_paced().p50": _COLD,
    "graphs.w4_paced().p99": _COLD,
    "graphs.w4_paced(silence=5000).ratio": f"Not told apart from the spread of the paced row. {_COLD}",
    "graphs.w4_after_silence().ratio": "Not told apart from the row's own spread.",
    "kernels.after_silence(work=w1,n=10000).ratio": "Not told apart from the row's own spread.",
    "kernels.after_silence(work=w2,n=10000).ratio": f"Not told apart from the row's own spread. {_SHARED}",
    "kernels.sparse_events(per=10).us": f"{_CALL} Ten ticks share it here.",
    "kernels.sparse_events(per=100).us": f"{_CALL} A hundred ticks share it here. {_SHARED}",
    "graphs.two_threads().ratio": f"{_SHARED} In the best repetition the second thread was worth what is asked.",
    "graphs.million().percent": "Of a window of 10 ms the population takes 0.6 ms, the file sink 0.45 and the decoder "
    "0.3, two to ten times of what each takes where it is called again at once. "
    f"{_COLD} Tried and kept: spikes of a pooled rate counted as many as they are.",
}
