"""Wishes are read strictly, since a page may be of another version; what is wrong is said."""

from __future__ import annotations

import pytest

from aeron_magic.errors import UsageError
from aeron_magic.jupyter.panel.actions import HANDLERS
from aeron_magic.jupyter.panel.messages import Action, error_message


def test_a_wish_is_read() -> None:
    """Only what belongs to it is taken."""
    content = {"do": "edit", "id": "a-1", "key": "main#2", "text": "Why?", "end": "x"}
    assert Action.read(content) == Action("edit", "a-1", "main#2", "Why?")


@pytest.mark.parametrize("content", [None, [], {"do": []}, {"do": "edit", "key": 2, "text": ""}])
def test_anything_else_is_refused(content: object) -> None:
    """With a hint that says what to do."""
    with pytest.raises(UsageError) as caught:
        Action.read(content)
    assert "Reload" in caught.value.hint


@pytest.mark.parametrize("name", HANDLERS)
def test_every_wish_can_be_said(name: str) -> None:
    """The two tables hold the same names."""
    said = {"text": "", "key": "", "name": "", "kind": "", "request": "", "end": 0}
    assert Action.read({"do": name, **said}).do == name


@pytest.mark.parametrize("kind", [UsageError, ValueError])
def test_no_trouble_shows_a_secret(kind: type[Exception]) -> None:
    """Neither an error of ours nor one that nobody thought of."""
    message = error_message(kind("It was 'hush'."), ["hush"], "a-1")
    assert message["title"].endswith("It was '[secret]'.")
    assert message["request"] == "a-1"
