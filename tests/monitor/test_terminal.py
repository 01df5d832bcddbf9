"""The process that draws: the terminal is always given back, and nothing it does holds a run up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import IO

import pytest

from spikeflow.monitor import screen as screens
from spikeflow.monitor.frames import Frame, pack
from tests.monitor.frames_of import figures, hello, look
from tests.terminals import Terminal

Drawn = tuple[Terminal, IO[bytes]]
COMMAND = ("-m", "spikeflow.monitor.terminal")
SECOND_SCREEN, FIRST_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
CURSOR = "\x1b[?25h"


@pytest.fixture
def drawn() -> Iterator[Drawn]:
    """A drawing process with a picture on its terminal, and the pipe it reads."""
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb", buffering=0) as pipe, Terminal(COMMAND, stdin=read_end) as terminal:
        os.close(read_end)
        pipe.write(pack(hello()) + pack(look(0)))
        terminal.until("telemetry")
        yield terminal, pipe


def is_given_back(terminal: Terminal) -> bool:
    return terminal.seen.rindex(FIRST_SCREEN) > terminal.seen.rindex(SECOND_SCREEN) and CURSOR in terminal.seen


def test_the_last_table_stays_on_the_shells_screen(drawn: Drawn) -> None:
    terminal, pipe = drawn
    pipe.write(pack(Frame("end", figures() | {"ended": "ended"})))
    assert terminal.end() == 0
    assert is_given_back(terminal)
    left = terminal.seen[terminal.seen.rindex(FIRST_SCREEN) :]
    assert "answers" in left
    assert left.endswith("\n")


def test_a_run_that_dies_gives_the_terminal_back(drawn: Drawn) -> None:
    terminal, pipe = drawn
    pipe.write(pack(look(1))[:20])
    pipe.close()
    assert terminal.end() == 0
    assert is_given_back(terminal)


def test_ctrl_c_is_for_the_run_and_a_kill_gives_the_terminal_back(drawn: Drawn) -> None:
    terminal, pipe = drawn
    terminal.process.send_signal(signal.SIGINT)
    pipe.write(pack(look(1, elapsed=3671.0)))
    terminal.until("1:01:11")
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.end() == 0
    assert is_given_back(terminal)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[screens.Screen]:
    """A screen whose process reads nothing until it is told to."""
    monkeypatch.setattr(screens, "_COMMAND", ("-c", "import signal; signal.pause()"))
    found = screens.Screen()
    yield found
    found.close()


def test_a_screen_that_is_stuck_drops_frames_and_never_blocks(
    screen: screens.Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screens, "_PATIENCE_S", 0.2)
    sent = 0
    while screen.ready():
        screen.send(look(sent, size=256))
        sent += 1
    assert 10 < sent < 10_000
    screen.close(look(sent))
    assert not screen.alive


def test_a_screen_that_was_killed_is_known_and_harmless(screen: screens.Screen) -> None:
    os.kill(screen.process_id, signal.SIGKILL)
    os.waitid(os.P_PID, screen.process_id, os.WEXITED | os.WNOWAIT)
    screen.send(hello())
    assert not screen.ready()
    screen.close(look(0))


def test_the_view_needs_no_engine_to_be_imported() -> None:
    found = "import sys, spikeflow.monitor.terminal; print('pyarrow' in sys.modules, 'numba' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", found], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "False"]
