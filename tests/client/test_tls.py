"""TLS: which certificate authorities are trusted."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path

import certifi
import pytest

from aeron_magic.client.tls import connection_policy, ssl_context
from aeron_magic.errors import UsageError

SERVER = Path(__file__).parents[1] / "fixtures" / "tls" / "server.pem"
"""A key and its certificate, self-signed, of ``service.invalid``."""


def test_all_clients_share_one_tls_context() -> None:
    """Loading the authorities can take longer than the rest of creating a client."""
    assert (
        connection_policy(["https://one.invalid"]).tls
        is connection_policy(["https://two.invalid"]).tls
    )


@pytest.mark.parametrize(
    "address",
    ["https://xn--a", "https://ex\u202eample", f"https://{'a' * 70_000}", "https://a\x00b"],
    ids=range(4),
)
def test_an_address_that_no_server_has_is_refused_before_anything_is_sent(address: str) -> None:
    """Also that of a stream, which would be used after its question was paid for."""
    with pytest.raises(UsageError, match="is not the address of a service"):
        connection_policy(["https://one.invalid", address])


@pytest.fixture
def authorities(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with one authority; the user's variables are not set."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "3426ba42.0").write_bytes(SERVER.read_bytes())  # openssl x509 -subject_hash
    return tmp_path


def handshake(trust: ssl.SSLContext, host: str) -> None:
    """Connect a client with ``trust`` to the server of the fixture, in memory."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(SERVER)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trust.wrap_bio(down, up, server_hostname=host)
    server = context.wrap_bio(up, down, server_side=True)
    for side in (client, server, client):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    assert client.version() is not None


def test_the_systems_authorities_are_trusted(authorities: Path) -> None:
    """Each is read when it is needed."""
    trust = ssl_context(authorities)
    assert not trust.get_ca_certs()
    handshake(trust, "service.invalid")


def test_other_certificates_are_rejected(authorities: Path) -> None:
    """Those of another name, or without an authority in the folder."""
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(ssl_context(authorities), "another.invalid")
    (authorities / "3426ba42.0").rename(authorities / "00000000.0")
    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed"):
        handshake(ssl_context(authorities), "service.invalid")


@pytest.mark.parametrize("folder", ["empty", "missing"])
def test_without_a_system_folder_the_authorities_of_httpx_are_trusted(
    authorities: Path, folder: str
) -> None:
    (authorities / "empty").mkdir()
    assert len(ssl_context(authorities / folder).get_ca_certs()) > 100


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_the_users_variables_have_precedence(
    authorities: Path, variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Here they name authorities that did not sign the server's certificate."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    named = certifi.where() if variable == "SSL_CERT_FILE" else str(elsewhere)
    monkeypatch.setenv(variable, named)
    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed"):
        handshake(ssl_context(authorities), "service.invalid")
