"""The README is run: its files are written, its commands called, their output compared."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
FENCE = re.compile(r"^```(\w+)(?: (.*?))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MOST_LINES_OF_A_NODE = 10


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, what stands behind it, and its text."""

    language: str
    options: dict[str, str]
    text: str


def blocks() -> list[Block]:
    tour = README[README.index("## A tour") :]
    return [
        Block(found[1], dict(o.split("=") for o in (found[2] or "").split()), found[3])
        for found in FENCE.finditer(tour)
    ]


def shell(text: str, folder: Path, expected: int = 0) -> str:
    """What a script says, standard error included."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {k: v for k, v in os.environ.items() if k != "MQTT_URL"} | {"PATH": path, "PYTHONPATH": str(ROOT)}
    with (folder / "said").open("w+") as said:  # a file: what is left in the background would hold a pipe open
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=folder,
            env=environment,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout=100)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        said.seek(0)
        found = said.read()
    assert code == expected, found
    return found


def is_as_shown(said: str, shown: str) -> bool:
    """Whether an output is the one that is shown; … stands for anything in a line, alone for any lines."""
    pattern = "".join(
        r"(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + "\n" for line in shown.splitlines()
    )
    return re.fullmatch(pattern, said if not said or said.endswith("\n") else said + "\n") is not None


def test_every_block_of_the_tour_does_what_it_shows(tmp_path: Path) -> None:
    done = set()
    for block in blocks():
        done.add(block.language)
        if "file" in block.options:
            (tmp_path / block.options["file"]).write_text(block.text)
        elif block.language == "python":
            shell(f"cat > block.py <<'END'\n{block.text}\nEND\npython block.py", tmp_path)
        else:
            assert block.language == "console"
            commands = [line[2:] for line in block.text.splitlines() if line.startswith("$ ")]
            shown = "\n".join(line for line in block.text.splitlines() if not line.startswith("$ "))
            said = shell("\n".join(commands), tmp_path, int(block.options.get("exit", "0")))
            assert is_as_shown(said, shown), f"{said}\n--- is not ---\n{shown}"
    assert done == {"yaml", "console", "csv", "python"}


def test_the_readme_opens_with_pictures_of_the_terminal_and_the_page_and_two_commands() -> None:
    opening = README[: README.index("## A tour")]
    assert (ROOT / "docs" / "terminal.svg").read_text().startswith("<svg")
    assert "(docs/terminal.svg)" in opening
    assert (ROOT / "docs" / "monitor.png").read_bytes().startswith(b"\x89PNG")
    assert "(docs/monitor.png)" in opening
    first, second = (found[3] for found in FENCE.finditer(opening))
    assert first.rstrip().endswith("spikeflow run graphs/host.yaml --monitor")
    assert second.rstrip().endswith(".venv/bin/pytest")
    assert second.strip() in (ROOT / ".ci" / "run").read_text()


def test_a_node_of_ones_own_is_short() -> None:
    (node,) = (block.text for block in blocks() if block.options.get("file") == "my_nodes.py")
    assert len([line for line in node.splitlines() if line.strip()]) <= MOST_LINES_OF_A_NODE


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_every_link_of_the_readme_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
