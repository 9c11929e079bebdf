"""Conversations as tables and trees."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from markdown_it import MarkdownIt

from aeron_magic.conversations.history import StoredConversation
from aeron_magic.conversations.history_search import FoundTurn
from aeron_magic.conversations.registry import ConversationRegistry
from aeron_magic.conversations.tree import ConversationTree
from aeron_magic.jupyter.display import publish as displays
from aeron_magic.jupyter.display.publish import Table, strip_markup
from aeron_magic.jupyter.display.tables import (
    conversations_table,
    found_table,
    resume_names,
    tree_text,
    turns_table,
)
from aeron_magic.markdown_text import escape_cell
from aeron_magic.replies.reply import Reply


def tree_of(*parents: int, texts: str = "question {}") -> ConversationTree:
    """A tree in which turn n follows turn ``parents[n - 1]``; 0 is the root."""
    tree = ConversationTree("main")
    for number, parent in enumerate(parents, 1):
        position = tree.resolve(str(parent)) if parent else tree.at_root()
        pending = tree.start(position, texts.format(number), now=float(number))
        tree.complete(pending, Reply("because", "complete", f"token {number}"))
    return tree


def numbers(tree: ConversationTree) -> list[str]:
    lines = tree_text(tree).splitlines()
    return [line.partition("  question")[0].removesuffix(" [newest]") for line in lines]


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
def test_only_branches_are_indented(parents: tuple[int, ...], lines: list[str]) -> None:
    assert numbers(tree_of(*parents)) == lines


TYPED = [
    "What is df[0] and x['a'] and [1]?",
    "[urgent] refund",
    r"is \[a\] or \(b\) $c$ and $$d$$ in $5 | 7$?",
    "my[1]x <b>*bold*</b> &amp; `code`",
    r"C:\[x]\dir \begin{a} https://x.example/a_b",
    "**历经。**年 <br> x<sub>1</sub> {{name}}",
]


@pytest.mark.parametrize("text", TYPED)
def test_a_table_shows_a_question_as_it_was_typed(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each MIME type, for our own renderer, CommonMark and MathJax."""
    shown: list[Any] = []
    monkeypatch.setattr(displays, "has_kernel", lambda _shell: True)
    monkeypatch.setattr(displays, "publish", lambda *, data, metadata: shown.append(data))
    tree = tree_of(0)
    tree.turns[0].question = text
    displays.show(None, turns_table(tree, tree.turns, set()))
    (data,) = shown
    commonmark = MarkdownIt("commonmark").enable("table").render(data["text/markdown"])
    for html in (str(data["text/html"]), commonmark):
        cells = re.findall(r"<td[^>]*>(.*?)</td>", html)
        assert unescape(re.sub("</?(span|a)[^>]*>", "", cells[2])) == text
    assert 'class="math"' not in data["text/html"]
    assert text in data["text/plain"]


def test_a_tree_marks_the_newest_and_the_unusual_turns_and_cuts_questions() -> None:
    tree = tree_of(0, 1, 2, texts="question {} " + "why " * 60)
    tree.turns[0].tokens.append("newer")
    tree.turns[1].reply = None
    lines = tree_text(tree).splitlines()
    marks = [line.partition("  question")[0] for line in lines]
    assert marks == ["1", "2 [lost, stale]", "3 [stale, newest]"]
    assert all("…" in line and len(line) < 110 for line in lines)
    tree.head = tree.turns[0]  # the user has gone back to it
    assert tree_text(tree).startswith("1 [current]  question")
    tree.ended, tree.head = set(tree), None  # as of a sandbox of an earlier kernel
    assert tree_text(tree).splitlines()[2].startswith("3 [stale, newest]  question")


def test_a_very_long_tree_shows_its_end_and_the_number_of_other_lines() -> None:
    lines = tree_text(tree_of(*range(400))).splitlines()
    assert lines[0].startswith("… 100 earlier lines")
    assert lines[-1].startswith("400 ")
    assert len(lines) == 301


