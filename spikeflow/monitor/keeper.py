"""The keeper: begins the process that serves the page, again where it dies; the run never waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import re
import secrets
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from spikeflow.errors import ConnectError, ParameterError
from spikeflow.monitor.loopback import is_loopback
from spikeflow.runtime.engine import Engine

DEFAULT = "127.0.0.1:8420"
TOKEN = "SPIKEFLOW_MONITOR_TOKEN"
"""The environment variable with the token, for those who want to choose it."""
_ADDRESS = re.compile(r"(?:(\[[0-9a-fA-F:.]+\]|[^:\s\[\]]+):)?([0-9]{1,5})")
_FIRST_WAIT_S, _LONGEST_WAIT_S, _STEADY_S = 0.2, 10.0, 30.0
_LAST_S = 2.0


def address(text: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or of a port alone, which is one of loopback.

    Raises:
        ParameterError: it is neither.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match[2]) > 65_535:
        raise ParameterError(f"--monitor {text}: it is no address", f"write host:port, such as {DEFAULT}")
    return (match[1] or "127.0.0.1").strip("[]"), int(match[2])


@dataclass
class Keeper:
    """The page of one run.

    Args:
        where: host and port; port 0 takes a free one.
        hosts: further names that the page answers to.
        debug: whether its process may write on standard error.

    Raises:
        ConnectError: the address cannot be listened on.
        ParameterError: a package is missing.
    """

    where: tuple[str, int]
    hosts: Sequence[str] = ()
    debug: bool = False
    token: str | None = field(default=None, repr=False)
    process: asyncio.subprocess.Process | None = None
    has_begun: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        missing = [name for name in ("aiohttp", "prometheus_client") if importlib.util.find_spec(name) is None]
        if missing:
            raise ParameterError(f"the monitor needs {' and '.join(missing)}", "pip install 'spikeflow[monitor]'")
        host, port = self.where
        try:
            family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(place)
        except socket.gaierror as error:
            text = f"--monitor {host}:{port}: {error.strerror or error} — name this machine by an address that it has"
            raise ConnectError(f"{text}, such as 127.0.0.1") from None
        except OSError as error:
            text = f"--monitor {host}:{port}: {error.strerror or error} — choose another port, or 0 for a free one"
            raise ConnectError(text) from None
        self._socket.listen(1024)
        chosen = os.environ.get(TOKEN)
        self.is_open = is_loopback(self._socket.getsockname()[0])
        self.token = chosen or (None if self.is_open else secrets.token_urlsafe(24))
        self._made = self.token is not None and not chosen

    @property
    def url(self) -> str:
        """Where the page is, without the token."""
        host, port = self._socket.getsockname()[:2]
        if host in ("0.0.0.0", "::"):
            host = socket.gethostname()
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"

    def said(self) -> list[str]:
        """What a person has to know, once."""
        if self._made:
            return [
                f"monitor: {self.url}?token={self.token}",
                "monitor: it can be reached from other machines, without encryption; who has this address can look on",
            ]
        known = f", with the token in {TOKEN}" if self.token else ""
        return [f"monitor: {self.url}{known}"]

    async def run(self, engine: Engine, say: Callable[[str], None]) -> None:
        """Keep the page there until it is cancelled."""
        wait = _FIRST_WAIT_S
        while True:
            began = time.monotonic()
            self.process = process = await self._begin()
            self.has_begun.set()
            told = asyncio.create_task(self._tell(process, engine, say), name="spikeflow: monitor's run")
            try:
                code = await process.wait()
            finally:
                told.cancel()
            wait = _FIRST_WAIT_S if time.monotonic() - began > _STEADY_S else min(2 * wait, _LONGEST_WAIT_S)
            say(f"the monitor has died (exit code {code}); it begins again in {wait:.1f} s, and the run goes on")
            await asyncio.sleep(wait)

    @staticmethod
    async def _tell(process: asyncio.subprocess.Process, engine: Engine, say: Callable[[str], None]) -> None:
        """Tell the process where the run is, once that listens: compiling may come before."""
        await engine.is_listening.wait()
        if engine.socket is None:
            say("the monitor has nothing to show, because the run has no control endpoint")
        elif process.stdin is not None:
            with contextlib.suppress(ConnectionError):
                process.stdin.write(f"{engine.socket}\n".encode())
                await process.stdin.drain()

    async def _begin(self) -> asyncio.subprocess.Process:
        number = self._socket.fileno()
        arguments = ["-m", "spikeflow.monitor.page", "--listen", str(number)]
        arguments += [part for host in self.hosts for part in ("--host", host)]
        env = {key: value for key, value in os.environ.items() if key != TOKEN}
        if self.token is not None:
            env[TOKEN] = self.token  # not an argument: those can be read by every user of the machine
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=asyncio.subprocess.PIPE,  # says where the run is; its end, that it has gone
            stdout=asyncio.subprocess.DEVNULL,
            stderr=None if self.debug else asyncio.subprocess.DEVNULL,
            pass_fds=(number,),
            env=env,
            start_new_session=True,
        )

    async def close(self) -> None:
        """End the process; kill it where it does not end by itself."""
        self._socket.close()
        process = self.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _LAST_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
