"""Which certificate authorities and proxies are used."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx

CONNECT_TIMEOUT = 10.0
"""Seconds."""

HEADERS = {"user-agent": "aeron-magic", "accept": "text/event-stream, application/json"}
"""Sent with each request."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")

HASHED_CA_GLOB = "[0-9a-f]" * 8 + ".0"
"""File names in a folder where OpenSSL looks up authorities."""


@cache
def _tls(local: bool) -> ssl.SSLContext:
    """One TLS context for all clients.

    Loopback is plain HTTP and verifies nothing, so no authorities are loaded for it (40 ms).
    """
    if local:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return ssl_context(Path(ssl.get_default_verify_paths().openssl_capath))


def ssl_context(folder: Path) -> ssl.SSLContext:
    """A context that trusts the authorities in ``folder``, the system's.

    In a folder OpenSSL reads only the authority it needs, while reading a bundle takes 40 ms. So
    httpx's bundle is used only on systems without such a folder. ``SSL_CERT_FILE`` and
    ``SSL_CERT_DIR`` have precedence.
    """
    named = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")
    if named or not any(folder.glob(HASHED_CA_GLOB)):
        return httpx.create_ssl_context()
    return ssl.create_default_context(capath=folder)


class ConnectionPolicy(NamedTuple):
    """How servers are connected to, with any HTTP library."""

    tls: ssl.SSLContext
    trust_env: bool
    """Whether proxies are read from the environment."""


def connection_policy(addresses: Iterable[str]) -> ConnectionPolicy:
    """The policy for servers at ``addresses``. Loopback traffic never uses a proxy."""
    parts = [urlsplit(address) for address in addresses]
    local = all(part.scheme == "http" and part.hostname in LOOPBACK for part in parts)
    return ConnectionPolicy(_tls(local), trust_env=not local)