def test_questions_in_a_tree_have_neither_escape_sequences_nor_line_breaks() -> None:
    text = tree_text(tree_of(0, texts="a\x1b[31m\nb {}"))
    assert text == "1 [newest]  a b 1"


def test_a_table_shows_a_reply_without_its_markup() -> None:
    """A question stays as it was typed: its stars may mean a product."""
    tree = tree_of(0, texts="2*3*4 {}")
    text = "# Title\n\n* **Bold** and\n  `code`, [a link](https://x.example)\n\n```py\nx = 1\n```\n"
    tree.turns[0].reply = Reply(f"{text}\n| a | b |\n|---|---|\n| 1 | \x1b[31m2 |")
    shown = "Title Bold and code, a link x = 1 a b 1 2"
    assert turns_table(tree, tree.turns, set()).rows[0][2:4] == ("2*3*4 1", shown)


def test_the_status_column_has_the_remarks_on_a_turn() -> None:
    tree = tree_of(0, 1)
    tree.turns[0].reply = Reply("because", "recovered", "token", "another")
    assert [row[-1] for row in turns_table(tree, tree.turns, {tree.turns[1]}).rows] == [
        "recovered, answered elsewhere",
        "complete, stale",
    ]


def test_a_turn_with_a_name_is_shown_with_its_number() -> None:
    """Both are accepted by ``--after``."""
    tree = tree_of(0, 1)
    tree.turns[1].name = "plan"
    assert [row[0] for row in turns_table(tree, tree.turns, set()).rows] == ["1", "2 (plan)"]
    assert numbers(tree) == ["1", "2 (plan)"]
    stored = StoredConversation(7, "a", "", "", False, 0.0, "", 3, "/n.ipynb")
    found = [FoundTurn(stored, 2, "plan", 0.0, "text"), FoundTurn(stored, 3, "", 0.0, "text")]
    assert [row[3] for row in found_table(found, {}).rows] == ["2 (plan)", "3"]


def test_earlier_conversations_of_the_same_name_have_their_number_in_the_history() -> None:
    past = [
        StoredConversation(number, "a", "", "", False, 0.0, "", 3, "/n.ipynb") for number in (7, 3)
    ]
    assert resume_names(past, (), "/n.ipynb") == ["a", "a#3"]
    assert resume_names(past, ["a"], "/n.ipynb") == ["a#7", "a#3"]
    assert resume_names(past, (), "/other.ipynb") == ["a#7", "a#3"]
    table = conversations_table(ConversationRegistry(), past, "/n.ipynb")
    assert [row[:2] for row in table.rows] == [("main", "0"), ("a", "3"), ("a#3", "3")]


def test_a_conversation_of_another_notebook_or_of_none_names_it() -> None:
    past = [
        StoredConversation(1, "a", "", "", False, 0.0, "", 3, notebook)
        for notebook in ("/n.ipynb", "/work/other.ipynb", "")
    ]
    table = conversations_table(ConversationRegistry(), past, "/n.ipynb")
    assert [row[3] for row in table.rows[1:]] == ["", "other.ipynb", "(no notebook)"]
    table = conversations_table(ConversationRegistry(), past[2:], "")
    assert table.rows[1][3] == ""


def test_the_widest_columns_of_a_plain_table_are_cut_to_fit_a_line() -> None:
    assert Table(("a", "b"), [("x", "yy")]).plain.splitlines() == ["a  b", "-  --", "x  yy"]
    wide = Table(("a", "b", "c"), [("x" * 500, "y" * 30, "z\x1b[0m\nz" * 100)]).plain
    assert all(len(line) <= 100 for line in wide.splitlines())
    assert "y" * 20 in wide
    assert "\x1b" not in wide


def test_plain_text_has_no_markdown_of_ours() -> None:
    assert strip_markup(f"- `%aeron tree` has **2** of {escape_cell('[a_b] * `c`')}") == (
        "%aeron tree has 2 of [a_b] * `c`"
    )
