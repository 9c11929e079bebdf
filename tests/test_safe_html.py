"""The parts of rendering that only the renderer sees: segments, fences, code blocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeron_magic.safe_html import close_fence, is_inactive, outside_code_blocks, segments
from aeron_magic.safe_html import safe_html as to_html

BLOCKS = [
    *("a\n", "b *c*\n", "**b**\n", "\n", "\n\n", "# h\n", "---\n", "===\n", "    code\n"),
    *("- x\n", "  y\n", "   z\n", "1. n\n", "2. m\n", "> q\n", "> ```\n", "- ```\n"),
    *("```\n", "```py\n", "  ```\n", "   ```js\n", "~~~\n", "````\n"),
    *("| a | b |\n|---|---|\n", "| 1 | 2 |\n", "$$\n", "\\[\n", "\\]\n"),
    *("[r]\n", "[r]: https://r.example\n"),
]


@given(st.lists(st.sampled_from(BLOCKS), max_size=30).map("".join))
def test_segments_give_the_html_of_the_whole(markdown: str) -> None:
    """Results are kept by segment, and no reader can tell; a definition makes one of all."""
    assert to_html(markdown) == to_html(f"[zz]: https://z.example\n\n{markdown}")


@given(st.lists(st.sampled_from(BLOCKS), max_size=30).map("".join))
def test_segments_are_the_text(markdown: str) -> None:
    assert "".join(segments(markdown)) == markdown


def test_a_usual_reply_has_a_segment_for_each_block() -> None:
    reply = "# A\n\nb\n\n- c\n- d\n\n**e**\n\n```py\nf\n\ng\n```\n\n| h |\n|---|\n\ni"
    assert [part[:3] for part in segments(reply)] == ["# A", "b\n\n", "**e", "```", "| h", "i"]


def test_change_reaches_all_but_the_code() -> None:
    text = "a\n\n```\nb\n```\nc\n\n    d\n\n- e\n  ~~~\n  f\n"
    expected = "A\n\n```\nb\n```\nC\n\n    d\n\n- E\n  ~~~\n  f\n"
    assert outside_code_blocks(text, str.upper) == expected


@pytest.mark.parametrize("text", ["<b>", "a <!-- b -->", "![a](b)", "<div>\n\n</div>", "- <i>"])
def test_html_and_images_are_active(text: str) -> None:
    assert not is_inactive(text)


@pytest.mark.parametrize("text", ["`<b>`", "\\<b>", "[a](b)", "    <b>", "a < b"])
def test_code_and_links_are_not(text: str) -> None:
    assert is_inactive(text)


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
