"""Replies as safe HTML, Markdown and plain text.

The cases are files: a title, the input and what is expected, with a line of one dot between.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from unicodedata import normalize
from unittest.mock import Mock
from urllib.parse import urlsplit

import pytest
from fresh_process import modules_after
from hypothesis import given, reject
from hypothesis import strategies as st

from aeron_magic.errors import ReplyFormatError, UsageError
from aeron_magic.rendering import safe_html
from aeron_magic.rendering.mimebundle import FORMATS, mimebundle, to_markdown
from aeron_magic.rendering.safe_html import CODE_STYLE, TEXT_STYLE, to_html

FIXTURES = Path(__file__).parents[1] / "fixtures" / "render"

_TAGS = """
p br hr h1 h2 h3 h4 h5 h6 ul ol li blockquote pre code em strong s del a sub sup kbd
table thead tbody tr th td span div figure
"""
TAGS = {*_TAGS.split()}
CLASSES = {"math", "image", "c", "gd", "gi", "k", "m", "o", "s"}
STYLE = re.compile(r"text-align:(start|left|center|right)(;unicode-bidi:plaintext)?")
BIDI = {("dir", "auto"), ("dir", "ltr"), ("style", "text-align:start;unicode-bidi:plaintext")}

HOSTILE = st.lists(
    st.sampled_from(
        [
            *"<>\"'`[]()!&;:/\\ \n\t|$*_~#=-",
            *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</", "<!--", "-->"),
            *("javascript:alert(1)", "https://e.example/x", "data:text/html,x", "![a](", "[a]: "),
            *("```", "```html\n", "\n```\n", "\n\n", "\n- ", "\n> ", "    ", "| a |\n|---|\n"),
            *(' onclick="x"', ' style="x"', "&lt;", "&#106;", "\\(", "\\)", "$$", "\x1b[", "\x00"),
            *("<br>", "<sub>", "</sub>", "<kbd a=b>", "\u05d0", "\u91cd", "\u3002", "**"),
            *("\\href{x}", "</pre>", "</span>", "<a href=", "<svg ", "<style>", "<b>", "x"),
        ]
    ),
    max_size=25,
).map("".join)


def cases(name: str) -> Iterator[object]:
    lines = iter((FIXTURES / f"{name}.md").read_bytes().decode().split("\n"))
    for title in lines:
        if title:
            assert next(lines) == "."
            given_, expected = (
                "".join(f"{line}\n" for line in iter(lines.__next__, ".")) for _ in "ab"
            )
            yield pytest.param(given_, expected, id=title)


class Page(HTMLParser):
    """Collects the elements and attributes of a page, as a browser parses it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str, str]] = set()
        self.other: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {(tag, name, value or "") for name, value in attrs}
        if tag not in {"br", "hr"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        self.other.append(data)

    def handle_decl(self, decl: str) -> None:
        self.other.append(decl)

    handle_pi = unknown_decl = handle_decl


def assert_safe(html: str) -> None:
    page = Page(html)
    assert page.tags <= TAGS
    assert not page.other
    assert not page.open
    for tag, name, value in page.attributes:
        match tag, name:
            case ("a", "href"):
                assert urlsplit(value).scheme in {"http", "https", "mailto"}
            case ("a", "rel"):
                assert value == "noopener noreferrer"
            case ("ol", "start"):
                assert value.isdigit()
            case ("span" | "div", "class"):
                assert value in CLASSES
            case ("figure", "class"):
                assert value == "highlight"
            case ("td" | "th", "style"):
                assert STYLE.fullmatch(value)
            case ("div" | "pre", "style"):
                assert value == "overflow-x:auto"
            case ("code", "style"):
                assert value in {CODE_STYLE, TEXT_STYLE, "overflow-wrap:break-word"}
            case ("span", "style"):
                assert value == "white-space:nowrap"
            case (_, "style") if value.endswith("overflow-wrap:break-word"):
                rest = value.removesuffix("overflow-wrap:break-word").rstrip(";")
                assert not rest or (name, rest) in BIDI
            case (_, "dir" | "style"):
                assert (name, value) in BIDI
            case _:
                pytest.fail(f"{name}={value!r} on <{tag}>")


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [*cases("markdown"), *cases("math"), *cases("links"), *cases("hostile")],
)
def test_html(markdown: str, expected: str) -> None:
    html = to_html(markdown)
    assert html == expected
    assert_safe(html)


