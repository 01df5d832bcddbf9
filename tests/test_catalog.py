"""Kinds are found by name, by entry point and by path."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from spikeflow.catalog import ROLES, article, kinds, node_class
from spikeflow.errors import ParameterError
from tests.spec import helpers


def refused(role: str, kind: str | type, folder: Path | None = None) -> str:
    with pytest.raises(ParameterError) as caught:
        node_class(role, kind, folder)
    return str(caught.value)


@pytest.fixture
def entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other packages bring along."""
    found = {
        "spikeflow.nodes": [
            ("spike_delta", "tests.spec.helpers:Delta"),
            ("pool", "tests.spec.helpers:Pool"),
            ("broken", "tests.spec.raises:Delta"),
            ("missing", "no_such_module_anywhere:Delta"),
            ("nonsense", "tests.spec.helpers:NoNode"),
        ],
        "spikeflow.models": [("resonator", "spikeflow.kernels.models.lif:Lif")],
    }

    def entry_points(group: str) -> list[importlib.metadata.EntryPoint]:
        return [importlib.metadata.EntryPoint(name, value, group) for name, value in found.get(group, [])]

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)


def test_what_is_installed_is_looked_through_once_however_many_kinds_are_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def entry_points(group: str) -> list[importlib.metadata.EntryPoint]:
        asked.append(group)
        return []

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    for number in range(20):
        with pytest.raises(ParameterError, match="did you mean 'lif'"):
            node_class("neuron", f"lif{number}")
    assert sorted(asked) == ["spikeflow.models", "spikeflow.nodes"]


@pytest.mark.parametrize("role", ROLES)
def test_every_built_in_kind_has_a_class_of_its_role_that_explains_itself(role: str) -> None:
    assert kinds(role) == sorted(kinds(role))
    for kind in kinds(role):
        found = node_class(role, kind)
        assert issubclass(found, ROLES[role])
        assert found.__doc__
        assert all(field.description for field in found.model_fields.values()), kind


