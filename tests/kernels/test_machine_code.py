"""Machine code is kept: a second process needs no compiler, and an edited equation is never served an old one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeflow.kernels import Group, Network, NeuronModel, backends, machine_code, numba_backend, vocabulary
from spikeflow.kernels.machine_code import Kept
from spikeflow.kernels.model import Form, form
from spikeflow.kernels.models.lif import Lif
from spikeflow.kernels.vocabulary import where

pytest.importorskip("numba")

MODEL = """
import sys
from spikeflow.kernels import Group, Network
from spikeflow.kernels.models.lif_ex import LifEx
net = Network([Group("n", LifEx(v_leak=2.0), 10)], [], [], dt=1e-3, backend="numba")
print(net.step(0, 100, {})["n"].neuron.size, "numba" in sys.modules)
"""
"""Its exponential comes from the C library."""

SOURCE = """
import math
from numba import cfunc

@cfunc("float64(float64)", error_model="numpy", _nrt=False)
def grown(x):
    return 2.0 * math.exp(x)
"""
CALLS = f"""
import ctypes, sys
from spikeflow.kernels.machine_code import address
print(ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(address({SOURCE!r}, "grown"))(0.0), "numba" in sys.modules)
"""
RAISES = f"""{CALLS}
import numba

@numba.njit
def refuse(x):
    if x > 1:
        raise ValueError("too much")
    return x

try:
    refuse(2)
except ValueError as error:
    print(error)
"""


def in_a_process(script: str, cache: Path, **environment: str) -> str:
    usual = {**os.environ, "SPIKEFLOW_CACHE": str(cache), "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=usual, check=False, timeout=100
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_second_process_needs_no_compiler(tmp_path: Path) -> None:
    spikes, compiled = in_a_process(MODEL, tmp_path).split()
    assert int(spikes) > 10 and compiled == "True"
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(kept) == 3 and all(name.startswith("loop_") and name.endswith(".o") for name in kept)
    assert in_a_process(MODEL, tmp_path) == f"{spikes} False"
    assert kept == {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}


def test_what_is_damaged_is_made_anew(tmp_path: Path) -> None:
    assert in_a_process(CALLS, tmp_path) == "2.0 True"
    [path] = tmp_path.iterdir()
    whole, code = Kept.read(path), path.read_bytes()
    assert whole is not None
    for damaged in (
        b"",
        code.replace(b"code 1", b"code 0"),
        code[:300] + bytes([code[300] ^ 1]) + code[301:],
        code[:-100],
    ):
        path.write_bytes(damaged)
        assert Kept.read(path) is None
    assert in_a_process(CALLS, tmp_path) == "2.0 True"
    again = Kept.read(path)
    assert again is not None and again[:2] == whole[:2]


def test_code_that_calls_what_numba_brings_brings_numba(tmp_path: Path) -> None:
    in_a_process(CALLS, tmp_path)
    [path] = tmp_path.iterdir()
    kept = Kept.read(path)
    assert kept is not None
    kept._replace(calls=[*kept.calls, "numba_cpow"]).write(path)
    assert in_a_process(CALLS, tmp_path) == "2.0 True"


def test_numba_that_comes_later_still_raises(tmp_path: Path) -> None:
    in_a_process(CALLS, tmp_path)
    assert in_a_process(RAISES, tmp_path) == "2.0 False\ntoo much"


def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    blocked, left = tmp_path / "file", tmp_path / "left"
    blocked.write_text("not a folder")
    left.mkdir()
    assert in_a_process(CALLS, blocked, TMPDIR=str(left)) == "2.0 True"
    assert blocked.read_text() == "not a folder" and not list(left.iterdir())


def test_a_disk_that_is_full_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    Kept("f", [], b"code").write(tmp_path / "loop.o")
    assert not list(tmp_path.iterdir())


def never_held(free: Any, held: Any, moved: Any) -> Any:
    return where(free, moved, moved)


def never_flushed(x: Any, tiny: Any, zero: Any) -> Any:
    return where(x == tiny, zero, x)


def of(model: NeuronModel, dt: float = 1e-3) -> Form:
    return form(model, dt)[0]


def test_an_edited_equation_or_helper_has_a_file_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {numba_backend.text(of(Lif()), "float32"), numba_backend.text(of(Lif(reset_by="subtract")), "float32")}
    texts.add(numba_backend.text(of(Lif()), "float64"))
    assert len(texts) == 3
    texts |= {numba_backend.text(of(Lif(refractory=2)), "float32"), numba_backend.group_text("float32")}
    assert len(texts) == 5
    monkeypatch.setattr(vocabulary, "flush", never_flushed)
    monkeypatch.setattr(vocabulary, "hold", never_held)
    texts |= {numba_backend.text(of(Lif(refractory=2)), "float32"), numba_backend.group_text("float32")}
    assert len(texts) == 7
    monkeypatch.setattr(numba_backend, "_codes", lambda: "# other columns")
    texts |= {numba_backend.loop_text(), numba_backend.group_text("float32")}
    assert len({machine_code.named(text) for text in texts}) == 9


def test_another_processor_has_a_file_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    here = machine_code.named("text")
    made_by = machine_code._made_by()
    monkeypatch.setattr(machine_code, "_made_by", lambda: (*made_by[:-1], "-avx2"))
    assert machine_code.named("text") != here


def test_the_values_of_parameters_share_one_file() -> None:
    per_neuron = Lif(tau_mem=np.full(10, 0.02))
    assert numba_backend.text(of(Lif()), "float32") == numba_backend.text(of(Lif(tau_mem=0.02), 1e-4), "float32")
    assert numba_backend.text(of(Lif()), "float32") != numba_backend.text(of(per_neuron), "float32")


def test_the_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SPIKEFLOW_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert machine_code.cache_folder() == tmp_path / "spikeflow"
    monkeypatch.setenv("SPIKEFLOW_CACHE", str(tmp_path / "here"))
    assert machine_code.cache_folder() == tmp_path / "here"


def test_without_numba_everything_runs_on_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert backends()[0] == "numpy"
    net = Network([Group("n", Lif(v_leak=2.0), 3)], [], [], dt=1e-3)
    assert net.backend == "numpy"
    assert np.unique(net.step(0, 50, {})["n"].neuron).tolist() == [0, 1, 2]