@pytest.mark.parametrize(("markdown", "expected"), [*cases("entry")])
def test_markdown_entry(markdown: str, expected: str) -> None:
    assert to_markdown(markdown).rstrip("\n") == expected.rstrip("\n")


@given(HOSTILE)
def test_html_has_only_allowed_elements(markdown: str) -> None:
    assert_safe(to_html(markdown))
    assert_safe(to_html(markdown, streaming=True))


@given(HOSTILE)
def test_markdown_shows_the_text_of_the_html(markdown: str) -> None:
    """Written again, a reply still reads the same, apart from odd emphasis and formulas."""

    def words(html: str) -> str:
        return "".join(normalize("NFKC", unescape(re.sub("<[^>]*>|[*_~]", "", html))).split())

    html = to_html(markdown)
    if 'class="math"' not in html:
        assert words(to_html(to_markdown(markdown))) == words(html)


@given(HOSTILE)
def test_markdown_has_no_active_content(markdown: str) -> None:
    from markdown_it import MarkdownIt

    trusting = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    for token in trusting.parse(to_markdown(markdown)):
        for inner in [token, *(token.children or ())]:
            assert inner.type not in {"html_block", "image"}
            if inner.type == "html_inline":
                assert re.fullmatch("<br>|</?(sub|sup|kbd)>", inner.content)


@given(HOSTILE, st.sampled_from([*FORMATS]), st.text(max_size=20))
def test_every_format_is_harmless_with_any_note(text: str, name: str, note: str) -> None:
    held = {
        "json": json.dumps([text]),
        "table": f"| {' '.join(text.split())} |\n|---|\n| {' '.join(text.split())} |",
        "code": f"~~~~{text.partition(chr(10))[0]}\n{text}",
    }
    try:
        html = mimebundle(held.get(name, text), format=name, note=note)["text/html"]
    except ReplyFormatError:
        reject()  # a bar or a back-tick in the text: there is no table, or no block, to show
    assert_safe(html.replace("<small>", "").replace("</small>", ""))


def test_the_same_reply_gives_the_same_bundle() -> None:
    text = "# Hi\n\n```python\nx = 1\n```\n"
    assert mimebundle(text) == mimebundle(text)
    assert sorted(mimebundle(text)) == ["text/html", "text/markdown", "text/plain"]


def test_a_note_is_added_to_each_mime_type() -> None:
    bundle = mimebundle("Hi", note="Interrupted by *you*, for $5 or $6")
    assert bundle == {
        "text/html": "<p>Hi</p>\n<p><small><em>Interrupted by *you*, for <span>$</span>5 or "
        "<span>$</span>6</em></small></p>\n",
        "text/markdown": "Hi\n\n*Interrupted by \\*you\\*, for \\$5 or \\$6*",
        "text/plain": "Hi\n\n[Interrupted by *you*, for $5 or $6]",
    }


@pytest.mark.parametrize("text", ["```py\nx", "```py\nx\n", "```", "````\n```\n", "~~~\n```"])
def test_a_note_is_outside_an_unclosed_code_block(text: str) -> None:
    """A reply that ends inside a code block does not include the note in it."""
    markdown = mimebundle(text, note="Cut off")["text/markdown"]
    assert to_html(markdown).endswith("<p><em>Cut off</em></p>\n")


def test_text_format_shows_the_source() -> None:
    bundle = mimebundle("a *b*\n```\n<i> $x$", format="text")
    assert bundle == {
        "text/html": '<figure class="highlight"><pre style="overflow-x:auto">'
        f'<code style="{TEXT_STYLE}">a *b*\n```\n'
        "&lt;i&gt; $x$</code></pre></figure>\n",
        "text/markdown": "````text\na *b*\n```\n<i> $x$\n````",
        "text/plain": "a *b*\n```\n<i> $x$",
    }


