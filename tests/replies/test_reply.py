"""A reply: its text, and what it gives of it."""

from __future__ import annotations

from aeron_magic.replies.reply import Reply


def test_str_of_a_reply_is_its_text() -> None:
    """So that it can be printed and put into a question."""
    assert str(Reply("Hello")) == "Hello"
