"""The GPU backend: arrays that stay on the device, and one launch of the CUDA text for each window.

CuPy gives the driver, memory and streams. The text is compiled by NVRTC itself, through CuPy's binding, because CuPy's
own way adds ``-ftz=true``, and a number that is flushed on one backend alone is another bit.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from typing import Any

import numpy as np

from spikeflow.errors import ParameterError, many
from spikeflow.kernels.cuda_source import COMPILER_OPTIONS, KERNEL, MOST_THREADS, cuda_source
from spikeflow.kernels.layout import ARGUMENTS, CODES, TILE, Arrays
from spikeflow.kernels.machine_code import cache_folder
from spikeflow.kernels.parts import Bind, Program, Resident
from spikeflow.kernels.spread import SPREAD_ARGUMENTS, SPREAD_CODES, most_tiles, spread
from spikeflow.machine import gigabytes

THREADS = 512
"""Threads in a block of several: two such blocks fill a multiprocessor with the registers that the text takes."""

INSTALL = "pip install 'spikeflow[cuda13]' (or cuda12, by the driver), or leave `device` out"
_UNUSED = ("rest", "mask", "words")  # the other backends' own
_lock = threading.Lock()


@functools.cache
def missing() -> str | None:
    """Why nothing can be launched here, or None; looked up once."""
    try:
        import cupy
    except ImportError:
        return "CuPy is not installed"
    except Exception as error:
        return f"CuPy does not work here: {error}"
    if not cupy.cuda.is_available():
        return "CuPy finds no GPU"
    return None


def number_of(device: str) -> int:
    """Which device ``"cuda"`` or ``"cuda:1"`` is.

    Raises:
        ParameterError: it is not there; says what would work.
    """
    why = missing()
    if why is not None:
        raise ParameterError(f"device {device}, and {why}", INSTALL)
    import cupy

    number, there = int(device.partition(":")[2] or 0), int(cupy.cuda.runtime.getDeviceCount())
    if number >= there:
        raise ParameterError(f"device {device}, and there {_are(there)} here", f"name cuda:0 to cuda:{there - 1}")
    return number


def _are(there: int) -> str:
    return f"is {many(there, 'GPU')}" if there == 1 else f"are {many(there, 'GPU')}"


def prepare(program: Program, device: str) -> Bind:
    """The compiled kernel of `program` for a device."""
    number = number_of(device)
    function = _function(cuda_source(program), number)

    def bind(arrays: Arrays) -> OnDevice:
        return OnDevice(arrays, number, function)

    return bind


class OnDevice(Resident):
    """A network whose arrays lie on a device; the host's have what it last fetched.

    Of the table, what comes before the delays of projections goes to the device and back with each launch; it is some
    hundred numbers, in memory that the device copies without help. All else goes only when it is asked for.

    Attributes:
        number: which device.
        blocks, threads: of a launch.
        hand: how many ticks a population goes through at once, its state in registers.
        launches: how many there were.
    """

    def __init__(self, arrays: Arrays, number: int, function: Any) -> None:
        import cupy

        self._cupy, self._arrays, self._function = cupy, arrays, function
        self.number, self._device = number, cupy.cuda.Device(number)
        self.launches = 0
        self._there: dict[str, Any] = {}
        self._head = int(arrays.table[CODES["H_LEARNING"]])
        self._used, self._full = 0, list[Any]()
        with self._device:
            self._stream = cupy.cuda.Stream(non_blocking=True)
            self._words, self._stage = _pinned(cupy, self._head), _pinned(cupy, 4096)
            self.blocks, self.threads = self._grid()
            own = spread(arrays, self.blocks)
            self.hand = int(own.plan[SPREAD_CODES["X_HAND"]])
            for name in SPREAD_ARGUMENTS:
                self._put(name, getattr(own, name))
        self.push(*ARGUMENTS)

    def _grid(self) -> tuple[int, int]:
        """Blocks and threads: one block where that is enough, else no more than can run at once."""
        neurons = most_tiles(self._arrays.table) * TILE
        if neurons <= MOST_THREADS or not self._device.attributes["CooperativeLaunch"]:
            return 1, min(neurons, MOST_THREADS)
        driver, processors = self._cupy.cuda.driver, self._device.attributes["MultiProcessorCount"]
        each = driver.occupancyMaxActiveBlocksPerMultiprocessor(self._function.ptr, THREADS, 0)
        return max(1, min(each * processors, -(-neurons // THREADS))), THREADS

    def __call__(self) -> None:
        """Launch: one window, or as much of it as the launch can do."""
        table = self._there["table"]
        with self._device, self._stream:
            self._words[:] = self._arrays.table[: self._head]
            table[: self._head].set(self._words, stream=self._stream)
            arguments = tuple(self._there[name] for name in (*ARGUMENTS, *SPREAD_ARGUMENTS))
            together = self.blocks > 1
            self.launches += 1
            self._function((self.blocks,), (self.threads,), arguments, enable_cooperative_groups=together)
            table[: self._head].get(stream=self._stream, out=self._words, blocking=False)
            self._stream.synchronize()
            self._arrays.table[: self._head] = self._words
        self._used = 0
        self._full.clear()

    def fetch(self, *names: str, count: int | None = None) -> None:
        """Make the host's arrays, or the first `count` numbers of each, what the device's are."""
        with self._device, self._stream:
            for name in names:
                host, there = getattr(self._arrays, name), self._there[name]
                first = self._head if name == "table" else 0  # the host has the newer head
                end = host.size if count is None else count
                if first < end:
                    host[first:end] = there[first:end].get(stream=self._stream)

    def push(self, *names: str) -> None:
        """Make the device's arrays what the host's are; one of another size gets new room."""
        with self._device, self._stream:
            for name in names:
                array = getattr(self._arrays, name)
                self._put(name, array[:0] if name in _UNUSED else array)
            self._stream.synchronize()  # the host may change its arrays as soon as this returns

    def _put(self, name: str, array: Any) -> None:
        there = self._there.get(name)
        if there is None or there.size < max(array.size, 1):
            self._there.pop(name, None)
            there = self._there[name] = self._room(max(array.size, 1), array.dtype)
        if array.size:
            there[: array.size].set(np.ascontiguousarray(array), stream=self._stream)

    def _room(self, count: int, dtype: Any) -> Any:
        try:
            return self._cupy.empty(count, dtype)
        except self._cupy.cuda.memory.OutOfMemoryError as error:
            free, total = self._device.mem_info
            need = gigabytes(count * dtype.itemsize)
            found = f"{need} more for neurons and synapses on cuda:{self.number}, which has {gigabytes(free)} free"
            raise ParameterError(
                f"{found} of {gigabytes(total)}", "use fewer synapses, another device, or device: cpu"
            ) from error

    def write(self, first: int, columns: Any, value_at: int) -> None:
        """Put the new events of a train where they belong; those that are on the device stay there."""
        place = {"time": first, "index": first, "value": value_at}
        if isinstance(columns, OnDeviceEvents) and columns.device == self.number and columns.has(value_at >= 0):
            with self._device, self._stream:
                self._stream.wait_event(columns.ready)
                for name, there in zip(place, columns.there, strict=True):
                    if there is not None and place[name] >= 0:
                        part = self._there[name][place[name] : place[name] + there.size]
                        part.data.copy_from_device_async(there.data, there.nbytes, self._stream)
            return
        t, index, value = columns if isinstance(columns, tuple) else columns.fetch()
        with self._device, self._stream:
            for name, column in zip(place, (t, index, 1.0 if value is None else value), strict=True):
                if place[name] >= 0:
                    there = self._there[name][place[name] : place[name] + len(t)]
                    there.set(self._staged(column, len(t), there.dtype), stream=self._stream)

    def _staged(self, column: Any, count: int, dtype: Any) -> Any:
        """A column in memory that the device reads by itself; free again after the launch."""
        size = -(-count * dtype.itemsize // 8)
        if self._used + size > self._stage.size:
            self._full.append(self._stage)  # the device may still read it
            self._stage, self._used = _pinned(self._cupy, 2 * size), 0
        staged = self._stage[self._used : self._used + size].view(dtype)[:count]
        self._used += size
        staged[:] = column
        return staged

    def take(self, first: int, end: int, value_at: int) -> OnDeviceEvents:
        """Events of the last window, in memory of their own, because the next launch moves them."""
        with self._device, self._stream:
            t, index = self._there["time"][first:end].copy(), self._there["index"][first:end].copy()
            value = None
            if value_at >= 0:  # rounded as spikes carry it
                value = self._there["value"][value_at : value_at + end - first].astype(np.float32).astype(np.float64)
            ready = self._cupy.cuda.Event(disable_timing=True)
            ready.record(self._stream)
        return OnDeviceEvents(self._cupy, self.number, (t, index, value), ready)


class OnDeviceEvents:
    """Events of one window that lie on a device, until somebody on the host looks.

    Attributes:
        device: which one.
        there: times, indices, and values or None, as CuPy's arrays.
        ready: the event after which they can be read there.
    """

    def __init__(self, cupy: Any, device: int, there: tuple[Any, Any, Any], ready: Any) -> None:
        self._cupy, self.device, self.there, self.ready = cupy, device, there, ready
        self._here: tuple[Any, Any, Any] | None = None

    def __len__(self) -> int:
        return int(self.there[0].size)

    def has(self, values: bool) -> bool:
        """Whether there is all that is asked for."""
        return self.there[2] is not None or not values

    def fetch(self) -> tuple[Any, Any, Any]:
        """The columns in the host's memory, copied once."""
        if self._here is None:
            with self._cupy.cuda.Device(self.device):
                self.ready.synchronize()
                t, index, value = self.there
                self._here = t.get(), index.get(), None if value is None else value.get().astype(np.float32)
        return self._here


