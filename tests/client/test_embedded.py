"""``Client("sandbox")``: a service without an account, in plain Python."""

from __future__ import annotations

import asyncio
import gc
import socket
from pathlib import Path
from typing import Any
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


@pytest.fixture
def faq(tmp_path: Path) -> Path:
    path = tmp_path / "faq.csv"
    path.write_text("question,answer\nWhat is due?,Two rupees.\n", "utf-8")
    return path


def test_it_answers_from_a_file_or_a_dictionary(faq: Path) -> None:
    """Each client has answers of its own; a file is read again when it changes."""
    question = "What is due?"
    with (
        Client("sandbox", answers=str(faq)) as client,
        Client("sandbox", answers={question: "Nothing."}) as other,
        Client("sandbox") as handbook,
    ):
        assert client.ask(question).text == "Two rupees."
        assert other.ask(question).text == "Nothing."
        assert handbook.ask(question).text not in ("Two rupees.", "Nothing.")
        assert "I do not know" in client.ask("What is a context token?").text
        faq.write_text("question,answer\nWhat is due?,Three rupees now.\n", "utf-8")
        assert client.ask(question).text == "Three rupees now."
        addresses = [one.settings.base_url for one in (client, other)]
    assert not any(map(is_listening, addresses))


def test_an_asynchronous_client_answers_from_a_file(faq: Path) -> None:
    async def run() -> str:
        async with AsyncClient("sandbox", answers=faq) as client:
            return (await client.ask("What is due?")).text

    assert asyncio.run(run()) == "Two rupees."


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ("none.csv", "none.csv cannot be used: No such file or directory."),
        ("", " cannot be used: it is not a file."),
        ({}, "cannot be used: it has no question with an answer."),
        ({"Well?": " ", "": "Yes."}, "cannot be used: it has no question with an answer."),
        ({"Well?": 5}, "cannot be used: a question or an answer in it is not a text."),
        ("~nobody-here/a.csv", "a.csv cannot be used: Could not determine home directory."),
        (5, "The value of answers cannot be used: it is neither a file nor a dictionary."),
    ],
)
def test_answers_that_cannot_be_used_have_a_remedy(answers: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Client("sandbox", answers=answers)
    assert caught.value.message.endswith(message)
    assert ".csv or .jsonl file" in caught.value.hint
    assert "a dictionary of answers" in caught.value.hint


def test_answers_are_of_the_sandbox_only(faq: Path) -> None:
    with pytest.raises(UsageError, match="argument of the sandbox only") as caught:
        Client("chatzy", answers=faq)
    assert "`Client('sandbox', answers=…)`" in caught.value.hint
    with Client("sandbox") as client, pytest.raises(UsageError, match="sandbox only"):
        AsyncClient("sandbox", settings=client.settings, answers=faq)


def test_a_misspelt_argument_has_a_suggestion(faq: Path) -> None:
    """Static type checkers refuse it, too."""
    misspelt: dict[str, Any] = {"anwsers": faq}
    with pytest.raises(UsageError, match="AsyncClient has no argument 'anwsers'") as caught:
        AsyncClient("sandbox", **misspelt)
    assert caught.value.hint == "Did you mean `answers`? `help(AsyncClient)` lists all."


def test_the_repr_names_the_sandbox() -> None:
    with Client("sandbox") as client:
        assert repr(client) == f"Client('sandbox', {client.settings.base_url!r})"
        with Client(settings=client.settings) as other:
            assert repr(other).startswith("Client('aeronpay', ")


def test_another_address_contradicts_it() -> None:
    with pytest.raises(UsageError, match="own address"):
        Client("sandbox", base_url="https://service.example")


def test_a_machine_without_ports_has_a_short_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: Sandbox) -> Sandbox:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Sandbox, "start", start)
    with pytest.raises(AeronError, match="cannot be started: Too many open files"):
        Client("sandbox")
