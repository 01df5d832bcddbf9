"""File to file: every neuron's case of the released package through `spikeflow run`, spike for spike."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spikeflow.kernels import backends
from spikeflow.kernels.parameters import Time
from spikeflow.nodes.stepped import BACKEND
from tests.kernels.golden import REFERENCES, Case, Expected, cases

Array = npt.NDArray[Any]

pytestmark = pytest.mark.timeout(600)  # the first run on a machine compiles every model

IS_TIME = get_args(Time)[1]
ORIGIN_NS = 1_700_000_000_000_000_000

KERNEL_ONLY: dict[tuple[str, str], str] = {}
"""Cases that no stream can say, with the reason; `tests/kernels/test_golden.py` runs them."""


def names() -> list[tuple[str, str]]:
    """Every (file, case) that a graph can run."""
    return [case for case in cases() if case not in KERNEL_ONLY]


def expected(file: str, name: str) -> Expected:
    """What the ports of a case's node must carry."""
    case = Case(file, name)
    return case.expected(case.model_class.state)


def dt_ns(file: str, name: str) -> int:
    return int(np.rint(Case(file, name).meta["dt"] * 1e9))


def node_name(file: str, case: str) -> str:
    return re.sub(r"\W", "_", f"{file}_{case}").lower()


def write_fields(case: Case, name: str, folder: Path) -> list[str]:
    """The parameters, options and initial values of a case as lines of its node; those of each neuron in files."""
    lines = []
    for key, value in case.fields().items():
        if isinstance(value, np.ndarray):
            np.save(folder / f"{name}.{key}.npy", value)
            lines.append(f"    {key}: {name}.{key}.npy")
        elif isinstance(value, str):
            lines.append(f"    {key}: {value}")
        else:
            is_time = IS_TIME in case.model_class.model_fields[key].metadata
            lines.append(f"    {key}: {value!r}" + " s" * is_time)
    if initial := case.initial():
        for key, begun in initial.items():
            np.save(folder / f"{name}.init_{key}.npy", begun)
        lines.append(f"    initial: {{{', '.join(f'{key}: {name}.init_{key}.npy' for key in initial)}}}")
    return lines


def write_case(case: Case, name: str, folder: Path, left_out: int = 0) -> str:
    """The files of a case, and its two nodes in a graph file: what goes in, less its first events, and the neurons."""
    x = case["input"]
    weighted = case.get("w_in") is not None
    tick, index = np.nonzero(x) if weighted else np.nonzero(np.ones_like(x))
    tick, index = tick[left_out:], index[left_out:]
    t = pa.array(ORIGIN_NS + tick * round(case.meta["dt"] * 1e9)).cast(pa.timestamp("ns", "UTC"))
    columns: dict[str, Any] = {"t": t, "neuron" if weighted else "channel": index.astype(np.uint32)}
    if not weighted:
        columns["value"] = x[tick, index].astype(case.precision)
    pq.write_table(pa.table(columns).replace_schema_metadata({"origin": str(ORIGIN_NS)}), folder / f"{name}.parquet")
    lines = [
        f"  in_{name}:",
        "    source: file",
        f"    path: {name}.parquet",
        f"    size: {x.shape[1]}",
        f"    length: {len(x) * case.meta['dt'] * 1e3:g} ms",
        f"  {name}:",
        f"    neuron: {case.reference.kind}",
        f"    size: {case.size}",
        f"    precision: {case.precision}",
        *write_fields(case, name, folder),
        "    inputs:",
    ]
    for key, source in (("w_in", f"in_{name}"), ("w_rec", name)):
        for receptor, weights in case.weights(key):
            to = f"to: {receptor}, " if receptor else ""
            if isinstance(weights, float):
                lines.append(f"      - {{from: {source}, {to}connect: one_to_one, weights: {weights}}}")
            else:
                path = f"{name}.{key}.{receptor or 'first'}.npy"
                np.save(folder / path, weights)
                lines.append(f"      - {{from: {source}, {to}weights: {path}}}")
    return "\n".join(lines)


def outlets(case: Case, name: str) -> list[str]:
    """What is written down of a case: its spikes, and the states that are stored."""
    wanted = case.expected(case.model_class.state)
    return [name] * (wanted.spikes is not None) + [f"{name}.{state}" for state in wanted.states]


def run(folder: Path, which: list[tuple[str, str]], backend: str, window: str, left_out: int = 0) -> None:
    """`spikeflow run` on graphs of all cases, one graph for each length of tick; `out` holds what they wrote."""
    by_dt: dict[float, list[Case]] = {}
    for file, name in which:
        case = Case(file, name)
        by_dt.setdefault(case.meta["dt"], []).append(case)
    for dt, alike in by_dt.items():
        own = {node_name(case.file, case.name): case for case in alike}
        assert len(own) == len(alike)
        taped = ", ".join(outlet for name, case in own.items() for outlet in outlets(case, name))
        text = "\n".join([
            "spikeflow: 1",
            f"time: {{dt: {dt * 1e3:g} ms, window: {round(float(window) * dt * 1e9)} ns}}",
            "nodes:",
            *(write_case(case, name, folder, left_out) for name, case in own.items()),
            "  tape:",
            "    sink: file",
            f"    input: [{taped}]",
            "    path: out",
        ])  # fmt: skip
        graph = folder / f"ticks_of_{dt * 1e6:g}_us.yaml"
        graph.write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "spikeflow", "run", str(graph), "--connect-timeout", "300s"],
            capture_output=True, text=True, check=False, env=os.environ | {BACKEND: backend},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + text


