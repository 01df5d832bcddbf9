"""Metrics: what Prometheus reads, in its own conventions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from spikeflow.monitor.page.following import Following
from spikeflow.monitor.page.latencies import Histogram

_COUNTS = {
    "accepted": "Events that a source or sink took.",
    "processed": "Events that a source or sink handed on or wrote.",
}
_REASONS = {
    "rejected": "Events that could not be used.",
    "dropped": "Usable events that were given up.",
    "noted": "What happened and lost nothing.",
}
_MISHAPS = {
    "windows": "Windows handled.",
    "errors": "Failures.",
    "missed": "Windows given up after a failure.",
    "restarts": "How often a node was started again.",
}
_LATENCY = "From the end of a window until a sink was done with it, looked at twice a second."

Nodes = Mapping[str, Mapping[str, Any]]
Values = Mapping[Any, float]


class RunMetrics(Collector):
    """One run, from what it told last."""

    def __init__(self, following: Following) -> None:
        self._following = following

    def describe(self) -> Iterator[Metric]:
        """Nothing is known before the first look."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Every metric of the run."""
        following = self._following
        yield GaugeMetricFamily("spikeflow_up", "Whether the run answers.", value=float(following.connected))
        if not following.figures:
            return
        figures, info = following.figures, following.info
        nodes: Nodes = figures["nodes"]
        about = GaugeMetricFamily("spikeflow_run_info", "What runs.", labels=("graph",))
        about.add_metric((info["graph"],), 1.0)
        yield about
        yield GaugeMetricFamily("spikeflow_run_started_seconds", "When it began, since 1970.", value=info["started"])
        yield from self._events(nodes)
        for key, text in _COUNTS.items():
            yield _counter(f"spikeflow_{key}_events", text, _of(nodes, key))
        for key, text in _REASONS.items():
            counts = {(n, why): count for n, one in nodes.items() for why, count in one.get(key, {}).items()}
            name = "spikeflow_notes" if key == "noted" else f"spikeflow_{key}_events"
            yield _counter(name, text, counts, ("node", "reason"))
        for key, text in _MISHAPS.items():
            yield _counter(f"spikeflow_{key}", text, {(n,): one.get(key, 0) for n, one in nodes.items()})
        lag = {(n,): one["lag_ms"] / 1e3 for n, one in nodes.items()}
        yield _gauge("spikeflow_lag_seconds", "How far a node is behind the clock.", lag)
        yield _gauge("spikeflow_buffered_events", "Events accepted, not handed on yet.", _of(nodes, "buffered"))
        waiting = {name: one for name, one in nodes.items() if one["capacity"]}
        yield _gauge("spikeflow_queue_windows", "Windows that wait for a node.", _of(waiting, "queue"))
        yield _gauge("spikeflow_queue_capacity_windows", "Windows that may wait for it.", _of(waiting, "capacity"))
        is_open = {(name,): float(stands) for name, stands in figures["open"].items()}
        yield _gauge("spikeflow_connected", "Whether the connection of a node stands.", is_open)
        lost = {_apart(name): count for name, count in following.lost.items() if not name.startswith("{")}
        yield _counter("spikeflow_monitor_lost_events", "Events that the monitor did not see.", lost, ("node", "port"))
        yield _histogram("spikeflow_window_seconds", "How long a node took for a window.", following.window_times)
        yield _histogram("spikeflow_latency_seconds", _LATENCY, following.latencies)

    def _events(self, nodes: Nodes) -> Iterator[Metric]:
        yield _counter("spikeflow_received_events", "Events that a node took in.", _of(nodes, "events_in"))
        went = {_apart(name): count for name, count in self._following.figures["outlets"].items()}
        yield _counter("spikeflow_sent_events", "Events that left an outlet.", went, ("node", "port"))


def _of(nodes: Nodes, key: str) -> Values:
    return {(name,): one[key] for name, one in nodes.items() if key in one}


def _apart(outlet: str) -> tuple[str, str]:
    node, _, port = outlet.partition(".")
    return node, port


def _counter(name: str, text: str, counts: Values, labels: tuple[str, ...] = ("node",)) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in counts.items():
        family.add_metric(values, float(count))
    return family


def _gauge(name: str, text: str, values: Values) -> Metric:
    family = GaugeMetricFamily(name, text, labels=("node",))
    for node, value in values.items():
        family.add_metric(node, float(value))
    return family


def _histogram(name: str, text: str, found: Mapping[str, Histogram]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=("node",))
    for node, histogram in found.items():
        family.add_metric((node,), histogram.buckets, histogram.total)
    return family
