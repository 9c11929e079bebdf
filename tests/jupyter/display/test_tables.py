"""Conversations as tables and trees."""

from __future__ import annotations

import pytest

from aeron_magic.conversations.history import StoredConversation
from aeron_magic.conversations.registry import ConversationRegistry
from aeron_magic.conversations.tree import ConversationTree
from aeron_magic.jupyter.display.publish import escape_cell, plain_table, strip_markup
from aeron_magic.jupyter.display.tables import conversation_rows, resume_names, tree_text, turn_rows
from aeron_magic.replies.reply import Reply


def grown(*parents: int, texts: str = "question {}") -> ConversationTree:
    """A tree in which turn n follows the turn ``parents[n - 1]``, 0 being a beginning."""
    tree = ConversationTree("main")
    for number, parent in enumerate(parents, 1):
        position = tree.resolve(str(parent)) if parent else tree.at_root()
        pending = tree.start(position, texts.format(number), now=float(number))
        tree.complete(pending, Reply("because", "complete", f"token {number}"))
    return tree


def numbers(tree: ConversationTree) -> list[str]:
    return [line.partition("  question")[0] for line in tree_text(tree).splitlines()]


@pytest.mark.parametrize(
    ("parents", "lines"),
    [
        ((0, 1, 2), ["1", "2", "3"]),
        ((0, 1, 1), ["1", "├─ 2", "└─ 3"]),
        ((0, 1, 1, 2, 4, 3), ["1", "├─ 2", "│  4", "│  5", "└─ 3", "   6"]),
        ((0, 1, 1, 2, 2), ["1", "├─ 2", "│  ├─ 4", "│  └─ 5", "└─ 3"]),
        ((0, 1, 0), ["├─ 1", "│  2", "└─ 3"]),
    ],
)
def test_only_a_branch_goes_to_the_right(parents: tuple[int, ...], lines: list[str]) -> None:
    """A long conversation stays where it is."""
    assert numbers(grown(*parents)) == lines


def test_a_tree_marks_the_newest_turn_and_what_is_not_as_usual() -> None:
    """And shows no more of a question than fits a line."""
    tree = grown(0, 1, 2, texts="question {} " + "why " * 60)
    tree.turns[0].tokens.append("newer")
    tree.turns[1].reply = None
    lines = tree_text(tree).splitlines()
    assert [line.partition("  [")[2] for line in lines] == ["", "lost, stale]", "stale, newest]"]
    assert all("…" in line and len(line) < 110 for line in lines)


def test_a_very_long_tree_shows_its_end() -> None:
    """And says what it leaves out."""
    lines = tree_text(grown(*range(400))).splitlines()
    assert lines[0].startswith("… 100 lines before")
    assert lines[-1].startswith("400 ")
    assert len(lines) == 301


def test_nothing_of_a_question_is_obeyed() -> None:
    """Escape sequences are taken out, line breaks become blanks."""
    text = tree_text(grown(0, texts="a\x1b[31m\nb {}"))
    assert text == "1  a b 1  [newest]"


def test_a_row_says_what_is_not_as_usual() -> None:
    """The last column."""
    tree = grown(0, 1)
    tree.turns[0].reply = Reply("because", "recovered", "token", "another")
    assert [row[-1] for row in turn_rows(tree.turns, {tree.turns[1]})] == [
        "recovered, answered elsewhere",
        "stale",
    ]


def test_earlier_conversations_of_the_same_name_are_told_apart() -> None:
    """By their number in the history."""
    past = [StoredConversation(number, "a", "", "", False, 0.0, "", 3) for number in (7, 3)]
    assert resume_names(past) == ["a", "a#3"]
    assert resume_names(past, ["a"]) == ["a#7", "a#3"]
    assert [row[:2] for row in conversation_rows(ConversationRegistry(), past)] == [
        ("main", "0"),
        ("a", "3"),
        ("a#3", "3"),
    ]


def test_a_plain_table_is_as_wide_as_its_texts_and_no_wider_than_a_line() -> None:
    """The wide columns share what is left."""
    assert plain_table(("a", "b"), [("x", "yy")]).splitlines() == ["a  b", "-  --", "x  yy"]
    wide = plain_table(("a", "b", "c"), [("x" * 500, "y" * 30, "z\x1b[0m\nz" * 100)], width=80)
    assert all(len(line) <= 80 for line in wide.splitlines())
    assert "y" * 20 in wide
    assert "\x1b" not in wide


def test_what_is_escaped_for_markdown_is_not_in_plain_text() -> None:
    """Nor are back-ticks around what is to be typed."""
    assert strip_markup(f"`%aeron tree` has **2** of {escape_cell('[a_b] * `c`')}") == (
        "%aeron tree has 2 of [a_b] * `c`"
    )
