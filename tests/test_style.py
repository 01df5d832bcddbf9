"""The tools that hold the style, so that `pytest` is the whole check."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("command", [("ruff", "check"), ("ruff", "format", "--check"), ("mypy",)], ids=" ".join)
@pytest.mark.timeout(600)
def test_a_tool_finds_nothing(command: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_opens_with_a_sentence() -> None:
    silent = [str(p) for p in ROOT.glob("spikeflow/**/*.py") if p.read_text() and not p.read_text().startswith('"""')]
    assert silent == []
