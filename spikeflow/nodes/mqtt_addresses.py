"""MQTT: where brokers are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

from pydantic import BeforeValidator, ValidationInfo, WithJsonSchema

from spikeflow.errors import ParameterError
from spikeflow.nodes.broker import EMBEDDED
from spikeflow.secret import VARIABLE, Secret, written

_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
_HINT = f"write mqtt://host:1883, mqtts://host:8883, ws://host/path, wss://host/path or {EMBEDDED}"
_OWN = ("localhost", "127.0.0.1", "::1")
_NEXT = re.compile(r"\s*,\s*(?=\w+://)")
_PASSWORD = re.compile(r"://[^/]*?:([^/]*)@")


@dataclass(frozen=True, slots=True)
class MqttUrl:
    """Where a broker is; `host` is empty for the one inside this process.

    Attributes:
        tls: whether the connection is encrypted, and the broker has to show who it is.
        path: of a websocket; None where it is none.
    """

    host: str
    port: int = 1883
    username: str | None = None
    password: Secret | None = None
    tls: bool = False
    path: str | None = None

    @property
    def embedded(self) -> bool:
        """Whether the broker runs inside this process."""
        return not self.host

    def __str__(self) -> str:
        if self.embedded:
            return EMBEDDED
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = ("mqtt" if self.path is None else "ws") + "s" * self.tls
        return f"{scheme}://{host}:{self.port}{self.path or ''}"


def share(one: Iterable[MqttUrl], other: Iterable[MqttUrl]) -> bool:
    """Whether a broker is among both, as far as addresses tell."""

    def places(urls: Iterable[MqttUrl]) -> set[str]:
        return {"" if url.embedded else "localhost" if url.host in _OWN else url.host for url in urls}

    return not places(one).isdisjoint(places(other))


def parse_url(text: Any) -> Any:
    """The broker of ``mqtt://user:password@host:port``, ``mqtts://…`` (TLS), ``ws://…``, ``wss://…``, or ``embedded``.

    Raises:
        ParameterError: not such a text.
    """
    if not isinstance(text, str):
        return text
    if text == EMBEDDED:
        return MqttUrl("")
    shown = repr(_hidden(text))
    try:
        parts = urlsplit(text.strip())
        port, host = parts.port, parts.hostname
    except ValueError:  # which quotes what it takes for the port, and that may be a password
        raise ParameterError(f"{shown} is not a broker's address", f"{_HINT}; %23 is # and %2F is /") from None
    if parts.scheme not in _PORTS or not host:
        raise ParameterError(f"{shown} is not a broker's address", _HINT)
    is_websocket = parts.scheme.startswith("ws")
    if parts.fragment or (not is_websocket and (parts.path.strip("/") or parts.query)):
        raise ParameterError(f"{shown} goes on after the port", "a topic goes into 'topic'")
    path = None
    if is_websocket:
        path = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        if not path.isprintable() or " " in path:
            raise ParameterError(f"{shown} has a path that cannot be asked for", "write %20 for a space")
    user, secret = (None if part is None else unquote(part) for part in (parts.username, parts.password))
    password = None if secret is None else Secret(secret)
    return MqttUrl(host, port or _PORTS[parts.scheme], user, password, parts.scheme in ("mqtts", "wss"), path)


def brokers(text: str) -> list[MqttUrl]:
    """The brokers of addresses with commas between them.

    Raises:
        ParameterError: one is none.
    """
    return [parse_url(one) for one in _NEXT.split(text)]


def parse_urls(value: Any, info: ValidationInfo) -> Any:
    """The brokers of one address or of several.

    Raises:
        ParameterError: what is none, or has a password that is written out in a graph file.
    """
    if isinstance(value, MqttUrl):
        return (value,)
    texts = list(value) if isinstance(value, list | tuple) else [value]
    in_file = (info.context or {}).get("file") is not None
    found = []
    for text in texts:
        if isinstance(text, str):
            password = _PASSWORD.search(written(text))
            if in_file and password is not None and password[1] and VARIABLE not in password[1]:
                raise ParameterError(
                    f"{_hidden(text)!r} has its password written out, where everybody can read it",
                    "write mqtt://user:${MQTT_PASSWORD}@host, or password: {file: password.txt}",
                )
            found += brokers(text)
        elif isinstance(text, MqttUrl):
            found.append(text)
        else:
            raise ParameterError("an address that is no text", _HINT)
    if not found:
        raise ParameterError("no address", _HINT)
    if len(found) > 1 and any(url.embedded for url in found):
        raise ParameterError(f"{EMBEDDED} among other brokers", "it is always there; name it alone")
    return tuple(found)


def _hidden(text: str) -> str:
    """An address without its name and password; of several, without all that could be one."""
    head, at, tail = text.rpartition("@")
    scheme, there, _ = head.partition("://")
    return f"{scheme + there if there else ''}…@{tail}" if at else text


_ONE = {"type": "string", "examples": ["mqtt://127.0.0.1:1883", EMBEDDED]}

BrokerUrls = Annotated[
    tuple[MqttUrl, ...],
    BeforeValidator(parse_urls),
    WithJsonSchema({"anyOf": [_ONE, {"type": "array", "items": _ONE, "minItems": 1}]}),
]
