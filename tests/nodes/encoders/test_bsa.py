"""Ben's spiker algorithm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import signal

from spikeflow.events import Stream
from spikeflow.nodes.decoders.reconstruct import Reconstruct
from spikeflow.nodes.encoders.bsa import Bsa
from spikeflow.testing import GRID, check_node, run_node
from tests.nodes.conftest import Examples

TAPS = [0.1, 0.3, 0.4, 0.3, 0.1]
EXAMPLES: Examples = [
    (lambda _: Bsa(taps=TAPS, threshold=0.1), {"values": (0, 1)}),
    (lambda _: Bsa(taps=[0.5], interval=3_000_000), {"values": (0, 1)}),
    (lambda _: Bsa(taps=TAPS), {"values": (0, 1), "size": 1, "events": 900}),
]
LONG = signal.firwin(21, 0.1).tolist()


def published(values: Any, taps: Any, threshold: float) -> list[int]:
    """Samples that spike, with the whole signal at hand."""
    left, h, found = np.array(values, float), np.array(taps), []
    for t in range(len(left) - len(h) + 1):
        part = left[t : t + len(h)]
        if np.abs(part - h).sum() <= np.abs(part).sum() - threshold:
            found.append(t)
            part -= h
    return found


def wave(ticks: int, channels: int) -> Any:
    """Slow signals between 0 and 1."""
    time = np.arange(ticks)[:, None] / 1000.0
    return 0.5 + 0.4 * np.sin(2 * np.pi * time * (3.0 + np.arange(channels)))


@pytest.mark.parametrize("threshold", [0.0, 0.5, None])
def test_spikes_are_those_of_the_published_form_late_by_the_look_ahead(threshold: float | None) -> None:
    values = 4.0 * wave(500, 3) + 0.05 * np.random.default_rng(0).standard_normal((500, 3))
    rows = run_node(Bsa(taps=LONG, threshold=threshold), values).rows()
    for channel in range(3):
        found = [tick - 20 for tick, neuron, _ in rows if neuron == channel]
        assert found == published(
            values[:, channel], LONG, 0.9 * np.abs(LONG).sum() if threshold is None else threshold
        )
        assert len(found) > 50


def rebuilt(values: Any, encoder: Bsa) -> Any:
    """The signal that the filters add up to."""
    spikes = run_node(encoder, values)
    ran = run_node(Reconstruct(of=encoder, precision="float64"), (spikes.streams[""], spikes.events), ticks=len(values))
    found = np.zeros(values.shape)
    for tick, channel, value in ran.rows():
        found[tick, channel] = value
    return found


def test_the_way_back_is_the_signal_late_by_the_look_ahead() -> None:
    values = wave(2000, 2)
    found = rebuilt(values, Bsa(taps=LONG))
    assert np.abs(found[60:] - values[40:-20]).max() < 0.1
    assert np.abs(found[60:] - values[40:-20]).mean() < 0.02


def test_the_way_back_ends_with_a_zero() -> None:
    encoder = Bsa(taps=[1.0, 2.0])
    values = np.array([[1.0], [2.0], [0.0], [0.0], [0.0], [0.0]])
    spikes = run_node(encoder, values)
    assert [row[0] for row in spikes.rows()] == [1]
    ran = run_node(Reconstruct(of=encoder), (spikes.streams[""], spikes.events), ticks=6)
    assert ran.rows() == [(1, 0, 1.0), (2, 0, 2.0), (3, 0, 0.0)]


@pytest.mark.parametrize("interval", [None, 3_000_000])
def test_the_way_back_keeps_the_rules(interval: int | None) -> None:
    encoder = Bsa(taps=TAPS, interval=interval)
    check_node(lambda: Reconstruct(of=encoder), [Stream("", "spikes", 5)], events=60)


def test_fields_that_say_nothing_are_named_at_check() -> None:
    stream = Stream("x", "samples", 1)
    assert [one.path for one in Bsa(taps=[0.0]).check([stream], GRID)] == [("taps",)]
    assert [one.path for one in Bsa(taps=[1.0], interval=1_500_000).check([stream], GRID)] == [("interval",)]
