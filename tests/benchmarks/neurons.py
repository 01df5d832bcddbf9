"""Neurons against the clock: the four workloads of `neuron_peers` and what a running graph adds, each with its goal.

Every case runs in a process of its own. With SPIKEFLOW_REWRITE=1 the results are kept and `docs/benchmarks.md` is
written anew; with SPIKEFLOW_PEERS=FOLDER the peers whose environments are in that folder run, too. A part of the rows:
`python -m tests.benchmarks.neurons --only kernels.w1 …`; it is printed, never kept.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks import page
from tests.benchmarks.bandwidth import BYTES, PLACES
from tests.benchmarks.machine import machine
from tests.benchmarks.neuron_peers import quiet
from tests.benchmarks.neuron_peers.quiet import pace_us, quietly
from tests.benchmarks.results import NEURONS, PEERS, read, write
from tests.benchmarks.rows import ROWS, Row, measure

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
ENVIRONMENTS = ("numpy", "torch", "jax", "brian2", "nest", "nengo")
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def main(only: Sequence[str] = ()) -> None:
    """Measure all rows, or those whose key has one of `only` in it, and print the table."""
    lines = lines_of([row for row in ROWS if not only or any(part in row.key for part in only)])
    folder = os.environ.get("SPIKEFLOW_PEERS")
    if folder and not only:
        run_peers(Path(folder))
    if os.environ.get("SPIKEFLOW_REWRITE") and not only:
        write(NEURONS, lines)
        page.write()
    print(page.limits_table(lines))
    print(page.table(lines, read(PEERS)))


def lines_of(rows: list[Row]) -> list[dict[str, Any]]:
    """The machine, its bandwidths, and a line for each row."""
    lines: list[dict[str, Any]] = [{"kind": "machine", **machine()}]
    for place in PLACES:
        speeds = apart("bandwidth", place)
        for name in BYTES:
            lines.append({"kind": "bandwidth", "place": place, "of": name, **speeds[name], **_noise(speeds)})
    known: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        if row.job not in known:
            known[row.job] = apart("neurons", row.case, repr(dict(row.arguments)))
            print(f"{row.key}: {known[row.job]}", file=sys.stderr, flush=True)
        found = known[row.job]
        lines.append({"kind": "row", "key": row.key, **found[row.metric], **_noise(found)})
    return lines


def _noise(found: dict[str, Any]) -> dict[str, Any]:
    return {"others": found["others"], "slower": found["slower"]}


def apart(module: str, *arguments: str) -> dict[str, Any]:
    """What a benchmark module prints last, from a process of its own.

    With it, `others`: cores that were used by others, and `slower`: how much slower than at its best the core was,
    where the module says its pace.
    """
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments]
    quiet.slower(quiet.pace_us())
    environment = {**os.environ, **_ONE_THREAD, "SPIKEFLOW_PACE_US": str(quiet.best_us)}

    def run() -> str:
        return subprocess.run(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=900
        ).stdout

    def read(said: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(said.splitlines()[-1])
        return found

    said, others, slower = quietly(run, lambda said: read(said).get("pace_us"))
    found = read(said)
    found.pop("pace_us", None)
    return {**found, "others": others, "slower": slower}


def run_peers(folder: Path) -> None:
    """Run the peers of which there is an environment in `folder`, `venv-torch` and so on; the NumPy one has Nengo's."""
    PEERS.unlink(missing_ok=True)
    command = [sys.executable, str(HERE / "neuron_peers" / "run.py"), "--threads", "1", "--out"]
    command.append(str(PEERS.with_suffix("")))
    for name in ENVIRONMENTS:
        python = folder / f"venv-{'nengo' if name == 'numpy' else name}" / "bin" / "python"
        if python.exists():
            command += ["--python", f"{name}={python}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--only"]:
        main(sys.argv[2:])
        sys.exit()
    measured = measure(sys.argv[1], ast.literal_eval(sys.argv[2]))
    print(json.dumps({metric: figure.as_dict() for metric, figure in measured.items()} | {"pace_us": pace_us()}))
