"""Certificates for tests, made on the spot: an authority, a broker's own, a client's."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import trustme

HOST = "127.0.0.1"


class Authority:
    """Signs certificates and writes them as PEM files into a folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder, self._name = folder, name
        self._ca = trustme.CA()
        self.file = folder / f"{name}.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def issue(self, name: str, *hosts: str, expired: bool = False) -> tuple[Path, Path]:
        """Certificate and key for hosts, in two files."""
        until = datetime.datetime(2020, 1, 1) if expired else None
        begin = datetime.datetime(2019, 1, 1) if expired else None
        made = self._ca.issue_cert(*hosts or (HOST,), not_before=begin, not_after=until)
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        made.private_key_pem.write_to_path(str(key))
        return certificate, key

    def server_context(self, name: str) -> ssl.SSLContext:
        """What a server of the test's own encrypts with."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self.issue(name))
        return context


def listens_with(certificate: Path, key: Path, *, ca: Path | None = None) -> list[str]:
    """Lines of mosquitto's configuration: encrypted, and with `ca` for clients that show a certificate alone."""
    lines = [f"certfile {certificate}", f"keyfile {key}"]
    return lines if ca is None else [*lines, f"cafile {ca}", "require_certificate true"]
