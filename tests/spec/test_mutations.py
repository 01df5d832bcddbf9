"""Whatever a graph file holds, loading it gives a graph or errors with places in the file."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from spikeflow.errors import GraphError
from spikeflow.spec import GraphSpec, load
from tests.spec.test_load import GOOD

MORE = GOOD + "name: ${NAME:-touch}\nseed: 3\nmonitor: {listen: 127.0.0.1:8420}\n"
ENV = {"NAME": "touch", "EMPTY": ""}
TREE: dict[str, Any] = YAML(typ="safe", pure=True).load(MORE)

Path_ = tuple[str | int, ...]


def paths(value: Any, at: Path_ = ()) -> Iterator[Path_]:
    """The way to every value below."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in entries:
        yield (*at, key)
        yield from paths(child, (*at, key))


PATHS = list(paths(TREE))
WORDS = sorted({str(part) for path in PATHS for part in path} | {"sensor.v", "a.", ".", "a.v", "b.u", "x y"})
TIMES = ["10 ms", "0 ms", "3", "-1 s", "1e999 s", "1e-400 s", "5 parsecs", "40 Hz", "9" * 400, "1_0 ms"]
REFERENCES = ["${X}", "${NAME}", "${EMPTY:?no}", "${params.tau}", "${params.deep}", "${", "$${", "${params.}"]
KINDS = [*(f"tests.spec.helpers:{name}" for name in ("Delta", "Leaky", "Buggy", "NoNode")), "json:loads", "a:b:c", ":"]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 70_000),
    st.floats(),
    st.sampled_from(WORDS),
    st.sampled_from(TIMES),
    st.sampled_from(REFERENCES),
    st.sampled_from(KINDS),
    st.text(max_size=8),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)


def change(tree: Any, path: Path_, how: str, value: Any) -> None:
    """Drop, replace or rename what is at a path, if it is still there."""
    for part in path[:-1]:
        try:
            tree = tree[part]
        except (KeyError, IndexError, TypeError):  # another change was faster
            return
    last = path[-1]
    if isinstance(tree, list) and isinstance(last, int) and last < len(tree):
        if how == "drop":
            del tree[last]
        else:
            tree[last] = value
    elif isinstance(tree, dict) and last in tree:
        old = tree.pop(last)
        if how == "replace":
            tree[last] = value
        elif how == "rename":
            tree[value if isinstance(value, str | int | float | bool | None) else str(value)] = old


def check(path: Path, text: str) -> GraphSpec | None:
    """Load a text, and hold what is said about it to its lines."""
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        return load(path, env=ENV)
    except GraphError as error:
        assert error.findings
        written = path.read_bytes().decode("utf-8", "replace")
        lines = re.split("\r\n|\n|\r", written)
        for finding in error.findings:
            assert finding.at is not None, str(finding)
            assert finding.at.file == str(path)
            assert 1 <= finding.at.line <= len(lines), str(finding)
            assert 1 <= finding.at.column <= len(lines[finding.at.line - 1]) + 1, str(finding)
            assert finding.found and finding.hint
        order = [(finding.at.line, finding.at.column) for finding in error.findings if finding.at]
        assert order == sorted(order)
        return None


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphs") / "touch.yaml"


@given(st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from(["drop", "replace", "rename"]), VALUES), max_size=3))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_change_of_keys_and_values_loads_or_is_explained(path: Path, changes: list[tuple[Path_, str, Any]]) -> None:
    tree = copy.deepcopy(TREE)
    for change_ in changes:
        change(tree, *change_)
    text = StringIO()
    YAML(typ="safe", pure=True).dump(tree, text)
    found = check(path, text.getvalue())
    if not changes:
        assert found is not None


@given(st.data())
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_change_of_lines_and_letters_loads_or_is_explained(path: Path, data: st.DataObject) -> None:
    lines = MORE.split("\n")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        how = data.draw(st.sampled_from(["drop", "double", "indent", "letter", "cut", "move"]))
        if how == "drop":
            del lines[at]
            lines = lines or [""]
        elif how == "double":
            lines.insert(at, lines[at])
        elif how == "indent":
            lines[at] = (
                data.draw(st.sampled_from(["\t", " ", "  ", "- ", "? ", "# ", "&a ", "*a ", "!x ", "<<: "])) + lines[at]
            )
        elif how == "letter":
            column = data.draw(st.integers(0, len(lines[at])))
            letter = data.draw(st.sampled_from(list("{}[]:,'\"#&*!|>%@`$-? \t\x00\x85\u2028é")) | st.characters())
            lines[at] = lines[at][:column] + letter + lines[at][column + data.draw(st.integers(0, 1)) :]
        elif how == "cut":
            lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))]
        else:
            lines.insert(data.draw(st.integers(0, len(lines))), lines.pop(at))
            lines = lines or [""]
    check(path, "\n".join(lines))


@given(st.text(max_size=60))
@settings(max_examples=80, deadline=None)
def test_any_text_is_explained(path: Path, text: str) -> None:
    assert check(path, text) is None


@given(st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5), VALUES, max_size=4), VALUES)
@settings(max_examples=80, deadline=None)
def test_any_mapping_loads_or_is_explained(top: dict[str, Any], nodes: Any) -> None:
    with pytest.raises(GraphError) as caught:
        load({**top, "nodes": nodes}, env=ENV)
    assert caught.value.findings


@given(
    st.dictionaries(
        st.lists(st.sampled_from(WORDS) | st.integers(0, 3).map(str), min_size=1, max_size=4).map(".".join)
        | st.sampled_from([".".join(map(str, path)) for path in PATHS]),
        st.text(max_size=8) | st.sampled_from(["{", "[1, 2]", "{a: 1}", "'x", '"y"', "3", "10 ms", "${X}", ""]),
        max_size=2,
    )
)
@settings(max_examples=120, deadline=None)
def test_any_setting_loads_or_is_explained(path: Path, changes: dict[str, str]) -> None:
    path.write_text(MORE)
    try:
        load(path, set=changes, env=ENV)
    except GraphError as error:
        assert all(finding.at is not None or finding.found.startswith("--set") for finding in error.findings)
