"""Where our line of turns and the service's list of messages do not agree."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple

from aeron_magic.conversations.tree import Turn
from aeron_magic.replies.reply import Message

__all__ = ["Difference", "differences"]

_MISSING = ("", "nothing")


class Difference(NamedTuple):
    """The message of this number, from 1: role and text, here and at the service."""

    number: int
    here: str
    there: str


def differences(line: Sequence[Turn], messages: Sequence[Message]) -> list[Difference]:
    """Compare the turns from the beginning to one of them with list-input's messages, oldest first.

    The service leaves out the answer of the token that was asked for. Where the line began with a
    token from elsewhere, only the end can be compared.
    """
    ours: list[tuple[str, str]] = []
    for turn in line:
        ours.append(("user", turn.question))
        if turn.reply is not None and turn is not line[-1]:
            ours.append(("assistant", turn.reply.text))
    theirs: list[tuple[str, str]] = [(message.role, message.text) for message in messages]
    newest = line[-1].reply.text if line[-1].reply else ""
    if theirs[len(ours) :] == [("assistant", newest)]:
        theirs.pop()  # a service that does not leave it out
    if line[0].parent_token is not None:
        theirs = theirs[-len(ours) :]
    return [
        Difference(number, " ".join(mine).strip(), " ".join(their).strip())
        for number, (mine, their) in enumerate(zip_longest(ours, theirs, fillvalue=_MISSING), 1)
        if mine != their
    ]
