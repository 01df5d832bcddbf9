"""`spikeflow doctor`: what this machine offers, and what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from spikeflow import __version__
from spikeflow.cli.saying import OK, guarded
from spikeflow.errors import ParameterError

if TYPE_CHECKING:
    from spikeflow.nodes.mqtt_addresses import MqttUrl

_PACKAGES = ("numpy", "pyarrow", "numba", "scipy", "pydantic", "aiomqtt", "orjson", "psutil", "rich", "typer")
_PATIENCE_S = 2.0
_MARKS = {"ok": "ok  ", "less": "–   ", "bad": "BAD "}


def print_findings(json: bool) -> int:
    """Print one line a finding; 1 where something that every graph needs is missing."""
    return guarded(lambda: _print(json), False)


def _print(json: bool) -> int:
    found = list(_findings())
    if json:
        sys.stdout.write(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        for one in found:
            print(f"{_MARKS[one['state']]}{one['what']:<10} {one['said']}")
    sys.stdout.flush()
    return OK if all(one["state"] != "bad" for one in found) else 1


def _finding(state: str, what: str, said: str) -> dict[str, Any]:
    return {"state": state, "what": what, "said": said}


def _findings() -> Iterator[dict[str, Any]]:
    build = f"{platform.python_implementation()} {platform.python_version()}, spikeflow {__version__}"
    yield _finding("ok" if sys.version_info >= (3, 11) else "bad", "python", f"{build}, {platform.platform()}")
    missing = [name for name in _PACKAGES if _release(name) is None]
    there = ", ".join(f"{name} {_release(name)}" for name in _PACKAGES if name not in missing)
    yield _finding("ok", "packages", there)
    for name in missing:
        essential = name != "numba"
        yield _finding("bad" if essential else "less", "packages", f"{name} is missing: pip install {name}")
    yield _processor()
    yield _numba()
    yield _clock()
    yield _loop()
    yield _gpu()
    yield _broker()
    yield _url()


def _release(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> dict[str, Any]:
    import psutil

    cores = len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else os.cpu_count()
    memory = psutil.virtual_memory()
    said = f"{cores} of {os.cpu_count()} cores, {memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free"
    return _finding("ok", "machine", f"{platform.machine()}, {said}")


def _numba() -> dict[str, Any]:
    """Whether a population runs on Numba, and whether its cache folder keeps what was compiled."""
    if importlib.util.find_spec("numba") is None:
        return _finding("less", "numba", "not installed: populations run on NumPy, more slowly")
    from spikeflow.kernels.machine_code import cache_folder

    folder = cache_folder()
    if not _writable(folder):
        return _finding("less", "numba", f"the cache folder {folder} cannot be written: each run compiles anew")
    took, hit = _compile_once()
    how = "from the cache" if hit else "compiled now; the next run takes it from the cache"
    return _finding("ok", "numba", f"a population is ready in {took:.2f} s, {how} ({folder})")


def _writable(folder: Path) -> bool:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK | os.X_OK)


def _compile_once() -> tuple[float, bool]:
    """Seconds until a population can step, and whether its loop came from the cache."""
    from spikeflow.kernels import Group, Network
    from spikeflow.kernels.models.lif import Lif

    before = _files()
    began = time.perf_counter()
    network = Network([Group("doctor", Lif(), 8)], [], [], dt=1e-3, seed=0, backend="numba")
    network.step(0, 1, {})
    return time.perf_counter() - began, _files() == before


def _files() -> set[Path]:
    from spikeflow.kernels.machine_code import cache_folder

    return set(cache_folder().glob("loop_*.o"))


def _clock() -> dict[str, Any]:
    import ctypes

    there = sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "timerfd_create")
    if there:
        return _finding("ok", "clock", "timerfd: windows close 10 to 50 µs late")
    return _finding("less", "clock", "no timerfd: windows close about 1 ms late")


def _loop() -> dict[str, Any]:
    release = _release("uvloop")
    if release is None:
        return _finding("less", "loop", "asyncio; uvloop is not installed")
    return _finding("ok", "loop", f"uvloop {release}")


def _gpu() -> dict[str, Any]:
    """Whether populations can be stepped on a GPU."""
    from spikeflow.kernels.cupy_backend import missing

    if (why := missing()) is not None:
        return _finding("less", "gpu", f"{why}: populations run on the CPU")
    import cupy

    count = cupy.cuda.runtime.getDeviceCount()
    free, total = cupy.cuda.Device(0).mem_info
    room = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
    last = f" to cuda:{count - 1}" if count > 1 else ""
    return _finding("ok", "gpu", f"cuda:0{last}, {room}: large populations run there, unless they say device: cpu")


def _broker() -> dict[str, Any]:
    release = _release("amqtt")
    if release is None:
        return _finding("less", "broker", "no embedded broker: pip install 'spikeflow[broker]', or set MQTT_URL")
    return _finding("ok", "broker", f"embedded: amqtt {release}")


def _url() -> dict[str, Any]:
    url = os.environ.get("MQTT_URL")
    if not url:
        return _finding("less", "mqtt", "MQTT_URL is not set")
    from spikeflow.nodes.mqtt_addresses import brokers

    try:
        found = brokers(url)
    except ParameterError as error:
        return _finding("bad", "mqtt", f"MQTT_URL: {error}")
    silent = [(broker, why) for broker in found if (why := _silence(broker)) is not None]
    if not silent:
        return _finding("ok", "mqtt", f"something listens at {', '.join(map(str, found))}")
    said = "; ".join(f"nothing answers at {broker}: {why}" for broker, why in silent)
    return _finding("bad" if len(silent) == len(found) else "less", "mqtt", said)


def _silence(broker: MqttUrl) -> str | None:
    """Why nothing listens at an address; None where something does, or where the broker is in the process."""
    if broker.embedded:
        return None
    try:
        with socket.create_connection((broker.host, broker.port), timeout=_PATIENCE_S):
            return None
    except OSError as error:
        return str(error)
