"""File to file: every LIF case of the released package through `spikeflow run`, spike for spike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spikeflow.kernels import backends
from spikeflow.nodes.population import BACKEND
from tests.kernels.golden import DATA, Case

Array = npt.NDArray[Any]

ORDERS = {"lif": "first", "lif_input_last": "last"}
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}
ORIGIN_NS = 1_700_000_000_000_000_000


def names() -> list[tuple[str, str]]:
    """Every (file, case)."""
    return [(file, name) for file in ORDERS for name in json.loads(str(np.load(DATA / f"{file}.npz")["meta"]))["cases"]]


@dataclass(frozen=True)
class Expected:
    """What a case must give; where only the last tick is stored, that.

    Attributes:
        dt_ns: one tick (ns).
        ticks: how many there are.
        spikes: [ticks or 1, neurons] 0 or 1.
        states: v and i, as far as they are stored, [ticks or 1, neurons].
        precision: the type of the states, which says how far they may be off.
    """

    dt_ns: int
    ticks: int
    spikes: Array
    states: dict[str, Array]
    precision: str

    @property
    def tolerance(self) -> float:
        return TOLERANCE[self.precision]

    @staticmethod
    def of(case: Case) -> Expected:
        spikes = case.get("z") if case.get("z") is not None else case["z_returned"][None]
        states = {}
        for name in ("v", "i"):
            if (whole := case.get(name)) is not None:
                states[name] = whole
            elif (final := case.get(f"final_{name}")) is not None:
                states[name] = final[None]
        assert spikes is not None
        dt_ns = round(case.meta["dt"] * 1e9)
        return Expected(dt_ns, len(case["input"]), spikes, states, case.precision)


def node_name(file: str, case: str) -> str:
    return f"{ORDERS[file]}_{case}"


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
    size = case["w_in"].shape[0] if weighted else x.shape[1]
    lines = [
        f"  in_{name}:",
        "    source: file",
        f"    path: {name}.parquet",
        f"    size: {x.shape[1]}",
        f"    length: {len(x) * case.meta['dt'] * 1e3:g} ms",
        f"  {name}:",
        "    neuron: lif",
        f"    size: {size}",
        f"    precision: {case.precision}",
    ]
    if case.file == "lif_input_last":
        lines.append("    input_order: last")
    for key in ("tau_mem", "tau_syn", "v_leak", "v_th", "v_reset"):
        inverse, plain = case.get(f"p_{key}_inv"), case.get(f"p_{key}")
        value = 1 / inverse if inverse is not None else plain
        if value is None:
            continue  # the case runs on defaults
        if value.ndim:
            np.save(folder / f"{name}.{key}.npy", value)
        unit = " s" if key.startswith("tau") else ""
        lines.append(f"    {key}: " + (f"{name}.{key}.npy" if value.ndim else f"{float(value)!r}{unit}"))
    begun = {key: case.get(f"init_{key}") for key in ("v", "i")}
    for key, initial in begun.items():
        if initial is not None:
            np.save(folder / f"{name}.init_{key}.npy", initial)
    if any(initial is not None for initial in begun.values()):
        given = ", ".join(f"{k}: {name}.init_{k}.npy" for k, initial in begun.items() if initial is not None)
        lines.append(f"    initial: {{{given}}}")
    lines.append("    inputs:")
    for key, source in (("w_in", f"in_{name}"), ("w_rec", name)):
        weights = case.get(key)
        if weights is not None:
            np.save(folder / f"{name}.{key}.npy", weights)
            lines.append(f"      - {{from: {source}, weights: {name}.{key}.npy}}")
    if not weighted:
        lines.append(f"      - in_{name}")
    return "\n".join(lines)


def run(folder: Path, which: list[tuple[str, str]], backend: str, window: str, left_out: int = 0) -> None:
    """`spikeflow run` on graphs of all cases, one graph for each length of tick; `out` holds what they wrote."""
    by_dt: dict[float, list[Case]] = {}
    for file, name in which:
        case = Case(file, name)
        by_dt.setdefault(case.meta["dt"], []).append(case)
    for dt, cases in by_dt.items():
        own = {node_name(case.file, case.name): case for case in cases}
        taped = ", ".join(f"{name}, {name}.v, {name}.i" for name in own)
        text = "\n".join([
            "spikeflow: 1",
            f"time: {{dt: {dt * 1e3:g} ms, window: {window}}}",
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
            [sys.executable, "-m", "spikeflow", "run", str(graph)],
            capture_output=True, text=True, check=False, env=os.environ | {BACKEND: backend},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + text


def differences(folder: Path, name: str, expected: Expected) -> list[str]:
    """What a run wrote for a case that is not what the released package gave."""
    found = []
    last_only = len(expected.spikes) == 1
    columns = read(folder / f"{name}.arrow")
    tick, rest = np.divmod(columns["t"] - ORIGIN_NS, expected.dt_ns)
    if rest.any():
        found.append("a spike is not at the start of its tick")
    spikes = list(zip(tick.tolist(), columns["neuron"].tolist(), strict=True))
    if last_only:
        spikes = [spike for spike in spikes if spike[0] == expected.ticks - 1]
    first = expected.ticks - 1 if last_only else 0
    wanted = [(first + int(t), int(n)) for t, n in zip(*np.nonzero(expected.spikes), strict=True)]
    if spikes != wanted:
        more, less = sorted(set(spikes) - set(wanted)), sorted(set(wanted) - set(spikes))
        found.append(f"{len(more)} spikes too many {more[:3]}, {len(less)} too few {less[:3]} (tick, neuron)")
    for key, states in expected.states.items():
        columns = read(folder / f"{name}.{key}.arrow")
        size = states.shape[1]
        at = np.arange(expected.ticks * size)
        same_t = np.array_equal(columns["t"], ORIGIN_NS + at // size * expected.dt_ns)
        if not same_t or not np.array_equal(columns["channel"], at % size):
            found.append(f"{key} is not there once a tick and neuron")
            continue
        value = columns["value"].reshape(expected.ticks, size)[-len(states) :]
        if value.dtype != expected.precision:
            found.append(f"{key} is {value.dtype}")
        off = np.abs(value.astype(np.float64) - states)
        if not (off <= expected.tolerance).all():
            found.append(f"{key} is off by {off.max():.3g}")
    return found


def read(path: Path) -> dict[str, Array]:
    """The columns of an Arrow file, read without any of our own code."""
    with pa.ipc.open_file(path) as file:
        table = file.read_all()
    return {name: table[name].to_numpy() if name != "t" else table[name].cast(pa.int64()).to_numpy()
            for name in table.column_names}  # fmt: skip


SETTINGS = [pair for pair in (("numba", "10 ms"), ("numpy", "7 ms")) if pair[0] in backends()]


@pytest.fixture(scope="module", params=SETTINGS, ids=" ".join)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `spikeflow run` wrote for all cases."""
    folder = tmp_path_factory.mktemp("golden")
    run(folder, names(), *request.param)
    return folder / "out"


