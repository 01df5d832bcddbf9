"""The keeper: the page is there for as long as the run is, and the run does not notice what becomes of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from spikeflow.cli import _with_addresses, app
from spikeflow.errors import ConnectError, ParameterError
from spikeflow.monitor.keeper import DEFAULT, Keeper, address
from tests.commands import Running
from tests.runtime.looking import own_folder

GRAPH = """
spikeflow: 1
nodes:
  noise: {source: synthetic, signal: poisson, size: 8, rate: 50 Hz}
  hidden: {neuron: lif, size: 30, inputs: [{from: noise, weights: 2.0}]}
"""


@pytest.fixture(autouse=True)
def place() -> Iterator[None]:
    with own_folder():
        yield


def _status(url: str, **headers: str) -> int:
    """The status of an answer; 0 where there is none."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20.0) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def _page(run: Running) -> psutil.Process:
    """The process that serves the page, which has answered."""
    (found,) = [p for p in psutil.Process(run.process.pid).children() if "spikeflow.monitor.page" in p.cmdline()]
    return found


def test_a_page_that_is_killed_comes_back_and_one_that_is_stopped_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(GRAPH)
    with Running(tmp_path, "one.yaml", "--json", "--monitor", "127.0.0.1:0") as run:
        url = run.says("monitor: http").removeprefix("monitor: ")
        assert _status(f"{url}healthz") == 200
        first = _page(run)
        first.kill()
        run.says("the monitor has died (exit code -9)")
        assert _status(f"{url}healthz") == 200  # who came meanwhile had to wait, and was not refused
        second = _page(run)
        assert second.pid != first.pid
        second.suspend()
        before = run.shows(bool)["hidden"]["windows"]
        seen = run.shows(lambda nodes: nodes["hidden"]["windows"] > before + 150)
        assert "missed" not in seen["hidden"]
        second.resume()
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 0
    assert not second.is_running() or second.status() == psutil.STATUS_ZOMBIE


def test_the_page_goes_with_a_run_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(GRAPH + "monitor: {listen: 127.0.0.1:0}\n")
    with Running(tmp_path, "one.yaml", "--json") as run:
        url = run.says("monitor: http").removeprefix("monitor: ")
        assert _status(f"{url}healthz") == 200
        page = _page(run)
        run.process.kill()
        psutil.wait_procs([page], timeout=20.0)
        assert _status(f"{url}healthz") == 0


def test_other_machines_need_a_token_that_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(GRAPH)
    with Running(tmp_path, "one.yaml", "--json", "--monitor", "0.0.0.0:0") as run:
        url, _, token = run.says("monitor: http").removeprefix("monitor: ").partition("?token=")
        here = f"http://127.0.0.1:{url.rstrip('/').rpartition(':')[2]}/"
        assert run.says("other machines")
        assert len(token) >= 32
        assert _status(f"{here}metrics") == 401
        assert _status(f"{here}metrics", Authorization=f"Bearer {token}") == 200
        assert sum(token in line for line in run.said) == 1
        assert not any(token in part for part in _page(run).cmdline())


def test_what_a_run_says_can_be_lines_of_json(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(GRAPH.replace("size: 8", "size: 8, length: 100 ms"))
    with Running(tmp_path, "one.yaml", "--json", "--log", "json", "--monitor", "127.0.0.1:0") as run:
        assert run.end() == 0
    (line,) = [json.loads(line) for line in run.said]
    assert (line["level"], line["text"].startswith("monitor: http://127.0.0.1:")) == ("info", True)
    with Running(tmp_path, "gone.yaml", "--log", "json") as run:
        assert run.end() == 2
    assert json.loads(run.said[0])["level"] == "error"
    with Running(tmp_path, "one.yaml", "--log", "xml") as run:
        assert run.end() == 2
    assert "write text or json" in run.said[0]


def test_nobody_needs_a_token_on_loopback_unless_one_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = Keeper(("127.0.0.1", 0))
    assert keeper.token is None
    assert keeper.said() == [f"monitor: {keeper.url}"]
    monkeypatch.setenv("SPIKEFLOW_MONITOR_TOKEN", "chosen")
    chosen = Keeper(("127.0.0.1", 0))
    assert chosen.token == "chosen"
    assert not any("chosen" in line for line in chosen.said())


def test_an_address_that_is_taken_is_said_before_anything_starts() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConnectError, match="already in use — choose another port"):
            Keeper(("127.0.0.1", taken.getsockname()[1]))


