"""`spikeflow top`: shows a run that is on, does what keys say, and leaves the run and the terminal as they were."""

from __future__ import annotations

import json
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
