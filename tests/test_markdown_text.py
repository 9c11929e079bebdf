"""Small pieces of Markdown: no value changes what is around it."""

from __future__ import annotations

import re
from html import unescape

from hypothesis import given
from hypothesis import strategies as st

from aeron_magic.markdown_text import (
    SPECIAL,
    escape_cell,
    escape_markdown,
    escaped_table,
    fenced,
    markdown_table,
    one_line,
    plural,
    truncate,
)
from aeron_magic.rendering.safe_html import to_html


@given(st.text(alphabet=SPECIAL + "ab1. (){}", max_size=30))
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    words = " ".join(text.split())
    html = to_html(f"x{escape_markdown(words)}x")
    shown = re.sub("</?span>", "", html)  # which keep a front end from finding formulas
    assert unescape(str(shown)) == f"<p>x{words}x</p>\n"


@given(st.text(alphabet="`~ab\n", max_size=30))
def test_a_code_block_is_not_closed_by_its_code(code: str) -> None:
    html = to_html(f"{fenced(code)}\n\nAfter")
    assert html.count("<pre") == 1
    assert html.endswith("<p>After</p>\n")


def test_a_language_that_is_not_a_name_is_left_out() -> None:
    assert fenced("x", "python") == "```python\nx\n```"
    assert fenced("x", "c++") == "```c++\nx\n```"
    assert fenced("x", "a b`") == "```\nx\n```"


def test_tables() -> None:
    assert markdown_table("ab", [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
    assert escaped_table(["n"], [["a|b"], [12]]) == "| n |\n| --- |\n| a\\|b |\n| 12 |"
    # The names of a user's columns are untrusted, too, and may be numbers.
    assert escaped_table(["a|b", 5], []) == "| a\\|b | 5 |\n| --- | --- |"


def test_cells_are_one_short_line() -> None:
    assert escape_cell("a\n*b*\x1b[31m c") == "a \\*b\\* c"
    assert escape_cell("x" * 100, 10) == "x" * 9 + "…"
    assert one_line(" a\r\n\tb ") == "a b"
    assert (truncate("abc", 3), truncate("abcd", 3)) == ("abc", "ab…")


def test_plurals() -> None:
    found = [plural(count, "turn") for count in (0, 1, 1200)]
    assert found == ["0 turns", "1 turn", "1,200 turns"]
