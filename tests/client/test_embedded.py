"""``Client("sandbox")``: a service without an account, in plain Python."""

from __future__ import annotations

import asyncio
import gc
import socket
from urllib.parse import urlsplit

import pytest
from credentials import SECRET

from aeron_magic import (
    AsyncClient,
    Client,
    Conversation,
    UsageError,
    ValueRefused,
    ask_many,
)
from aeron_magic.errors import AeronError
from aeron_magic.sandbox import Sandbox


def is_listening(address: str) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", urlsplit(address).port or 0)) == 0


def test_it_answers_without_credentials_and_ends_with_the_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Variables that name another service do not matter."""
    monkeypatch.delenv("AERON_CLIENT_ID", raising=False)
    monkeypatch.setenv("AERON_BASE_URL", "https://elsewhere.invalid")
    with Client("sandbox") as client:
        chat = Conversation(client)
        first, second = chat.ask("What is a context token?"), chat.ask("And then?")
        assert first.text
        assert second.parent_context_token == first.context_token
        assert client.fetch(first.context_token or "").text == first.text
        assert len(client.history(second.context_token or "")) == 3
        assert is_listening(client.settings.base_url)
    assert not is_listening(client.settings.base_url)
    with pytest.raises(UsageError, match="closed"):
        client.ask("Too late?")


def test_a_secret_in_the_environment_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AERON_CLIENT_SECRET", SECRET)
    with Client("sandbox") as client:
        with pytest.raises(ValueRefused):
            client.ask(f"my {SECRET}")
        with pytest.raises(ValueRefused):
            ask_many(["fine"], f"{{{{row}}}} {SECRET}", client=client)
        rows = ask_many(["fine", f"my {SECRET}"], client=client, frame=False)
    assert [row.status for row in rows] == ["complete", "failed"]
    assert isinstance(rows[1].error, ValueRefused)


def test_an_asynchronous_client_starts_its_own() -> None:
    async def run() -> str:
        async with AsyncClient("sandbox") as one, AsyncClient("sandbox") as two:
            assert one.settings.base_url != two.settings.base_url
            replies = await asyncio.gather(one.ask("Well?"), two.ask("Well?"))
        assert all(reply.is_complete for reply in replies)
        return one.settings.base_url

    assert not is_listening(asyncio.run(run()))


def test_it_ends_with_a_client_that_was_not_closed() -> None:
    client = Client("sandbox")
    address = client.settings.base_url
    del client
    gc.collect()
    assert not is_listening(address)


def test_another_address_contradicts_it() -> None:
    with pytest.raises(UsageError, match="own address"):
        Client("sandbox", base_url="https://service.example")


def test_a_machine_without_ports_has_a_short_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: Sandbox) -> Sandbox:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Sandbox, "start", start)
    with pytest.raises(AeronError, match="cannot be started: Too many open files"):
        Client("sandbox")
