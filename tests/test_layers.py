"""Who may import whom: downwards only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "spikeflow"

LAYERS = (
    ("errors", "units", "noise", "machine", "wire", "layers"),
    ("family", "secret"),
    ("events",),
    ("copies", "segments"),
    ("context",),
    ("node",),
    ("kernels",),
    ("nodes",),
    ("catalog",),
    ("spec", "simulation", "encoding", "decoding"),
    ("runtime",),
    ("session", "testing", "plot"),
    ("monitor",),
    ("cli",),
    ("__init__", "__main__"),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

STEPS_NEURONS = {"nodes.population", "nodes.projections", "nodes.stepped", "nodes.currents", "simulation"}
KNOWS_MODELS = {"catalog", "cli.doctor", "nodes.encoders.lif_ex_current", "nodes.encoders.lif_adex_current"}
"""The catalogue names a model's class by its file; the doctor compiles one; two encoders say which one theirs is."""
READS_NUMBERS = {"nodes.number_files"}
"""Fields that hold numbers read their files as weights are read."""
RUNS = {"spec", "runtime", "catalog", "session", "decoding"}


def modules() -> dict[str, Path]:
    """Name below the package to file."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return found


MODULES = modules()


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, be it inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}".removeprefix("spikeflow.")
                yield f"spikeflow.{inner}" if inner in MODULES else str(node.module)


def own(name: str) -> list[str]:
    """What a module imports of spikeflow, as names below the package."""
    found = [one for one in imports(MODULES[name]) if one.partition(".")[0] == "spikeflow"]
    return ["__init__" if one == "spikeflow" else one.removeprefix("spikeflow.") for one in found]


def top(name: str) -> str:
    return name.partition(".")[0]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_from_its_own_layer_and_below(name: str) -> None:
    above = [one for one in own(name) if one != "__init__" and RANK[top(one)] > RANK[top(name)]]
    beside = [one for one in own(name) if RANK.get(top(one)) == RANK[top(name)] and top(one) != top(name)]
    if top(name) in ("errors", "units", "noise", "testing"):
        beside = []
    assert (above, beside) == ([], [])


@pytest.mark.parametrize("name", MODULES)
def test_only_what_steps_neurons_knows_the_kernels(name: str) -> None:
    if top(name) != "kernels" and any(top(one) == "kernels" for one in own(name)):
        assert name in STEPS_NEURONS | READS_NUMBERS | KNOWS_MODELS


@pytest.mark.parametrize("name", [name for name in MODULES if top(name) == "kernels"])
def test_kernels_know_nothing_of_arrow_asyncio_or_yaml(name: str) -> None:
    assert not {top(one) for one in imports(MODULES[name])} & {"pyarrow", "asyncio", "ruamel", "yaml", "aiomqtt"}
    assert {top(one) for one in own(name)} <= {"kernels", "errors", "family", "units", "noise", "machine"}


@pytest.mark.parametrize("name", [name for name in MODULES if top(name) in RUNS])
def test_nobody_who_runs_nodes_names_one(name: str) -> None:
    assert not [one for one in own(name) if top(one) == "nodes"]


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("nodes.") and name.count(".") == 2])
def test_a_node_knows_no_other_node(name: str) -> None:
    assert not [one for one in own(name) if one.startswith("nodes.") and one.count(".") == 2 and one != name]


def test_the_process_that_draws_knows_nothing_of_the_engine() -> None:
    for name in ("monitor.terminal", "monitor.draw", "monitor.frames", "monitor.app"):
        assert {one for one in own(name) if not one.startswith("monitor.")} <= {"wire"}
        assert not {"monitor.feed", "monitor.raster", "monitor.figures"} & set(own(name))
