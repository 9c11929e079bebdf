"""Code blocks, and what is active in Markdown, as the parser sees them."""

from __future__ import annotations

import pytest

from aeron_magic.rendering.safe_html import (
    close_fence,
    has_no_active_content,
    outside_code_blocks,
)


def test_text_outside_code_blocks_is_changed() -> None:
    text = "a\n\n```\nb\n```\nc\n\n    d\n\n- e\n  ~~~\n  f\n"
    expected = "A\n\n```\nb\n```\nC\n\n    d\n\n- E\n  ~~~\n  f\n"
    assert outside_code_blocks(text, str.upper) == expected


@pytest.mark.parametrize("text", ["<b>", "a <!-- b -->", "![a](b)", "<div>\n\n</div>", "- <i>"])
def test_html_and_images_are_active(text: str) -> None:
    assert not has_no_active_content(text)


@pytest.mark.parametrize("text", ["`<b>`", "\\<b>", "[a](b)", "    <b>", "a < b"])
def test_code_and_links_are_not_active(text: str) -> None:
    assert has_no_active_content(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("```\na", "```\na\n```"),
        ("~~~~py\na\n~~~\n", "~~~~py\na\n~~~\n~~~~"),
        ("```\na\n```\n", "```\na\n```\n"),
        ("- ```\n  a", "- ```\n  a"),
        ("a", "a"),
    ],
)
def test_only_an_open_fence_is_closed(text: str, expected: str) -> None:
    """One within a list ends with the list."""
    assert close_fence(text) == expected
