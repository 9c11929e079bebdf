"""Which certificate authorities are used, and which addresses are refused."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx

from aeron_magic.client.proxies import is_loopback, proxy_for
from aeron_magic.errors import UsageError

CONNECT_TIMEOUT = 10.0
"""Seconds."""

KEEP_ALIVE = 0.002
"""Seconds that an idle connection is kept. A question sent on a connection that the server closes
at that moment is lost, and may have been accepted. So a connection is used again only at once, as
in loops and batches."""

HEADERS = {
    "user-agent": "aeron-magic",
    "accept": "text/event-stream, application/json",
    "accept-encoding": "gzip",
}
"""Sent with each request. Not ``deflate``, whose header some servers leave out: the answer to a
paid question could not be read."""

HASHED_CA_GLOB = "[0-9a-f]" * 8 + ".0"
"""File names in a folder where OpenSSL looks up authorities."""


@cache
def _tls(local: bool) -> ssl.SSLContext:
    """One TLS context for all clients.

    Plain HTTP verifies nothing, so no authorities are loaded for it (40 ms).
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
    proxies: dict[str, str | None]
    """The proxy of each address."""


def connection_policy(addresses: Iterable[str], *, insecure: bool = False) -> ConnectionPolicy:
    """The policy for servers at ``addresses``.

    ``insecure`` allows plain HTTP to other machines. Nothing else is taken from the environment
    than proxies and certificate authorities; ``.netrc`` is not read.

    Raises UsageError: an address cannot be used, or is one of another machine and begins with
    ``http://``; or a proxy cannot be used.
    """
    addresses = tuple(addresses)
    for address in addresses:
        try:
            _ = httpx.URL(address).host
        except (httpx.InvalidURL, UnicodeError):
            raise UsageError(
                f"{address[:100]!r} is not the address of a service.",
                hint="Check it (--base-url, --stream-url, in Python base_url and stream_url): no "
                "server can have this name.",
            ) from None
    parts = [urlsplit(address) for address in addresses]
    for part in parts:
        if part.scheme == "http" and not insecure and not is_loopback(part.hostname or ""):
            raise UsageError(
                f"http://{part.hostname} is not encrypted: questions, replies and credentials "
                "could be read on the way.",
                hint="Use https://. Where that is impossible, `%config AeronMagics.insecure = "
                "True` or Client(insecure=True) allows it.",
            )
    local = all(part.scheme == "http" for part in parts)
    return ConnectionPolicy(_tls(local), {address: proxy_for(address) for address in addresses})
