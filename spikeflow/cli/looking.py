"""`spikeflow check` and `spikeflow graph`: look at graph files, and start nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson

from spikeflow.cli.saying import BAD, OK, changes, guarded, say
from spikeflow.errors import Finding, GraphError, many
from spikeflow.spec import GraphSpec, load, to_mermaid
from spikeflow.units import format_ns


def check_graphs(paths: Sequence[Path], set_: Iterable[str], json: bool, debug: bool) -> int:
    """Check files, all of them; 2 where any has an error."""
    return guarded(lambda: _check(paths, changes(set_), json), debug)


def _check(paths: Sequence[Path], values: dict[str, str], json: bool) -> int:
    results, code = [], OK
    for path in paths:
        spec: GraphSpec | None = None
        errors: Sequence[Finding] = ()
        try:
            spec = load(path, set=values)
        except GraphError as error:
            errors, code = error.findings, BAD
        warnings = spec.warnings if spec else ()
        if json:
            results.append(_as_json(path, spec, errors, warnings))
            continue
        for finding in errors:
            say(str(finding))
        for finding in warnings:
            say(f"warning: {finding}")
        if spec is not None:
            print(f"{path}: {_summary(spec)}", flush=True)
        else:
            say(f"{path}: {many(len(errors), 'error')}")
    if json:
        print(orjson.dumps(results, option=orjson.OPT_INDENT_2).decode(), flush=True)
    return code


def _summary(spec: GraphSpec) -> str:
    neurons = sum(node.outlets[""].size for node in spec.nodes.values() if node.role == "neuron")
    counted = many(len(spec.nodes), "node") + (f", {many(neurons, 'neuron')}" if neurons else "")
    return f"{counted}, dt {format_ns(spec.dt_ns)}, window {format_ns(spec.window_ns)}: nothing is wrong"


def _as_json(path: Path, spec: GraphSpec | None, errors: Iterable[Finding], warnings: Iterable[Finding]) -> Any:
    found: dict[str, Any] = {
        "file": str(path),
        "ok": spec is not None,
        "errors": [_finding(one) for one in errors],
        "warnings": [_finding(one) for one in warnings],
    }
    if spec is not None:
        found |= {"name": spec.name, "dt_ns": spec.dt_ns, "window_ns": spec.window_ns, "seed": spec.seed}
        found["nodes"] = {
            name: {
                "role": node.role,
                "kind": node.kind,
                "inputs": [link.stream for link in node.links],
                "outlets": {port: {"kind": s.kind, "size": s.size} for port, s in node.outlets.items()},
            }
            for name, node in spec.nodes.items()
        }
    return found


def _finding(finding: Finding) -> dict[str, Any]:
    at = finding.at
    place = {"line": at.line, "column": at.column} if at else {"line": None, "column": None}
    return {**place, "node": finding.node, "found": finding.found, "hint": finding.hint, "text": str(finding)}


def print_graph(path: Path, set_: Iterable[str], debug: bool) -> int:
    """Print a graph as Mermaid."""

    def command() -> int:
        sys.stdout.write(to_mermaid(load(path, set=changes(set_))).rstrip("\n") + "\n")
        sys.stdout.flush()
        return OK

    return guarded(command, debug)
