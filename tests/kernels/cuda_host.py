"""CUDA text on a CPU: compiled as C++ after two headers, one fibre per thread, every array between canaries."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import mmap
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from spikeflow.kernels import layout, register
from spikeflow.kernels.backends import Prepare
from spikeflow.kernels.cuda_source import KERNEL, cuda_source
from spikeflow.kernels.layout import CODES
from spikeflow.kernels.network import Program, Run
from spikeflow.kernels.spread import SPREAD_ARGUMENTS, Spread, spread

Kind = TypeVar("Kind", bound=np.generic)

HEADERS = [Path(__file__).with_name(name) for name in ("cuda_races.h", "cuda_host.h")]
FLAGS = ("-std=c++17", "-O1", "-ffp-contract=off", "-fPIC", "-U_FORTIFY_SOURCE")
SMALL = ("-DPICKS=32",)  # so that small networks have more to pick than there is room for at once
WATCH = "-fsanitize=thread"  # has the compiler call cuda_races.h at each access, at ten times the time
COMPILER = shutil.which("g++") if sys.platform == "linux" else None  # the headers use ELF sections and ucontext
CANARY_BYTES = 256
CANARY = 0xA5
FENCE_BYTES = 1 << 20

_LIBC = ctypes.CDLL(None)

_ONE_AT_A_TIME = threading.Lock()  # a kernel's threads and signal handlers belong to the process

_TAIL = """
static void **host_arguments;
static void host_body() {{ {call}; }}
extern "C" unsigned long host_race() {{ return races::found; }}
extern "C" void host_count(uintptr_t from, uintptr_t to) {{
    races::counted_from = from, races::counted_to = to;
    memset(races::counted, 0, sizeof races::counted);
}}
extern "C" unsigned long host_counted(int access) {{ return races::counted[access]; }}
extern "C" int host_run(void **arguments, unsigned blocks, unsigned threads, int reverse) {{
    host_arguments = arguments;
    return host::run(host_body, blocks, threads, reverse != 0);
}}
"""


Races: TypeAlias = Literal["unwatched", "errors", "forgiven"]


def backend(
    threads: int,
    *,
    reverse: bool,
    blocks: int = 1,
    races: Races = "unwatched",
    edit: Callable[[str], str] = str,
    options: tuple[str, ...] = SMALL,
    counts: list[tuple[int, int]] | None = None,
) -> Prepare:
    """A backend that runs the CUDA text on this machine, edited first where a test wants that.

    `counts` gets, for each call that is watched, how often the tiles of the first population were read and written.
    """

    def prepare(program: Program) -> Run:
        kernel = HostKernel(edit(cuda_source(program)), watch=races != "unwatched", options=options)

        kept: list[Spread] = []

        def run(*arrays: Any) -> None:
            guarded = Guarded()
            if arrays[0][CODES["H_FOUND"]] < 0 or not kept:  # else it goes on, with what it kept on the device
                kept[:] = [spread(layout.Arrays(*arrays), blocks)]
            own = kept[0]
            copies = [guarded.copy(array) for array in (*arrays, *(getattr(own, name) for name in SPREAD_ARGUMENTS))]
            tiles = tiles_of_first(copies[0], copies[layout.ARGUMENTS.index("real32")])
            kernel.count(tiles)
            with contextlib.suppress(*[RaceError] * (races == "forgiven")):
                kernel.run(copies, blocks=blocks, threads=threads, reverse=reverse)
            guarded.check()
            if counts is not None:
                counts.append(kernel.counted())
            for array, copy in zip((*arrays, *(getattr(own, name) for name in SPREAD_ARGUMENTS)), copies, strict=True):
                array[...] = copy

        return run

    return prepare


def tiles_of_first(table: npt.NDArray[Any], real32: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """State, sums and parameters of the first population, if it has float32."""
    columns = table[table[CODES["H_GROUP"]] :]
    base = int(columns[CODES["G_BASE"]])
    return real32[base : base + int(columns[CODES["G_TILES"]] * columns[CODES["G_ROWS"]]) * layout.TILE]


def both_orders(program: Program) -> Run:
    """The backend "cuda_host": every call in ascending and in descending order of threads, which must agree."""
    forward, backward = backend(8, reverse=False)(program), backend(5, blocks=3, reverse=True)(program)

    def run(*arrays: Any) -> None:
        others = [array.copy() for array in arrays]
        forward(*arrays)
        backward(*others)
        for name, array, other in zip(layout.ARGUMENTS, arrays, others, strict=True):
            if array.tobytes() != other.tobytes():
                raise KernelError(f"the order of the threads shows in {name!r}")

    return run


register("cuda_host", both_orders)


class KernelError(AssertionError):
    """What the host found while a kernel ran: a barrier not all threads reach, a race, a wild access, a dead canary."""


class RaceError(KernelError):
    """Two threads touched one place between two barriers, and one of them wrote."""


class HostKernel:
    """A kernel text, compiled for the host; objects are kept by the hash of everything that goes into them.

    With `watch`, a race between its threads is an error.
    """

    def __init__(self, text: str, name: str = KERNEL, *, watch: bool = False, options: tuple[str, ...] = SMALL) -> None:
        head = re.search(rf"__global__[^;{{]*\b{name}\(([^)]*)\)", text)
        assert head is not None, f"there is no kernel {name} in the text"
        types = [parameter.rsplit("*", 1)[0] + "*" for parameter in head[1].split(",")]
        self._names = [parameter.rsplit("*", 1)[1].strip() for parameter in head[1].split(",")]
        given = ", ".join(f"({kind})host_arguments[{k}]" for k, kind in enumerate(types))
        tail = _TAIL.format(call=f"{name}({given})")
        self._library = ctypes.CDLL(str(_compiled(text + tail, (*FLAGS, *options, *[WATCH] * watch))))
        self._library.host_run.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint, ctypes.c_int]
        self._library.host_race.restype = self._library.host_counted.restype = ctypes.c_ulong
        self._library.host_count.argtypes = [ctypes.c_size_t, ctypes.c_size_t]

    def run(self, arrays: Sequence[npt.NDArray[Any]], *, threads: int, reverse: bool, blocks: int = 1) -> None:
        """Run `blocks` blocks of `threads` threads on `arrays`, one for each of the kernel's parameters.

        Raises:
            KernelError: a block fell apart at a barrier, waited for another one for ever, touched memory that is not
                there, or (RaceError) had a race.
        """
        assert len(arrays) == len(self._names)
        addresses = (ctypes.c_void_p * len(arrays))(*[array.ctypes.data for array in arrays])
        with _ONE_AT_A_TIME:
            outcome = self._library.host_run(addresses, blocks, threads, reverse)
            place = self._library.host_race()
        if outcome == 1:
            raise KernelError("not every thread reaches the same barrier")
        if outcome == 2:
            raise KernelError("a wild access")
        if outcome == 4:
            raise KernelError("the blocks wait for each other for ever")
        if outcome == 5:
            raise KernelError("a loop that does not end")
        if outcome == 3:
            raise RaceError(f"a race between two barriers at {self._named(place, arrays)}")

    def count(self, array: npt.NDArray[Any]) -> None:
        """Count how often an array is read and written from now on, if the kernel is watched."""
        self._library.host_count(array.ctypes.data, array.ctypes.data + array.nbytes)

    def counted(self) -> tuple[int, int]:
        """The reads and the writes."""
        return self._library.host_counted(0), self._library.host_counted(1)

    def _named(self, place: int, arrays: Sequence[npt.NDArray[Any]]) -> str:
        for name, array in zip(self._names, arrays, strict=True):
            if 0 <= (byte := place - array.ctypes.data) < array.nbytes:
                return f"{name}[{byte // array.itemsize}]"
        return "shared memory"


class Guarded:
    """Copies of arrays that lie between canaries, and these between pages that nobody may touch."""

    def __init__(self) -> None:
        self._canaries: list[npt.NDArray[np.uint8]] = []

    def copy(self, array: npt.NDArray[Kind]) -> npt.NDArray[Kind]:
        """A C-contiguous copy of `array` with a canary on either side."""
        inner = -(-(array.nbytes + 2 * CANARY_BYTES) // mmap.PAGESIZE) * mmap.PAGESIZE
        pages = np.frombuffer(mmap.mmap(-1, inner + 2 * FENCE_BYTES), np.uint8)
        for fence in (pages.ctypes.data, pages.ctypes.data + FENCE_BYTES + inner):
            if _LIBC.mprotect(ctypes.c_void_p(fence), ctypes.c_size_t(FENCE_BYTES), 0):
                raise OSError("no memory can be fenced off")
        raw = pages[FENCE_BYTES : FENCE_BYTES + CANARY_BYTES + array.nbytes + CANARY_BYTES]
        before, inside, after = np.split(raw, [CANARY_BYTES, CANARY_BYTES + array.nbytes])
        before[:], after[:] = CANARY, CANARY
        self._canaries += [before, after]
        copied = inside.view(array.dtype).reshape(array.shape)
        copied[...] = array
        return copied

    def check(self) -> None:
        """Raises KernelError where something was written beside an array."""
        if any((canary != CANARY).any() for canary in self._canaries):
            raise KernelError("something was written past an end of an array")


@functools.cache
def _compiled(text: str, flags: tuple[str, ...]) -> Path:
    if COMPILER is None:
        raise RuntimeError("there is no g++ for Linux here")
    source = "".join(header.read_text() for header in HEADERS) + text
    key = hashlib.sha256("\0".join((source, *flags, _compiler_version())).encode()).hexdigest()[:24]
    target = folder() / f"{key}.so"
    if target.exists():
        return target
    with tempfile.TemporaryDirectory(dir=target.parent) as place:
        (Path(place) / "kernel.cpp").write_text(source)
        for command in ([*flags, "-c", "kernel.cpp"], ["-shared", "kernel.o", "-o", "kernel.so"]):
            done = subprocess.run([COMPILER, *command], cwd=place, capture_output=True, text=True, check=False)
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
    kept = Path(__file__).parents[2] / ".pytest_cache" / "d" / "cuda_host"
    try:
        kept.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp())
    return kept if os.access(kept, os.W_OK) else Path(tempfile.mkdtemp())
