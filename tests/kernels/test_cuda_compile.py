"""The kernel text under the compilers that will make code for a GPU of it; none of this needs a GPU."""

from __future__ import annotations

import functools
import re

import pytest

from spikeflow.kernels.cuda_source import COMPILER_OPTIONS, KERNEL, cuda_source
from spikeflow.kernels.network import Program

from .cuda_compile import NVCC, CompileError, by_nvcc, by_nvrtc, nvrtc
from .cuda_networks import everything

ARCHITECTURES = ["sm_75", "sm_90", "sm_120", *(pytest.param(f"sm_{k}", marks=pytest.mark.slow) for k in (80, 89, 100))]

needs_nvcc = pytest.mark.skipif(NVCC is None, reason="there is no nvcc on this machine")
needs_nvrtc = pytest.mark.skipif(nvrtc() is None, reason="the package nvidia-cuda-nvrtc is not installed")


@functools.cache
def text() -> str:
    program: Program = everything("numpy").program
    return cuda_source(program)


@needs_nvcc
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nvcc_takes_the_text_without_a_warning(architecture: str) -> None:
    by_nvcc(text(), *COMPILER_OPTIONS, f"-arch={architecture}", "-cubin")


@needs_nvrtc
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nvrtc_takes_the_text(architecture: str) -> None:
    assert by_nvrtc(text(), architecture) > 1000


@needs_nvrtc
def test_nvrtc_refuses_a_broken_text() -> None:
    with pytest.raises(CompileError, match="error"):
        by_nvrtc(text().replace("integer tick", "integer", 1), "sm_90")


@needs_nvcc
def test_nothing_contracts_with_the_options_that_the_text_asks_for() -> None:
    contracted = re.compile(r"\bfma\.rn\.f(32|64)\b")
    assert not contracted.search(by_nvcc(text(), *COMPILER_OPTIONS, "-arch=sm_90", "-ptx"))
    assert contracted.search(by_nvcc(text(), "--std=c++17", "-arch=sm_90", "-ptx"))


@needs_nvcc
def test_floats_are_added_in_order_never_by_atomics() -> None:
    ptx = by_nvcc(text(), *COMPILER_OPTIONS, "-arch=sm_90", "-ptx")
    assert f".entry {KERNEL}(" in ptx
    assert re.search(r"\b(atom|red)\.", ptx)
    assert not re.search(r"\b(atom|red)\.\S*\.f(16|32|64)", ptx)
