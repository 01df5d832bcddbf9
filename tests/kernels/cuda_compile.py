"""CUDA text through a real compiler: nvcc, or NVRTC from pip, which needs no GPU and no driver either."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import shutil
import subprocess
import tempfile
from pathlib import Path

from spikeflow.kernels.cuda_source import COMPILER_OPTIONS

from .cuda_host import folder

NVCC = shutil.which("nvcc")


class CompileError(AssertionError):
    """What a compiler said of a text that it does not take."""


@functools.cache
def nvrtc() -> ctypes.CDLL | None:
    """The library of the pip package `nvidia-cuda-nvrtc`, if it is installed."""
    spec = importlib.util.find_spec("nvidia")
    for place in spec.submodule_search_locations or () if spec else ():
        for library in sorted(Path(place).glob("**/libnvrtc.so*")):
            for part in sorted(library.parent.glob("libnvrtc-builtins.so*")):
                ctypes.CDLL(str(part))  # NVRTC asks for it by name alone, which finds what is loaded already
            return ctypes.CDLL(str(library))
    return None


def by_nvcc(text: str, *options: str) -> str:
    """What nvcc makes of `text`: PTX with ``"-ptx"`` among the options, else nothing but its consent.

    Raises:
        CompileError: nvcc does not take it.
    """
    key = hashlib.sha256("\0".join((text, NVCC or "", *options)).encode()).hexdigest()[:24]
    kept = folder() / f"{key}.nvcc"
    if kept.exists():
        return kept.read_text()
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "kernel.cu").write_text(text)
        command = [NVCC or "nvcc", "--Werror", "all-warnings", *options, "kernel.cu", "-o", "kernel.out"]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CompileError(done.stdout + done.stderr)
        made = (Path(place) / "kernel.out").read_text() if "-ptx" in options else ""
    kept.write_text(made)
    return made


def by_nvrtc(text: str, architecture: str) -> int:
    """The size in bytes of the code that NVRTC makes of `text`.

    Raises:
        CompileError: NVRTC does not take it.
    """
    library = nvrtc()
    assert library is not None
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernel.cu", 0, None, None)
    options = [f"--gpu-architecture={architecture}".encode(), *(option.encode() for option in COMPILER_OPTIONS)]
    status = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    if status:
        library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        library.nvrtcGetProgramLog(program, log)
        raise CompileError(log.value.decode())
    library.nvrtcGetCUBINSize(program, ctypes.byref(size))
    library.nvrtcDestroyProgram(ctypes.byref(program))
    return size.value
