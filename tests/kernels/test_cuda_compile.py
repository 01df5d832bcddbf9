"""The kernel text under the compilers that will make code for a GPU of it; none of this needs a GPU."""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from spikeflow.errors import ParameterError
from spikeflow.kernels import cupy_backend
from spikeflow.kernels.cuda_source import COMPILER_OPTIONS, KERNEL, cuda_source
from spikeflow.kernels.network import Network

from .cuda_compile import NVCC, CompileError, by_nvcc, by_nvrtc, nvrtc
from .cuda_networks import everything, lone

ARCHITECTURES = ["sm_90", *(pytest.param(f"sm_{k}", marks=pytest.mark.slow) for k in (75, 80, 89, 100, 120))]

needs_nvcc = pytest.mark.skipif(NVCC is None, reason="there is no nvcc on this machine")
needs_cupy = pytest.mark.skipif(
    nvrtc() is None or importlib.util.find_spec("cupy_backends") is None, reason="CuPy and NVRTC are not installed"
)
needs_nvrtc = pytest.mark.skipif(nvrtc() is None, reason="the package nvidia-cuda-nvrtc is not installed")


@functools.cache
def text(of: Callable[[str], Network] = everything) -> str:
    return cuda_source(of("numpy").program)


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


@needs_cupy
@pytest.mark.parametrize("architecture", ["sm_75", "sm_90", "sm_120"])
def test_the_backend_compiles_without_a_driver(
    architecture: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SPIKEFLOW_CACHE", str(tmp_path))
    made = cupy_backend.binary(text(lone), architecture)
    assert made.startswith(b"\x7fELF")
    assert [kept.read_bytes() for kept in tmp_path.iterdir()] == [made]


@needs_cupy
def test_what_the_compiler_says_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPIKEFLOW_CACHE", str(tmp_path))
    with pytest.raises(
        ParameterError, match=r"NVRTC does not compile for sm_90: spikeflow.cu.*error.* — use device: cpu"
    ):
        cupy_backend.binary("void broken(", "sm_90")


@needs_nvcc
def test_nothing_contracts_with_the_options_that_the_text_asks_for() -> None:
    contracted = re.compile(r"\bfma\.rn\.f(32|64)\b")
    assert not contracted.search(by_nvcc(text(), *COMPILER_OPTIONS, "-arch=sm_90", "-ptx"))
    assert contracted.search(by_nvcc(text(), "--std=c++17", "-arch=sm_90", "-ptx"))


@needs_nvcc
def test_no_number_is_flushed_or_divided_roughly() -> None:
    assert not re.search(r"\.ftz\b|\bdiv\.(approx|full)", by_nvcc(text(), *COMPILER_OPTIONS, "-arch=sm_90", "-ptx"))


@needs_nvcc
def test_floats_are_added_in_order_never_by_atomics() -> None:
    ptx = by_nvcc(text(), *COMPILER_OPTIONS, "-arch=sm_90", "-ptx")
    assert f".entry {KERNEL}(" in ptx
    assert re.search(r"\b(atom|red)\.", ptx)
    assert not re.search(r"\b(atom|red)\.\S*\.f(16|32|64)", ptx)
