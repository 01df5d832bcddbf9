"""docs/benchmarks.md is made of the kept results, and leaves nothing out; nothing is timed here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.benchmarks import graphs, kernels, page
from tests.benchmarks.neuron_peers import common, quiet
from tests.benchmarks.reasons import REASONS
from tests.benchmarks.results import GROWTH, NEURONS, PEERS, read
from tests.benchmarks.rows import ROWS, Limits, Row

SPEEDS = {"L1": 200.0, "L2": 100.0, "L3": 50.0, "memory": 10.0}


def test_the_page_is_made_of_the_kept_results() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.made(), "run python -m tests.benchmarks.page"


def test_every_row_is_on_the_page() -> None:
    kept = {line["key"] for line in read(NEURONS) if line["kind"] == "row"}
    assert kept == {row.key for row in ROWS}
    assert len(kept) == len(ROWS)


def test_every_row_that_misses_its_goal_has_a_reason() -> None:
    assert {row.key for row in page.missed(read(NEURONS))} <= set(REASONS) <= {row.key for row in ROWS}


def test_every_figure_has_a_spread_around_it() -> None:
    figures: list[Mapping[str, Any]] = [line for line in read(NEURONS) if "median" in line]
    figures += [us for line in read(GROWTH) for us in line["us"]]
    assert len(figures) > len(ROWS)
    for line in figures:
        assert line["min"] <= line["median"] <= line["max"]


def test_the_same_work_has_the_same_rate() -> None:
    """Norse's recursion gives the very spikes of W1, W2 and W4; W3 is chaos, and gives as many on the whole."""
    rates = {line["key"]: line["rate_hz"] for line in read(NEURONS) if "rate_hz" in line}
    for row in ROWS:
        for workload, case in page.PEER_ROWS:
            if row.case == case:
                n, peer = row.arguments.get("n", 10_000), "brian2-cpp" if workload == "W3" else "numpy"
                known = [
                    line["rate_hz"]
                    for line in read(PEERS)
                    if (line["peer"], line["workload"], line["n"], line["threads"]) == (peer, workload, n, 1)
                ]
                assert rates[row.key] == pytest.approx(known[0], rel=0.03 if workload == "W3" else 2e-4), row.key


def test_the_guide_and_the_readme_lead_to_the_page() -> None:
    docs = page.PAGE.parent
    assert "(benchmarks.md)" in (docs / "guide.md").read_text(encoding="utf-8")
    assert "(docs/benchmarks.md)" in (docs.parent / "README.md").read_text(encoding="utf-8")


def test_a_goal_is_an_upper_or_a_lower_bound() -> None:
    upper = Row("work", "kernels.w1", {}, "ns", "ns", 0.5)
    lower = Row("work", "kernels.w1", {}, "ratio", "times", 1.7, at_least=True)
    assert (upper.met(0.5), upper.met(0.51)) == (True, False)
    assert (lower.met(1.7), lower.met(1.69)) == (True, False)
    assert Row("work", "kernels.w1", {}, "ns", "ns").met(1e9) is None


def test_a_limit_is_the_bandwidth_of_the_nearest_place_that_holds_the_state() -> None:
    limits = Limits(SPEEDS, SPEEDS, {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20})
    assert [limits.update(n) for n in (1_000, 10_000, 1_000_000)] == [0.08, 0.16, 0.32]
    assert limits.update(8 << 20) == pytest.approx((0.32 + 1.6) / 2)  # half of it finds room in the last cache


def test_a_live_peer_is_one_that_is_fed_tick_by_tick() -> None:
    row = next(row for row in ROWS if row.case == "kernels.w1" and row.arguments["n"] == 10_000)
    some = {"workload": "W1", "n": 10_000, "threads": 1}
    peers = [
        {**some, "peer": "a", "variant": "scan of 100", "ns_per_update": 1.0},
        {**some, "peer": "b", "variant": "step loop", "ns_per_update": 2.0},
        {**some, "peer": "b", "variant": "step loop", "ns_per_update": 0.5, "threads": 2},
        {**some, "peer": "spikeflow", "variant": "kernel", "ns_per_update": 0.1},
    ]
    assert page.best_peer(row, peers, live=True) == ("b", 2.0)
    assert page.best_peer(row, peers, live=False) == ("a", 1.0)


def test_figures_have_three_digits() -> None:
    assert [page.figure(x) for x in (0.01234, 1.234, 12.34, 1234.5)] == ["0.0123", "1.23", "12.3", "1,234"]


@pytest.mark.parametrize("per", [1, 5])
def test_a_kernel_and_a_graph_do_the_same_work(per: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "w1_ticks", lambda n: 200)
    kernel, graph = kernels.w1(500, per, repetitions=1)["ns"], graphs.w1(500, per, 1)["ns"]
    assert kernel.rate_hz == graph.rate_hz
    assert kernel.rate_hz is not None
    assert 5 < kernel.rate_hz < 20


def test_the_table_names_what_it_misses() -> None:
    machine: dict[str, Any] = {"kind": "machine", "caches": {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}}
    speeds = [
        {"kind": "bandwidth", "place": place, "of": of, "median": speed}
        for of in ("triad", "read")
        for place, speed in SPEEDS.items()
    ]
    row = next(row for row in ROWS if row.goal == 0.5)
    slow = {"kind": "row", "key": row.key, "median": 0.8, "min": 0.7, "max": 0.9, "repetitions": 3}
    table = page.table([machine, *speeds, slow], [])
    assert re.search(r"\| 0\.800 \| 0\.700 to 0\.900 \| ≤ 0\.5 \| \*\*no\*\* \| 20 % \|", table)
    assert page.missed([machine, slow]) == [row]


def test_the_quietest_of_some_tries_counts_whatever_it_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = iter([("first", 0.9), ("second", 0.3), ("third", 0.5)])
    monkeypatch.setattr(quiet, "patience_s", 1e9)
    monkeypatch.setattr(quiet, "LONGEST_S", 0.0)
    monkeypatch.setattr(quiet, "others", lambda work: next(tries))
    assert quiet.quietly(lambda: None) == ("second", 0.3, None)


def test_a_quiet_try_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = iter([("first", 0.9), ("second", 0.05), ("third", 0.0)])
    monkeypatch.setattr(quiet, "patience_s", 1e9)
    monkeypatch.setattr(quiet, "LONGEST_S", 0.0)
    monkeypatch.setattr(quiet, "others", lambda work: next(tries))
    assert quiet.quietly(lambda: None) == ("second", 0.05, None)
    assert list(tries) == [("third", 0.0)]


def test_a_try_on_a_core_that_was_slow_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = iter([(150.0, 0.0), (104.0, 0.02), (100.0, 0.0)])
    monkeypatch.setattr(quiet, "patience_s", 1e9)
    monkeypatch.setattr(quiet, "LONGEST_S", 0.0)
    monkeypatch.setattr(quiet, "best_us", 100.0)
    monkeypatch.setattr(quiet, "pace_us", lambda: 130.0)
    monkeypatch.setattr(quiet, "others", lambda work: next(tries))
    assert quiet.quietly(lambda: None, lambda pace: pace) == (104.0, 0.02, 0.04)
    assert list(tries) == [(100.0, 0.0)]
