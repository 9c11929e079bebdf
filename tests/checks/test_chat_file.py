"""A conversation as a file that can be checked: written, read back, and what is wrong in it."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from each_case import each_case
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from aeron_magic.checks.chat_file import chat_text, read_chat, write_chat
from aeron_magic.checks.rules import SAME, Rule
from aeron_magic.conversations.tree import ConversationTree
from aeron_magic.errors import UsageError
from aeron_magic.plaintext import strip_control_sequences
from aeron_magic.prompts.interpolation import interpolate
from aeron_magic.replies.reply import Reply

FILE = """# Refunds

What the agent says about refunds.

## Question

How long does a refund
take?

Image: <https://example.com/a.png>

## Reply

* Three to **five** days.

  ```text
  ## Question
  ```

```expect
contains: five days
not contains: seven
```

Reply
-----

More.
"""


def turn(question: str, reply: str = "x", images: tuple[str, ...] = ()) -> Any:
    return SimpleNamespace(question=question, images=images, reply=Reply(reply))


def read_back(question: str, reply: str) -> tuple[str, str]:
    """Question and reply of a written turn, with placeholders replaced as a check does."""
    (read,) = read_chat(chat_text("title", [turn(question, reply)]), "f")
    assert read.rules == (SAME,)
    assert read.reference is not None
    return interpolate(read.question, {}), interpolate(read.reference, {})


def test_a_file_by_hand() -> None:
    text = FILE.replace("Reply\n-----\n\nMore.\n", "")
    (read,) = read_chat(text, "f")
    assert read.question == "How long does a refund\ntake?"
    assert read.images == ("https://example.com/a.png",)
    assert read.reference is not None
    assert read.reference.startswith("* Three to **five** days.\n\n  ```text")
    assert read.rules == (
        Rule("contains", "five days", 21),
        Rule("not contains", "seven", 22),
    )
    assert (read.number, read.parent, read.line) == (1, None, 5)


def test_expectations_need_no_reference_and_turns_follow_each_other() -> None:
    text = "## question\na\n```expect\nmatches: .\n```\n## Question\nb\n## Reply\nc\n"
    first, second = read_chat(text, "f")
    assert (first.question, first.reference, first.parent) == ("a", None, None)
    assert (second.question, second.reference, second.parent) == ("b", "c", 0)
    assert second.rules == (SAME,)


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("", 0, "no question"),
        ("# Title\n\ntext\n", 0, "no question"),
        ("## Reply\n\nx\n", 1, "no question"),
        ("## Question\n\nx\n\n## Reply\n\na\n\n## Reply\n\nb\n", 9, "no question"),
        ("## Question\n\n## Reply\n\na\n", 1, "empty"),
        ("## Question\n\nx\n", 1, "no reference"),
        ("## Question\n\nx\n\n```expect\nsame\n```\n", 6, "no reference"),
        ("## Question\n\nx\n\n```expect\n```\n", 5, "empty"),
        ("## Question\n\nx\n\n```expect\ncontains: a\n\nhas: b\n```\n", 8, "cannot say"),
        ("## Question\n\nx\n\n```expect\ncontains: a\n", 5, "not closed"),
        ("## Question\n\nx\n\n## Reply\n\n```\na\n\n## Question\n\ny\n", 7, "not closed"),
        ("## Question\n\nx\n\n### Reply\n\na\n\n```expect\nmatches: .\n```\n", 5, "neither"),
        ("## Question\n\nx\n\n## Answer\n\na\n\n```expect\nmatches: .\n```\n", 5, "neither"),
        ("## Question\nx\n##Reply\na\n```expect\nmatches: .\n```\n", 3, "neither"),
        ("## Question\nx\n## **Reply:**\na\n```expect\nmatches: .\n```\n", 3, "neither"),
        ("## Question 1\nx\n## Question\ny\n```expect\nmatches: .\n```\n", 1, "neither"),
        ("## Question\nx\n```{expect}\ncontains: a\n```\n", 3, "not an expect block"),
        ("## Question\nx\n##\u00a0Reply\na\n```expect\nmatches: .\n```\n", 3, "neither"),
        ("## Question\nx\n## Reply\u200b\na\n```expect\nmatches: .\n```\n", 3, "neither"),
        ("## Question\nx\n\ufeff## Question\ny\n```expect\nmatches: .\n```\n", 3, "neither"),
        ("## Question\nx\n\u00a0## Reply\na\n```expect\nmatches: .\n```\n", 3, "neither"),
        ("```expect\nmatches: .\n```\n## Question\nx\n## Reply\na\n", 1, "before the first"),
        ("## Question\nx\n\nImage: https://a.example/b.png\n## Reply\na\n", 4, "image would"),
        ("## Question\nx\n## Reply\na\n\n\t```expect\n\tcontains: a\n\t```\n", 6, "indented"),
        (
            "## Question\nx\n\n    ~~~ expect\n    contains: a\n    ~~~\n## Reply\na\n",
            4,
            "indented",
        ),
        ("## Question\nx\n## Reply\na\n~~~ expected\nsame\n~~~\n", 5, "not an expect block"),
        ("## Question\n\nx\n\n<!-- y\n\n## Reply\n\na\n", 5, "comment is not closed"),
        ("<!--\n\n\n-->\n## Question\n\nx\n\n```expect\nhas: b\n```\n", 10, "cannot say"),
        ("## Question\n\nx\n\n## Reply\n\n1. a\n\n   ```expect\n   same\n   ```\n", 9, "inside"),
        ("## Question\n\nx\n\n## Reply\n\n> ```expect\n> same\n> ```\n", 7, "inside"),
    ],
)
def test_an_error_names_the_file_and_the_line(text: str, line: int, part: str) -> None:
    with pytest.raises(UsageError, match=part) as caught:
        read_chat(text, "refund.chat.md")
    assert (f"refund.chat.md, line {line}: " if line else "refund.chat.md") in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "<!--\n## Question\n\nhidden\n\n## Reply\n\nb\n-->\n## Question\nx\n## Reply\na\n",
        "## Question\nx\n## Reply\na\n\n<!--\n\n```\n\n## Question\n\nhidden\n-->\n",
        "## Question\n<!-- note --><!-- more -->\nx\n\n  <!-- -->\n## Reply\n<!--\n\n--> a\n",
        "\t\n##\tQuestion ##\r\nx\r\n\r\nReply\r\n---\r\na\r\n",
    ],
)
def test_comments_and_other_spellings_of_a_file(text: str) -> None:
    (read,) = read_chat(strip_control_sequences(text), "f")
    assert read.reference is not None
    assert (read.question, read.reference.strip()) == ("x", "a")


@pytest.mark.parametrize("title", ["question", "Reply 2", "Questions", "<!-- x", "Answer"])
def test_a_conversation_can_have_any_name(title: str) -> None:
    (read,) = read_chat(chat_text(title, [turn("q", "r")]), "f")
    assert (read.question, read.reference) == ("q", "r")


def test_what_is_in_a_block_or_below_a_reply_is_no_mistake() -> None:
    reply = "```md\n### Reply\n<!-- x -->\n```\n\n### Answer\n\n# Questions and replies"
    (read,) = read_chat(f"## Question\n\nx\n\n## Reply\n\n{reply}\n", "f")
    assert read.reference == reply


def test_image_lines_need_no_blank_lines() -> None:
    lines = "a\nImage: <https://a.example>\n  Image: <https://b.example> \nb"
    (read,) = read_chat(f"## Question\n{lines}\n## Reply\nx\n", "f")
    assert (read.question, len(read.images)) == ("a\nb", 2)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "part", ["<!-- -->" + "<!--" * 500_000, "<!---->" * 200_000, "# reply" + " " * 500_000 + "x"]
)
def test_comments_and_headings_take_linear_time(part: str) -> None:
    with suppress(UsageError):
        read_chat(f"## Question\n\nx\n\n{part}\n\n## Reply\n\na\n", "f")


NASTY = [
    "<b>bold</b>",
    "# a\n\n## Reply\n\nx",
    "Reply\n---",
    "```py\nx\n```",
    "```expect\nhas: x\n```",
    "> ```expect\n> same\n> ```",
    "```verbatim\nx\n```",
    "~~~~\n```\n~~~~",
    "a\n\n```",
    "    code",
    "Image: <https://a.example>",
    "Image: https://a.example",
    "    ```expect\n    same\n    ```",
    "![x](https://evil.example/p.png)",
    "[x](javascript:alert(1))",
    "{{name}} and \\{{name}} and {{{",
    "[//]: # (aeron-magic export, sha256 " + "0" * 64 + ")",
    "a | b\n--|--\n1|2",
    "<!-- \n\n## Question\n\n-->",
    "<!-- x",
    "a\n<!-- x -->\nb",
    "### Reply",
    "## Answer:",
    "##Question 2",
    "```{expect}\nx\n```",
    "a\nImage: <https://a.example>\nb",
    "`" * 30 + "\n## Question",
    "x\r\ny",
    "",
]


@each_case("text", NASTY)
def test_what_was_written_is_read_back(text: str) -> None:
    question = text or "x"
    assert read_back(question, text) == tuple(map(strip_control_sequences, (question, text)))


@given(st.lists(st.sampled_from([*NASTY, "\n", "\n\n", " ", "    ", "- ", "> ", "`", "a"])))
def test_any_mixture_of_it_is_read_back(parts: list[str]) -> None:
    text = strip_control_sequences("".join(parts))
    question, reply = read_back(f"x{text}", text)
    assert question == f"x{text}"
    assert reply == text


@each_case("text", NASTY)
def test_a_file_is_not_active_in_a_renderer_that_accepts_html(text: str) -> None:
    html = MarkdownIt("commonmark", {"html": True}).render(chat_text(text, [turn("q", text)]))
    assert "<img" not in html
    assert "<b>" not in html
    assert 'href="javascript' not in html
    assert "<!--" not in html


def test_export_writes_the_branch_of_the_newest_reply(tmp_path: Path) -> None:
    tree = ConversationTree("main", "aeronpay")
    path = tmp_path / "a.chat.md"
    with pytest.raises(UsageError, match="complete reply"):
        write_chat(tree, path)
    for question, parent in [("a", None), ("b", "1"), ("c", "1")]:
        position = tree.resolve(parent) if parent else tree.at_root()
        tree.complete(
            tree.start(position, question), Reply(f"re {question}", context_token="t" + question)
        )
    assert write_chat(tree, path) == 2
    turns = read_chat(path.read_text(encoding="utf-8"), "a")
    assert [(one.question, one.reference) for one in turns] == [("a", "re a"), ("c", "re c")]
    assert write_chat(tree, path) == 2  # an unchanged export is overwritten
    path.write_text(path.read_text(encoding="utf-8") + "\n```expect\ncontains: re\n```\n")
    with pytest.raises(UsageError, match="overwritten"):
        write_chat(tree, path)
    assert read_chat(path.read_text(encoding="utf-8"), "a")[1].rules[0].keyword == "contains"


def test_a_conversation_from_elsewhere_cannot_be_exported(tmp_path: Path) -> None:
    tree = ConversationTree("main", "aeronpay")
    tree.complete(tree.start(tree.at_token("t" * 30), "a"), Reply("b", context_token="u"))
    with pytest.raises(UsageError, match="continues a reply that is not a part"):
        write_chat(tree, tmp_path / "a.chat.md")


@pytest.mark.parametrize("later", [(), ("two",)])
def test_a_conversation_whose_first_reply_is_incomplete_cannot_be_exported(
    tmp_path: Path, later: tuple[str, ...]
) -> None:
    """As one with Chatzy, which goes on after it."""
    tree = ConversationTree("main", "chatzy")
    tree.complete(tree.start(tree.at_head(), "one"), Reply("a", "incomplete", "conversation"))
    for question in later:
        tree.complete(tree.start(tree.at_head(), question), Reply("b", "complete", "conversation"))
    with pytest.raises(UsageError, match="Turn 1 has no complete reply to check against"):
        write_chat(tree, tmp_path / "a.chat.md")


@pytest.mark.parametrize("unit", ["#\n", "## Question\n", "## Question\nq\n## Reply\na\n"])
def test_a_file_with_many_lines_is_refused_before_it_is_parsed(unit: str) -> None:
    with pytest.raises(UsageError, match="more than"):
        read_chat(unit * 200_000, "a.chat.md")


def test_many_questions_take_linear_time() -> None:
    def seconds(count: int) -> float:
        text = "## Question\n\nq\n\n## Reply\n\na\n\n" * count
        began = time.process_time()
        assert len(read_chat(text, "a.chat.md")) == count
        return time.process_time() - began

    assert seconds(8_000) < 8 * min(seconds(2_000) for _ in range(2))
