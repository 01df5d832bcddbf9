"""Encoding an array does as a graph does with a stream."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikeflow
from spikeflow.catalog import kinds
from spikeflow.errors import ParameterError
from spikeflow.testing import run_node
from tests.nodes.test_conformance import examples
from tests.test_golden_encoders import CASES, stored

RNG = np.random.default_rng(8)
SAMPLES = RNG.uniform(0.0, 3.0, (60, 5))
SAMPLES[RNG.random(SAMPLES.shape) < 0.6] = np.nan
SPIKES = RNG.random((60, 5)) < 0.1


def refused(kind: Any = "poisson", values: Any = (0.5,), **keys: Any) -> str:
    with pytest.raises(ParameterError) as caught:
        spikeflow.encode(kind, values, **keys)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "number"),
    [(kind, number) for kind in kinds("encoder") for number in range(len(examples("encoder", kind)))],
)
def test_the_result_is_that_of_a_graph(kind: str, number: int, tmp_path: Path) -> None:
    node: Any = examples("encoder", kind)[number][0](tmp_path)
    arriving = SAMPLES if "samples" in type(node).takes else SPIKES
    fields = {name: getattr(node, name) for name in node.model_fields_set}
    if fields.get("frame"):
        fields["frame"] /= 1e9
    found = spikeflow.encode(kind, arriving, seed=3, name="edges", **fields)
    ran = run_node(node, arriving, ticks=60, seed=3, name="edges")
    outlet = ran.streams[""]
    expected = np.full((60, outlet.size), np.nan if outlet.kind == "samples" else 0.0)
    for tick, neuron, value in ran.rows():
        expected[tick, neuron] = value if outlet.kind == "samples" else expected[tick, neuron] + value
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)


def test_blocks_are_those_of_the_packages() -> None:
    blocks = [
        one for one in CASES.values() if one.role == "encoder" and "frame" in one.fields and one.kind != "spike_latency"
    ]
    assert {one.kind for one in blocks} == {"constant_current_lif", "spike_latency_lif", "spatio_temporal"}
    for one in blocks:
        ticks = one.ticks // 2
        fields = {key: value for key, value in one.fields.items() if key != "frame"}
        found = spikeflow.encode(one.kind, one.arriving[0], dt=one.dt, ticks=ticks, **fields)
        np.testing.assert_array_equal(found, one.wanted[:ticks])
        by_frame = spikeflow.encode(one.kind, one.arriving[0], dt=one.dt, frame=one.fields["frame"], **fields)
        np.testing.assert_array_equal(by_frame, found)


def test_a_block_of_spikes_gives_the_first_one_of_each_lane() -> None:
    arrays = stored("encode")[0]
    x, z = (arrays[f"spike_latency/{key}"].reshape(-1, 20) for key in ("input", "z"))
    for given in (x, x.astype(float), x.astype(bool)):
        np.testing.assert_array_equal(spikeflow.encode("spike_latency", given), z)


def test_without_ticks_a_row_of_values_is_one_tick() -> None:
    assert spikeflow.encode("poisson", [0.5, 1.0], f_max=1000).shape == (1, 2)
    assert spikeflow.encode("one_hot", [2, 0], classes=3).reshape(2, 3).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert spikeflow.encode("one_hot", [[2], [0]], classes=3).tolist() == [[0, 0, 1], [1, 0, 0]]


def test_a_frame_is_as_long_as_it_says_and_rows_of_values_come_one_a_tick() -> None:
    assert spikeflow.encode("poisson", [0.5], frame="20 ms").shape == (20, 1)
    assert spikeflow.encode("poisson", np.ones((50, 1)), frame=20e-3, f_max=1000).sum() == 50
    assert spikeflow.encode("poisson", [0.5], frame="20 ms", ticks=70, dt="2 ms").shape == (70, 1)


def test_signs_counts_and_samples_keep_their_values() -> None:
    signed = spikeflow.encode("signed_poisson", [-1.0, 1.0], ticks=2, f_max=1000)
    assert signed.tolist() == [[-1.0, 1.0], [-1.0, 1.0]]
    crossed = spikeflow.encode("level_crossing", [[0.5], [np.nan], [2.5]], threshold=1.0)
    assert crossed.tolist() == [[0.0], [0.0], [2.0]]
    for kind in (np.float32, np.float64):
        found = spikeflow.encode("population", np.array([[1.0], [np.nan]], kind), centres=2, scale=1.0)
        assert found.dtype == kind
        assert np.isnan(found).tolist() == [[False, False], [True, True]]


def test_random_spikes_depend_on_the_seed_and_the_name() -> None:
    def drawn(**keys: Any) -> Any:
        return spikeflow.encode("poisson", [0.5], ticks=200, f_max="1 kHz", **keys).tobytes()

    assert drawn() == drawn(seed=0, name="encoder")
    assert len({drawn(), drawn(seed=1), drawn(name="other")}) == 3


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"kind": "poison"}, "unknown encoder 'poison' — did you mean 'poisson'?"),
        ({"rate": 3}, "Poisson has no 'rate'"),
        ({"forget": {"every": "1 s"}}, "Poisson has no 'forget'"),
        ({"f_max": -1}, "f_max: -1 — "),
        ({"kind": "one_hot"}, "classes is missing — give it too"),
        ({"kind": "one_hot", "classes": 3, "frame": "1 s"}, "one_hot has no frames — give ticks=, how many to encode"),
        ({"values": [[[1.0]]]}, "values of shape [1, 1, 1] — give [n] values, or [ticks, n]"),
        ({"values": []}, "values of shape [0]"),
        ({"values": [[1.0], [1.0, 2.0]]}, "values is a list of rows of several lengths"),
        ({"values": ["a"]}, "values hold <U1"),
        ({"values": np.ones((5, 2)), "ticks": 3}, "3 ticks for 5 rows of values"),
        ({"ticks": 0}, "0 ticks for 1 row of values"),
        ({"ticks": 2.5}, "ticks is 2.5 — give a whole number"),
        ({"ticks": "3"}, "ticks is '3' — give a whole number"),
        ({"dt": 0}, "dt of 0 — "),
        ({"dt": float("nan")}, "dt of nan — give seconds"),
        ({"dt": None}, "dt of None — give seconds"),
        ({"dt": 1e-3 / 3}, "not a whole number of nanoseconds"),
        ({"frame": "2500 us"}, "a frame of 2500 us — give a multiple of dt, 1 ms"),
        ({"frame": "2500 us", "ticks": 5}, "frame: frame is 2500 us, which is not a multiple of dt, 1 ms — write 2 ms"),
        ({"kind": "lif_current", "tau_mem": "0.4 ms", "ticks": 9}, "tau_mem: 400 us is unstable"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(keys: dict[str, Any], text: str) -> None:
    assert text in refused(**keys)


def test_a_tick_that_is_coarse_is_a_warning() -> None:
    with pytest.warns(UserWarning, match="tau_mem: 1 ms is coarse"):
        spikeflow.encode("lif_current", [1.0], tau_mem="1 ms")
