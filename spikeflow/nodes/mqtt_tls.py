"""MQTT: whom an encrypted connection trusts, and how it shows who it is."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from spikeflow.errors import Problem, why
from spikeflow.nodes.paths import GraphPath
from spikeflow.secret import SecretText

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_NOT_PEM = "a PEM file begins with a line such as -----BEGIN CERTIFICATE-----"


class Tls(BaseModel):
    """Whom to trust and how to show who one is; the broker's certificate and its name are always verified."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True)

    ca: GraphPath | None = Field(
        None,
        description="a PEM file with who may sign the broker's certificate; those that the system trusts if not set",
    )
    certificate: GraphPath | None = Field(None, description="a PEM file with the client's own certificate")
    key: GraphPath | None = Field(None, description="a PEM file with its key, where the certificate's does not hold it")
    key_password: SecretText | None = Field(None, description="opens the key: ${VARIABLE} or {file: …}")
    minimum: Literal["1.2", "1.3"] = Field("1.2", description="the least version of TLS")

    @field_validator("minimum", mode="before")
    @classmethod
    def _number(cls, found: Any) -> Any:
        return str(found) if isinstance(found, float) else found

    def context(self) -> ssl.SSLContext:
        """What the connection is made with.

        Raises:
            OSError: a file cannot be read, or is not what it should be.
        """
        context = ssl.create_default_context(cafile=None if self.ca is None else str(self.ca))
        context.minimum_version = _VERSIONS[self.minimum]
        if self.certificate is not None:
            password = "" if self.key_password is None else self.key_password.reveal()
            # a password that is always there: without one OpenSSL would ask for it on the terminal
            context.load_cert_chain(self.certificate, self.key, password=lambda: password)
        return context

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the files, each at its key."""
        if self.key is not None and self.certificate is None:
            yield Problem(("tls", "key"), "a key without its certificate", "add 'certificate', a PEM file")
        wrong = False
        for name, path in (("ca", self.ca), ("certificate", self.certificate), ("key", self.key)):
            if path is not None and (found := _unreadable(path, "KEY" if name == "key" else "CERTIFICATE")) is not None:
                wrong = True
                yield Problem(("tls", name), *found)
        if self.key_password is not None and (found_there := self.key_password.problems("tls", "key_password")):
            yield from found_there
            return
        if wrong:
            return
        try:
            ssl.create_default_context(cafile=None if self.ca is None else str(self.ca))
        except OSError as error:
            yield Problem(("tls", "ca"), f"the certificates of {self.ca} cannot be read: {_said(error)}", _NOT_PEM)
            return
        try:
            self.context()
        except OSError as error:
            yield self._pair_problem(error)

    def _pair_problem(self, error: OSError) -> Problem:
        """Why certificate and key do not go together."""
        name = "certificate" if self.key is None else "key"
        path = self.certificate if self.key is None else self.key
        said = getattr(error, "reason", "") or ""
        if "MISMATCH" in said:
            found = f"the key of {path} does not belong to the certificate {self.certificate}"
            return Problem(("tls", name), found, "name the key that the certificate was made with")
        if b"ENCRYPTED" in _bytes(path):
            found = f"the key of {path} does not open"
            return Problem(("tls", name), found, "give its password: key_password: ${VARIABLE} or {file: …}")
        if self.key is None and b"KEY-----" not in _bytes(path):
            found = f"{path} holds no key"
            return Problem(("tls", name), found, "name the file that does: key: client.key")
        return Problem(("tls", name), f"the key of {path} cannot be read: {_said(error)}", "it must be a PEM file")


def _bytes(path: Path | None) -> bytes:
    return b"" if path is None else path.read_bytes()


def _unreadable(path: Path, what: str) -> tuple[str, str] | None:
    """What is wrong with a PEM file, and what would work."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return f"{path} cannot be read: {why(error)}", "check the path and who may read it"
    if b"-----BEGIN" not in data:
        return f"{path} is not PEM", _NOT_PEM.replace("CERTIFICATE", "PRIVATE KEY" if what == "KEY" else what)
    if f"{what}-----".encode() not in data:
        return f"{path} holds no {what.lower()}", f"name a PEM file with a {what.lower()}"
    return None


def _said(error: OSError) -> str:
    reason = getattr(error, "reason", None)
    return str(reason).replace("_", " ").lower() if reason else why(error)
