"""CUDA text on a CPU: compiled as C++ after `cuda_host.h`, one fibre per thread, every array between canaries."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from spikeflow.kernels.backends import Prepare
from spikeflow.kernels.cuda_source import cuda_source
from spikeflow.kernels.network import Program, Run

Kind = TypeVar("Kind", bound=np.generic)

HEADER = Path(__file__).with_name("cuda_host.h")
FLAGS = ("-std=c++17", "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-U_FORTIFY_SOURCE")
COMPILER = shutil.which("g++")
CANARY_BYTES = 256
CANARY = 0xA5

_TAIL = """
static void **host_arguments;
static void host_body() {{ {call}; }}
extern "C" int host_run(void **arguments, unsigned threads, int reverse) {{
    host_arguments = arguments;
    return host::run(host_body, threads, reverse != 0);
}}
"""


def backend(threads: int, *, reverse: bool, edit: Callable[[str], str] = str) -> Prepare:
    """A backend that runs the CUDA text on this machine, edited first where a test wants that."""

    def prepare(program: Program) -> Run:
        kernel = HostKernel(edit(cuda_source(program)))

        def run(*arrays: Any) -> None:
            guarded = Guarded()
            copies = [guarded.copy(array) for array in arrays]
            kernel.run(copies, threads=threads, reverse=reverse)
            guarded.check()
            for array, copy in zip(arrays, copies, strict=True):
                array[...] = copy

        return run

    return prepare


class KernelError(AssertionError):
    """What the host found while a kernel ran: a barrier not all threads reach, a wild access, a dead canary."""


class HostKernel:
    """A kernel text, compiled for the host; objects are kept by the hash of everything that goes into them."""

    def __init__(self, text: str, name: str = "spikeflow_window") -> None:
        head = re.search(rf"__global__[^;{{]*\b{name}\(([^)]*)\)", text)
        assert head is not None, f"there is no kernel {name} in the text"
        types = [parameter.rsplit("*", 1)[0] + "*" for parameter in head[1].split(",")]
        self._parameters = len(types)
        given = ", ".join(f"({kind})host_arguments[{k}]" for k, kind in enumerate(types))
        tail = _TAIL.format(call=f"{name}({given})")
        self._run = ctypes.CDLL(str(_compiled(text + tail))).host_run
        self._run.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]

    def run(self, arrays: Sequence[npt.NDArray[Any]], *, threads: int, reverse: bool) -> None:
        """Run one block of `threads` threads on `arrays`, one for each of the kernel's parameters.

        Raises:
            KernelError: the block fell apart at a barrier or touched memory that is not there.
        """
        assert len(arrays) == self._parameters
        addresses = (ctypes.c_void_p * len(arrays))(*[array.ctypes.data for array in arrays])
        outcome = self._run(addresses, threads, reverse)
        if outcome:
            raise KernelError({1: "not every thread reaches the same barrier", 2: "a wild access"}[outcome])


class Guarded:
    """Copies of arrays that lie between canaries."""

    def __init__(self) -> None:
        self._kept: list[npt.NDArray[np.uint8]] = []

    def copy(self, array: npt.NDArray[Kind]) -> npt.NDArray[Kind]:
        """A C-contiguous copy of `array` with a canary on either side."""
        array = np.ascontiguousarray(array)
        raw = np.full(array.nbytes + 2 * CANARY_BYTES, CANARY, np.uint8)
        self._kept.append(raw)
        inside = raw[CANARY_BYTES : CANARY_BYTES + array.nbytes].view(array.dtype).reshape(array.shape)
        inside[...] = array
        return inside

    def check(self) -> None:
        """Raises KernelError where something was written beside an array."""
        for raw in self._kept:
            if (raw[:CANARY_BYTES] != CANARY).any() or (raw[-CANARY_BYTES:] != CANARY).any():
                raise KernelError("something was written past an end of an array")


@functools.cache
def _compiled(text: str) -> Path:
    if COMPILER is None:
        raise RuntimeError("there is no g++ on this machine")
    source = HEADER.read_text() + text
    key = hashlib.sha256("\0".join((source, *FLAGS, _compiler_version())).encode()).hexdigest()[:24]
    target = folder() / f"{key}.so"
    if target.exists():
        return target
    with tempfile.TemporaryDirectory(dir=target.parent) as place:
        (Path(place) / "kernel.cpp").write_text(source)
        command = [COMPILER, *FLAGS, "kernel.cpp", "-o", "kernel.so"]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(f"the kernel is not C++ that g++ takes:\n{done.stderr}")
        (Path(place) / "kernel.so").replace(target)
    return target


@functools.cache
def _compiler_version() -> str:
    return subprocess.run([COMPILER or "", "--version"], capture_output=True, text=True, check=True).stdout


@functools.cache
def folder() -> Path:
    """Where compiled kernels are kept: with pytest's cache; where nothing can be written there, for this process."""
    kept = Path(__file__).parents[2] / ".pytest_cache" / "cuda_host"
    try:
        kept.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp())
    return kept if os.access(kept, os.W_OK) else Path(tempfile.mkdtemp())
