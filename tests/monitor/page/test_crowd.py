"""A thousand connections at once: the page goes on for others, and the run notices nothing."""

from __future__ import annotations

import contextlib
import resource
import signal
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.commands import Running
from tests.runtime.looking import own_folder

GRAPH = """
spikeflow: 1
nodes:
  noise: {source: synthetic, signal: poisson, size: 8, rate: 50 Hz}
  hidden: {neuron: lif, size: 30, inputs: [{from: noise, weights: 2.0}]}
"""
CROWD = 1000
SILENT = b""
HALF = b"GET / HTTP/1.1\r\nHost: "
GARBAGE = b"\x00\xff\x16\x03 spikes\r\n\r\n"
VIEWER = (
    "GET /frames HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture(autouse=True)
def room() -> Iterator[None]:
    """Enough files may be open, and no other run is in the folder of the sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = CROWD + 500
    if soft != resource.RLIM_INFINITY and soft < need:
        resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))
    try:
        with own_folder():
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20.0) as answer:
        assert answer.status == 200
        return bytes(answer.read())


def test_a_thousand_connections_keep_nobody_out_and_the_run_goes_on(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(GRAPH)
    with Running(tmp_path, "one.yaml", "--json", "--monitor", "127.0.0.1:0") as run:
        url = run.says("monitor: http").removeprefix("monitor: ")
        where = urlsplit(url)
        assert where.hostname is not None
        run.shows(lambda nodes: bool(nodes) and b"spikeflow_windows_total" in _get(f"{url}metrics"))
        (page,) = psutil.Process(run.process.pid).children()
        files = page.num_fds()
        before = run.shows(bool)
        with contextlib.ExitStack() as crowd:
            for number in range(CROWD):  # none of them ever reads
                one = crowd.enter_context(socket.create_connection((where.hostname, where.port), timeout=20.0))
                one.sendall((SILENT, HALF, GARBAGE, VIEWER.format(host=where.netloc).encode())[number % 4])
            assert _get(f"{url}healthz") == b"ok\n"
            assert _get(f"{url}readyz") == b"ready\n"
            assert b"<html" in _get(url)
            assert page.num_fds() > files + CROWD // 4
            seen = run.shows(lambda nodes: nodes["hidden"]["windows"] > before["hidden"]["windows"] + 200)
            for name, one_node in seen.items():
                assert not one_node.get("missed") and not one_node.get("dropped"), name
            assert _get(f"{url}healthz") == b"ok\n"
        run.shows(lambda nodes: page.num_fds() <= files + 8)  # they are forgotten as they go
        assert [one.pid for one in psutil.Process(run.process.pid).children()] == [page.pid]
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 0
    assert run.report["nodes"]["hidden"]["windows"] == run.report["nodes"]["noise"]["windows"]
