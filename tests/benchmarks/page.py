"""`docs/benchmarks.md`, made of the kept results: `python -m tests.benchmarks.page`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.reasons import REASONS
from tests.benchmarks.results import GROWTH, NEURONS, PEERS, read
from tests.benchmarks.rows import ROWS, Limits, Row

PAGE = Path(__file__).parent.parent.parent / "docs" / "benchmarks.md"

Line = Mapping[str, Any]

PEER_ROWS = {
    ("W1", "kernels.w1"): "ns_per_update",
    ("W2", "kernels.w2"): "ns_per_syn_event",
    ("W3", "kernels.w3"): "rtf",
    ("W3", "graphs.w3"): "rtf",
    ("W4", "kernels.w4"): "p50_us",
    ("W4", "graphs.w4"): "p50_us",
}
"""Workload and case to the figure of the peers that is the same as the row's."""

OFFLINE = (
    "offline",
    "sequence",
    "scan",
    "20 tick",
    "SpikeGenerator",
    "Synapses",
    "static synapses",
    "pool of",
    "all_to_all",
)
"""Words in a peer's variant that can only be given its input beforehand: it is no live peer."""


def limits_of(lines: Sequence[Line]) -> Limits:
    """The bandwidths among the lines."""
    found: dict[str, dict[str, float]] = {"triad": {}, "read": {}, "triad, NumPy": {}}
    for line in lines:
        if line["kind"] == "bandwidth":
            found[line["of"]][line["place"]] = line["median"]
    return Limits(found["triad"], found["read"], machine_of(lines)["caches"])


def machine_of(lines: Sequence[Line]) -> Line:
    """The line of the machine."""
    return next(line for line in lines if line["kind"] == "machine")


def figure(value: float) -> str:
    """Three digits, without an exponent."""
    if value == 0:
        return "0"
    digits = max(0, 2 - _exponent(value))
    return f"{value:,.{digits}f}"


def _exponent(value: float) -> int:
    return int(f"{abs(value):e}".partition("e")[2])


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def table(lines: Sequence[Line], peers: Sequence[Line]) -> str:
    """The rows that were measured, each with its goal, spread, share of the limit, and ratios to the peers."""
    found = {line["key"]: line for line in lines if line["kind"] == "row"}
    limits = limits_of(lines)
    shown = []
    for row in ROWS:
        line = found.get(row.key)
        if line is None:
            continue
        bound = "" if row.goal is None else f"{'≥' if row.at_least else '≤'} {row.goal:g}"
        met = row.met(line["median"])
        best = [best_peer(row, peers, live) for live in (True, False)]
        shown.append(
            [
                row.work,
                row.unit,
                figure(line["median"]),
                f"{figure(line['min'])} to {figure(line['max'])}",
                bound,
                "" if met is None else "yes" if met else "**no**",
                "" if row.limit is None else f"{100 * row.limit(limits) / line['median']:.0f} %",
                *(
                    "" if one is None else f"{one[1] / line['median']:.1f} × ({one[0]} {figure(one[1])})"
                    for one in best
                ),
                f"{line['rate_hz']:.2f}" if "rate_hz" in line else "",
            ]
        )
    head = ["work", "unit", "median", "min to max", "goal", "met", "of the limit", "best live peer", "best peer", "Hz"]
    return markdown(head, shown)


def best_peer(row: Row, peers: Sequence[Line], live: bool) -> tuple[str, float] | None:
    """The fastest peer on the same work with one thread, and its least figure; `live`: fed tick by tick."""
    for (workload, case), metric in PEER_ROWS.items():
        if row.case != case or row.metric == "p99" or (live and row.arguments.get("per", 1) > 10):
            continue  # long windows are not fed tick by tick
        n = row.arguments.get("n", 10_000)
        same = [
            line
            for line in peers
            if (line["workload"], line["n"], line["threads"]) == (workload, n, 1)
            and line["peer"] != "spikeflow"
            and "alone" not in line["variant"]
            and not (live and workload != "W4" and any(word in line["variant"] for word in OFFLINE))
        ]
        if same:
            best = min(same, key=lambda line: _least(line, metric))
            return best["peer"], _least(best, metric)
    return None


def _least(line: Line, metric: str) -> float:
    """A peer's figure in the fastest of its repetitions, where they are known apart."""
    return float(line[metric]) * (line["s_min"] / line["s"] if "s" in line else 1.0)


def limits_table(lines: Sequence[Line]) -> str:
    """The bandwidths."""
    found = {(line["of"], line["place"]): line for line in lines if line["kind"] == "bandwidth"}
    kinds = list(dict.fromkeys(of for of, _ in found))
    places = list(dict.fromkeys(place for _, place in found))
    rows = []
    for place in places:
        some = [found[kind, place] for kind in kinds]
        rows.append([place, *(f"{figure(s['median'])} ({figure(s['min'])} to {figure(s['max'])})" for s in some)])
    return markdown(["GB/s", *kinds], rows)