@pytest.mark.parametrize(
    ("text", "found"),
    [("8420", ("127.0.0.1", 8420)), ("0.0.0.0:1", ("0.0.0.0", 1)), ("[::1]:80", ("::1", 80)), ("host:0", ("host", 0))],
)
def test_an_address_is_a_port_or_a_host_and_a_port(text: str, found: tuple[str, int]) -> None:
    assert address(text) == found


@pytest.mark.parametrize("text", ["", "host", "host:port", "1:2:3", "127.0.0.1:99999"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="write host:port"):
        address(text)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ParameterError, match="pip install"):
        Keeper(("127.0.0.1", 0))


COMPILES = '''
import os

from spikeflow import Encoder, columns, spike_batch


class Slow(Encoder):
    """Takes as long to be made as somebody else wants, and holds up everything in its process meanwhile."""

    def start(self, size):
        if os.path.exists("wait"):
            with open("wait") as pipe:
                pipe.read()
            os.unlink("wait")

    def encode(self, samples):
        t_ns, channel, value = columns(samples)
        return spike_batch(t_ns, channel)
'''


def test_the_page_answers_while_the_run_still_compiles(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(COMPILES)
    os.mkfifo(tmp_path / "wait")
    (tmp_path / "one.yaml").write_text(
        'spikeflow: 1\nnodes:\n  wave: {source: synthetic, signal: sine}\n  slow: {encoder: "slow:Slow", input: wave}\n'
    )
    with Running(tmp_path, "one.yaml", "--json", "--monitor", "127.0.0.1:0") as run:
        url = run.says("monitor: http").removeprefix("monitor: ")
        with (tmp_path / "wait").open("w"):  # opens once the node is being made
            assert _status(f"{url}healthz") == 200
            assert _status(url) == 200
            assert _status(f"{url}readyz") == 503
        run.shows(lambda nodes: _status(f"{url}readyz") == 200)
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 0


def test_a_host_that_is_not_known_is_not_blamed_on_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConnectError, match=r"nohost\.invalid:80: Name or service not known — name this machine by"):
        Keeper(("nohost.invalid", 80))


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        (["run", "--monitor", "abc"], ["run", "--monitor", "abc"]),
        (["run", "--monitor", "my.host"], ["run", "--monitor", "my.host"]),
        (["run", "--monitor", "8000"], ["run", "--monitor", "8000"]),
        (["run", "--monitor", "small.yaml"], ["run", "--monitor", DEFAULT, "small.yaml"]),
        (["run", "--monitor", "graphs/small"], ["run", "--monitor", DEFAULT, "graphs/small"]),
        (["run", "--monitor", "--json"], ["run", "--monitor", DEFAULT, "--json"]),
        (["run", "--monitor"], ["run", "--monitor", DEFAULT]),
    ],
)
def test_a_word_after_monitor_is_an_address_unless_it_is_a_path_or_an_option(typed: list[str], read: list[str]) -> None:
    assert _with_addresses(typed) == read


def test_a_word_that_is_no_address_is_said_to_be_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "small.yaml").write_text(
        "spikeflow: 1\nnodes: {a: {source: synthetic, signal: poisson, size: 2, rate: 5 Hz, length: 1 s}}\n"
    )
    with pytest.raises(SystemExit) as left:
        app(_with_addresses(["run", str(tmp_path / "small.yaml"), "--monitor", "abc"]))
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith("error: --monitor abc: it is no address — write host:port")
