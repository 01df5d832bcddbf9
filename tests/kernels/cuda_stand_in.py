"""A stand-in for CuPy: device memory is memory of this process, the kernel text runs compiled for the host.

It counts launches and copies. What is given to a stream is done when somebody waits for it, not before; memory that
nobody has written to is rubbish; NumPy cannot look into a device's array: so whoever forgets to wait or to copy gets
other bits.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spikeflow.kernels import cupy_backend

from .cuda_host import HostKernel

MOST_BLOCKS = 3
THREADS = 8
"""Of any larger block: the bits do not depend on it, and each costs a stack."""


@dataclass
class Counts:
    """What was done on the device since the last look, in order."""

    launches: list[int] = field(default_factory=list)  # blocks
    up: list[int] = field(default_factory=list)  # bytes from the host
    down: list[int] = field(default_factory=list)  # bytes to the host
    memory: int = 0

    def clear(self) -> None:
        """Look anew."""
        for done in (self.launches, self.up, self.down):
            done.clear()


class StandIn:
    """The modules that take CuPy's place."""

    def __init__(self, devices: int = 1, memory: int = 1 << 40) -> None:
        self.counts, self.devices, self.memory = Counts(), devices, memory
        self.here = threading.local()
        self.pinned: list[npt.NDArray[np.uint8]] = []
        self.turns = 0

    @property
    def stream(self) -> Stream:
        """The stream in use."""
        streams: list[Stream] = self.here.__dict__.setdefault("streams", [])
        assert streams, "something was done on the default stream, which waits for all others"
        return streams[-1]

    def array(self, data: npt.NDArray[Any]) -> Array:
        """An array of the device."""
        return Array(self, data)

    def empty(self, count: int, dtype: npt.DTypeLike) -> Array:
        """`cupy.empty`."""
        size = int(count) * np.dtype(dtype).itemsize
        if self.counts.memory + size > self.memory:
            raise OutOfMemoryError(f"Out of memory allocating {size:,} bytes")
        self.counts.memory += size
        return self.array(np.full(size, 0xA5, np.uint8).view(dtype))

    def is_pinned(self, array: npt.NDArray[Any]) -> bool:
        """Whether the device reads and writes an array of the host by itself."""
        return any(np.shares_memory(array, one) for one in self.pinned)

    def pin(self, size: int) -> Any:
        """`cupy.cuda.alloc_pinned_memory`."""
        self.pinned.append(np.full(size, 0xA5, np.uint8))
        return self.pinned[-1]

    def modules(self) -> dict[str, ModuleType]:
        """Name to module, for `sys.modules`."""
        cuda = _module(
            "cupy.cuda",
            is_available=lambda: self.devices > 0,
            runtime=_module("runtime", getDeviceCount=lambda: self.devices),
            Device=lambda number: Device(self, number),
            Stream=lambda non_blocking: Stream(self),
            Event=lambda disable_timing: Event(self),
            alloc_pinned_memory=self.pin,
            memory=_module("memory", OutOfMemoryError=OutOfMemoryError),
            driver=_module("driver", occupancyMaxActiveBlocksPerMultiprocessor=lambda function, threads, shared: 1),
            function=_module("function", Module=lambda: Module(self)),
        )
        found = {"cupy": _module("cupy", cuda=cuda, empty=self.empty), "cupy.cuda": cuda}
        nvrtc = _module(
            "nvrtc", getVersion=lambda: ("stand-in", 1), NVRTCError=NvrtcError, createProgram=lambda text, *_: [text],
            compileProgram=_compile, getCUBIN=lambda program: program[0].encode(), getProgramLog=lambda program: "",
            destroyProgram=lambda program: None,
        )  # fmt: skip
        found["cupy_backends.cuda.libs"] = libs = _module("libs", nvrtc=nvrtc)
        found["cupy_backends.cuda"] = backend = _module("cuda", libs=libs)
        found["cupy_backends"] = _module("cupy_backends", cuda=backend)
        return found


class OutOfMemoryError(MemoryError):
    """`cupy.cuda.memory.OutOfMemoryError`."""


class NvrtcError(RuntimeError):
    """`cupy_backends.cuda.libs.nvrtc.NVRTCError`."""


def _module(name: str, **contents: Any) -> ModuleType:
    made = ModuleType(name)
    made.__dict__.update(contents)
    return made


def _compile(program: list[str], options: tuple[str, ...]) -> None:
    assert {"--fmad=false", "--ftz=false", "--prec-div=true", "--gpu-architecture=sm_90"} <= set(options)


