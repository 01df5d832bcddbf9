"""The CPU that stands in for a GPU: what it shows of a kernel, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from .cuda_host import COMPILER, Guarded, HostKernel, KernelError

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no g++ for Linux here")

MIRROR = """
extern "C" __global__ void mirror(int *out) {
    __shared__ int turned[64];
    turned[threadIdx.x] = (int)threadIdx.x;
    __syncthreads();
    out[threadIdx.x] = turned[blockDim.x - 1 - threadIdx.x];
}
"""

TICKET = """
extern "C" __global__ void mirror(int *out) {
    __shared__ int ticket;
    if (threadIdx.x == 0) ticket = 0;
    atomicAdd(&ticket, 1);
    __syncthreads();
    out[threadIdx.x] = ticket;
}
"""


def run(text: str, *, reverse: bool, threads: int = 5, watch: bool = True) -> list[int]:
    arrays = Guarded()
    out = arrays.copy(np.full(threads, -1, np.int32))
    HostKernel(text, "mirror", watch=watch).run([out], threads=threads, reverse=reverse)
    arrays.check()
    return [int(value) for value in out]


@pytest.mark.parametrize("reverse", [False, True])
def test_threads_meet_at_a_barrier(reverse: bool) -> None:
    assert run(MIRROR, reverse=reverse) == [4, 3, 2, 1, 0]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_missing_barrier_changes_the_result(reverse: bool) -> None:
    assert run(MIRROR.replace("__syncthreads();", ""), reverse=reverse, watch=False) != [4, 3, 2, 1, 0]


def test_a_missing_barrier_before_a_ticket_changes_the_result_in_one_order_only() -> None:
    assert run(TICKET, reverse=False, watch=False) == [5, 5, 5, 5, 5]
    assert run(TICKET, reverse=True, watch=False) != [5, 5, 5, 5, 5]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("text", [TICKET, MIRROR.replace("__syncthreads();", "")])
def test_a_race_is_an_error_even_where_the_result_is_right(text: str, reverse: bool) -> None:
    with pytest.raises(KernelError, match="a race between two barriers at shared memory"):
        run(text, reverse=reverse)


def test_a_race_is_named_by_its_array() -> None:
    text = MIRROR.replace("out[threadIdx.x] =", "out[3] =")
    with pytest.raises(KernelError, match=r"at out\[3\]"):
        run(text, reverse=False)


def test_a_barrier_that_not_every_thread_reaches_is_an_error() -> None:
    text = MIRROR.replace("__syncthreads();", "if (threadIdx.x != 2) __syncthreads();")
    with pytest.raises(KernelError, match="not every thread reaches the same barrier"):
        run(text, reverse=False)


def test_a_loop_that_does_not_end_is_an_error() -> None:
    with pytest.raises(KernelError, match="does not end"):
        run(MIRROR.replace("out[threadIdx.x] =", "while (out[0] < 1) out[0] = 0; out[0] ="), reverse=False, watch=False)


def test_a_wild_access_is_an_error_and_the_process_lives_on() -> None:
    with pytest.raises(KernelError, match="a wild access"):
        run(MIRROR.replace("out[threadIdx.x]", "*(int *)8"), reverse=False)
    assert run(MIRROR, reverse=False) == [4, 3, 2, 1, 0]


@pytest.mark.parametrize("index", ["threadIdx.x + 1", "(int)threadIdx.x - 1"])
def test_a_write_past_either_end_kills_a_canary(index: str) -> None:
    with pytest.raises(KernelError, match="past an end"):
        run(MIRROR.replace("out[threadIdx.x]", f"out[{index}]"), reverse=False)


MEETING = """
struct Net { long long *work; };
__device__ void meet(const Net &net) {
    __syncthreads();  // A
    if (threadIdx.x == 0) {
        unsigned long long *arrived = (unsigned long long *)net.work;
        __threadfence();
        const unsigned long long end = (atomicAdd(arrived, 1ULL) / gridDim.x + 1) * gridDim.x;
        while (atomicAdd(arrived, 0ULL) < end) __nanosleep(20);
        __threadfence();
    }
    __syncthreads();  // B
}
extern "C" __global__ void pass_on(long long *work, int *left, int *right) {
    const Net net = {work};
    const unsigned own = blockIdx.x * blockDim.x + threadIdx.x, last = gridDim.x * blockDim.x - 1;
    left[own] = (int)own;
    meet(net);
    right[last - own] = left[own] + left[last - own];
    meet(net);
    left[own] = right[own] + (int)blockIdx.x;
}
"""


def passed_on(text: str, *, reverse: bool) -> list[int]:
    arrays = Guarded()
    work, left, right = (arrays.copy(np.zeros(12, kind)) for kind in (np.int64, np.int32, np.int32))
    HostKernel(text, "pass_on", watch=True).run([work, left, right], blocks=3, threads=4, reverse=reverse)
    arrays.check()
    return [int(value) for value in left]


@pytest.mark.parametrize("reverse", [False, True])
def test_blocks_meet_and_see_what_the_others_wrote(reverse: bool) -> None:
    assert passed_on(MEETING, reverse=reverse) == [11] * 4 + [12] * 4 + [13] * 4


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    "missing",
    [
        "__syncthreads();  // A", "__syncthreads();  // B", "        __threadfence();\n        const",
        "        __threadfence();\n    }", "while (atomicAdd(arrived, 0ULL) < end) __nanosleep(20);",
    ],
)  # fmt: skip
def test_a_meeting_without_one_of_its_parts_is_a_race(missing: str, reverse: bool) -> None:
    assert MEETING.count(missing) == 1
    kept = missing.replace("__threadfence();", "")
    with pytest.raises(KernelError, match="a race"):
        passed_on(MEETING.replace(missing, "" if kept == missing else kept), reverse=reverse)


def test_blocks_that_wait_for_ever_are_an_error() -> None:
    text = MEETING.replace("    meet(net);\n", "    if (blockIdx.x > 0) meet(net);\n", 1)
    text = text.replace("    meet(net);\n    left[own] = right", "    left[own] = right")
    with pytest.raises(KernelError, match="wait for each other for ever"):
        passed_on(text, reverse=False)


def test_each_block_has_shared_memory_of_its_own() -> None:
    arrays = Guarded()
    out = arrays.copy(np.full(15, -1, np.int32))
    text = MIRROR.replace("out[threadIdx.x]", "out[blockIdx.x * blockDim.x + threadIdx.x]").replace(
        "= (int)threadIdx.x", "= (int)(threadIdx.x + 10 * blockIdx.x)"
    )
    HostKernel(text, "mirror", watch=True).run([out], blocks=3, threads=5, reverse=True)
    assert out.tolist() == [4, 3, 2, 1, 0, 14, 13, 12, 11, 10, 24, 23, 22, 21, 20]


def test_shared_memory_is_not_clean_at_a_launch() -> None:
    text = MIRROR.replace("turned[threadIdx.x] = (int)threadIdx.x;", "")
    assert run(MIRROR, reverse=False) != run(text, reverse=False)


def test_a_float_atomic_does_not_compile() -> None:
    text = MIRROR.replace("__syncthreads();", "__shared__ float sum; atomicAdd(&sum, 1.0f);")
    with pytest.raises(AssertionError, match="atomics are for whole numbers"):
        run(text, reverse=False)
