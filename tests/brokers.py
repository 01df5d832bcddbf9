"""A real mosquitto for tests: started on a free port, killed, frozen and started again."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import pytest

from tests.packets import length

_PATIENCE_S = 40.0
_AT_ONCE = 1000
"""Messages that a flood publishes before it waits for answers."""


FAST = ["autosave_on_changes false", "autosave_interval 0"]
"""Settings of a broker that does not write its store at every message."""


class Mosquitto:
    """One broker on loopback that keeps its sessions in a folder.

    Args:
        folder: for its configuration and its store.
        users: names and passwords; without any, everybody may come.
        settings: further lines of its configuration, in place of those of the same name.
    """

    def __init__(self, folder: Path, users: dict[str, str] | None = None, settings: Iterable[str] = ()) -> None:
        found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if found is None:
            raise RuntimeError("these tests need mosquitto: apt-get install mosquitto")
        self._binary = found
        self.host, self.port = "127.0.0.1", _free_port()
        self.log: list[str] = []
        self._news = threading.Condition()
        self._process: subprocess.Popen[str] | None = None
        self._config = folder / "mosquitto.conf"
        lines = [
            f"listener {self.port} {self.host}",
            f"user {'root' if os.geteuid() == 0 else 'nobody'}",
            f"allow_anonymous {'false' if users else 'true'}",
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_interval 1",
            "autosave_on_changes true",
            "max_queued_messages 0",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
            "log_type notice",
            "log_type information",
        ]
        self._passwords = folder / "passwords"
        if users:
            self.protect(users)
            lines.append(f"password_file {self._passwords}")
        own = {line.split()[0] for line in settings}
        lines = [line for line in lines if line.split()[0] not in own] + list(settings)
        self._config.write_text("\n".join(lines) + "\n")

    def protect(self, users: dict[str, str]) -> None:
        """Let in those with these names and passwords, from its next start on."""
        self._passwords.write_text("".join(f"{name}:{secret}\n" for name, secret in users.items()))
        self._passwords.chmod(0o600)
        subprocess.run(["mosquitto_passwd", "-U", str(self._passwords)], check=True, capture_output=True)

    @property
    def url(self) -> str:
        """Its address."""
        return f"mqtt://{self.host}:{self.port}"

    def start(self) -> None:
        """Start it; returns once it listens."""
        command = [self._binary, "-c", str(self._config)]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.log.append(line.strip())
            if line.rstrip().endswith("running"):
                break
        else:
            raise RuntimeError("mosquitto did not start:\n" + "\n".join(self.log))
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            with self._news:
                self.log.append(line.strip())
                self._news.notify_all()

    def says(self, part: str, times: int = 1) -> None:
        """Return once so many lines of its log have `part` in them."""
        with self._news:
            there = self._news.wait_for(lambda: sum(part in line for line in self.log) >= times, _PATIENCE_S)
        assert there, f"waited for {part!r} in vain; what was said:\n" + "\n".join(self.log[-30:])

    def stop(self) -> None:
        """End it in good order: it stores what it holds."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it stand still, with its connections open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        while self._process is not None:
            self._process.send_signal(number)
            self._process.send_signal(signal.SIGCONT)
            # again and again: mosquitto says that it runs before it does, and forgets a signal that comes in between
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)
                self._process = None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_mosquitto(
    folder: Path, users: dict[str, str] | None = None, settings: Iterable[str] = ()
) -> Iterator[Mosquitto]:
    """A broker that listens, and is gone afterwards."""
    broker = Mosquitto(folder, users, settings)
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that listens."""
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    with running_mosquitto(folder) as broker:
        yield broker


async def flood(broker: Mosquitto, topic: str, payloads: Iterable[bytes], qos: int = 0) -> int:
    """Publish many messages in one go, as fast as a broker can take them; returns how many it has acknowledged."""
    reader, writer = await asyncio.open_connection(broker.host, broker.port)
    name = topic.encode()
    head = len(name).to_bytes(2, "big") + name
    writer.write(b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05flood")
    assert (await reader.readexactly(4))[3] == 0
    acknowledged = 0
    numbered = enumerate(payloads)
    while some := list(islice(numbered, _AT_ONCE if qos < 2 else 20)):
        writer.write(b"".join(_publish(head, data, qos, number % 65_535 + 1) for number, data in some))
        await writer.drain()
        if qos:
            received = await reader.readexactly(4 * len(some))
            acknowledged += len(some)
        if qos == 2:
            writer.write(b"".join(b"\x62\x02" + received[at + 2 : at + 4] for at in range(0, len(received), 4)))
            await reader.readexactly(4 * len(some))
    writer.write(b"\xe0\x00")
    await reader.read()  # it hangs up after the goodbye
    writer.close()
    await writer.wait_closed()
    return acknowledged


def _publish(head: bytes, data: bytes, qos: int, number: int) -> bytes:
    body = head + (number.to_bytes(2, "big") if qos else b"") + data
    return bytes([0x30 | qos << 1]) + length(len(body)) + body
