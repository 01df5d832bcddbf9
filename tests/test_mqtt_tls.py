"""Encrypted connections: who is trusted, who is not, and what is said of it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiomqtt
import pytest
import websockets.asyncio.server as ws
from websockets.typing import Subprotocol

from spikeflow.errors import RefusedError
from spikeflow.nodes.mqtt_tls import Tls
from spikeflow.nodes.sources.mqtt import Mqtt
from tests.brokers import Mosquitto, running_mosquitto
from tests.certificates import HOST, Authority, listens_with
from tests.commands import Running
from tests.nodes.conftest import LiveSource
from tests.publishing import listener
from tests.test_cli import Call, call

__all__ = ["call"]


def write(folder: Path, url: str, tls: str) -> None:
    (folder / "graph.yaml").write_text(listener(url, f"    tls: {tls}"))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


Broker = Callable[[list[str]], Mosquitto]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """Starts a broker with lines of its configuration."""
    with contextlib.ExitStack() as stack:

        def start(lines: list[str]) -> Mosquitto:
            folder = tmp_path / "mosquitto"
            folder.mkdir()
            return stack.enter_context(running_mosquitto(folder, settings=lines))

        yield start


def secure(broker: Mosquitto, host: str = HOST) -> str:
    return f"mqtts://{host}:{broker.port}"


def test_a_broker_and_a_client_with_certificates_of_the_same_authority_trust_each_other(
    authority: Authority, broker: Broker, tmp_path: Path
) -> None:
    server = broker(listens_with(*authority.issue("broker"), ca=authority.file))
    authority.issue("client", "sensor.plant")
    write(tmp_path, secure(server), "{ca: ca.pem, certificate: client.pem, key: client.key, minimum: '1.3'}")
    with Running(tmp_path, "graph.yaml", "--for", "200ms") as command:
        assert command.end() == 0
    assert command.said == []
    assert command.report["nodes"]["sensor"]["connection"]["broker"] == secure(server)


async def refused(url: str, **tls: object) -> str:
    """Why a source that may not wait ends."""
    live = LiveSource(Mqtt(url=url, topic="x", channels=1, tls=tls))
    with pytest.raises(RefusedError) as error:
        await live.task
    (_, warned), said = *live.log.lines, str(error.value)
    assert warned == f"cannot connect to {said.removesuffix(LOOK)}; trying again"
    assert said.startswith(f"{url}: ") and "\n" not in said
    return said.removeprefix(f"{url}: ")


LOOK = " — look at 'tls', and at the broker's own files"
NOT_TRUSTED = "the broker's certificate is not to be trusted: "


async def test_a_broker_that_somebody_else_vouches_for_is_refused(
    authority: Authority, broker: Broker, tmp_path: Path
) -> None:
    server = broker(listens_with(*Authority(tmp_path, "other").issue("broker")))
    assert (
        await refused(secure(server), ca=authority.file) == f"{NOT_TRUSTED}unable to get local issuer certificate{LOOK}"
    )


async def test_a_broker_that_nobody_vouches_for_is_refused_where_no_authority_is_named(
    authority: Authority, broker: Broker, tmp_path: Path
) -> None:
    server = broker(listens_with(*authority.issue("broker")))
    assert await refused(secure(server)) == f"{NOT_TRUSTED}unable to get local issuer certificate{LOOK}"


def test_a_broker_whose_certificate_has_expired_ends_the_run(
    authority: Authority, broker: Broker, tmp_path: Path
) -> None:
    server = broker(listens_with(*authority.issue("broker", expired=True)))
    write(tmp_path, secure(server), "{ca: ca.pem}")
    said = f"{secure(server)}: {NOT_TRUSTED}certificate has expired"
    with Running(tmp_path, "graph.yaml", "--connect-timeout", "30s") as command:
        assert command.end() == 3
    assert command.said == [
        f'warning: node "sensor": cannot connect to {said}; trying again',
        f'error: node "sensor": {said}{LOOK}',
    ]


async def test_a_broker_with_the_name_of_another_one_is_refused(authority: Authority, broker: Broker) -> None:
    server = broker(listens_with(*authority.issue("broker", "broker.plant")))
    said = f"IP address mismatch, certificate is not valid for '{HOST}'"
    assert await refused(secure(server), ca=authority.file) == f"{NOT_TRUSTED}{said}{LOOK}"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_without_a_certificate_is_told_that_the_broker_wants_one(
    authority: Authority, broker: Broker, monkeypatch: pytest.MonkeyPatch, version: ssl.TLSVersion
) -> None:
    server = broker(listens_with(*authority.issue("broker"), ca=authority.file))
    make = Tls.context

    def context(tls: Tls) -> ssl.SSLContext:
        made = make(tls)
        made.maximum_version = version
        return made

    monkeypatch.setattr(Tls, "context", context)
    said = await refused(secure(server), ca=authority.file)
    assert said.startswith("the broker refuses the encrypted connection: ")
    assert "a certificate of the client" in said and said.endswith(LOOK)


async def test_a_broker_that_speaks_only_old_versions_is_refused(authority: Authority) -> None:
    context = authority.server_context("old")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_server((HOST, 0)) as server:

        def answer() -> None:  # asyncio hangs up without the word that says why
            with contextlib.suppress(OSError), context.wrap_socket(server.accept()[0], server_side=True):
                pass

        threading.Thread(target=answer, daemon=True).start()
        said = await refused(f"mqtts://{HOST}:{server.getsockname()[1]}", ca=authority.file, minimum="1.3")
    assert said == f"the broker refuses the encrypted connection: it does not have this version of TLS{LOOK}"


async def test_a_port_without_tls_is_told_in_a_sentence(broker: Broker) -> None:
    server = broker([])
    live = LiveSource(Mqtt(url=secure(server), topic="x", channels=1))
    said = await live.log.says("cannot connect")
    live.task.cancel()
    await asyncio.gather(live.task, return_exceptions=True)
    assert said.startswith(f"cannot connect to {secure(server)}: ") and said.endswith("; trying again")


def test_a_run_that_may_wait_goes_on_without_a_broker_that_it_does_not_trust(
    authority: Authority, broker: Broker, tmp_path: Path
) -> None:
    server = broker(listens_with(*Authority(tmp_path, "other").issue("broker")))
    write(tmp_path, secure(server), "{ca: ca.pem}\n    first_connect: wait")
    with Running(tmp_path, "graph.yaml", "--for", "1s", "--connect-timeout", "100ms") as command:
        assert command.end() == 0
    assert len(command.said) == 1 and "is not to be trusted" in command.said[0]
    assert command.report["nodes"]["sensor"]["connection"]["connected"] is False


def test_files_of_certificates_are_looked_at_before_a_run(authority: Authority, call: Call) -> None:
    certificate, key = authority.issue("client")
    other, _ = authority.issue("other")
    Path("not.pem").write_text("nothing")
    Path("locked.key").write_bytes(locked(key))
    ca = authority.file

    def said(tls: str, url: str = "mqtts://broker") -> list[str]:
        write(Path(), url, tls)
        code, _, err = call("check", "graph.yaml")
        assert code == 2
        assert len(err.splitlines()) == 2  # and how many there are
        return [line.replace(f"{Path.cwd()}/", "").replace(f"{ca.parent}/", "") for line in err.splitlines()[:1]]

    def at(column: int, what: str) -> list[str]:
        return [f'graph.yaml:10:{column}: node "sensor": {what}']

    begin = "a PEM file begins with a line such as -----BEGIN CERTIFICATE-----"
    assert said("{ca: none.pem}") == at(
        15, "none.pem cannot be read: No such file or directory — check the path and who may read it"
    )
    assert said("{ca: not.pem}") == at(15, f"not.pem is not PEM — {begin}")
    assert said(f"{{ca: {key}}}") == at(15, "client.key holds no certificate — name a PEM file with a certificate")
    assert said(f"{{certificate: {other}, key: {key}}}")[0].endswith(
        "the key of client.key does not belong to the certificate other.pem"
        " — name the key that the certificate was made with"
    )
    assert said(f"{{certificate: {certificate}}}")[0].endswith(
        "client.pem holds no key — name the file that does: key: client.key"
    )
    assert said(f"{{certificate: {certificate}, key: locked.key}}")[0].endswith(
        "the key of locked.key does not open — give its password: key_password: ${VARIABLE} or {file: …}"
    )
    assert said(f"{{key: {key}}}")[0].endswith("a key without its certificate — add 'certificate', a PEM file")
    assert said(f"{{ca: {ca}}}", "mqtt://broker")[0].endswith(
        "tls does nothing with mqtt://broker:1883 — write mqtts:// or wss:// in the address, or leave it out"
    )


def locked(key: Path) -> bytes:
    """A key that needs a password."""
    from cryptography.hazmat.primitives import serialization as form

    private = form.load_pem_private_key(key.read_bytes(), None)
    secret = form.BestAvailableEncryption(b"open sesame")
    return private.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, secret)


def test_a_key_with_a_password_opens_with_it(authority: Authority, broker: Broker, tmp_path: Path) -> None:
    server = broker(listens_with(*authority.issue("broker"), ca=authority.file))
    _, key = authority.issue("client")
    key.write_bytes(locked(key))
    (tmp_path / "password").write_text("open sesame\n")
    keys = "key: client.key, key_password: {file: password}"
    write(tmp_path, secure(server), f"{{ca: ca.pem, certificate: client.pem, {keys}}}")
    with Running(tmp_path, "graph.yaml", "--for", "200ms") as command:
        assert command.end() == 0


@contextlib.asynccontextmanager
async def bridged(broker: Mosquitto, path: str, context: ssl.SSLContext | None) -> AsyncIterator[int]:
    """A port that speaks websockets at one path, with a broker behind it."""

    async def serve(connection: ws.ServerConnection) -> None:
        assert connection.request is not None
        if connection.request.path != path:
            await connection.close()
            return
        reader, writer = await asyncio.open_connection(broker.host, broker.port)

        async def down() -> None:
            while data := await reader.read(65536):
                await connection.send(data)
            await connection.close()

        task = asyncio.create_task(down())
        async for data in connection:
            assert isinstance(data, bytes)
            writer.write(data)
        task.cancel()
        writer.close()

    protocols = [Subprotocol("mqtt")]
    async with ws.serve(serve, HOST, 0, subprotocols=protocols, ssl=context, compression=None) as server:
        yield next(iter(server.sockets)).getsockname()[1]


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_messages_come_by_websocket(authority: Authority, broker: Broker, tmp_path: Path, scheme: str) -> None:
    server = broker([])
    context = authority.server_context("bridge") if scheme == "wss" else None
    async with bridged(server, "/mqtt?room=1", context) as port:
        url = f"{scheme}://{HOST}:{port}/mqtt?room=1"
        write(tmp_path, f"'{url}'", "{ca: ca.pem}" if scheme == "wss" else "null")
        with Running(tmp_path, "graph.yaml") as command:
            await asyncio.to_thread(
                command.shows, lambda nodes: nodes["sensor"].get("connection", {}).get("connected", False)
            )
            async with aiomqtt.Client(server.host, server.port) as client:
                for number in range(300):
                    await client.publish("plant/vibration", b'{"value": %d}' % number, 1)
                await client.publish("plant/vibration", b'{"value": %d, "pad": "%s"}' % (300, b"x" * 200_000), 1)
            await asyncio.to_thread(command.shows, lambda nodes: nodes["sensor"]["accepted"] >= 301)
            command.process.terminate()
            assert await asyncio.to_thread(command.end) == 0
        counts = command.report["nodes"]["sensor"]
        assert (counts["processed"], counts["connection"]["broker"]) == (301, url)
        assert counts.get("noted", {}).get("reconnected", 0) == 0
