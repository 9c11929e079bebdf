"""Conversations to look at: as a table of turns, as a tree, as a list of names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aeron_magic.conversations.comparison import differences
from aeron_magic.conversations.history import StoredConversation
from aeron_magic.conversations.history_db import format_time
from aeron_magic.conversations.registry import ConversationRegistry
from aeron_magic.conversations.tree import ConversationTree, Turn
from aeron_magic.markdown_text import escape_cell, one_line, plural, truncate
from aeron_magic.replies.reply import Message

__all__ = [
    "CONVERSATIONS",
    "MAX_TURNS",
    "TURNS",
    "comparison",
    "conversation_rows",
    "resume_names",
    "tree_text",
    "turn_rows",
]

MAX_TURNS = 50
"""Turns that are shown if nothing else is said."""

MAX_LINES = 300
"""Lines of a tree."""

WIDTH = 72


TURNS = ("turn", "after", "question", "reply", "status")
CONVERSATIONS = ("conversation", "turns", "newest question", "")


def turn_rows(turns: Sequence[Turn], stale: set[Turn]) -> list[tuple[str, ...]]:
    """Turns as rows of a table with the columns ``TURNS``."""
    return [
        (
            turn.label,
            turn.parent.label if turn.parent else "",
            turn.question[:200],
            turn.reply.text[:200] if turn.reply else "",
            ", ".join(_remarks(turn, stale)) or "complete",
        )
        for turn in turns
    ]


def _remarks(turn: Turn, stale: set[Turn]) -> list[str]:
    """What is not as it should be with a turn."""
    found = [] if turn.status == "complete" else [turn.status]
    if turn in stale:
        found.append("stale")
    if turn.parent_mismatch:
        found.append("answered elsewhere")
    return found


def comparison(line: Sequence[Turn], messages: Sequence[Message]) -> str:
    """Where our line of turns and the service's messages differ, as Markdown."""
    different = differences(line, messages)
    if not different:
        return f"The service has the same {plural(len(messages), 'message')}."
    return "The service has it otherwise:\n\n" + "\n".join(
        f"- message {number}: here {escape_cell(repr(here), 60)}, "
        f"at the service {escape_cell(repr(there), 60)}"
        for number, here, there in different
    )


def tree_text(tree: ConversationTree) -> str:
    """The turns as a tree in plain text.

    A turn stands below the one it follows; only where there are several to follow it is there a
    branch, so that a long conversation does not wander off to the right.
    """
    children: dict[Turn | None, list[Turn]] = {}
    for turn in tree.turns:
        children.setdefault(turn.parent, []).append(turn)
    stale = tree.stale()
    lines: list[str] = []
    waiting = _branches(children.get(None, []), "")
    while waiting:
        turn, lead, below = waiting.pop()
        marks = _remarks(turn, stale) + (["newest"] if turn is tree.head else [])
        name = f" ({turn.name})" if turn.name else ""
        text = truncate(one_line(turn.question[:400]), max(WIDTH - len(lead), 20))
        lines.append(
            f"{lead}{turn.number}{name}  {text}" + (f"  [{', '.join(marks)}]" if marks else "")
        )
        waiting += _branches(children.get(turn, []), below)
    if len(lines) > MAX_LINES:
        left = len(lines) - MAX_LINES
        lines = [f"… {left} lines before; `%aeron export` has all turns", *lines[-MAX_LINES:]]
    return "\n".join(lines)


def _branches(turns: Sequence[Turn], below: str) -> list[tuple[Turn, str, str]]:
    """Turns that follow the same one, with what stands before their line and before the next
    lines; the last first, as a stack wants it."""
    if len(turns) < 2:
        return [(turn, below, below) for turn in turns]
    *before, last = turns
    found = [(turn, f"{below}├─ ", f"{below}│  ") for turn in before]
    return [(last, f"{below}└─ ", f"{below}   "), *found[::-1]]


def conversation_rows(
    registry: ConversationRegistry, past: Sequence[StoredConversation]
) -> list[tuple[str, ...]]:
    """The conversations of this kernel, and earlier ones, with the columns ``CONVERSATIONS``."""
    rows: list[tuple[str, ...]] = []
    for tree in registry:
        newest = tree.head or tree.newest
        state = "current" if tree is registry.current else ""
        rows.append((tree.name, str(len(tree.turns)), newest.question if newest else "", state))
    for stored, handle in zip(past, resume_names(past, registry.conversations), strict=True):
        used = f"earlier: {format_time(stored.used)}"
        rows.append((handle, str(stored.turns), stored.question, used))
    return rows


def resume_names(past: Sequence[StoredConversation], taken: Iterable[str] = ()) -> list[str]:
    """How each stored conversation is called on a line: by its name, if that means it."""
    seen = set(taken)
    found = []
    for stored in past:
        found.append(f"{stored.name}#{stored.id}" if stored.name in seen else stored.name)
        seen.add(stored.name)
    return found
