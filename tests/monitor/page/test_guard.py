"""The guard: only who may look can look, and nothing but looking can be done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, CookieJar, WSMsgType, WSServerHandshakeError

from spikeflow.monitor.page.guard import Guard
from spikeflow.monitor.page.serve import MOST_VIEWERS
from tests.monitor.page.pages import page

NOWHERE = Path("/nonexistent/1.sock")
TOKEN = "open-sesame"


@pytest.fixture
async def closed() -> AsyncIterator[tuple[str, ClientSession]]:
    """A page on an address that others can reach."""
    async with page(NOWHERE, Guard(TOKEN, loopback=False, hosts=["plant.example"])) as (url, _, client):
        yield url, client


@pytest.fixture
async def loopback() -> AsyncIterator[tuple[str, ClientSession]]:
    async with page(NOWHERE) as (url, _, client):
        yield url, client


@pytest.mark.parametrize("path", ["/", "/main.js", "/metrics", "/healthz", "/frames", "/spikes.arrows", "/nothing"])
@pytest.mark.parametrize("given", [{}, {"Authorization": "Bearer wrong"}, {"Cookie": "spikeflow-{port}=wrong"}])
async def test_without_the_token_everything_is_closed(
    closed: tuple[str, ClientSession], path: str, given: dict[str, str]
) -> None:
    url, client = closed
    headers = {name: value.format(port=url.rpartition(":")[2]) for name, value in given.items()}
    async with client.get(url + path, headers=headers) as answer:
        assert answer.status == 401
        assert "sesame" not in await answer.text()


async def test_the_token_in_the_address_becomes_a_cookie_that_no_script_and_no_other_site_can_use(
    closed: tuple[str, ClientSession],
) -> None:
    url, client = closed
    async with client.get(f"{url}/?token={TOKEN}", allow_redirects=False) as answer:
        cookie = answer.headers["Set-Cookie"]
        assert (answer.status, answer.headers["Location"]) == (303, "/")
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    async with client.get(f"{url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
        assert answer.status == 200
    name = cookie.partition("=")[0]
    async with client.get(f"{url}/", headers={"Cookie": f"{name}={TOKEN}"}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("header", [b"Authorization: Bearer \xff\xfe", b"Cookie: spikeflow=\xff"])
async def test_a_token_that_is_no_text_is_a_wrong_one(closed: tuple[str, ClientSession], header: bytes) -> None:
    url, _ = closed
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + header + b"\r\nConnection: close\r\n\r\n")
    assert (await reader.readline()).split()[1] == b"401"
    writer.close()


async def test_two_runs_on_one_host_leave_each_other_their_cookies(closed: tuple[str, ClientSession]) -> None:
    url, _ = closed
    async with (
        page(NOWHERE, Guard("another", loopback=False)) as (other, _, _client),
        ClientSession(cookie_jar=CookieJar(unsafe=True)) as browser,  # keeps cookies of addresses, as browsers do
    ):
        for asked in (f"{url}/?token={TOKEN}", f"{other}/?token=another", url, other):
            async with browser.get(asked) as answer:
                assert answer.status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421),
        ("evil.example:80", 421),
        ("", 421),
        ("[::1", 421),
        ("localhost:1234", 200),
        ("127.0.0.1", 200),
        ("[::1]:9", 200),
        ("10.0.0.5", 421),
    ],
)
async def test_a_page_on_loopback_answers_to_no_other_name(
    loopback: tuple[str, ClientSession], host: str, status: int
) -> None:
    url, client = loopback
    async with client.get(url, headers={"Host": host}) as answer:
        assert answer.status == status


@pytest.mark.parametrize(("host", "status"), [("plant.example:1", 200), ("evil.example", 421), ("10.0.0.5:8420", 200)])
async def test_a_page_that_others_can_reach_answers_to_addresses_and_the_names_it_is_given(
    closed: tuple[str, ClientSession], host: str, status: int
) -> None:
    url, client = closed
    async with client.get(url, headers={"Host": host, "Authorization": f"Bearer {TOKEN}"}) as answer:
        assert answer.status == status


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://evil.example:443", "http://[", ""]
)
async def test_other_sites_get_nothing_not_even_frames(loopback: tuple[str, ClientSession], origin: str) -> None:
    url, client = loopback
    async with client.get(url, headers={"Origin": origin}) as answer:
        assert answer.status == 403
    with pytest.raises(WSServerHandshakeError) as refused:
        await client.ws_connect(f"{url}/frames", headers={"Origin": origin})
    assert refused.value.status == 403
    async with client.ws_connect(f"{url}/frames", headers={"Origin": url}) as socket:
        assert not socket.closed


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
async def test_nothing_can_be_done_but_look(loopback: tuple[str, ClientSession], method: str) -> None:
    url, client = loopback
    async with client.request(method, f"{url}/") as answer:
        assert answer.status == 405


@pytest.mark.parametrize(
    "path", ["/../guard.py", "/..%2fguard.py", "/%2e%2e/guard.py", "//etc/passwd", "/www/main.js", "/guard.py", "/.."]
)
async def test_no_path_leads_out_of_the_page(loopback: tuple[str, ClientSession], path: str) -> None:
    url, _ = loopback
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    assert answer.split()[1] in (b"404", b"400")
    assert b"hmac" not in answer and b"root:" not in answer


async def test_every_answer_tells_the_browser_to_keep_to_this_host(loopback: tuple[str, ClientSession]) -> None:
    url, client = loopback
    for path in ("/", "/main.js", "/nothing", "/metrics"):
        async with client.get(url + path) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'")
            assert "unsafe" not in policy and "http" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_garbage_and_oversized_messages_end_one_viewer_only(loopback: tuple[str, ClientSession]) -> None:
    url, client = loopback
    async with client.ws_connect(f"{url}/frames") as socket:
        for _ in range(16):
            await socket.send_str('{"op":"view","number":1,"span":-1}')
        assert (await socket.receive(20.0)).type in (WSMsgType.CLOSE, WSMsgType.CLOSED)
    async with client.ws_connect(f"{url}/frames") as socket:
        await socket.send_bytes(b"\0" * (1 << 20))
        assert (await socket.receive(20.0)).type in (WSMsgType.CLOSE, WSMsgType.CLOSED)
    async with client.get(f"{url}/healthz") as answer:
        assert answer.status == 200


async def test_there_are_so_many_viewers_and_no_more(loopback: tuple[str, ClientSession]) -> None:
    url, client = loopback
    sockets = [await client.ws_connect(f"{url}/frames") for _ in range(MOST_VIEWERS)]
    async with client.get(f"{url}/frames", headers={"Connection": "Upgrade", "Upgrade": "websocket"}) as answer:
        assert answer.status == 503
    for socket in sockets:
        await socket.close()


async def test_hundreds_of_connections_that_say_nothing_do_not_keep_others_out(
    loopback: tuple[str, ClientSession],
) -> None:
    url, client = loopback
    host, port = url.removeprefix("http://").split(":")
    idle = [await asyncio.open_connection(host, int(port)) for _ in range(400)]  # of both ends in this process
    async with client.get(f"{url}/healthz") as answer:
        assert answer.status == 200
    for _, writer in idle:
        writer.close()