def _pinned(cupy: Any, count: int) -> Any:
    """Room for `count` whole numbers that the device reads and writes by itself."""
    memory = cupy.cuda.alloc_pinned_memory(count * 8)
    return np.frombuffer(memory, np.int64, count)


def _function(text: str, number: int) -> Any:
    """The kernel of a text on a device."""
    import cupy

    with cupy.cuda.Device(number) as device:
        module = cupy.cuda.function.Module()
        module.load(binary(text, f"sm_{device.compute_capability}"))
        return module.get_function(KERNEL)


def binary(text: str, architecture: str) -> bytes:
    """What NVRTC makes of a text, from the user's cache folder where it is there. It takes neither a GPU nor a driver.

    Raises:
        ParameterError: NVRTC is not there, or does not know the architecture.
    """
    try:
        from cupy_backends.cuda.libs import nvrtc

        version = nvrtc.getVersion()
    except Exception as error:
        raise ParameterError(f"NVRTC, which compiles for the GPU, is not there: {error}", INSTALL) from error
    options = (f"--gpu-architecture={architecture}", *COMPILER_OPTIONS)
    key = hashlib.sha256("\0".join((repr(version), *options, text)).encode()).hexdigest()[:24]
    kept = cache_folder() / f"cuda_{key}.cubin"
    if kept.exists():
        return kept.read_bytes()
    with _lock:
        program = nvrtc.createProgram(text, "spikeflow.cu", (), ())
        try:
            nvrtc.compileProgram(program, options)
            made = bytes(nvrtc.getCUBIN(program))
        except nvrtc.NVRTCError as error:
            said = nvrtc.getProgramLog(program).strip().splitlines()
            why = said[0] if said else str(error)
            raise ParameterError(f"NVRTC does not compile for {architecture}: {why}", "use device: cpu") from error
        finally:
            nvrtc.destroyProgram(program)
    _keep(kept, made)
    return made


def _keep(path: Any, made: bytes) -> None:
    """Keep a file; several processes may, and where nothing can be written it is made anew each time."""
    temporary = path.with_name(f"{path.name}.{threading.get_ident()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(made)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
