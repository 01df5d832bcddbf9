"""Metrics: what Prometheus reads of a run is what the run did."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as text_parser
from ruamel.yaml import YAML

from spikeflow.monitor.page.latencies import Histogram
from tests.monitor.page.pages import page
from tests.runtime.looking import Gate, events_of, graph, looked_at, own_folder

OPEN = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
"""What Prometheus asks for."""


@pytest.fixture(autouse=True)
def place() -> Iterator[None]:
    with own_folder():
        yield


def _parsed(text: str) -> list[Any]:
    return list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


async def test_prometheus_reads_what_the_run_did_by_node_and_port() -> None:
    async with looked_at(graph(50), stays=True) as (engine, path, _), page(path) as (url, following, client):
        await following.until(lambda: following.figures)
        Gate.go.set()
        await following.until(lambda: following.figures["nodes"]["rate"]["windows"] >= 50)
        async with client.get(f"{url}/metrics", headers=OPEN) as answer:
            assert answer.content_type == "application/openmetrics-text"
            families = {family.name: family for family in _parsed(await answer.text())}
        sent = {
            (one.labels["node"], one.labels["port"]): one.value
            for one in families["spikeflow_sent_events"].samples
            if one.name.endswith("_total")
        }
        assert sent["gate", ""] == sum(len(events_of(k)[1]) for k in range(50))
        windows = {one.labels["node"]: one.value for one in families["spikeflow_window_seconds"].samples
                   if one.name == "spikeflow_window_seconds_count"}  # fmt: skip
        assert windows["hidden"] == 50
        assert [one.value for one in families["spikeflow_up"].samples] == [1.0]
        assert not any("neuron" in one.labels for family in families.values() for one in family.samples)
        assert engine.spec.name == next(iter(families["spikeflow_run_info"].samples)).labels["graph"]
        async with client.get(f"{url}/readyz") as answer:
            assert answer.status == 200


@pytest.mark.parametrize("accept", ["*/*", "text/plain;version=0.0.4"])
async def test_who_does_not_ask_for_openmetrics_gets_the_text_that_everybody_reads(accept: str) -> None:
    async with looked_at(graph(50), stays=True) as (_, path, _run), page(path) as (url, following, client):
        await following.until(lambda: following.figures)
        async with client.get(f"{url}/metrics", headers={"Accept": accept}) as answer:
            assert answer.content_type == "text/plain"
            kinds = {family.name: family.type for family in text_parser(await answer.text())}
    assert kinds["spikeflow_sent_events"] == "counter"
    assert "unknown" not in kinds.values()


async def test_a_run_that_is_gone_is_not_ready_and_down_and_the_page_is_healthy() -> None:
    async with page(Path("/nonexistent/1.sock")) as (url, _, client):
        async with client.get(f"{url}/readyz") as answer:
            assert (answer.status, await answer.text()) == (503, "the run does not answer\n")
        async with client.get(f"{url}/metrics") as answer:
            assert "spikeflow_up 0.0" in await answer.text()
        async with client.get(f"{url}/healthz") as answer:
            assert answer.status == 200


def test_a_histogram_counts_what_is_at_most_as_long_as_each_bound() -> None:
    histogram = Histogram()
    histogram.add(np.array([1e-5, 2e-5, 0.3, 9.0]))
    found = dict(histogram.buckets)
    assert (found["1e-05"], found["2.5e-05"], found["0.25"], found["0.5"], found["+Inf"]) == (1, 2, 2, 3, 4)
    assert histogram.total == pytest.approx(9.30003)


FOLDER = Path(__file__).parents[3] / "docs" / "monitoring"


def _expressions() -> list[str]:
    """What the example dashboard and the example alerts ask Prometheus for."""
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    alerts = YAML(typ="safe").load((FOLDER / "alerts.yaml").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return asked + [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]


async def test_the_example_dashboard_and_alerts_ask_for_metrics_that_there_are() -> None:
    async with looked_at(graph(50)) as (_, path, _run), page(path) as (url, following, client):
        await following.until(lambda: following.figures)
        async with client.get(f"{url}/metrics", headers=OPEN) as answer:
            families = {family.name: family.type for family in _parsed(await answer.text())}
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
    there = {name + ending for name, kind in families.items() for ending in endings[kind]}
    asked = {name for expression in _expressions() for name in re.findall(r"spikeflow_[a-z_]+", expression)}
    assert asked - there == set()
    assert len(asked) > 10
