"""`spikeflow top`: shows a run that is on, does what keys say, and leaves the run and the terminal as they were."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import Running
from tests.runtime.looking import own_folder
from tests.terminals import Terminal

GRAPH = """
spikeflow: 1
nodes:
  noise: {source: synthetic, signal: poisson, size: 8, rate: 50 Hz}
  hidden: {neuron: lif, size: 30, inputs: [{from: noise, weights: 2.0}]}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("top")
    (folder / "one.yaml").write_text(GRAPH)
    with own_folder(), Running(folder, "one.yaml", "--json") as found:
        found.shows(lambda nodes: nodes["hidden"]["events_out"] > 0)
        yield found


def test_once_in_json_is_the_figures_of_a_second(run: Running) -> None:
    command = [sys.executable, "-m", "spikeflow", "top", "--once", "--json"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)
    assert (found["graph"], found["run"]) == ("one", str(run.process.pid))
    assert found["nodes"]["noise"]["out_per_s"] == pytest.approx(400, rel=0.5)
    assert found["nodes"]["hidden"]["windows"] > 0


def test_once_is_a_table_for_people(run: Running) -> None:
    command = [sys.executable, "-m", "spikeflow", "top", "one", "--once"]
    said = subprocess.run(command, check=True, capture_output=True, timeout=60, text=True).stdout
    assert "neuron lif" in said
    assert "p99" in said


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 60)])
def test_the_view_fills_a_terminal_of_any_size_and_keys_choose_and_leave(run: Running, width: int, height: int) -> None:
    with Terminal(("-m", "spikeflow", "top"), width=width, height=height) as terminal:
        terminal.until("hidden · 30 neurons")
        terminal.type("n")
        terminal.until("noise · 8 neurons")
        terminal.type("q")
        assert terminal.end() == 0
        assert "left; the run goes on" in terminal.seen
        assert terminal.seen.rindex("\x1b[?1049l") > terminal.seen.rindex("\x1b[?1049h")
    assert run.process.poll() is None


def test_a_node_without_spikes_is_refused_with_those_that_have_some(run: Running) -> None:
    with Terminal(("-m", "spikeflow", "top", "--view", "hiden")) as terminal:
        assert terminal.end() == 2
        assert "did you mean 'hidden'?" in terminal.text


def test_without_textual_it_says_what_to_install(run: Running, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['textual'] = None\n")
    with Terminal(("-m", "spikeflow", "top"), PYTHONPATH=str(tmp_path)) as terminal:
        assert terminal.end() == 2
        assert "error: top needs textual — pip install 'spikeflow[monitor]', or say --once" in terminal.text
    command = [sys.executable, "-m", "spikeflow", "top", "--once"]
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    assert subprocess.run(command, check=False, capture_output=True, timeout=60, env=env).returncode == 0


def test_neither_run_nor_the_process_that_draws_imports_textual() -> None:
    modules = "spikeflow.cli.running, spikeflow.cli.watching, spikeflow.monitor.feed, spikeflow.monitor.terminal"
    found = f"import sys, {modules}; print('textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", found], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_run_that_ends_ends_the_view(tmp_path: Path) -> None:
    (tmp_path / "short.yaml").write_text(GRAPH)
    with own_folder(), Running(tmp_path, "short.yaml", "--json") as short:
        short.shows(lambda nodes: nodes["hidden"]["events_out"] > 0)
        with Terminal(("-m", "spikeflow", "top")) as terminal:
            terminal.until("hidden · 30 neurons")
            short.process.send_signal(signal.SIGINT)
            assert terminal.end() == 0
            assert "short: the run has ended" in terminal.text
