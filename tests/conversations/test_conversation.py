"""A conversation from Python, against the embedded sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aeron_magic import AsyncClient, Client, Conversation, TokenError, UsageError
from aeron_magic.errors import IncompleteReply
from aeron_magic.sandbox import Sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    with Client(base_url=sandbox.aeronpay_url, client_id="me", client_secret="mine") as running:
        yield running


def sent(sandbox: Sandbox) -> list[str | None]:
    """The token of each question."""
    return [seen.body.get("context_token") for seen in sandbox.log.of("create-response")]


def test_each_question_continues_from_the_newest_reply(client: Client, sandbox: Sandbox) -> None:
    chat = Conversation(client)
    first = chat.ask("What is a context token?")
    second = chat.ask("Show an example.")
    assert sent(sandbox) == [None, first.context_token]
    assert chat.context_token == second.context_token
    assert [turn.question for turn in chat.turns] == [
        "What is a context token?",
        "Show an example.",
    ]


def test_a_question_can_continue_from_a_named_turn(client: Client, sandbox: Sandbox) -> None:
    chat = Conversation(client)
    first = chat.ask("One?", name="plan")
    chat.ask("Two?")
    chat.ask("Three?", after="plan")
    assert sent(sandbox)[2] == first.context_token


def test_a_turn_is_found_by_its_number_and_invalid_names_are_refused(client: Client) -> None:
    chat = Conversation(client)
    chat.ask("one")
    chat.ask("two")
    chat.ask("three", after=1)
    assert chat.turns[2].parent is chat.turns[0]
    for wrong in (99, "", 1.5):
        with pytest.raises(UsageError):
            chat.ask("four", after=wrong)  # type: ignore[arg-type]
    for name in ("", "5", 5, "a\nb"):
        with pytest.raises(UsageError):
            chat.ask("four", name=name)  # type: ignore[arg-type]
    assert len(chat.turns) == 3


@pytest.mark.parametrize("earlier", [0, 1])
def test_a_conversation_with_chatzy_continues_after_a_reply_that_was_cut(
    sandbox: Sandbox, earlier: int
) -> None:
    """The token is that of the whole conversation; None starts another one."""
    client = Client(
        "chatzy",
        base_url=sandbox.chatzy_url,
        stream_url=sandbox.chatzy_stream_url,
        chatbot_id="725e1f05-6142-467e-bdec-47862d50da79",
    )
    chat = Conversation(client)
    for _ in range(earlier):
        chat.ask("zero")
    sandbox.set_faults(cut_after=100, cut_times=1)
    with pytest.raises(IncompleteReply) as caught:
        chat.ask("one")
    assert chat.context_token == caught.value.context_token
    chat.ask("two")
    chat.context_token = None
    chat.ask("three")
    asked = [seen.body["conversation_id"] for seen in sandbox.log.of("get_inference")]
    assert asked[:-1] == [caught.value.context_token] * (earlier + 2)
    assert asked[-1] not in asked[:-1]


def test_a_question_that_failed_does_not_move_the_head(client: Client) -> None:
    chat = Conversation(client)
    first = chat.ask("One?")
    chat.context_token = "unknown"
    with pytest.raises(TokenError):
        chat.ask("Two?")
    chat.context_token = first.context_token
    assert chat.ask("Two?").parent_context_token == first.context_token


def test_an_async_client_is_rejected() -> None:
    """The hint says what to do instead."""
    client = AsyncClient(client_id="me", client_secret="mine")
    with pytest.raises(UsageError, match="AsyncClient") as caught:
        Conversation(client)  # type: ignore[arg-type]
    assert "context_token" in caught.value.hint


def test_the_repr_is_short_and_without_tokens(client: Client) -> None:
    chat = Conversation(client)
    assert repr(chat) == "<Conversation with aeronpay: 0 turns>"
    reply = chat.ask("What is\na token? " * 20, name="first")
    chat.ask("And?")
    assert repr(chat) == "<Conversation with aeronpay: 2 turns>"
    first, second = map(repr, chat.turns)
    assert first.startswith("<Turn first, complete: 'What is a token? What is")
    assert len(first) < 100
    assert second == "<Turn 2, complete: 'And?'>"
    assert str(reply.context_token) not in repr(chat.turns)


def test_a_conversation_needs_a_client() -> None:
    with pytest.raises(UsageError, match=r"needs a Client; the type is str"):
        Conversation("sandbox")  # type: ignore[arg-type]


def test_a_refused_question_takes_no_number(client: Client) -> None:
    """It is refused before anything is sent."""
    chat = Conversation(client)
    for wrong in ("", " "):
        with pytest.raises(UsageError):
            chat.ask(wrong)
    chat.ask("One")
    assert [turn.number for turn in chat.turns] == [1]
    assert not chat.tree.waiting
