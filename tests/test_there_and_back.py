"""Encoded and decoded on arrays: `reconstruct` from Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import spikeflow
from spikeflow.errors import GraphError, ParameterError
from spikeflow.nodes.encoders.level_crossing import LevelCrossing

WAVE = np.cumsum(np.random.default_rng(4).normal(0.0, 0.2, (80, 3)), axis=0)
WAVE -= WAVE[0]  # some encoders say only how far the signal has come
CASES: list[tuple[str, dict[str, Any], float]] = [
    ("level_crossing", {"threshold": 0.3}, 0.15),
    ("level_crossing", {"threshold": 0.3, "polarity": "split"}, 0.15),
    ("send_on_delta", {"threshold": 0.3}, 0.3),
    ("step_forward", {"threshold": 0.3, "steps": "all"}, 0.3),
    ("sigma_delta", {"threshold": 0.3}, 0.3),
]


@pytest.mark.parametrize(("kind", "fields", "near"), CASES)
def test_what_was_encoded_comes_back_at_every_tick(kind: str, fields: dict[str, Any], near: float) -> None:
    spikes = spikeflow.encode(kind, WAVE, **fields)
    found = spikeflow.decode("reconstruct", spikes, of={"encoder": kind, **fields})
    assert found.shape == WAVE.shape
    known = ~np.isnan(found)
    assert known[-1].all()
    assert np.abs(found - WAVE)[known].max() <= near + 1e-5
    assert (np.diff(known.astype(int), axis=0) >= 0).all()  # what is known once stays so


def test_an_encoder_itself_its_class_and_its_name_are_one() -> None:
    spikes = spikeflow.encode("level_crossing", WAVE, threshold=0.3)
    first, *others = (
        spikeflow.decode("reconstruct", spikes, of=of)
        for of in (
            LevelCrossing(threshold=0.3),
            {"encoder": LevelCrossing, "threshold": 0.3},
            {"encoder": "level_crossing", "threshold": 0.3},
        )
    )
    assert all(np.array_equal(first, other, equal_nan=True) for other in others)


SAY = "write {encoder: level_crossing, threshold: 0.05}"
BSA = {"encoder": "bsa", "taps": [1.0]}


@pytest.mark.parametrize(
    ("of", "says"),
    [
        ({"encoder": "level_crosing"}, "of: unknown encoder 'level_crosing' — did you mean 'level_crossing'?"),
        ({"encoder": "level_crossing"}, "of: threshold is missing — give it too"),
        ({"encoder": "level_crossing", "threshold": -1}, "of: threshold: -1 — input should be greater than 0"),
        (
            {"encoder": "level_crossing", "treshold": 1},
            "of: level_crossing has no 'treshold' — did you mean 'threshold'?",
        ),
        ({"encoder": "poisson"}, "of: Poisson has no way back — name an encoder with an inverse"),
        ({**BSA, "interval": "100 us"}, "of.interval: interval is 100 us, which is not a multiple of dt, 1 ms — wri"),
        ({**BSA, "taps": [0.0]}, "of.taps: the taps are all 0 — write the filter that a spike stands for"),
        ({"threshold": 0.3}, f"of: an encoder without its kind — {SAY}"),
        ({"encoder": 3}, f"of: 3 as the kind of an encoder — {SAY}"),
        ("level_crossing", f"of: 'level_crossing' as an encoder — {SAY}"),
        (LevelCrossing, f"of: LevelCrossing as an encoder — {SAY}"),
    ],
)
def test_an_encoder_that_is_said_wrongly_is_refused_with_what_would_work(of: Any, says: str) -> None:
    with pytest.raises(ParameterError) as caught:
        spikeflow.decode("reconstruct", [[1], [0]], of=of)
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize(
    ("of", "says"),
    [
        ({"encoder": "level_crossing"}, "'threshold' is missing — add it"),
        ({"encoder": "level_crossing", "threshold": 1, "input": "spikes"}, "level_crossing has no 'input'"),
        ({**BSA, "interval": "100 us"}, "interval is 100 us, which is not a multiple of dt, 1 ms — write 1 ms"),
    ],
)
def test_in_a_graph_likewise(of: Any, says: str) -> None:
    spikes = {"source": "synthetic", "signal": "poisson", "size": 2, "rate": "5 Hz", "length": "1 s"}
    with pytest.raises(GraphError) as caught:
        spikeflow.load({"nodes": {"spikes": spikes, "back": {"decoder": "reconstruct", "input": "spikes", "of": of}}})
    assert says in str(caught.value)
