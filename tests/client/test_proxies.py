"""Proxies of the environment, and ``NO_PROXY`` in all spellings that are in use."""

from __future__ import annotations

import pytest
from each_case import each_case

from aeron_magic import AsyncClient, Client
from aeron_magic.client.proxies import proxy_for
from aeron_magic.errors import UsageError

PROXY = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A proxy for all addresses, and none of the machine's own variables."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("ALL_PROXY", PROXY)
    return monkeypatch


@each_case(
    ("entry", "address", "bypassed"),
    [
        ("", "https://a.example", False),
        ("*", "https://a.example", True),
        ("a.example", "https://a.example", True),
        ("A.Example", "https://a.example", True),
        ("a.example", "https://b.a.example/x", True),
        ("a.example", "https://ba.example", False),
        (".a.example", "https://b.a.example", True),
        ("*.a.example", "https://b.a.example", True),
        ("x, a.example", "https://a.example", True),
        ("x a.example", "https://a.example", True),
        ("http://a.example", "https://a.example", True),
        ("a.example:443", "https://a.example", True),
        ("a.example:8443", "https://a.example", False),
        ("https://a.example:8443/", "https://a.example:8443", True),
        ("[::1]", "https://[::2]", False),
        ("[::2]", "https://[::2]:8080", True),
        ("::2", "https://[0:0::2]", True),
        ("[::2]:8080", "https://[::2]:8080", True),
        ("[::2]:8080", "https://[::2]", False),
        ("fd07::/64", "https://[fd07::5]", True),
        ("[fd07::]/64", "https://[fd07::5]", True),
        ("fd07::/64", "https://[fd08::5]", False),
        ("fd07::5/64", "https://[fd07::6]", True),
        ("fe80::/10", "https://[fe80::1]", True),
        ("fe80::/10", "https://10.1.2.3", False),
        ("fe80::/10", "https://a.example", False),
        ("10.0.0.0/8", "https://10.1.2.3", True),
        ("10.1.2.3", "https://10.1.2.3", True),
        ("10.1.2.3:443", "https://10.1.2.3", True),
        ("169.254/16", "https://169.254.7.7", True),
        ("localhost,[::1],fd07::/64,fe80::/10,http://h:80", "https://h", False),
        ("localhost,[::1],fd07::/64,fe80::/10,http://h:443", "https://h", True),
    ],
)
def test_no_proxy(
    environment: pytest.MonkeyPatch, entry: str, address: str, bypassed: bool
) -> None:
    environment.setenv("NO_PROXY", entry)
    assert proxy_for(address) == (None if bypassed else PROXY)


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
@pytest.mark.parametrize(
    "entry", ["[::1", "::1]", "10.0.0.0/99", "fd07::/x", "http://", "h:port", "h:99999", "a|b",
              "me:secret@h", "/8", "::/0/0"],
)  # fmt: skip
def test_an_entry_that_cannot_be_used_names_the_variable(
    environment: pytest.MonkeyPatch, name: str, entry: str
) -> None:
    """But not its value, which may contain a password. So do both clients."""
    environment.setenv(name, f"localhost,{entry}")
    for kind in (Client, AsyncClient):
        with pytest.raises(UsageError, match=f"Entry 2 of {name} ") as caught:
            kind(base_url="https://service.example", client_id="me", client_secret="mine")
        assert entry not in str(caught.value)
        assert caught.value.hint


@pytest.mark.parametrize("kind", ["https", "all"])
@pytest.mark.parametrize(
    "proxy", ["http://[::1", "http://h:99999", "http://h:0", "gopher://h:1", "http://", "h h:80",
              "http://me:pass#word@h:80", "http://h:port", "http://h..test:80"],
)  # fmt: skip
def test_a_proxy_that_cannot_be_used_names_the_variable(
    environment: pytest.MonkeyPatch, kind: str, proxy: str
) -> None:
    environment.setenv(f"{kind.upper()}_PROXY", proxy)
    with pytest.raises(UsageError, match=f"{kind.upper()}_PROXY ") as caught:
        proxy_for("https://service.example")
    assert "word" not in str(caught.value)


def test_a_proxy_may_lack_its_scheme(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("https_proxy", "proxy.example:8080")
    assert proxy_for("https://service.example") == "http://proxy.example:8080"
    assert proxy_for("http://127.0.0.1:8000") is None


def test_a_bad_entry_does_not_matter_without_a_proxy(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("NO_PROXY", "[::1")
    assert proxy_for("http://localhost:8000") is None
    environment.delenv("ALL_PROXY")
    assert proxy_for("https://service.example") is None
