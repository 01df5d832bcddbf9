"""Every golden case of decoders is run through a graph by the test of a kind."""

from __future__ import annotations

from tests.nodes.decoders import golden
from tests.nodes.decoders.test_spike_count import SUMS
from tests.nodes.decoders.test_spikes_to_times import TIMES


def test_every_case_is_run_or_excepted_for_a_reason() -> None:
    run = {*SUMS, *TIMES}
    assert run | set(golden.EXCEPTIONS) == set(golden.cases())
    assert not run & set(golden.EXCEPTIONS)
    assert all(reason.strip() for reason in golden.EXCEPTIONS.values())


def test_the_cases_hold_enough_spikes_to_mean_something() -> None:
    for spikes, out in golden.cases().values():
        assert spikes.shape == (golden.TICKS, golden.LANES, golden.NEURONS)
        assert spikes.sum() > 100
        assert len(set(out.ravel().tolist())) > 2
