"""Conversations as tables and trees."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aeron_magic.conversations.comparison import differences
from aeron_magic.conversations.history import StoredConversation
from aeron_magic.conversations.history_db import format_time
from aeron_magic.conversations.registry import ConversationRegistry
from aeron_magic.conversations.tree import ConversationTree, Turn
from aeron_magic.jupyter.display.publish import Table
from aeron_magic.markdown_text import escape_cell, one_line, plural, truncate
from aeron_magic.replies.reply import Message

MAX_TURNS = 50
"""Turns in a table by default."""

MAX_LINES = 300
"""Lines of a tree."""

TREE_WIDTH = 72
"""Characters of a question in a tree, its indentation included."""


def turns_table(turns: Sequence[Turn], stale: set[Turn]) -> Table:
    """Turns as a table."""
    rows = [
        (
            turn.label,
            turn.parent.label if turn.parent else "",
            turn.question[:200],
            turn.reply.text[:200] if turn.reply else "",
            ", ".join(_remarks(turn, stale)) or "complete",
        )
        for turn in turns
    ]
    return Table(("turn", "after", "question", "reply", "status"), rows)


def _remarks(turn: Turn, stale: set[Turn]) -> list[str]:
    """The ways in which a turn differs from a complete, current one."""
    found = [] if turn.status == "complete" else [turn.status]
    if turn in stale:
        found.append("stale")
    if turn.parent_mismatch:
        found.append("answered elsewhere")
    return found


def comparison(path: Sequence[Turn], messages: Sequence[Message]) -> str:
    """The differences between our turns and the service's messages, as Markdown."""
    different = differences(path, messages)
    if not different:
        return f"The service has the same {plural(len(messages), 'message')}."
    return "The service's messages differ:\n\n" + "\n".join(
        f"- message {number}: here {escape_cell(repr(here), 60)}, "
        f"at the service {escape_cell(repr(there), 60)}"
        for number, here, there in different
    )


def tree_text(tree: ConversationTree) -> str:
    """The turns as a tree in plain text; only branches are indented."""
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
        text = truncate(one_line(turn.question[:400]), max(TREE_WIDTH - len(lead), 20))
        lines.append(
            f"{lead}{turn.number}{name}  {text}" + (f"  [{', '.join(marks)}]" if marks else "")
        )
        waiting += _branches(children.get(turn, []), below)
    if len(lines) > MAX_LINES:
        left = len(lines) - MAX_LINES
        lines = [f"… {left} earlier lines; `%aeron export` writes all turns", *lines[-MAX_LINES:]]
    return "\n".join(lines)


def _branches(turns: Sequence[Turn], below: str) -> list[tuple[Turn, str, str]]:
    """Turns with the same parent as a stack: each with the prefix of its line and of those below.

    ``below`` is the prefix of the lines below the parent.
    """
    if len(turns) < 2:
        return [(turn, below, below) for turn in turns]
    *before, last = turns
    found = [(turn, f"{below}├─ ", f"{below}│  ") for turn in before]
    return [(last, f"{below}└─ ", f"{below}   "), *found[::-1]]


def conversations_table(
    registry: ConversationRegistry, earlier: Sequence[StoredConversation]
) -> Table:
    """The conversations of this kernel and of earlier ones as a table."""
    rows: list[tuple[str, ...]] = []
    for tree in registry:
        newest = tree.head or tree.newest
        state = "current" if tree is registry.current else ""
        rows.append((tree.name, str(len(tree.turns)), newest.question if newest else "", state))
    names = resume_names(earlier, registry.conversations)
    for stored, name in zip(earlier, names, strict=True):
        used = f"earlier: {format_time(stored.used)}"
        rows.append((name, str(stored.turns), stored.question, used))
    return Table(("conversation", "turns", "newest question", ""), rows)


def resume_names(earlier: Sequence[StoredConversation], taken: Iterable[str] = ()) -> list[str]:
    """The name of each stored conversation on a line: unique, with its number if necessary."""
    seen = set(taken)
    found = []
    for stored in earlier:
        found.append(f"{stored.name}#{stored.id}" if stored.name in seen else stored.name)
        seen.add(stored.name)
    return found
