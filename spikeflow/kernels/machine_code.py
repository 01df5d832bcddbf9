"""Machine code of generated source: Numba compiles it once, a file keeps it, and LLVM alone loads it.

A loop that closes over `update` is never cached by Numba, and one that imports it would serve the old equation after an
edit. So a source holds everything, equations included, and what is kept is named by a hash of its text and of all that
compiles it. Where it is kept already, Numba need not even be imported, which takes longer than all the rest of a start.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib
import importlib.metadata
import json
import os
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, NamedTuple

_MAGIC = b"spikeflow object code 1"
_RAISING = {
    "numba_do_raise",
    "numba_gil_ensure",
    "numba_gil_release",
    "numba_runtime_build_excinfo_struct",
    "numba_unpickle",
}
"""What a function that Numba made calls where something was raised, which nothing of ours does."""

_lock = threading.Lock()
_known: dict[str, int] = {}


class Kept(NamedTuple):
    """What a file keeps: the name of the function, the names of what it calls outside, and its object code."""

    symbol: str
    calls: list[str]
    code: bytes

    def write(self, path: Path) -> None:
        """Keep it; several processes may do so at once, and where none can, each compiles anew."""
        body = json.dumps([self.symbol, self.calls]).encode() + b"\n" + self.code
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
        except OSError:
            return
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(b"\n".join((_MAGIC, _digest(body), body)))
            Path(temporary).replace(path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)

    @classmethod
    def read(cls, path: Path) -> Kept | None:
        """What is there, if it is whole: LLVM would end the process where it is not."""
        try:
            magic, digest, body = path.read_bytes().split(b"\n", 2)
        except (OSError, ValueError):
            return None
        if magic != _MAGIC or digest != _digest(body):
            return None
        head, _, code = body.partition(b"\n")
        symbol, calls = json.loads(head)
        return cls(symbol, calls, code)


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


def address(source: str, function: str) -> int:
    """Where the machine code is of a function that a source defines with `cfunc`; it stays for the whole process."""
    name = named(source)
    with _lock:
        found = _known.get(name)
        if found is None:
            found = _known[name] = _loaded(name, source, function)
        return found


def _loaded(name: str, source: str, function: str) -> int:
    path = cache_folder() / f"{name}.o"
    kept = Kept.read(path)
    if kept is None:
        kept = _compiled(name, source, function)
        kept.write(path)
    return _linked(kept)


def named(source: str) -> str:
    """The name of what is kept of a source: it changes with the text and with everything that compiles it."""
    return "loop_" + hashlib.sha256("\n".join((*_made_by(), source)).encode()).hexdigest()[:24]


@functools.cache
def _made_by() -> tuple[str, ...]:
    import llvmlite.binding as llvm

    versions = [importlib.metadata.version(package) for package in ("numba", "llvmlite", "numpy")]
    return *versions, sys.version, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def _compiled(name: str, source: str, function: str) -> Kept:
    scope: dict[str, Any] = {"__name__": name}  # Numba's symbols begin with it
    exec(compile(source, f"<{name}>", "exec"), scope)
    made = scope[function]
    _, _, (code, _) = made._library.serialize_using_object_code()  # as Numba's own cache does
    calls = [one.name for one in made._library._final_module.functions if one.is_declaration]
    return Kept(made._wrapper_name, [name for name in calls if not name.startswith("llvm.")], code)


@functools.cache
def _linker() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)


def _linked(kept: Kept) -> int:
    import llvmlite.binding as llvm

    engine = _linker()
    if any(name not in _RAISING and llvm.address_of_symbol(name) is None for name in kept.calls):
        _ = importlib.import_module("numba.core.registry").cpu_target.target_context  # making it brings them
    nowhere = ctypes.cast(ctypes.CDLL(None).abort, ctypes.c_void_p).value
    for name in kept.calls:
        if name in _RAISING and llvm.address_of_symbol(name) is None:
            llvm.add_symbol(name, nowhere)  # LLVM wants an address; should Numba come, it puts its own in its place
    engine.add_object_file(llvm.ObjectFileRef.from_data(kept.code))
    engine.finalize_object()
    found: int = engine.get_function_address(kept.symbol)
    return found


def cache_folder() -> Path:
    """Where compiled loops are kept: $SPIKEFLOW_CACHE, else spikeflow in $XDG_CACHE_HOME or ~/.cache."""
    if chosen := os.environ.get("SPIKEFLOW_CACHE"):
        return Path(chosen)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "spikeflow"
