"""What takes more memory than the machine has, or more time than there is, is said before anything starts."""

from __future__ import annotations

from typing import Any

import pytest

import spikeflow
from spikeflow.errors import GraphError, ParameterError
from spikeflow.nodes import room

SAMPLES = {"source": "synthetic", "signal": "sine", "channels": 2, "length": "20 ms"}
SPIKES = {"source": "synthetic", "signal": "poisson", "size": 2, "rate": "5 Hz", "length": "20 ms"}
POPULATION = {"encoder": "population", "input": "sensor", "scale": 1.0}
TIMES = {"decoder": "spikes_to_times", "input": "sensor", "frame": "10 ms"}
RATE = {"decoder": "rate", "input": "sensor"}
ARGMAX = {"decoder": "argmax", "input": "sensor"}
LESS = "this machine has 1 GB; answer less often, or count over less"


def load(node: dict[str, Any], copies: int = 1) -> spikeflow.GraphSpec:
    source = SAMPLES if "encoder" in node else SPIKES
    return spikeflow.load({"nodes": {"sensor": {**source, "copies": copies}, "node": node}})


@pytest.fixture(autouse=True)
def _one_gigabyte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "memory", lambda: 1_000_000_000)


@pytest.mark.parametrize(
    ("node", "copies", "says"),
    [
        (
            {**POPULATION, "centres": 10**9},
            1,
            "2000000000 samples for one of each channel, which take 64 GB — this machine has 1 GB; take fewer centres",
        ),
        (
            {**POPULATION, "centres": 10**5},
            1000,
            "200000000 samples for one of each channel for 1000 copies, which take 6.4 GB — this machine has 1 GB; "
            "take fewer centres",
        ),
        (
            {**TIMES, "spike_count": 10**8},
            1,
            "200000000 times, which take 3.2 GB — this machine has 1 GB; keep fewer spikes",
        ),
        (
            {**TIMES, "spike_count": 10**5},
            500,
            "100000000 times for 500 copies, which take 1.6 GB — this machine has 1 GB; keep fewer spikes",
        ),
        (
            {**RATE, "over": "100 h", "every": "1 ms"},
            1,
            f"360000 s in parts of 1 ms are 720000000 counts, which take 11.5 GB — {LESS}",
        ),
        (
            {**RATE, "over": "100 h", "every": "7 s", "per": "population"},
            100_000,
            f"360000 s in parts of 1 s are 36000000000 counts for 100000 copies, which take 576 GB — {LESS}",
        ),
        (
            {**ARGMAX, "over": "10 h", "every": "1 ms"},
            1,
            f"36000 s in parts of 1 ms are 72000000 counts, which take 2.3 GB — {LESS}",
        ),
        (
            {**RATE, "over": "1 s"},
            10**8,
            "200000000 counts for 100000000 copies, which take 3.2 GB — this machine has 1 GB; take fewer neurons",
        ),
        (
            {"decoder": "spike_count", "input": "sensor", "frame": "1 s"},
            10**8,
            "200000000 counts for 100000000 copies, which take 3.2 GB — this machine has 1 GB; take fewer neurons",
        ),
    ],
)
def test_what_no_memory_holds_is_refused(node: dict[str, Any], copies: int, says: str) -> None:
    with pytest.raises(GraphError) as caught:
        load(node, copies)
    assert str(caught.value) == f'node "node": {says}'


@pytest.mark.parametrize(
    "node",
    [
        {**POPULATION, "centres": 1000},
        {**TIMES, "spike_count": 1000},
        {**RATE, "over": "100 h"},
        {**RATE, "over": "100 s", "every": "100 ms"},
        {**ARGMAX, "over": "10 s", "every": "100 ms"},
    ],
)
def test_what_has_room_and_time_is_not_spoken_of(node: dict[str, Any]) -> None:
    assert [problem for problem in load(node, 10).warnings if problem.node == "node"] == []


def test_counts_that_cannot_be_added_up_in_time_are_warned_of() -> None:
    assert [problem.found for problem in load({**RATE, "over": "10 s", "every": "1 ms"}, 500).warnings] == [
        "every answer adds up 10000000 counts for 500 copies, which takes longer than 1 ms"
    ]


def test_from_python_it_is_refused_likewise() -> None:
    with pytest.raises(ParameterError, match=r"centres: 100000000 samples .* take 3.2 GB — .* take fewer centres"):
        spikeflow.encode("population", [1.0], centres=10**8, scale=1.0)
    with pytest.raises(ParameterError, match=r"every: 360000 s in parts of 1 ms are 360000000 counts, which take"):
        spikeflow.decode("rate", [[1]], over="100 h", every="1 ms")
