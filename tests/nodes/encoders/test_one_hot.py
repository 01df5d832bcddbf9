"""One-hot labels."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from spikeflow.events import Grid, Stream, sample_batch
from spikeflow.nodes.encoders.one_hot import OneHot
from spikeflow.testing import run_node
from tests.nodes.conftest import Examples

GRID = Grid(5_000_000_000, 1_000_000, 10)
LABELS = np.random.default_rng(3).integers(-1, 4, (230, 5)).astype(np.float32)
LABELS[np.random.default_rng(4).random(LABELS.shape) < 0.7] = np.nan
TICK, CHANNEL = np.nonzero(~np.isnan(LABELS))
RECORD = sample_batch(TICK * 1_000_000 + 17, CHANNEL, LABELS[TICK, CHANNEL])
EXAMPLES: Examples = [
    (lambda _: OneHot(classes=3), {"inputs": [(Stream("", "samples", 5), RECORD)]}),
    (lambda _: OneHot(classes=1), {"inputs": [(Stream("", "samples", 5), RECORD)]}),
]


def test_a_label_spikes_in_its_place_and_other_values_nowhere() -> None:
    labels = np.array([[0, 2], [3, -1], [1, np.nan], [0.5, np.inf], [np.nan, np.nan]])
    ran = run_node(OneHot(classes=3), labels, grid=GRID)
    assert [row[:2] for row in ran.rows()] == [(0, 0), (0, 5), (2, 1)]
    assert ran.counters.noted == {"no class": 3, "not finite": 1}


def test_of_several_labels_in_a_tick_the_last_one_counts() -> None:
    t_ns = [GRID.time(4), GRID.time(4) + 1, GRID.time(4) + 2, GRID.time(5)]
    record = sample_batch(t_ns, [0, 1, 0, 0], np.array([1, 1, 2, 1], np.float32))
    ran = run_node(OneHot(classes=3), (Stream("x", "samples", 2), record), grid=GRID)
    assert [row[:2] for row in ran.rows()] == [(4, 2), (4, 4), (5, 1)]


def test_channels_become_a_shape_with_one_axis_more() -> None:
    [stream] = OneHot(classes=5).outlets([Stream("x", "samples", 6, shape=(2, 3))]).values()
    assert (stream.kind, stream.size, stream.shape) == ("spikes", 30, (2, 3, 5))


def test_there_is_a_class() -> None:
    with pytest.raises(ValidationError):
        OneHot(classes=0)
