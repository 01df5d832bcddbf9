"""Encoders against what the released packages gave: file to file, by a graph."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import spikeflow
from spikeflow.nodes.encoders.population import responses
from tests.kernels.golden import DATA
from tests.test_golden_files import ORIGIN_NS, read

Array = npt.NDArray[Any]

EXCEPTIONS = {
    (
        "encode",
        "euclidean_distance",
    ): "a part of `population_encode`, which no node gives alone: run by its own formula",
}
"""Cases that no graph runs, with the reason."""

COPIES, DRAWS = 40, 40_000
"""Of a random encoder: channels that hold the same value, and ticks."""


@dataclass(frozen=True)
class Told:
    """A case in our words.

    Attributes:
        kind: the kind of encoder, or of neuron.
        dt: length of a tick (s).
        arriving: [rows, size] of samples, or, where they are booleans, of spikes; one row a tick.
        ticks: how long it lasts.
        wanted: [ticks, neurons] values of spikes, or [samples] values.
        fields: keys of the node.
        role: what the node is.
        within: how far samples may be off, absolutely.
        at_once: all rows arrive within the first tick.
        port: what is written down beside the default outlet, with [ticks, neurons] values.
    """

    kind: str
    dt: float
    arriving: Array
    ticks: int
    wanted: Array
    fields: dict[str, Any] = field(default_factory=dict)
    role: str = "encoder"
    within: float | None = None
    at_once: bool = False
    port: tuple[str, Array, float] | None = None
    chances: bool = False


@cache
def stored(file: str) -> tuple[dict[str, Array], dict[str, dict[str, Any]]]:
    with np.load(DATA / f"{file}.npz") as arrays:
        return dict(arrays), json.loads(str(arrays["meta"]))["cases"]


def ms(seconds: float) -> str:
    return f"{seconds * 1e3:.12g} ms"


def neuron(params: dict[str, float], *drop: str) -> dict[str, Any]:
    """Parameters as keys: time constants for inverses."""
    found: dict[str, Any] = {}
    for key, value in params.items():
        if key in ("alpha", "method", "tau_syn_inv", "tau_syn", *drop):
            continue
        if key.endswith("_inv"):
            found[key.removesuffix("_inv")] = f"{1 / value!r} s"
        else:
            found[key] = f"{value!r} s" if key.startswith("tau_") else value
    return found


def block(file: str, name: str, case: dict[str, Array], meta: dict[str, Any], kind: str, **more: Any) -> Told:
    """A value for each channel, held for a frame, twice: the second frame gives what the first gave."""
    z, double = case["z"], name.endswith("_f64")
    fields = {
        **neuron(meta.get("params", {})),
        "precision": "float64" if double else "float32",
        "frame": ms(len(z) * meta["dt"]),
        **more,
    }
    x = case["input"].astype(np.float64 if double else np.float32)
    return Told(kind, meta["dt"], x[None], 2 * len(z), np.concatenate([z, z]), fields)


def current(file: str, name: str, case: dict[str, Array], meta: dict[str, Any], kind: str, **more: Any) -> Told:
    """A value of each channel at each tick."""
    params = meta.get("params") or {key[2:]: float(value) for key, value in case.items() if key.startswith("p_")}
    precision = "float64" if name.endswith("_f64") else "float32"
    fields = {**neuron(params), "precision": precision, **more}
    return Told(kind, meta["dt"], case["input"], len(case["z"]), case["z"], fields)


def half(file: str, name: str, case: dict[str, Array], meta: dict[str, Any]) -> Told:
    """The neuron behind `compatibility: jaxsnn`, with its potential."""
    told = current(file, name, case, meta, "lif_current_half", size=case["z"].shape[1])
    port = ("v", case["v"], 1e-12 if name.endswith("_f64") else 2e-5)
    return Told(told.kind, told.dt, told.arriving, told.ticks, told.wanted, told.fields, "neuron", port=port)


def tie(file: str, name: str, case: dict[str, Array], meta: dict[str, Any]) -> Told:
    fields = {"size": 3, "initial": {"v": "v_before.npy"}}
    port = ("v", case["v"][None], 0.0)
    return Told("lif_current_half", 1e-3, case["input"][None], 1, case["z"][None], fields, "neuron", port=port)


def latency(file: str, name: str, case: dict[str, Array], meta: dict[str, Any]) -> Told:
    x, z = (case[key].reshape(len(case[key]), -1) for key in ("input", "z"))
    twice = np.concatenate([x, x]).astype(bool)
    return Told("spike_latency", 1e-3, twice, 2 * len(x), np.concatenate([z, z]), {"frame": ms(len(x) * 1e-3)})


def kernel(file: str, name: str, case: dict[str, Array], meta: dict[str, Any]) -> Told:
    """The kernel alone: at the one centre, 0, a distance is the value itself."""
    sigma = float(name.rpartition("sigma")[2])
    fields = {"centres": 1, "scale": 1.0, "distance": "absolute", "sigma": sigma}
    return Told("population", 1e-3, case["input"][None], 1, case["out"], fields, within=1e-12)


def population(file: str, name: str, case: dict[str, Array], meta: dict[str, Any]) -> Told:
    double = meta["dtype"] == "f64"
    scale = {"track": "60 s"} if meta["scale"] == "input.max()" else float(meta["scale"])
    fields = {"centres": case["out"].shape[-1], "scale": scale, "sigma": meta["sigma"]}
    x = case["input"].astype(np.float64 if double else np.float32)
    out = case["out"].ravel()
    return Told("population", 1e-3, x, 1, out, fields, within=1e-12 if double else 2e-6, at_once=True)


def chance(file: str, name: str, case: dict[str, Array], meta: dict[str, Any], kind: str, f_max: float) -> Told:
    dt = 0.5e-3 if "0.5ms" in name else 1e-3
    wanted = case["expected_probability"] * (case["expected_sign"] if kind == "signed_poisson" else 1.0)
    x = np.repeat(case["input"], COPIES)[None]
    return Told(kind, dt, x, DRAWS, wanted, {"f_max": f"{f_max} Hz"}, chances=True)


def label(file: str, name: str, case: dict[str, Array], meta: dict[str, Any]) -> Told:
    out = case["out"]
    fields = {"classes": out.shape[1]}
    return Told("one_hot", 1e-3, case["input"].astype(np.float32)[None], 1, out.reshape(1, -1), fields)


def late(file: str, name: str, case: dict[str, Array], meta: dict[str, Any]) -> Told:
    out = case["out"].reshape(len(case["out"]), -1)
    t_late = float(meta["call"].partition("t_late=")[2].partition(",")[0])
    fields = {"frame": ms(len(out) * meta["dt"]), "t_late": ms(t_late)}
    wanted = np.concatenate([out, out])
    return Told("spatio_temporal", meta["dt"], case["input"].reshape(1, -1), 2 * len(out), wanted, fields)


JAXSNN = {"compatibility": "jaxsnn"}
ROWS: list[tuple[str, str, Callable[..., Told], dict[str, Any]]] = [
    ("encode", "constant_current_", block, {"kind": "constant_current_lif"}),
    ("encode", "latency_lif_", block, {"kind": "spike_latency_lif"}),
    ("encode", "spike_latency", latency, {}),
    ("encode", "gaussian_rbf_", kernel, {}),
    ("encode", "population_", population, {}),
    ("encode", "poisson_default", chance, {"kind": "poisson", "f_max": 100}),
    ("encode", "poisson_f500", chance, {"kind": "poisson", "f_max": 500}),
    ("encode", "poisson_step", chance, {"kind": "poisson", "f_max": 1000}),
    ("encode", "signed_default", chance, {"kind": "signed_poisson", "f_max": 100}),
    ("encode", "signed_f800", chance, {"kind": "signed_poisson", "f_max": 800}),
    ("encode", "signed_step", chance, {"kind": "signed_poisson", "f_max": 1000}),
    ("jaxsnn_encode", "constant_current_", block, {"kind": "constant_current_lif", "v_th": 0.6, **JAXSNN}),
    ("jaxsnn_encode", "lif_current_encoder_", current, {"kind": "lif_current", **JAXSNN}),
    ("jaxsnn_encode", "lif_current_encoder_", half, {}),
    ("jaxsnn_encode", "tie", tie, {}),
    ("jaxsnn_encode", "one_hot", label, {}),
    ("jaxsnn_encode", "spatio_temporal_", late, {}),
    ("lif_current_encoder", "", current, {"kind": "lif_current"}),
    ("lif_ex", "encoder_", current, {"kind": "lif_ex_current"}),
    ("lif_adex", "encoder_", current, {"kind": "lif_adex_current", "compatibility": "norse"}),
]
"""Which cases of which files are said how."""


def all_cases() -> list[tuple[str, str]]:
    """Every (file, case) of an encoder."""
    whole = [(file, name) for file in ("encode", "jaxsnn_encode", "lif_current_encoder") for name in stored(file)[1]]
    return whole + [
        (file, name) for file in ("lif_ex", "lif_adex") for name in stored(file)[1] if name.startswith("encoder_")
    ]


def told() -> Iterator[tuple[str, Told]]:
    """Every case that a graph runs, under the name of its node."""
    for file, name in all_cases():
        arrays, meta = stored(file)
        case = {key.split("/")[1]: array for key, array in arrays.items() if key.startswith(f"{name}/")}
        for place, (_, _, make, more) in enumerate(row for row in ROWS if row[0] == file and name.startswith(row[1])):
            node = "".join(c if c.isalnum() else "_" for c in f"{file}_{name}_{place}").lower()
            yield node, make(file, name, case, meta[name], **more)


def write(folder: Path, node: str, one: Told) -> list[str]:
    """The file of what arrives, and the nodes of a graph that read and encode it."""
    spikes = one.arriving.dtype == bool
    row, index = np.nonzero(one.arriving if spikes else np.ones_like(one.arriving))
    t_ns = ORIGIN_NS + row * (1 if one.at_once else round(one.dt * 1e9))
    columns: dict[str, Any] = {"t": pa.array(t_ns).cast(pa.timestamp("ns", "UTC"))}
    columns["neuron" if spikes else "channel"] = index.astype(np.uint32)
    if not spikes:
        columns["value"] = one.arriving[row, index]
    table = pa.table(columns).replace_schema_metadata({"origin": str(ORIGIN_NS)})
    pq.write_table(table, folder / f"{node}.parquet")
    size, length = one.arriving.shape[1], ms(one.ticks * one.dt)
    return [
        f"  in_{node}: {{source: file, path: {node}.parquet, size: {size}, length: {length}}}",
        f"  {node}: {json.dumps({one.role: one.kind, 'input': f'in_{node}', **one.fields})}",
    ]


def run(folder: Path, which: dict[str, Told], window: int) -> None:
    """A graph for each length of tick; `out` holds what they wrote."""
    np.save(folder / "v_before.npy", stored("jaxsnn_encode")[0]["tie/v_before"].astype(np.float64))
    for dt in {one.dt for one in which.values()}:
        alike = {node: one for node, one in which.items() if one.dt == dt}
        taped = [
            name for node, one in alike.items() for name in (node, *([f"{node}.{one.port[0]}"] if one.port else ()))
        ]
        text = [f"spikeflow: 1\nseed: 5\ntime: {{dt: {ms(dt)}, window: {ms(window * dt)}}}", "nodes:"]
        text += [line for node, one in alike.items() for line in write(folder, node, one)]
        text += [f"  tape: {{sink: file, input: [{', '.join(taped)}], path: out}}", ""]
        path = folder / f"ticks_of_{dt * 1e6:g}_us.yaml"
        path.write_text("\n".join(text))
        spikeflow.run_blocking(spikeflow.load(path))


def dense(path: Path, one: Told, width: int) -> Array:
    """[ticks, width] values of the spikes in a file; plain ones have the value 1."""
    columns = read(path)
    tick, rest = np.divmod(columns["t"] - ORIGIN_NS, round(one.dt * 1e9))
    assert not rest.any(), "a spike is not at the start of its tick"
    found = np.zeros((one.ticks, width), np.float32)
    found[tick, columns["neuron"]] = columns.get("value", 1.0)
    assert np.count_nonzero(found) == len(tick), "a neuron spikes twice in a tick"
    return found


def off_by_chance(found: Array, p: Array, draws: int) -> bool:
    """Whether a mean of `draws` is too far from its probability, for any value or for all together."""
    variance = np.abs(p) * (1.0 - np.abs(p)) / draws
    apart = np.abs(found - p)
    all_apart, all_variance = np.abs(found).sum() - np.abs(p).sum(), variance.sum()
    return bool((apart > 4.5 * np.sqrt(variance)).any() or abs(all_apart) > 4.5 * np.sqrt(all_variance))


CASES = dict(told())
BY_VALUE = {node: one for node, one in CASES.items() if not one.chances}
BY_CHANCE = {node: one for node, one in CASES.items() if one.chances}


@pytest.fixture(scope="module", params=[7, 1000])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What graphs wrote for all cases, in windows of so many ticks."""
    folder = tmp_path_factory.mktemp("golden")
    run(folder, BY_VALUE, request.param)
    return folder / "out"