def test_kinds_are_listed_without_importing_them() -> None:
    program = (
        "import sys; from spikeflow.catalog import kinds, ROLES; found = [kinds(role) for role in ROLES]; "
        "assert all(found), found; "
        "print([m for m in sys.modules if m.startswith(('spikeflow.nodes', 'spikeflow.kernels', 'numba'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_model_by_name_is_a_population() -> None:
    lif = node_class("neuron", "lif")
    assert lif is node_class("neuron", "lif")
    assert {"size", "tau_mem", "inputs"} <= set(lif.model_fields)


def test_a_kind_that_is_a_word_of_python_is_in_a_file_with_an_underscore() -> None:
    assert "if" in kinds("neuron") and "if_" not in kinds("neuron")
    assert node_class("neuron", "if").__name__ == "IntegrateAndFirePopulation"


def test_other_packages_bring_kinds_and_models(entries: None) -> None:
    assert "spike_delta" in kinds("encoder")
    assert "pool" in kinds("neuron")
    assert "resonator" in kinds("neuron")
    assert not {"broken", "missing", "nonsense"} & set(kinds("encoder"))
    assert node_class("encoder", "spike_delta") is helpers.Delta
    assert node_class("neuron", "pool") is helpers.Pool
    assert node_class("neuron", "resonator") is node_class("neuron", "lif")


def test_what_another_package_cannot_deliver_is_explained(entries: None) -> None:
    assert refused("encoder", "broken") == (
        "'broken' cannot be imported: RuntimeError: no licence found — mend tests.spec.raises:Delta"
    )
    assert refused("encoder", "missing") == (
        "'missing' cannot be imported: ModuleNotFoundError: No module named 'no_such_module_anywhere' "
        "— install what it needs"
    )
    assert refused("encoder", "nonsense") == (
        "'nonsense' is a class NoNode, not an encoder — name a subclass of Encoder"
    )
    assert (
        refused("decoder", "spike_delta") == "'spike_delta' is an encoder, not a decoder — write 'encoder: spike_delta'"
    )


def test_an_unknown_kind_names_the_nearest() -> None:
    assert refused("encoder", "level_crosing") == "unknown encoder 'level_crosing' — did you mean 'level_crossing'?"
    assert refused("neuron", "lfi") == "unknown neuron model 'lfi' — did you mean 'lif'?"
    assert refused("source", "rate") == (
        "unknown source 'rate' — it is an encoder and a decoder: write 'encoder: rate' or 'decoder: rate'"
    )
    assert refused("source", "poisson") == "unknown source 'poisson' — it is an encoder: write 'encoder: poisson'"


def test_a_class_can_be_named_by_its_path_or_given() -> None:
    assert node_class("encoder", "tests.spec.helpers:Delta") is helpers.Delta
    assert node_class("encoder", helpers.Delta) is helpers.Delta
    assert refused("encoder", helpers.Even) == "'Even' is a decoder, not an encoder — write 'decoder: Even'"
    assert refused("encoder", int) == "'int' is a class int, not an encoder — name a subclass of Encoder"


def test_a_model_of_ones_own_can_be_named_by_its_path() -> None:
    assert node_class("neuron", "spikeflow.kernels.models.lif:Lif") is node_class("neuron", "lif")


def test_a_module_beside_the_graph_comes_before_others_and_each_graph_has_its_own(tmp_path: Path) -> None:
    text = "import {helper}\nfrom tests.spec.helpers import Delta\nclass Mine(Delta):\n    where: str = {where!r}\n"
    for where in ("here", "there"):
        (tmp_path / where).mkdir()
        (tmp_path / where / f"helper_{where}.py").touch()
        (tmp_path / where / "own_encoder.py").write_text(text.format(helper=f"helper_{where}", where=where))
    before = list(sys.path)
    for where in ("here", "there", "here"):
        found = node_class("encoder", "own_encoder:Mine", tmp_path / where)
        assert found.model_fields["where"].default == where
    assert sys.path[: len(before)] == before


def test_a_module_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "bad_syntax.py").write_text("class Mine(:\n")
    (tmp_path / "needs_more.py").write_text("import what_nobody_has\n")
    (tmp_path / "exits.py").write_text("raise SystemExit(3)\n")
    assert "'bad_syntax:Mine' cannot be imported: SyntaxError: invalid syntax" in refused(
        "encoder", "bad_syntax:Mine", tmp_path
    )
    assert refused("encoder", "needs_more:Mine", tmp_path) == (
        "'needs_more:Mine' cannot be imported: ModuleNotFoundError: No module named 'what_nobody_has' "
        "— install what it needs"
    )
    assert refused("encoder", "exits:Mine", tmp_path) == ("'exits:Mine' cannot be imported: SystemExit: 3 — mend exits")
    assert refused("encoder", "not_there:Mine", tmp_path) == (
        "there is no module 'not_there' — put it beside the graph file, or install it"
    )


def test_a_module_mended_after_an_error_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "mended.py"
    path.write_text("raise RuntimeError('not yet')\n")
    refused("encoder", "mended:Mine", tmp_path)
    path.write_text("from tests.spec.helpers import Delta as Mine  # now it is there\n")
    assert node_class("encoder", "mended:Mine", tmp_path) is helpers.Delta


@pytest.mark.parametrize("path", ["a b:C", ":C", "m:", "m:C:D", "m..n:C", "1m:C"])
def test_what_is_no_path_of_a_class_says_so(path: str) -> None:
    assert refused("encoder", path) == f"{path!r} is no path of a class — write it as my_module:MyClass"


def test_an_abstract_class_names_what_it_lacks() -> None:
    assert refused("encoder", helpers.Unfinished) == "'Unfinished' lacks encode — write the method encode"


def test_roles_have_their_articles() -> None:
    assert [article(role) for role in ROLES] == ["a source", "an encoder", "a neuron", "a decoder", "a sink"]