def differences(folder: Path, name: str, expected: Expected, dt_ns: int) -> list[str]:
    """What a run wrote for a case that is not what the released package gave."""
    found, spikes, states = [], [], {}
    if expected.spikes is not None:
        columns = read(folder / f"{name}.arrow")
        tick, rest = np.divmod(columns["t"] - ORIGIN_NS, dt_ns)
        if rest.any():
            found.append("a spike is not at the start of its tick")
        spikes = list(zip(tick.tolist(), columns["neuron"].tolist(), strict=True))
    for key, wanted in expected.states.items():
        columns = read(folder / f"{name}.{key}.arrow")
        at = np.arange(expected.ticks * wanted.shape[1])
        tick, neuron = np.divmod(at, wanted.shape[1])
        assert np.array_equal(columns["t"], ORIGIN_NS + tick * dt_ns), f"{key} is not there once a tick and neuron"
        assert np.array_equal(columns["channel"], neuron), f"{key} is not there once a tick and neuron"
        states[key] = columns["value"].reshape(expected.ticks, wanted.shape[1])
    return found + expected.differences(spikes, states)


def read(path: Path) -> dict[str, Array]:
    """The columns of an Arrow file, read without any of our own code."""
    with pa.ipc.open_file(path) as file:
        table = file.read_all()
    return {name: table[name].to_numpy() if name != "t" else table[name].cast(pa.int64()).to_numpy()
            for name in table.column_names}  # fmt: skip


SETTINGS = [pair for pair in (("numba", "10"), ("numpy", "7")) if pair[0] in backends()]
"""Backends, each with the ticks of a window."""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(pair, marks=[pytest.mark.slow] * (pair != SETTINGS[0]), id=" ".join(pair)) for pair in SETTINGS
    ],
)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `spikeflow run` wrote for all cases."""
    folder = tmp_path_factory.mktemp("golden")
    run(folder, names(), *request.param)
    return folder / "out"


@pytest.mark.parametrize(("file", "name"), names())
def test_spikes_are_exact_and_states_within_their_tolerance(written: Path, file: str, name: str) -> None:
    assert differences(written, node_name(file, name), expected(file, name), dt_ns(file, name)) == []


def test_the_cases_are_those_that_are_asked_for() -> None:
    assert {file for file, _ in names()} == {one.file for one in REFERENCES}
    assert set(KERNEL_ONLY) <= set(cases()) and all(KERNEL_ONLY.values())
    found = [f"{file} {name}" for file, name in names()]
    for part in ("_f32", "custom", "per_neuron", "rec_", "integral_ff", "integral_rec", "sparse_ff", "sparse_rec"):
        assert any(part in one for one in found)
    assert sum(int(spikes.sum()) for pair in names() if (spikes := expected(*pair).spikes) is not None) > 12_000


A_FEW = [
    ("lif", "rec_default_f64"), ("lif", "integral_rec_f64"), ("lif_box", "default_f32"), ("lif_adex", "custom_f64"),
    ("lsnn", "ada_lif_custom_f64"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "name"), A_FEW)
def test_one_spike_or_state_that_is_off_is_noticed(written: Path, file: str, name: str) -> None:
    given, node, tick_ns = expected(file, name), node_name(file, name), dt_ns(file, name)
    assert given.spikes is not None
    tick, neuron = (int(k[len(k) // 2]) for k in np.nonzero(given.spikes))
    removed = given.spikes.copy()
    removed[tick, neuron] = 0
    assert differences(written, node, replace(given, spikes=removed), tick_ns)[0].startswith("1 spikes too many")
    added = given.spikes.copy()
    added[np.nonzero(added == 0)[0][0], np.nonzero(added == 0)[1][0]] = 1
    assert "1 too few" in differences(written, node, replace(given, spikes=added), tick_ns)[0]
    shifted = np.roll(removed, 1, axis=1)
    assert differences(written, node, replace(given, spikes=shifted), tick_ns) != []
    for key, states in given.states.items():
        moved = states.copy()
        moved[-1, 0] += 3 * (given.within[0] + given.within[1] * abs(moved[-1, 0]))
        [found] = differences(written, node, replace(given, states={key: moved}), tick_ns)
        assert found.startswith(f"{key} is off by")


def test_a_state_that_is_off_is_noticed_where_there_are_no_spikes(written: Path) -> None:
    given = expected("leaky_integrator_box", "default_f64")
    moved = given.states["v"].copy()
    moved[3, 1] += 1e-11
    [found] = differences(written, "leaky_integrator_box_default_f64", replace(given, states={"v": moved}), 1_000_000)
    assert found == "v is off by 1e-11"


def test_one_spike_moved_by_a_tick_is_noticed(written: Path) -> None:
    given = expected("lif", "rec_default_f64")
    assert given.spikes is not None
    tick, neuron = next((t, n) for t, n in zip(*np.nonzero(given.spikes), strict=True)
                        if t + 1 < given.ticks and not given.spikes[t + 1, n])  # fmt: skip
    moved = given.spikes.copy()
    moved[tick, neuron], moved[tick + 1, neuron] = 0, 1
    [found] = differences(written, "lif_rec_default_f64", replace(given, spikes=moved), 1_000_000)
    assert found == f"1 spikes too many [({tick}, {neuron})], 1 too few [({tick + 1}, {neuron})] (tick, neuron)"


def test_one_spike_missing_from_what_goes_in_is_noticed(tmp_path: Path) -> None:
    run(tmp_path, [("lif", "rec_default_f64")], "numpy", "10", left_out=1)
    given = expected("lif", "rec_default_f64")
    assert "too few" in differences(tmp_path / "out", "lif_rec_default_f64", given, 1_000_000)[0]