def words(machine: Line) -> str:
    """The machine and the versions, in a sentence each."""
    held = ", ".join(f"{name} {size >> 10:,} KiB" for name, size in machine["caches"].items())
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['date']}, {machine['processor']}, {machine['cores']} cores, caches of a core {held}, "
        f"{machine['memory'] / 2**30:.0f} GiB, {machine['system']}, niceness {machine['niceness']}. {versions}."
    )


def growth_table(lines: Sequence[Line]) -> str:
    """Time and memory along each axis, with slopes."""
    shown = []
    for line in lines:
        for k, x in enumerate(line["x"]):
            us = line["us"][k]
            last = k == len(line["x"]) - 1
            shown.append(
                [
                    f"{line['of']} ({line['where']})" if k == 0 else "",
                    f"{x:,}",
                    figure(us["median"]),
                    f"{figure(us['min'])} to {figure(us['max'])}",
                    figure(line["bytes"][k] / 2**20),
                    f"{line['slope']:.2f}" if last else "",
                    figure(line["ns_each"]) if last and line["ns_each"] > 0 else "",
                    figure(line["bytes_each"]) if last else "",
                ]
            )
    head = ["of", "", "µs a tick", "min to max", "MiB", "slope", "ns for one more", "bytes for one more"]
    return markdown(head, shown)


def missed(lines: Sequence[Line]) -> list[Row]:
    """The rows that do not reach their goal."""
    found = {line["key"]: line["median"] for line in lines if line["kind"] == "row"}
    return [row for row in ROWS if row.key in found and row.met(found[row.key]) is False]


def peers_table(peers: Sequence[Line]) -> str:
    """Every measurement of the harness, fastest first."""
    figures = {"W1": "ns_per_update", "W2": "ns_per_syn_event", "W3": "rtf", "W4": "p50_us"}
    units = {"W1": "ns an update", "W2": "ns a synaptic event", "W3": "times real time", "W4": "p50 µs"}
    shown = []
    for line in sorted(peers, key=lambda one: (one["workload"], one["n"], one[figures[one["workload"]]])):
        workload, value = line["workload"], line[figures[line["workload"]]]
        scale = value / line["s"] if "s" in line else 0.0
        between = f"{figure(line['s_min'] * scale)} to {figure(line['s_max'] * scale)}" if scale else ""
        if workload == "W4":
            between = f"p99 {figure(line['p99_us'])}"
        shown.append(
            [
                f"{workload}, {line['n']:,}",
                line["peer"],
                line["variant"],
                str(line["threads"]),
                f"{figure(value)} {units[workload]}",
                between,
                f"{line['rate_hz']:.2f}",
            ]
        )
    return markdown(["work", "library", "how", "threads", "median", "min to max", "Hz"], shown)


def versions_of(peers: Sequence[Line]) -> str:
    """The versions that the peers ran with."""
    found: dict[str, set[str]] = {}
    for line in peers:
        for name, version in line.get("versions", {}).items():
            found.setdefault(name, set()).add(version)
    return ", ".join(f"{name} {' and '.join(sorted(some))}" for name, some in sorted(found.items()))


def disturbed(lines: Sequence[Line]) -> str:
    """How much of the machine others used while these lines were measured, and how much slower the core was."""
    return (
        f"In the middle row others used {_middle(lines, 'others', '{:.2f}')} cores, and a core was "
        f"{_middle(lines, 'slower', '{:.0%}')} slower than at its best."
    )


def left_out(lines: Sequence[Line]) -> str:
    """How many repetitions do not count."""
    rows = [line for line in lines if line["kind"] == "row"]
    return f"{sum(line.get('left_out', 0) for line in rows)} repetitions of {len(rows)} rows were left out."


def _middle(lines: Sequence[Line], key: str, shown: str) -> str:
    known = sorted(line[key] for line in lines if line.get(key) is not None)
    return (
        f"{shown.format(known[len(known) // 2])} (most: {shown.format(known[-1])})" if known else "an unknown number of"
    )


def page(lines: Sequence[Line], peers: Sequence[Line], growth: Sequence[Line]) -> str:
    """The whole page."""
    short = missed(lines)
    named = [f"- **{row.work}.** {REASONS.get(row.key, NO_REASON)}" for row in short]
    return TEMPLATE.read_text(encoding="utf-8").format(
        machine=words(machine_of(lines)),
        others=disturbed(lines),
        left_out=left_out(lines),
        others_peers=disturbed(peers),
        others_growth=disturbed(growth),
        limits=limits_table(lines),
        table=table(lines, peers),
        missed="\n".join(named) or "All rows reach theirs.",
        growth=growth_table(growth),
        versions=versions_of(peers),
        dates=" and ".join(sorted({line["date"] for line in peers})) or "no day",
        peers=peers_table(peers),
    )


NO_REASON = "The reason is not known yet."

TEMPLATE = Path(__file__).with_name("page.txt")


def made() -> str:
    """The page of the kept results."""
    return page(read(NEURONS), read(PEERS), read(GROWTH))


def write() -> None:
    """Write the page anew."""
    PAGE.write_text(made(), encoding="utf-8")


if __name__ == "__main__":
    write()
