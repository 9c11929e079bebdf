"""The parts of rendering that only the renderer sees: segments, fences, code blocks."""

from __future__ import annotations

from itertools import count

import pytest
from cpu_time import least_cpu
from hypothesis import given
from hypothesis import strategies as st

from aeron_magic.rendering.markdown_blocks import segments
from aeron_magic.rendering.safe_html import (
    close_fence,
    has_no_active_content,
    outside_code_blocks,
    warm_cache,
)
from aeron_magic.rendering.safe_html import safe_html as to_html

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


ROWS = ["| 1 | 2 |\n", "|**b**|\n", "| `c` | $5 | x |\n", "|\n", "| \\| | ~~a |\n", "|~~ b||\n"]


@given(
    st.sampled_from(["| a | b |\n|--:|---|\n", "| a |\n|---|---|\n", "|a|\n|-|\n"]),
    st.lists(st.sampled_from(ROWS), max_size=5).map("".join),
    st.integers(0, 45),
    st.sampled_from(["", "| last", "\n\n", "text\n", "\n- after\n", "```\n"]),
)
def test_groups_of_rows_give_the_html_of_the_whole_table(
    head: str, rows: str, times: int, end: str
) -> None:
    """A long table is rendered group by group, and no reader can tell."""
    table = head + rows * times + end
    assert to_html(table) == to_html(f"[zz]: https://z.example\n\n{table}")


LINES = [
    "x = '<b>' & \"c\"\n",
    "\n",
    "def f(y):\n",
    '    """é <script>\n',
    "\t# d\n",
    "~~~\n",
    "``\n",
]


@given(
    st.sampled_from(["", "text\n", "*a*\nb\n", "1. n\n", "$$\n", "a\n===\n", "> q\n"]),
    st.sampled_from(["```\n", "```python\n", "~~~ js x\n", "````html\n"]),
    st.lists(st.sampled_from(LINES), max_size=6).map("".join),
    st.integers(0, 60),
    st.sampled_from(["", "x", "```\n", "````\n\n", "~~~\nmore\n", "```\n- after\n"]),
)
def test_slices_of_code_give_the_html_of_the_whole_block(
    above: str, opening: str, lines: str, times: int, end: str
) -> None:
    """Code is coloured and made safe slice by slice, and no reader can tell."""
    block = above + opening + lines * times + end
    assert to_html(block) == to_html(f"[zz]: https://z.example\n\n{block}")


@given(st.lists(st.sampled_from([*BLOCKS, *ROWS]), max_size=30), st.integers(1, 9))
def test_what_was_prepared_is_what_would_be_rendered(blocks: list[str], size: int) -> None:
    markdown, rest = "".join(blocks), ""
    for begin in range(0, len(markdown), size):
        rest = warm_cache(rest + markdown[begin : begin + size])
    assert markdown.endswith(rest)
    assert to_html(markdown) == to_html(f"[zz]: https://z.example\n\n{markdown}")


@pytest.mark.parametrize(
    ("opening", "line"),
    [
        ("```python\n", "value_{0} = compute({0}, 'two')  # a comment\n"),
        ("Like this:\n~~~js\n", "let value_{0} = compute({0}, 'two') // a comment\n"),
        ("| a | b | c |\n|---|---|---|\n", "| {0} | **two** | and `three` |\n"),
    ],
    ids=["code", "code below text", "table"],
)
def test_a_block_that_never_closes_is_rendered_while_it_grows(opening: str, line: str) -> None:
    """At its end little is left to be done; each text is a new one, so that none is known yet."""
    number = count(1_000)

    def text() -> str:
        return opening + "".join(line.format(next(number)) for _ in range(300))

    def ahead(markdown: str) -> str:
        rest = ""
        for begin in range(0, len(markdown), 300):
            rest = warm_cache(rest + markdown[begin : begin + 300])
        return markdown

    cold, warm = iter([text() for _ in range(3)]), iter([ahead(text()) for _ in range(3)])
    assert least_cpu(lambda: to_html(next(warm))) < 0.4 * least_cpu(lambda: to_html(next(cold)))


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
    assert not has_no_active_content(text)


@pytest.mark.parametrize("text", ["`<b>`", "\\<b>", "[a](b)", "    <b>", "a < b"])
def test_code_and_links_are_not(text: str) -> None:
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
