"""Which certificates are trusted and which proxies are used."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import httpx

__all__ = ["CONNECT_TIMEOUT", "ConnectionPolicy", "ssl_context"]


CONNECT_TIMEOUT = 10.0

LOOPBACK = ("127.0.0.1", "localhost", "::1")

HASHED_CA_GLOB = "[0-9a-f]" * 8 + ".0"
"""The names of the files in a folder where OpenSSL can look authorities up."""


@cache
def _tls(local: bool) -> ssl.SSLContext:
    """One TLS context for all clients.

    For servers on this machine it is left empty, and trusts nobody.
    """
    if local:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return ssl_context(Path(ssl.get_default_verify_paths().openssl_capath))


def ssl_context(folder: Path) -> ssl.SSLContext:
    """A context that trusts the authorities in ``folder``, which is the system's.

    In a folder OpenSSL looks up the one that it needs. A file of them it reads whole, which takes
    some 40 ms: so the file that httpx brings along is for systems without such a folder. What the
    user names in ``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` comes before both.
    """
    named = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")
    if named or not any(folder.glob(HASHED_CA_GLOB)):
        return httpx.create_ssl_context()
    return ssl.create_default_context(capath=folder)


@dataclass(frozen=True, slots=True)
class ConnectionPolicy:
    """On what terms servers are talked to, whatever library does it."""

    tls: ssl.SSLContext
    trust_env: bool
    """Whether proxies and the like are taken from the environment."""

    headers: ClassVar[Mapping[str, str]] = {
        "user-agent": "aeron-magic",
        "accept": "text/event-stream, application/json",
    }
    connect_timeout: ClassVar[float] = CONNECT_TIMEOUT

    @classmethod
    def for_addresses(cls, addresses: Iterable[str]) -> ConnectionPolicy:
        """Those for servers at ``addresses``."""
        local = all(
            parts.scheme == "http" and parts.hostname in LOOPBACK
            for parts in map(urlsplit, addresses)
        )
        # A proxy has no business between us and this machine.
        return cls(_tls(local), trust_env=not local)
