"""A reply: its text, what it gives of it, and how it is displayed."""

from __future__ import annotations

import pytest
from IPython.core.formatters import DisplayFormatter

from aeron_magic.replies.reply import Reply


def test_str_of_a_reply_is_its_text() -> None:
    """So that it can be printed and put into a question."""
    assert str(Reply("Hello")) == "Hello"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply("Hello"), "<Reply complete, 5 characters: 'Hello'>"),
        (Reply("", "failed"), "<Reply failed, 0 characters: ''>"),
        (Reply("a\n\x1b[2Jb"), "<Reply complete, 7 characters: 'a b'>"),
        (
            Reply("word " * 400, "incomplete", context_token="secret-token", msg_id="secret-id"),
            f"<Reply incomplete, 2,000 characters: '{'word ' * 11}word…'>",
        ),
    ],
)
def test_repr_is_one_short_line_without_the_token(reply: Reply, expected: str) -> None:
    assert repr(reply) == expected
    assert "secret" not in repr([reply])


@pytest.mark.parametrize(
    ("reply", "note"),
    [
        (Reply("", "failed"), "No reply: the question failed."),
        (Reply("", "processing"), "No reply: the service is still working on it."),
        (Reply("Hi", "incomplete"), "Not the whole reply: it was cut off."),
        (Reply("Hi", "failed"), "Not the whole reply: the question failed."),
    ],
)
def test_a_notebook_shows_why_a_reply_is_not_complete(reply: Reply, note: str) -> None:
    data, _metadata = DisplayFormatter().format(reply)
    assert note in data["text/plain"]
    assert note in data["text/html"]


@pytest.mark.parametrize("reply", [Reply("*Hi* $5 <b>"), Reply("*Hi*", "interrupted")])
def test_a_notebook_shows_the_rendered_reply(reply: Reply) -> None:
    data, _metadata = DisplayFormatter().format(reply)
    assert "<em>Hi</em>" in data["text/html"]
    assert data["text/markdown"].startswith("*Hi*")
    assert data["text/plain"].startswith("*Hi*")
    assert ("interrupted" in data["text/plain"]) == (reply.status == "interrupted")
    assert {type(shown) for shown in data.values()} == {str}  # marimo accepts no subclass
