"""Replies made into HTML that can do no harm: the one place where that happens.

A reply is hostile text, and a front end trusts the output of a cell that was just run: scripts in
it run, images in it are fetched with whatever their address carries. So the HTML is made here, in
three steps of which each would do for most of it: Markdown without raw HTML; links and images
tamed in the token stream, so that nothing is loaded by looking at it; and an allow-list of
elements, classes and addresses at the end.

This module and its two helpers are the only ones that import the Markdown parser, the sanitiser
and Pygments; `aeron_magic.rendering.mimebundle` imports it when it is first needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from urllib.parse import urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from aeron_magic.rendering.highlighting import CLASSES, highlight, highlight_slice, split_code
from aeron_magic.rendering.markdown_blocks import segments
from aeron_magic.rendering.tex_math import escape_math, install_math_rules, is_self_contained

__all__ = [
    "close_fence",
    "code_html",
    "has_no_active_content",
    "outside_code_blocks",
    "safe_html",
    "text_html",
    "warm_cache",
]

LINK_SCHEMES = {"http", "https", "mailto"}
_TAGS = """
p br hr h1 h2 h3 h4 h5 h6 ul ol li blockquote pre code em strong s del a
table thead tbody tr th td span div figure
"""
_ALIGNMENTS = {"text-align:left", "text-align:center", "text-align:right"}
MAX_CACHED = 8_000
"""Characters of a segment whose HTML is kept."""
TABLE_CELLS = 60_000
"""Cells of a table that may be rendered group by group: the parser has a limit for the whole."""
PARAGRAPH_LIMIT = 10_000
"""Characters of a paragraph beyond which it is shown as plain text."""
URL_SHOWN = 80
"""Characters of an address that are shown where it stands for a text."""

_TABLE = re.compile(r"(?P<head>\|.*\n\|[ \t|:-]*\n)(?P<rows>(?:\|.*\n)*(?:\|.*)?)\n*")
_GROUP = re.compile(r"(?:\|.*\n){8}")
_BODY, _BODY_END = "<tbody>\n", "</tbody>\n</table>\n"
_ABOVE: tuple[list[str], ...] = ([], ["paragraph_open", "inline", "paragraph_close"])
_FENCED = re.compile(r"(?:\S.*\n)*?(?P<fence>`{3,}|~{3,})[ \t]*(?P<language>[^\s`]*).*\n")


class _Renderer(RendererHTML):
    """Tokens to HTML; the names of the methods are the types of the tokens."""

    def text(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return escape_math(tokens[idx].content)

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[idx]
        # Code that still grows is coloured once, when it ends, and not for every update.
        if "plain" in env or ("growing" in env and _is_unclosed(token, str(env["growing"]))):
            return code_html(token.content)
        return code_html(token.content, _language(token))

    def code_block(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        return code_html(tokens[idx].content)

    def math_inline(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        tex = tokens[idx].content
        if is_self_contained(tex):
            return f'<span class="math">{escapeHtml(tex)}</span>'
        return f"<code>{escapeHtml(tex)}</code>"

    def math_block(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        tex = tokens[idx].content
        if is_self_contained(tex):
            return f'<div class="math">{escapeHtml(tex)}</div>\n'
        return code_html(tex)


def _flatten_long_paragraphs(state: StateCore) -> None:
    """Take very long paragraphs as they are: some that no person writes take the square of it."""
    for token in state.tokens:
        if token.type == "inline" and len(token.content) > PARAGRAPH_LIMIT:
            token.type = "text"


def _align_cells(state: StateCore) -> None:
    """Say of each cell how it is aligned: in HTML output, Jupyter aligns them all to the right."""
    for token in state.tokens:
        if token.type in {"td_open", "th_open"}:
            token.attrs.setdefault("style", "text-align:left")


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer)
    parser.enable(["table", "strikethrough"])
    parser.core.ruler.before("inline", "skip_endless", _flatten_long_paragraphs)
    parser.core.ruler.push("tame_links", _sanitize_links)
    parser.core.ruler.push("align_cells", _align_cells)
    install_math_rules(parser)
    return parser


def safe_html(markdown: str, *, streaming: bool = False, plain: bool = False) -> str:
    """Return the HTML of ``markdown`` that is allowed; see `mimebundle.to_html`."""
    parts = segments(markdown)
    html = []
    for number, part in enumerate(parts, 1):
        is_growing = streaming and number == len(parts)
        is_plain = plain and ("```" in part or "~~~" in part)
        if (is_growing and not _TABLE.fullmatch(part)) or is_plain:
            html.append(_html(part, streaming=is_growing, plain=is_plain))
        else:
            html.append(_segment_html(part))
    return "".join(html)


def warm_cache(markdown: str) -> str:
    """Render and keep what `safe_html` will need of a text that begins with ``markdown``.

    Returns the end that may yet change: to be given again, with what follows it.
    """
    *parts, last = segments(markdown)
    for part in parts:
        _segment_html(part)
    if table := _TABLE.fullmatch(last):
        for group in _GROUP.findall(table["rows"]):
            _cached_html(table["head"] + group)
    elif fence := _FENCED.match(last):
        for part in list(split_code(last[fence.end() :], fence["language"]))[:-1]:
            _code_slice_html(part, fence["language"])
    return last


def _segment_html(markdown: str) -> str:
    table = _TABLE.fullmatch(markdown)
    if table and table["head"].count("|") * table["rows"].count("\n") <= TABLE_CELLS:
        return _table_html(table["head"], table["rows"])
    return _cached_html(markdown) if len(markdown) <= MAX_CACHED else _part_html(markdown)


def _table_html(head: str, rows: str) -> str:
    """The HTML of a table whose rows begin with a bar, so that none of them ends it."""
    groups = [*_GROUP.findall(rows), _GROUP.sub("", rows)]
    html = [_cached_html(head + group) for group in groups if group or len(groups) == 1]
    begin = html[0].find(_BODY) + len(_BODY)
    if begin < len(_BODY):  # no table, or one without rows
        return _html(head + rows)
    inner = "".join(part[begin:].removesuffix(_BODY_END) for part in html)
    return f"{html[0][:begin]}{inner}{_BODY_END}"


def _fenced_html(markdown: str) -> str:
    """The HTML of a code block, and of a paragraph right above it; empty if it is not just that.

    The code's is put together of slices, which may have been made while it grew.
    """
    if not _FENCED.match(markdown):
        return ""
    *before, fence = _blocks(markdown)
    if fence.type != "fence" or fence.map is None or [one.type for one in before] not in _ABOVE:
        return ""
    above = "\n".join(markdown.split("\n")[: fence.map[0]])
    language = _language(fence)
    code = split_code(fence.content.removesuffix("\n"), language)
    block = _code_block("".join(_code_slice_html(part, language) for part in code))
    return _cached_html(above) + block


@lru_cache(maxsize=512)
def _code_slice_html(code: str, language: str) -> str:
    return _CLEANER.clean(highlight_slice(code, language))


@lru_cache(maxsize=2048)
def _cached_html(markdown: str) -> str:
    return _part_html(markdown)


def _part_html(markdown: str) -> str:
    return _fenced_html(markdown) or _html(markdown)


def _html(markdown: str, *, streaming: bool = False, plain: bool = False) -> str:
    env: dict[str, object] = {"growing": markdown} if streaming else {}
    if plain:
        env["plain"] = True
    return _CLEANER.clean(_PARSER.render(markdown, env))


def text_html(text: str) -> str:
    """Return ``text`` as HTML that shows just that, without math."""
    return escape_math(text)


def code_html(code: str, language: str = "") -> str:
    """Return a code block in the form that Jupyter's own style sheets colour and space.

    They colour what is in an element of the class ``highlight``, but space code differently in
    a list, in JupyterLab and in nbconvert's page; a ``<figure>`` has the browser's own margins.
    nbconvert's page gives its font for code to ``<code>`` alone. That element also keeps a line
    end at the beginning, which a parser of HTML drops right after ``<pre>``.
    """
    return _code_block(highlight(code.removesuffix("\n"), language))


def _code_block(html: str) -> str:
    return f'<figure class="highlight"><pre><code>{html}</code></pre></figure>\n'


def _language(fence: Token) -> str:
    return next(iter(fence.info.split(maxsplit=1)), "")


def outside_code_blocks(markdown: str, change: Callable[[str], str]) -> str:
    """Return ``markdown`` with ``change`` applied to the parts between its code blocks."""
    lines = markdown.split("\n")
    parts: list[str] = []
    done = 0
    for token in _blocks(markdown):
        if token.type in {"fence", "code_block"} and token.map:
            first, end = token.map
            parts += [change("\n".join(lines[done:first])), *lines[first:end]]
            done = end
    return "\n".join([*parts, change("\n".join(lines[done:]))])


def has_no_active_content(markdown: str) -> bool:
    """Whether a parser that obeys HTML finds neither HTML nor an image in ``markdown``."""
    active = {"html_block", "html_inline", "image"}
    return not any(
        token.type in active or any(child.type in active for child in token.children or ())
        for token in _TRUSTING_PARSER.parse(markdown)
    )


def close_fence(markdown: str) -> str:
    """Return ``markdown`` so that what is added below it is not taken for code."""
    for token in _blocks(markdown):
        if token.type == "fence" and token.level == 0 and _is_unclosed(token, markdown):
            return f"{markdown.rstrip()}\n{token.markup}"
    return markdown


def _is_unclosed(fence: Token, markdown: str) -> bool:
    lines = markdown.rstrip().split("\n")
    first, end = fence.map or (0, 0)
    if end < len(lines):
        return False
    last = lines[-1].lstrip("> \t")
    return (
        len(lines) - 1 == first
        or bool(last.strip(fence.markup[0]))
        or len(last) < len(fence.markup)
    )


def _blocks(markdown: str) -> list[Token]:
    tokens: list[Token] = []
    _PARSER.block.parse(markdown, _PARSER, {}, tokens)
    return tokens


def _sanitize_links(state: StateCore) -> None:
    for token in state.tokens:
        if token.children:
            token.children = list(_sanitized(token.children))


def _sanitized(tokens: Sequence[Token]) -> Iterator[Token]:
    """Keep links that lead to an address of the web, and make links of images."""
    refused: str | None = None
    in_link = False
    for token in tokens:
        if token.type == "link_open":
            href = str(token.attrGet("href") or "")
            in_link = _scheme(href) in LINK_SCHEMES
            refused = None if in_link else href
            if in_link:
                token.attrs = {"href": href}
                yield token
        elif token.type == "link_close":
            if in_link:
                yield token
            elif refused and token.markup != "autolink":
                yield _text(f" ({_short(refused)})")
            in_link, refused = False, None
        elif token.type == "image":
            yield from _image(token, in_link)
        else:
            yield token


def _image(token: Token, in_link: bool) -> Iterator[Token]:
    url = str(token.attrGet("src") or "")
    shown = " ".join(_plain(token.children or ()).split()) or _short(url)
    if _scheme(url) not in {"http", "https"}:
        yield _text(f"{shown} (image that is not shown)")
        return
    yield _element("span", 1, {"class": "image"})
    if not in_link:
        yield _element("a", 1, {"href": url})
    yield _text(shown)
    if not in_link:
        yield _element("a", -1)
    yield _text(f" (image at {urlsplit(url).hostname})")
    yield _element("span", -1)


def _plain(tokens: Sequence[Token]) -> str:
    return "".join(
        token.content if token.type != "image" else _plain(token.children or ()) for token in tokens
    )


def _scheme(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that are no IPv6 address
        return ""
    if parts.scheme == "mailto" or (parts.hostname and "%" not in parts.hostname):
        return parts.scheme
    return ""


def _short(url: str) -> str:
    return url if len(url) <= URL_SHOWN else url[: URL_SHOWN - 1] + "…"


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def _element(tag: str, nesting: int, attrs: dict[str, str | int | float] | None = None) -> Token:
    return Token(f"image_{tag}", tag, nesting, attrs=attrs or {})  # type: ignore[arg-type]


# They keep no state between two texts.
_PARSER = _parser()
_TRUSTING_PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
_CLEANER = nh3.Cleaner(
    tags=set(_TAGS.split()),
    attributes={"a": {"href"}, "ol": {"start"}},
    tag_attribute_values={"td": {"style": _ALIGNMENTS}, "th": {"style": _ALIGNMENTS}},
    allowed_classes={
        "div": {"math"},
        "figure": {"highlight"},
        "span": {"math", "image", *CLASSES.values()},
    },
    url_schemes=LINK_SCHEMES,
    url_relative="deny",
    link_rel="noopener noreferrer",
)