class Array:
    """`cupy.ndarray` of one dimension."""

    def __init__(self, of: StandIn, data: npt.NDArray[Any]) -> None:
        self._of, self.numbers = of, data
        self.size, self.dtype = data.size, data.dtype

    def __array__(self, *_: Any, **__: Any) -> npt.NDArray[Any]:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __getitem__(self, part: slice) -> Array:
        assert 0 <= (part.start or 0) <= (part.stop if part.stop is not None else self.size) <= self.size
        return Array(self._of, self.numbers[part])

    @property
    def nbytes(self) -> int:
        """Its size."""
        return int(self.numbers.nbytes)

    @property
    def data(self) -> Pointer:
        """Where it lies."""
        return Pointer(self)

    def set(self, host: npt.NDArray[Any], stream: Stream) -> None:
        """From the host; pageable memory is read at once, pinned memory when its turn comes."""
        assert host.flags.c_contiguous and host.dtype == self.dtype and host.shape == (self.size,)
        source = host if self._of.is_pinned(host) else host.copy()
        self._of.counts.up.append(host.nbytes)
        stream.give(lambda: self.numbers.__setitem__(slice(None), source))

    def get(
        self, stream: Stream | None = None, out: npt.NDArray[Any] | None = None, blocking: bool = True
    ) -> npt.NDArray[Any]:
        """To the host; unless it blocks, what is there before somebody waits is not yet what was asked for."""
        found = np.empty(self.size, self.dtype) if out is None else out
        self._of.counts.down.append(self.nbytes)
        if stream is None:  # the default stream: only what was waited for is there
            found[:] = self.numbers
            return found
        stream.give(lambda: found.__setitem__(slice(None), self.numbers))
        if blocking:
            stream.synchronize()
        return found

    def copy(self) -> Array:
        """On the device."""
        return self.astype(self.dtype)

    def astype(self, dtype: npt.DTypeLike) -> Array:
        """On the device, in another type."""
        made = self._of.empty(self.size, dtype)
        self._of.stream.give(lambda: made.numbers.__setitem__(slice(None), self.numbers))
        return made


class Pointer:
    """`cupy.cuda.MemoryPointer`."""

    def __init__(self, of: Array) -> None:
        self._of = of

    def copy_from_device_async(self, other: Pointer, size: int, stream: Stream) -> None:
        """Within the device."""
        target, source = self._of.numbers.view(np.uint8), other._of.numbers.view(np.uint8)
        stream.give(lambda: target[:size].__setitem__(slice(None), source[:size]))


class Stream:
    """`cupy.cuda.Stream`: what was given to it, in order."""

    def __init__(self, of: StandIn) -> None:
        self._of = of
        self._queue: list[Callable[[], Any]] = []
        self._lock = threading.RLock()

    def give(self, work: Callable[[], Any]) -> None:
        """Have something done behind all that was given before."""
        with self._lock:
            self._queue.append(work)

    def synchronize(self) -> None:
        """Wait for all of it."""
        with self._lock:
            while self._queue:
                self._queue.pop(0)()

    def wait_event(self, event: Event) -> None:
        """Do nothing further before the event."""
        self.give(event.synchronize)

    def __enter__(self) -> Stream:
        self._of.here.__dict__.setdefault("streams", []).append(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._of.here.streams.pop()


class Event:
    """`cupy.cuda.Event`."""

    def __init__(self, of: StandIn) -> None:
        self._of = of
        self._stream: Stream | None = None

    def record(self, stream: Stream) -> None:
        """Happen once all that was given to the stream is done."""
        self._stream = stream

    def synchronize(self) -> None:
        """Wait for it."""
        assert self._stream is not None, "an event that was never recorded"
        self._stream.synchronize()


class Device:
    """`cupy.cuda.Device`."""

    compute_capability = "90"

    def __init__(self, of: StandIn, number: int) -> None:
        assert number < of.devices
        self._of, self.id = of, number
        self.attributes = {"MultiProcessorCount": MOST_BLOCKS, "CooperativeLaunch": 1}

    @property
    def mem_info(self) -> tuple[int, int]:
        """Free and total (bytes)."""
        return self._of.memory - self._of.counts.memory, self._of.memory

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Module:
    """`cupy.cuda.function.Module`, of a text in place of a binary."""

    def __init__(self, of: StandIn) -> None:
        self._of, self._text = of, ""

    def load(self, binary: bytes) -> None:
        """Take the text."""
        self._text = binary.decode()

    def get_function(self, name: str) -> Function:
        """Compile it for the host."""
        return Function(self._of, HostKernel(self._text, name))


class Function:
    """`cupy.cuda.function.Function`."""

    ptr = 0

    def __init__(self, of: StandIn, kernel: HostKernel) -> None:
        self._of, self._kernel = of, kernel

    def __call__(
        self, grid: tuple[int], block: tuple[int], args: tuple[Array, ...], *, enable_cooperative_groups: bool
    ) -> None:
        (blocks,), (threads,) = grid, block
        assert blocks <= MOST_BLOCKS and threads <= 1024
        assert enable_cooperative_groups == (blocks > 1), "blocks that wait for each other are launched together"
        self._of.counts.launches.append(blocks)
        arrays = [argument.numbers for argument in args]
        self._of.turns += 1
        reverse = self._of.turns % 2 == 0
        run = self._kernel.run
        self._of.stream.give(lambda: run(arrays, threads=min(threads, THREADS), blocks=blocks, reverse=reverse))


@contextlib.contextmanager
def stand_in(devices: int = 1, memory: int = 1 << 40, most_threads: int = 1024) -> Iterator[StandIn]:
    """Puts the stand-in where CuPy is looked for; more than `most_threads` neurons get several blocks."""
    made = StandIn(devices, memory)
    with pytest.MonkeyPatch.context() as patch:
        for name, module in made.modules().items():
            patch.setitem(sys.modules, name, module)
        patch.setattr(cupy_backend, "MOST_THREADS", most_threads)
        patch.setattr(cupy_backend, "THREADS", min(most_threads, cupy_backend.THREADS))
        cupy_backend.missing.cache_clear()
        yield made
    cupy_backend.missing.cache_clear()
