"""Our turns compared with the service's messages."""

from __future__ import annotations

import pytest

from aeron_magic.conversations.comparison import differences
from aeron_magic.conversations.tree import Turn
from aeron_magic.replies.reply import Message, Reply


def path(*questions: str, parent_token: str | None = None) -> list[Turn]:
    """Consecutive turns; the reply to ``q`` is ``q!``."""
    turns: list[Turn] = []
    for number, question in enumerate(questions, 1):
        parent = turns[-1] if turns else None
        turn = Turn(number, question, parent=parent, reply=Reply(f"{question}!"))
        turns.append(turn)
    turns[0].parent_token = parent_token
    return turns


def messages(*texts: str) -> list[Message]:
    """Question, reply, question, …"""
    return [
        Message("assistant" if number % 2 else "user", text) for number, text in enumerate(texts)
    ]


def test_a_service_that_omits_the_last_reply_has_the_same() -> None:
    """As in the vendor's sample."""
    assert differences(path("a", "b"), messages("a", "a!", "b")) == []


def test_a_service_that_does_not_omit_it_has_the_same() -> None:
    assert differences(path("a", "b"), messages("a", "a!", "b", "b!")) == []


def test_messages_before_a_token_from_elsewhere_are_not_compared() -> None:
    stored = messages("x", "x!", "a", "a!", "b")
    assert differences(path("a", "b", parent_token="token"), stored) == []
    assert differences(path("a", "b", parent_token="token"), [*stored, *messages("b!")][:5]) == []


@pytest.mark.parametrize(
    ("theirs", "different"),
    [
        (["a", "other", "b"], [(2, "assistant a!", "assistant other")]),
        (["a", "a!"], [(3, "user b", "nothing")]),
        (["a", "a!", "b", "z", "c"], [(4, "nothing", "assistant z")]),
        ([], [(1, "user a", "nothing")]),
    ],
)
def test_each_difference_has_both_messages(
    theirs: list[str], different: list[tuple[int, str, str]]
) -> None:
    """And the message's number."""
    assert differences(path("a", "b"), messages(*theirs))[: len(different)] == different
