"""`spikeflow check` and `spikeflow graph`: look at graph files and what they connect to; nothing runs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from spikeflow.cli.saying import BAD, NOT_CONNECTED, OK, changes, guarded, say, time_of
from spikeflow.errors import Finding, GraphError, many
from spikeflow.spec import GraphSpec, load, to_mermaid
from spikeflow.units import format_ns

if TYPE_CHECKING:
    from spikeflow.runtime.probing import Probed


def check_graphs(
    paths: Sequence[Path], set_: Iterable[str], connect: bool, connect_timeout: str, json: bool, debug: bool
) -> int:
    """Check files, all of them; 2 where any has an error, else 3 where something cannot be connected to."""

    def command() -> int:
        patience = time_of("--connect-timeout", connect_timeout)
        return _check(paths, changes(set_), patience if connect else None, json)

    return guarded(command, debug)


def _check(paths: Sequence[Path], values: dict[str, str], patience: float | None, json: bool) -> int:
    results, code = [], OK
    for path in paths:
        spec: GraphSpec | None = None
        errors: Sequence[Finding] = ()
        try:
            spec = load(path, set=values)
        except GraphError as error:
            errors, code = error.findings, BAD
        warnings = spec.warnings if spec else ()
        probed = _probed(spec, patience) if spec is not None and patience is not None else None
        if probed and code == OK and any(one.ok is False for one in probed):
            code = NOT_CONNECTED
        if json:
            results.append(_as_json(path, spec, errors, warnings, probed))
            continue
        for finding in errors:
            say(str(finding))
        for finding in warnings:
            say(f"warning: {finding}")
        if spec is not None:
            print(f"{path}: {_summary(spec)}", flush=True)
            for name, choice in choices(spec).items():
                print(f'{path}: node "{name}" is stepped on {choice.backend}: {choice.why}', flush=True)
            _say_probed(path, spec, probed)
        else:
            say(f"{path}: {many(len(errors), 'error')}")
    if json:
        print(orjson.dumps(results, option=orjson.OPT_INDENT_2).decode(), flush=True)
    return code


def choices(spec: GraphSpec) -> dict[str, Any]:
    """The populations that are stepped on a device, or that might have been, and why."""
    found = {}
    for name, node in spec.nodes.items():
        stepped_on = getattr(node.node, "stepped_on", None)
        choice = stepped_on(spec.window_ticks) if stepped_on is not None else None
        if choice is not None and choice.backend != "auto":
            found[name] = choice
    return found


def _probed(spec: GraphSpec, patience: float) -> list[Probed]:
    from spikeflow.runtime.probing import probe

    return asyncio.run(probe(spec, patience))


def _say_probed(path: Path, spec: GraphSpec, probed: list[Probed] | None) -> None:
    if probed == []:
        print(f"{path}: no node connects to anything", flush=True)
    for one in probed or ():
        node = f'{spec.nodes[one.node].position or path}: node "{one.node}"'
        if one.error is not None:
            say(f"{node}: {one.error}")
        elif one.to is None:
            print(f"{node}: not tried; its class has no 'probe'", flush=True)
        else:
            print(f"{node}: {one.to} opened in {1e3 * one.seconds:.3g} ms", flush=True)
            if one.see_to is not None:
                print(f"{node}: {one.see_to}", flush=True)


def _summary(spec: GraphSpec) -> str:
    neurons = sum(node.outlets[""].size for node in spec.nodes.values() if node.role == "neuron")
    counted = many(len(spec.nodes), "node") + (f", {many(neurons, 'neuron')}" if neurons else "")
    return f"{counted}, dt {format_ns(spec.dt_ns)}, window {format_ns(spec.window_ns)}: nothing is wrong"


def _as_json(
    path: Path,
    spec: GraphSpec | None,
    errors: Iterable[Finding],
    warnings: Iterable[Finding],
    probed: Iterable[Probed] | None,
) -> Any:
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
                **_where(node.node, spec.window_ticks),
            }
            for name, node in spec.nodes.items()
        }
    if probed is not None:
        found["connections"] = [{"ok": one.ok, **asdict(one)} for one in probed]
    return found


def _where(node: Any, window_ticks: int) -> dict[str, Any]:
    """Where a population is stepped, and why."""
    stepped_on = getattr(node, "stepped_on", None)
    if stepped_on is None:
        return {}
    choice = stepped_on(window_ticks)
    return {"device": {"on": "cpu" if choice.backend == "auto" else choice.backend, "why": choice.why}}


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
