"""Our turns beside the service's messages."""

from __future__ import annotations

import pytest

from aeron_magic.conversations.comparison import Difference, differences
from aeron_magic.conversations.tree import Turn
from aeron_magic.replies.reply import Message, Reply


def line(*questions: str, started_from: str | None = None) -> list[Turn]:
    """Turns one after the other; the reply to ``q`` is ``q!``."""
    turns: list[Turn] = []
    for number, question in enumerate(questions, 1):
        parent = turns[-1] if turns else None
        turn = Turn(number, question, parent=parent, reply=Reply(f"{question}!"))
        turns.append(turn)
    turns[0].parent_token = started_from
    return turns


def messages(*texts: str) -> list[Message]:
    """Question, reply, question, …"""
    return [
        Message("assistant" if number % 2 else "user", text) for number, text in enumerate(texts)
    ]


def test_the_service_leaves_out_the_last_answer() -> None:
    """As the vendor's sample does."""
    assert differences(line("a", "b"), messages("a", "a!", "b")) == []


def test_a_service_that_does_not_leave_it_out_is_the_same() -> None:
    """Nobody says that it has to."""
    assert differences(line("a", "b"), messages("a", "a!", "b", "b!")) == []


def test_what_came_before_a_token_from_elsewhere_is_not_ours() -> None:
    """The end is compared."""
    told = messages("x", "x!", "a", "a!", "b")
    assert differences(line("a", "b", started_from="token"), told) == []
    assert differences(line("a", "b", started_from="token"), [*told, *messages("b!")][:5]) == []


@pytest.mark.parametrize(
    ("theirs", "different"),
    [
        (["a", "other", "b"], [Difference(2, "assistant a!", "assistant other")]),
        (["a", "a!"], [Difference(3, "user b", "nothing")]),
        (["a", "a!", "b", "z", "c"], [Difference(4, "nothing", "assistant z")]),
        ([], [Difference(1, "user a", "nothing")]),
    ],
)
def test_each_difference_says_what_is_here_and_what_is_there(
    theirs: list[str], different: list[Difference]
) -> None:
    """By the number of the message."""
    assert differences(line("a", "b"), messages(*theirs))[: len(different)] == different
