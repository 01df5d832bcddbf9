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


def test_a_wild_access_is_an_error_and_the_process_lives_on() -> None:
    with pytest.raises(KernelError, match="a wild access"):
        run(MIRROR.replace("out[threadIdx.x]", "*(int *)8"), reverse=False)
    assert run(MIRROR, reverse=False) == [4, 3, 2, 1, 0]


@pytest.mark.parametrize("index", ["threadIdx.x + 1", "(int)threadIdx.x - 1"])
def test_a_write_past_either_end_kills_a_canary(index: str) -> None:
    with pytest.raises(KernelError, match="past an end"):
        run(MIRROR.replace("out[threadIdx.x]", f"out[{index}]"), reverse=False)


def test_shared_memory_is_not_clean_at_a_launch() -> None:
    text = MIRROR.replace("turned[threadIdx.x] = (int)threadIdx.x;", "")
    assert run(MIRROR, reverse=False) != run(text, reverse=False)


def test_a_float_atomic_does_not_compile() -> None:
    text = MIRROR.replace("__syncthreads();", "__shared__ float sum; atomicAdd(&sum, 1.0f);")
    with pytest.raises(AssertionError, match="atomics are for whole numbers"):
        run(text, reverse=False)
