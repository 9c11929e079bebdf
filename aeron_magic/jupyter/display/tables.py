"""Conversations as tables and trees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from aeron_magic.conversations.comparison import differences
from aeron_magic.conversations.history import StoredConversation
from aeron_magic.conversations.history_db import format_time
from aeron_magic.conversations.history_search import AROUND, FoundTurn
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


def numbered(number: int, name: str | None) -> str:
    """A turn's number and, in parentheses, its name."""
    return f"{number} ({name})" if name else str(number)


def turns_table(tree: ConversationTree, turns: Sequence[Turn], stale: set[Turn]) -> Table:
    """Turns of a conversation as a table."""
    parents = [tree.shown_parent(turn) for turn in turns]
    rows = [
        (
            numbered(turn.number, turn.name),
            parent.label if parent else "",
            turn.question[:200],
            excerpt(turn.reply.text) if turn.reply else "",
            ", ".join([turn.status, *_remarks(turn, stale)]),
        )
        for turn, parent in zip(turns, parents, strict=True)
    ]
    return Table(("turn", "after", "question", "reply", "status"), rows)


def excerpt(reply: str) -> str:
    """The beginning of a reply on one line."""
    from aeron_magic.rendering.safe_html import to_line

    return to_line(reply[:400])[:200]


def _remarks(turn: Turn, stale: set[Turn]) -> list[str]:
    """The ways in which a turn differs from a current one."""
    found = ["stale"] if turn in stale else []
    if turn.parent_mismatch:
        found.append("answered elsewhere")
    return found


def comparison(path: Sequence[Turn], messages: Sequence[Message]) -> str:
    """The differences between our turns and the service's messages, as Markdown."""
    different = differences(path, messages)
    if not different:
        questions = sum(message.role == "user" for message in messages)
        replies = len(messages) - questions
        if replies >= questions:
            return f"The service has the same {plural(questions, 'turn')} of this branch."
        earlier = " and the same earlier replies" if replies else ""
        return (
            f"The service has the same {plural(questions, 'question')} of this branch{earlier}. "
            "It does not list the newest reply, so that is not compared."
        )
    return "The service's messages differ:\n\n" + "\n".join(
        f"- message {number}: here {escape_cell(repr(here), 60)}, "
        f"at the service {escape_cell(repr(there), 60)}"
        for number, here, there in different
    )


def tree_text(tree: ConversationTree) -> str:
    """The turns as a tree in plain text; only branches are indented."""
    children: dict[Turn | None, list[Turn]] = {}
    for turn in tree.turns:
        children.setdefault(tree.shown_parent(turn), []).append(turn)
    stale = tree.stale()
    newest = tree.newest
    current = newest if tree.has_ended else tree.head
    lines: list[str] = []
    waiting = _branches(children.get(None, []), "")
    while waiting:
        turn, lead, below = waiting.pop()
        marks = [] if turn.status == "complete" else [turn.status]
        marks += _remarks(turn, stale)
        marks += ["newest" if turn is newest else "current"] if turn is current else []
        label = numbered(turn.number, turn.name)
        text = truncate(one_line(turn.question[:400]), max(TREE_WIDTH - len(lead), 20))
        # The marks first: a narrow page may cut the line.
        mark = f" [{', '.join(marks)}]" if marks else ""
        lines.append(f"{lead}{label}{mark}  {text}")
        waiting += _branches(children.get(turn, []), below)
    if len(lines) > MAX_LINES:
        left = len(lines) - MAX_LINES
        lines = [
            f"… {plural(left, 'earlier line')}; `%aeron export` writes all turns",
            *lines[-MAX_LINES:],
        ]
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
    registry: ConversationRegistry, stored: Sequence[StoredConversation], notebook: str
) -> Table:
    """The conversations of this kernel and the stored ones as a table."""
    rows: list[tuple[str, ...]] = []
    for tree in registry:
        state = "current" if tree is registry.current else "in this kernel"
        first = tree.turns[0].question if tree.turns else ""
        rows.append((tree.name, str(len(tree.turns)), first, "", state))
    names = resume_names(stored, registry.conversations, notebook)
    for one, name in zip(stored, names, strict=True):
        file = "" if one.notebook == notebook else _file_name(one.notebook) or "(no notebook)"
        rows.append((name, str(one.turns), one.question, file, format_time(one.used)))
    return Table(("conversation", "turns", "first question", "other notebook", "last used"), rows)


def found_table(found: Sequence[FoundTurn], names: Mapping[int, str]) -> Table:
    """Turns that were found in stored conversations, whose ``names`` are by their numbers."""
    rows = [
        (
            names.get(one.conversation.id) or f"{one.conversation.name}#{one.conversation.id}",
            _file_name(one.conversation.notebook),
            format_time(one.asked_at),
            numbered(one.number, one.name),
            one.excerpt,
        )
        for one in found
    ]
    return Table(("conversation", "notebook", "asked", "turn", "text"), rows, 2 * AROUND + 2)


def _file_name(notebook: str) -> str:
    """The name of a notebook's file without its folders."""
    return notebook.replace("\\", "/").rpartition("/")[2]


def resume_names(
    stored: Sequence[StoredConversation], taken: Iterable[str], notebook: str
) -> list[str]:
    """The name of each stored conversation on a line: unique, with its number if necessary.

    That of another notebook always has its number, so that a copied notebook does not continue the
    conversation of the one it was copied from.
    """
    seen = set(taken)
    found = []
    for one in stored:
        numbered = one.name in seen or one.notebook != notebook
        found.append(f"{one.name}#{one.id}" if numbered else one.name)
        seen.add(one.name)
    return found
