"""The compiled loop is kept: a second process finds it, and an edited equation is never served an old one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeflow.kernels import Group, Network, NeuronModel, backends, vocabulary
from spikeflow.kernels.model import Form, form
from spikeflow.kernels.vocabulary import where

pytest.importorskip("numba")

from spikeflow.kernels import numba_backend

SCRIPT = """
from numba.core import event
made = event.RecordingListener()
event.register("numba:run_pass", made)
from spikeflow.kernels import Events, Group, Network
from spikeflow.kernels import numba_backend
import spikeflow.kernels.models.li as li
net = Network([Group("n", li.Li(), 10)], [], [], dt=1e-3, backend="numba")
net.step(0, 20, {})
loop, group, equations = numba_backend._loaded.values()
hits = [sum(loop.run.stats.cache_hits.values()), group.tick.cache_hits, equations.sweep.cache_hits]
print(sum(hits), len(made.buffer), *(module.__file__ for module in numba_backend._loaded.values()))
"""


def in_a_process(cache: Path) -> list[str]:
    environment = {**os.environ, "SPIKEFLOW_CACHE": str(cache), "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, env=environment, timeout=100
    )
    return done.stdout.split()


def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    first, second = in_a_process(tmp_path), in_a_process(tmp_path)
    assert first[0] == "0" and int(first[1]) > 1
    assert second[:2] == ["3", "0"]
    assert first[2:] == second[2:]


def never_held(free: Any, held: Any, moved: Any) -> Any:
    return where(free, moved, moved)


def never_flushed(x: Any, tiny: Any, zero: Any) -> Any:
    return where(x == tiny, zero, x)


def of(model: NeuronModel, dt: float = 1e-3) -> Form:
    return form(model, dt)[0]


def test_an_edited_equation_or_helper_has_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEFLOW_CACHE", str(tmp_path))
    from spikeflow.kernels.models.lif import Lif

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
    assert len({numba_backend.named(text) for text in texts}) == 9


def test_the_values_of_parameters_share_one_file() -> None:
    from spikeflow.kernels.models.lif import Lif

    per_neuron = Lif(tau_mem=np.full(10, 0.02))
    assert numba_backend.text(of(Lif()), "float32") == numba_backend.text(of(Lif(tau_mem=0.02), 1e-4), "float32")
    assert numba_backend.text(of(Lif()), "float32") != numba_backend.text(of(per_neuron), "float32")


def test_the_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SPIKEFLOW_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert numba_backend.cache_folder() == tmp_path / "spikeflow"
    monkeypatch.setenv("SPIKEFLOW_CACHE", str(tmp_path / "here"))
    assert numba_backend.cache_folder() == tmp_path / "here"


def test_a_folder_that_cannot_be_written_is_no_obstacle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("SPIKEFLOW_CACHE", str(blocked))
    path = numba_backend._written("loop_test", "x = 1\n")
    assert path.read_text() == "x = 1\n" and blocked not in path.parents


def test_the_folder_that_takes_its_place_goes_with_the_process(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    (tmp_path / "run.py").write_text(
        "import spikeflow, sys\n"
        "spikeflow.simulate('lif', [[100.0]] * 3)\n"
        "from spikeflow.kernels import numba_backend\n"
        "print(numba_backend._scratch().name)\n"
    )
    environment = {**os.environ, "SPIKEFLOW_CACHE": str(blocked), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(tmp_path / "run.py")], env=environment, capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()).parent == tmp_path
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "run.py"]


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "loop.py"
    numba_backend._write(path, "first\n")
    stamp = path.stat().st_mtime_ns
    numba_backend._write(path, "first\n")
    assert path.stat().st_mtime_ns == stamp
    assert [entry.name for entry in tmp_path.iterdir()] == ["loop.py"]


def test_without_numba_everything_runs_on_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    from spikeflow.kernels.models.lif import Lif

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert backends()[0] == "numpy"
    net = Network([Group("n", Lif(v_leak=2.0), 3)], [], [], dt=1e-3)
    assert net.backend == "numpy"
    assert np.unique(net.step(0, 50, {})["n"].neuron).tolist() == [0, 1, 2]