@pytest.mark.parametrize(("file", "name"), names())
def test_spikes_are_exact_and_states_within_their_tolerance(written: Path, file: str, name: str) -> None:
    assert differences(written, node_name(file, name), Expected.of(Case(file, name))) == []


def test_the_cases_are_those_that_are_asked_for() -> None:
    found = [f"{file} {name}" for file, name in names()]
    assert len(found) == 16
    for part in ("_f32", "custom", "per_neuron", "rec_", "integral_ff", "integral_rec", "sparse_ff", "sparse_rec"):
        assert any(part in one for one in found)
    assert sum(int(Expected.of(Case(*pair)).spikes.sum()) for pair in names()) > 4000


@pytest.mark.parametrize(("file", "name"), names())
def test_one_spike_or_state_that_is_off_is_noticed(written: Path, file: str, name: str) -> None:
    expected = Expected.of(Case(file, name))
    node = node_name(file, name)
    tick, neuron = (int(k[len(k) // 2]) for k in np.nonzero(expected.spikes))
    removed = expected.spikes.copy()
    removed[tick, neuron] = 0
    assert differences(written, node, replace(expected, spikes=removed))[0].startswith("1 spikes too many")
    added = expected.spikes.copy()
    added[np.nonzero(added == 0)[0][0], np.nonzero(added == 0)[1][0]] = 1
    assert "1 too few" in differences(written, node, replace(expected, spikes=added))[0]
    shifted = np.roll(removed, 1, axis=1)
    assert differences(written, node, replace(expected, spikes=shifted)) != []
    for key, states in expected.states.items():
        moved = states.copy()
        moved[-1, 0] += 3 * expected.tolerance
        assert differences(written, node, replace(expected, states={key: moved}))[0].startswith(f"{key} is off by")


def test_one_spike_moved_by_a_tick_is_noticed(written: Path) -> None:
    expected = Expected.of(Case("lif", "rec_default_f64"))
    tick, neuron = next((t, n) for t, n in zip(*np.nonzero(expected.spikes), strict=True)
                        if t + 1 < expected.ticks and not expected.spikes[t + 1, n])  # fmt: skip
    moved = expected.spikes.copy()
    moved[tick, neuron], moved[tick + 1, neuron] = 0, 1
    [found] = differences(written, "first_rec_default_f64", replace(expected, spikes=moved))
    assert found == f"1 spikes too many [({tick}, {neuron})], 1 too few [({tick + 1}, {neuron})] (tick, neuron)"


def test_one_spike_missing_from_what_goes_in_is_noticed(tmp_path: Path) -> None:
    run(tmp_path, [("lif", "rec_default_f64")], "numpy", "10 ms", left_out=1)
    expected = Expected.of(Case("lif", "rec_default_f64"))
    assert "too few" in differences(tmp_path / "out", "first_rec_default_f64", expected)[0]
