"""A node of one's own: ten lines, used by its path or by its name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

OWN = '''
from spikeflow import Encoder, columns, spike_batch


class Above(Encoder):
    """A spike for every sample above `level`."""

    level: float = 0.5

    def encode(self, samples):
        t_ns, channel, value = columns(samples)
        return spike_batch(t_ns[value > self.level], channel[value > self.level])
'''

GRAPH = """
spikeflow: 1
nodes:
  wave: {{source: synthetic, signal: pulse, frequency: 10 Hz, rate: 100 Hz, length: 200 ms}}
  above: {{encoder: {kind}, input: wave, level: 0.9}}
  tape: {{sink: file, input: above, path: above.csv}}
"""


def run_graph(folder: Path, kind: str) -> subprocess.CompletedProcess[str]:
    (folder / "mine.yaml").write_text(GRAPH.format(kind=kind))
    return subprocess.run(
        [sys.executable, "-c", "import sys; sys.path.append('there'); from spikeflow.cli import main; main()",
         "run", "mine.yaml"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def spikes_of(folder: Path) -> list[int]:
    """Ticks of the spikes that the graph wrote."""
    rows = (folder / "above.csv").read_text().splitlines()[1:]
    return [int(row.split(",")[0].split(".")[1][:3]) for row in rows if row.endswith(",0")]


PULSES = [0, 10, 20, 30, 40, 100, 110, 120, 130, 140]


def test_a_node_of_ones_own_takes_ten_lines_and_is_used_by_its_path(tmp_path: Path) -> None:
    assert len([line for line in OWN.splitlines() if line.strip()]) <= 10
    (tmp_path / "my_module.py").write_text(OWN)
    done = run_graph(tmp_path, '"my_module:Above"')
    assert done.returncode == 0, done.stderr
    assert spikes_of(tmp_path) == PULSES


def test_a_node_of_an_installed_package_is_used_by_its_name(tmp_path: Path) -> None:
    site = tmp_path / "there"
    (site / "above_all-1.0.dist-info").mkdir(parents=True)
    (site / "above_all.py").write_text(OWN)
    (site / "above_all-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: above-all\nVersion: 1.0\n")
    entries = "[spikeflow.nodes]\nabove_all = above_all:Above\n"
    (site / "above_all-1.0.dist-info" / "entry_points.txt").write_text(entries)
    done = run_graph(tmp_path, "above_all")
    assert done.returncode == 0, done.stderr
    assert spikes_of(tmp_path) == PULSES
    (tmp_path / "above.csv").unlink()
    assert "did you mean 'above_all'?" in run_graph(tmp_path, "above_al").stderr
