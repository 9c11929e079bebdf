"""Search the turns of all stored conversations."""

from __future__ import annotations

from typing import NamedTuple
from unicodedata import normalize

from aeron_magic.conversations.history import HistoryStore, StoredConversation
from aeron_magic.markdown_text import one_line

AROUND = 60
"""Characters of an excerpt on each side of the beginning of the found word."""

TURNS = """
SELECT conversation, number, json_extract(document, '$.question'),
    json_extract(document, '$.reply.text'), json_extract(document, '$.name'),
    json_extract(document, '$.asked_at')
FROM (SELECT conversation, number, coalesce(content, pending) AS document FROM turn)
WHERE json_valid(document)
"""


class FoundTurn(NamedTuple):
    """A turn that contains all words, and a part of it around the first one."""

    conversation: StoredConversation
    number: int
    name: str
    asked_at: float
    excerpt: str


def find_turns(history: HistoryStore, words: str) -> list[FoundTurn]:
    """The turns whose question and reply contain all ``words``, in any case, newest first.

    Raises HistoryError: the file cannot be read.
    """
    wanted = normalize("NFC", words).casefold().split()
    conversations = {one.id: one for one in history.conversations()}
    found = []
    with history.opened() as connection:
        for conversation, number, *texts, name, asked_at in connection.execute(TURNS):
            text = "  ".join(part for part in texts if isinstance(part, str))
            text = normalize("NFC", one_line(text))
            folded = text.casefold()
            known = conversations.get(conversation)
            if known is None or not isinstance(number, int) or not isinstance(asked_at, float):
                continue  # invalid: loading the conversation reports it
            if all(word in folded for word in wanted):
                # Folding can change the length of a text: then the excerpt is a little off.
                begin = max(0, folded.index(wanted[0]) - AROUND)
                end = begin + 2 * AROUND
                excerpt = "…" * (begin > 0) + text[begin:end] + "…" * (end < len(text))
                name = one_line(name)[:60] if isinstance(name, str) else ""
                found.append(FoundTurn(known, number, name, asked_at, excerpt))
    return sorted(found, key=lambda turn: turn.asked_at, reverse=True)
