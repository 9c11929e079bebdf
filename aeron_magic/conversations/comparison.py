"""Differences between our turns and the messages that the service has stored."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from aeron_magic.conversations.tree import Turn
from aeron_magic.replies.reply import Message

_MISSING = ("", "nothing")


def differences(path: Sequence[Turn], messages: Sequence[Message]) -> list[tuple[int, str, str]]:
    """Compare a path of turns with the messages of list-input, oldest first.

    A difference is the number of a message, from 1, and its role and text here and at the service.
    The service omits the reply of the token that was asked for. If the path starts with a token
    from another conversation, only the end is compared.
    """
    ours: list[tuple[str, str]] = []
    for turn in path:
        ours.append(("user", turn.question))
        if turn.reply is not None and turn is not path[-1]:
            ours.append(("assistant", turn.reply.text))
    theirs: list[tuple[str, str]] = [(message.role, message.text) for message in messages]
    newest = path[-1].reply.text if path[-1].reply else ""
    if theirs[len(ours) :] == [("assistant", newest)]:
        theirs.pop()  # a service that does not omit it
    if path[0].parent_token is not None:
        theirs = theirs[-len(ours) :]
    return [
        (number, " ".join(mine).strip(), " ".join(their).strip())
        for number, (mine, their) in enumerate(zip_longest(ours, theirs, fillvalue=_MISSING), 1)
        if mine != their
    ]
