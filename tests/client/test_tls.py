"""Certificates: which authorities are trusted, and in what order they are looked for."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path

import certifi
import pytest

from aeron_magic.client.tls import connection_policy, ssl_context

SERVER = Path(__file__).parents[1] / "fixtures" / "tls" / "server.pem"
"""A key and its certificate, self-signed, of ``service.invalid``."""


def test_one_tls_context_serves_all() -> None:
    """Loading the authorities can take longer than all else that a client does at its beginning."""
    assert (
        connection_policy(["https://one.invalid"]).tls
        is connection_policy(["https://two.invalid"]).tls
    )


@pytest.fixture
def authorities(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with one authority, and nothing said by the user."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "3426ba42.0").write_bytes(SERVER.read_bytes())  # openssl x509 -subject_hash
    return tmp_path


def shaken_hands(trust: ssl.SSLContext, host: str) -> None:
    """A client that trusts ``trust`` meets the server of the fixture; both in memory."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(SERVER)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trust.wrap_bio(down, up, server_hostname=host)
    server = context.wrap_bio(up, down, server_side=True)
    for side in (client, server, client):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    assert client.version() is not None


def test_whom_the_system_trusts_is_trusted(authorities: Path) -> None:
    """And is read when it is needed, and not before."""
    trust = ssl_context(authorities)
    assert not trust.get_ca_certs()
    shaken_hands(trust, "service.invalid")


def test_nobody_else_is_trusted(authorities: Path) -> None:
    """Neither under another name, nor without an authority of the folder."""
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shaken_hands(ssl_context(authorities), "another.invalid")
    (authorities / "3426ba42.0").rename(authorities / "00000000.0")
    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed"):
        shaken_hands(ssl_context(authorities), "service.invalid")


@pytest.mark.parametrize("folder", ["empty", "missing"])
def test_without_a_folder_of_the_system_the_librarys_authorities_are_trusted(
    authorities: Path, folder: str
) -> None:
    (authorities / "empty").mkdir()
    assert len(ssl_context(authorities / folder).get_ca_certs()) > 100


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_what_the_user_names_comes_first(
    authorities: Path, variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Here it holds nobody whom the server could show."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    named = certifi.where() if variable == "SSL_CERT_FILE" else str(elsewhere)
    monkeypatch.setenv(variable, named)
    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed"):
        shaken_hands(ssl_context(authorities), "service.invalid")
