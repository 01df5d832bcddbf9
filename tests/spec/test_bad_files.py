"""Every text that a bad graph file leads to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spikeflow.errors import GraphError
from spikeflow.spec import load

FOLDER = Path(__file__).parent / "bad"
ENV = {"EMPTY": "", "PORT": "99999"}


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_a_bad_file_gives_these_errors(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The expected text lies beside the file; with SPIKEFLOW_REWRITE=1 it is written anew."""
    monkeypatch.chdir(FOLDER)
    with pytest.raises(GraphError) as caught:
        load(f"{name}.yaml", env=ENV)
    said = str(caught.value).replace(f"{FOLDER}/", "") + "\n"
    expected = FOLDER / f"{name}.txt"
    if os.environ.get("SPIKEFLOW_REWRITE"):
        expected.write_text(said, encoding="utf-8")
    assert said == expected.read_text(encoding="utf-8")
    lines = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    for finding in caught.value.findings:
        assert finding.at is not None
        assert finding.at.line <= len(lines)
        assert finding.at.column <= len(lines[finding.at.line - 1]) + 1
