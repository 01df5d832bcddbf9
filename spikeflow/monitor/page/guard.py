"""The guard: who may look at the page, and what a browser may do with it."""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_CLOSED = "This monitor asks for its token: open the address that the run printed when it began.\n"


class Guard:
    """Looks at every request before anything else does.

    Args:
        token: what one has to know; None where everybody who can reach the address may look.
        loopback: whether the page listens on loopback only: then it answers to no other name.
        hosts: further names that the page answers to.
    """

    def __init__(self, token: str | None, loopback: bool, hosts: Sequence[str] = ()) -> None:
        self._token, self._loopback = token, loopback
        self._hosts = {"localhost", *(host.lower() for host in hosts)}
        if not loopback:
            self._hosts |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    def knows(self, request: web.Request) -> bool:
        """Whether a request carries the token: in the cookie, as a bearer, or in the address."""
        if self._token is None:
            return True
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        given = (
            request.cookies.get(_cookie(request), ""),
            bearer if scheme.lower() == "bearer" else "",
            request.query.get("token", ""),
        )
        token = self._token.encode()
        return any(hmac.compare_digest(one.encode(errors="replace"), token) for one in given)  # any bytes may come

    def refusal(self, request: web.Request) -> web.Response | None:
        """Why a request is refused; None where it is not."""
        host = request.headers.get("Host", "")
        name = _name(host)
        if name is None or not self._answers_to(name):
            text = f"This monitor does not answer to the name {name or host!r}; add it under monitor: {{hosts: […]}}.\n"
            return web.Response(status=421, text=text)
        origin = request.headers.get("Origin")
        if origin is not None and (origin == "null" or _site(origin) != host.lower()):
            return web.Response(status=403, text="This monitor is not for other sites.\n")
        if not self.knows(request):
            return web.Response(status=401, text=_CLOSED, headers={"WWW-Authenticate": "Bearer"})
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, text="This monitor only shows.\n", headers={"Allow": "GET, HEAD"})
        return None

    def _answers_to(self, name: str) -> bool:
        if name in self._hosts:
            return True
        try:  # a name that leads here by somebody else's doing is no address
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._loopback

    @property
    def middleware(self) -> Middleware:
        """For aiohttp."""

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            refused = self.refusal(request)
            if refused is not None:
                refused.headers.update(_HEADERS)
                return refused
            if "token" in request.query and request.path == "/" and self._token is not None:
                moved = web.Response(status=303, headers={"Location": "/", **_HEADERS})
                moved.set_cookie(_cookie(request), self._token, httponly=True, samesite="Strict", path="/")
                return moved
            return await handler(request)

        return guarded

    @staticmethod
    async def prepare(request: web.Request, response: web.StreamResponse) -> None:
        """Put the headers on every answer, for `on_response_prepare`."""
        for name, value in _HEADERS.items():
            response.headers[name] = value


def _cookie(request: web.Request) -> str:
    """What the cookie is called: browsers send one to every port of a host, where another run may have its own page."""
    _, _, port = request.headers.get("Host", "").rpartition(":")
    return f"spikeflow-{port}" if port.isdecimal() and port.isascii() else "spikeflow"


def _site(origin: str) -> str | None:
    """The host and port in an Origin header."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _name(host: str) -> str | None:
    """The name or address in a Host header, without the port."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
