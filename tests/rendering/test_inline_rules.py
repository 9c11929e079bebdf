# ruff: noqa: RUF001
"""Emphasis beside Chinese, Thai and others; bare addresses; tags without attributes."""

from __future__ import annotations

import re
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeron_magic.rendering import inline_rules, safe_html
from aeron_magic.rendering.safe_html import to_html


def inner(markdown: str) -> str:
    """The HTML of a paragraph, without the parts that all links have."""
    html = to_html(markdown).removeprefix("<p>").removesuffix("</p>\n")
    return html.replace(' rel="noopener noreferrer"', "")


@pytest.mark.parametrize(
    ("markdown", "strong"),
    [
        ("**历经10年发展，**年", "历经10年发展，"),
        ("これは**「重要」**です", "「重要」"),
        ("**한국어(Korean)**은", "한국어(Korean)"),
        ("增长**50%**的", "50%"),
        ("**“重要”**的", "“重要”"),
        ("（**注意：**请看）", "注意："),
        ("~~旧、~~新", "旧、"),
        ('**"สำคัญ"**มาก', '"สำคัญ"'),
        ("ราคา**(บาท)**ต่อ", "(บาท)"),
        ("**“ສຳຄັນ”**ຫຼາຍ", "“ສຳຄັນ”"),
        ("က**(မြန်မာ)**က", "(မြန်မာ)"),
        ("**«ខ្មែរ»**ក", "«ខ្មែរ»"),
    ],
)
def test_emphasis_stands_beside_punctuation_in_text_without_spaces(
    markdown: str, strong: str
) -> None:
    assert re.search(f">{re.escape(strong)}</(strong|s)>", to_html(markdown))


@pytest.mark.parametrize("markdown", ["a ** b ** c", "2**3**", '**"a"**b', "重 ** 要 ** 的"])
def test_other_stars_are_read_as_in_commonmark(markdown: str) -> None:
    from markdown_it import MarkdownIt

    assert to_html(markdown) == MarkdownIt("commonmark").render(markdown).replace("&quot;", '"')


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("one<br>two", "one<br>\ntwo"),
        ("a<BR/>b<br />c", "a<br>\nb<br>\nc"),
        ("H<sub>2</sub>O, x<sup>*n*</sup>", "H<sub>2</sub>O, x<sup><em>n</em></sup>"),
        ("<kbd>Ctrl</kbd>+<KBD>C</KBD>", "<kbd>Ctrl</kbd>+<kbd>C</kbd>"),
        ("<sub>a<sup>b</sup></sub>", "<sub>a<sup>b</sup></sub>"),
        ("<br onclick=x>", "&lt;br onclick=x&gt;"),
        ("<sub class=x>a</sub>", "&lt;sub class=x&gt;a&lt;/sub&gt;"),
        ("<sub>a", "&lt;sub&gt;a"),
        ("a</sub>", "a&lt;/sub&gt;"),
        ("`<br>`", "<code>&lt;br&gt;</code>"),
        ("*a <sub>b* c</sub>", "*a <sub>b* c</sub>"),
    ],
)
def test_tags_without_attributes(markdown: str, expected: str) -> None:
    assert inner(markdown) == expected


def test_a_line_break_in_a_cell() -> None:
    assert ">one<br>\ntwo</td>" in to_html("| a |\n|---|\n| one<br>two |")


@pytest.mark.parametrize(
    ("markdown", "url", "rest"),
    [
        ("See https://docs.example.com/page.", "https://docs.example.com/page", "."),
        ("(http://x.example/a_(b))", "http://x.example/a_(b)", ")"),
        ("请看https://x.example/a。更多", "https://x.example/a", "。更多"),
        ("**https://x.example/a.**", "https://x.example/a", "."),
        ("https://x.example/a?b=1#c, and", "https://x.example/a?b=1#c", ", and"),
        ("“https://x.example/a”!", "https://x.example/a", "”!"),
        ("https://x.example/index.html!", "https://x.example/index.html", "!"),
    ],
)
def test_a_bare_address_is_a_link(markdown: str, url: str, rest: str) -> None:
    html = inner(markdown)
    assert f'<a href="{url}">{url}</a>{rest}' in html.replace("</strong>", "")


@pytest.mark.parametrize(
    "markdown",
    [
        "`https://x.example`",
        "```\nhttps://x.example\n```",
        "ftp://x.example",
        "www.x.example",
        "javascript://x.example",
        "xhttps://x.example",
        "https:// x",
        "$https://x.example$",
    ],
)
def test_other_addresses_are_text(markdown: str) -> None:
    assert "<a" not in to_html(markdown)


def test_an_address_that_hides_its_host_names_it() -> None:
    assert "(evil.example)" in to_html("https://good.example@evil.example/")


def test_text_without_special_characters_is_not_tokenized(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is most cells of most tables."""
    tokenize = Mock(wraps=safe_html._PARSER.inline.tokenize)
    monkeypatch.setattr(safe_html._PARSER.inline, "tokenize", tokenize)
    to_html("| a b, c. | (d) |\n|---|---|\n| 1.5 / 2 | é? |\n| *e* |  |\n")
    assert [call.args[0].src for call in tokenize.call_args_list] == ["*e*", ""]


@given(st.text("".join(map(chr, range(32, 127))) + "\n\té日", max_size=12))
def test_a_rule_can_begin_at_special_characters_only(text: str) -> None:
    read = [token.children for token in safe_html._PARSER.parse(text)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inline_rules, "_special", re.compile(""))
        assert [token.children for token in safe_html._PARSER.parse(text)] == read