def test_an_unknown_format_raises_an_error_with_the_known_formats() -> None:
    with pytest.raises(UsageError, match="'nope'") as caught:
        mimebundle("x", format="nope")
    assert "markdown, text" in caught.value.hint


def test_plain_text_has_no_control_sequences() -> None:
    assert mimebundle("a\x1b[2J *b*")["text/plain"] == "a *b*"


def test_an_unpaired_surrogate_is_replaced() -> None:
    assert to_html("a \ud83d b") == "<p>a \ufffd b</p>\n"


def test_an_open_code_block_is_highlighted_when_it_is_closed() -> None:
    assert "span" not in to_html("```py\nimport x", streaming=True)
    assert "span" in to_html("```py\nimport x\n```", streaming=True)
    assert "span" in to_html("```py\nimport x")


def test_without_highlighting_only_the_colours_are_missing() -> None:
    text = "```py\nimport x\n```\n\n*a* <b>\n\n~~~js\nlet y\n~~~\n\n- `c`\n"
    assert to_html(text, highlight=False) == re.sub(r"</?span[^>]*>", "", to_html(text))
    assert "span" in to_html(text)


def test_a_reply_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parse = Mock(wraps=safe_html._PARSER.parse)
    monkeypatch.setattr(safe_html._PARSER, "parse", parse)
    mimebundle("# A\n\n- b\n\n| c |\n|---|\n| d |\n", note="e")
    assert parse.call_count == 1


def test_heavy_packages_are_imported_on_first_use() -> None:
    found = modules_after("import aeron_magic.rendering.incremental, aeron_magic.plaintext")
    assert not found & {"markdown_it", "nh3", "pygments", "IPython"}


@pytest.mark.parametrize(
    ("markdown", "element"),
    [
        ("שלום", '<p dir="auto" style="text-align:start;unicode-bidi:plaintext">'),
        ("English, then مرحبا", '<p dir="auto" style='),
        ("# كلمة", '<h1 dir="auto" style='),
        ("- אחד\n- two", '<ul dir="auto">\n<li style="text-align:start;unicode-bidi:plaintext">'),
        ("1. واحد", '<ol dir="auto">'),
        ("> ציטוט", '<blockquote dir="auto">\n<p style="text-align:start;unicode-bidi:plaintext">'),
        ("| א |\n|---|\n| b |", '<div style="overflow-x:auto" dir="auto"><table>'),
        ("| א |\n|---|\n| b |", '<td style="text-align:start;unicode-bidi:plaintext">'),
        ("שלום `f(x)`", '<code dir="ltr">'),
        ("> שלום\n> ```\n> f(x)\n> ```", '<figure class="highlight" dir="ltr">'),
    ],
)
def test_right_to_left_text_sets_its_direction(markdown: str, element: str) -> None:
    html = to_html(markdown)
    assert element in html
    assert_safe(html)


def test_text_without_right_to_left_letters_has_no_directions() -> None:
    assert "dir=" not in to_html("Hello\n\n- a\n\n> 你好\n\n| a |\n|---|")


CODE = "first line\n\n![x](https://evil.example/p.png?q=s)\n \n\n# Not a heading\n\n<b>"


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (f"```\n{CODE}\n```", "markdown"),
        ("- item\n\n" + f"```py\n{CODE}\n```".replace("\n", "\n  ").rjust(3), "markdown"),
        (CODE, "text"),
        (f"```\n{CODE}\n```", "code"),
    ],
)
def test_code_stays_whole_where_its_html_stands_in_markdown(text: str, form: str) -> None:
    """As nbconvert writes a notebook's outputs into a Markdown file."""
    from markdown_it import MarkdownIt

    page = MarkdownIt("commonmark").render(
        mimebundle(text, format=form, note="Cut off")["text/html"]
    )
    tags = set(re.findall(r"<(\w+)", page))
    assert not tags & {"img", "h1", "b"}
    assert "first line" in page.partition("</pre>")[0]
    assert "# Not a heading" in page.partition("</pre>")[0]


def test_a_wide_table_scrolls_by_itself() -> None:
    html = to_html("| a |\n|---|\n| b |")
    assert html.startswith('<div style="overflow-x:auto"><table>')
    assert html.endswith("</table></div>\n")