@pytest.mark.parametrize("node", BY_VALUE)
def test_an_encoder_gives_what_the_package_gave(written: Path, node: str) -> None:
    one = BY_VALUE[node]
    if one.within is None:
        assert np.array_equal(dense(written / f"{node}.arrow", one, one.wanted.shape[1]), one.wanted)
        assert one.wanted.any()
    else:
        assert np.abs(read(written / f"{node}.arrow")["value"] - one.wanted).max() <= one.within
    if one.port is not None:
        name, values, within = one.port
        found = read(written / f"{node}.{name}.arrow")["value"].reshape(values.shape)
        assert np.abs(found - values).max() <= within


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What graphs wrote for all random cases, and for those with a rate that is 2 % too high."""
    folder = tmp_path_factory.mktemp("chances")
    wrong = {
        f"{node}_wrong": Told(
            one.kind, one.dt, one.arriving, one.ticks, one.wanted,
            {"f_max": f"{1.02 * float(one.fields['f_max'].removesuffix(' Hz'))} Hz"}, chances=True,
        )
        for node, one in BY_CHANCE.items()
    }  # fmt: skip
    run(folder, BY_CHANCE | wrong, 2000)
    return folder / "out"


@pytest.mark.parametrize("node", BY_CHANCE)
def test_spikes_come_with_the_stored_probability_and_two_percent_more_would_be_noticed(drawn: Path, node: str) -> None:
    one, draws = BY_CHANCE[node], COPIES * DRAWS
    for name, wrong in ((node, False), (f"{node}_wrong", True)):
        columns = read(drawn / f"{name}.arrow")
        count = np.bincount(columns["neuron"] // COPIES, columns.get("value"), len(one.wanted))
        assert off_by_chance(count / draws, one.wanted, draws) is wrong


def test_the_distance_of_a_population_is_that_of_the_package() -> None:
    arrays = stored("encode")[0]
    x, y = arrays["euclidean_distance/x"], arrays["euclidean_distance/y"]
    distance = -np.log(responses(x - y, 1, 1.0, "laplace", "squared")[:, 0])
    assert np.abs(distance - arrays["euclidean_distance/out"]).max() <= 1e-12


def test_every_case_is_run_by_a_graph_or_excepted_for_a_reason_that_the_readme_gives() -> None:
    for file, name in all_cases():
        ways = [row for row in ROWS if row[0] == file and name.startswith(row[1])]
        assert bool(ways) is not ((file, name) in EXCEPTIONS), f"{file} {name}"
    rows = [f"| `{file}.npz` | `{name}` | {EXCEPTIONS[file, name]} |" for file, name in sorted(EXCEPTIONS)]
    table = "\n".join(["| file | case | why |", "|---|---|---|", *rows])
    assert table in (DATA / "README.md").read_text(), f"tests/data/README.md lacks this table:\n{table}"
