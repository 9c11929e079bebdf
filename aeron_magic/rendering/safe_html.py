"""Markdown of a reply to safe HTML: the only place where a reply becomes HTML.

A reply is untrusted text, and a front end trusts the output of a cell that was just run: it runs
scripts, and it loads images, whose URLs can carry data away. Three walls, each of which would
stop most attacks: Markdown without raw HTML; links and images sanitized in the token stream, so
that viewing a reply loads nothing; and an allow-list of elements, classes and URLs at the end.

This package is the only one that renders Markdown, and this module is imported on first use.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import cycle
from unicodedata import normalize
from urllib.parse import unquote, urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup

from aeron_magic.markdown_text import MAX_LINES, is_long, one_line, truncate
from aeron_magic.plaintext import strip_control_sequences
from aeron_magic.rendering.highlighting import CLASSES, highlight_code
from aeron_magic.rendering.inline_rules import install_inline_rules
from aeron_magic.replies.extract import cell_kind, fence_language
from aeron_magic.replies.tex_math import escape_math, install_math_rules, is_self_contained

Tokens = Sequence[Token]

_SPACE = Token("softbreak", "br", 0)
_SPACES = {"softbreak", "hardbreak"}
LINK_SCHEMES = {"http", "https", "mailto"}
_TAGS = """
p br hr h1 h2 h3 h4 h5 h6 ul ol li blockquote pre code em strong s del a sub sup kbd
table thead tbody tr th td span div figure
"""
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_BIDI = "unicode-bidi:plaintext"
_WRAPS = "overflow-wrap:break-word"
_LONG_WORD = re.compile("[!-~]{60}")
_JOINT = re.compile(r"([-\\]{1,8}\S)")
_LONG_CODE = re.compile(r"\S{24}")
_WHOLE = Markup('<span style="white-space:nowrap">{}</span>')
_AS_IS = Markup("{}")
_ALIGNMENTS = {f"text-align:{edge}" for edge in ("start", "left", "center", "right")}
_SCROLLS = "overflow-x:auto"
_AUTO = Markup(' dir="auto"')
CODE_STYLE = "white-space:pre"
TEXT_STYLE = "overflow-wrap:anywhere;white-space:pre-wrap;word-break:normal"
_CELL_STYLES = {*_ALIGNMENTS, *(f"{alignment};{_BIDI}" for alignment in _ALIGNMENTS)}
_BLOCK_STYLES = {*_CELL_STYLES, _WRAPS, f"text-align:start;{_BIDI};{_WRAPS}"}
_DIRECTIONS = {"dir": {"auto", "ltr"}}
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_BLANK_LINE = re.compile(r"\n(?=[ \t]*\n)")
PARAGRAPH_LIMIT = 10_000
"""Characters of a paragraph beyond which it is shown as plain text."""
_HOST = re.compile(
    r"(?<=://)[\w.-]++|[^\W_](?:[\w-]{0,62}+\.){1,8}[^\W\d_]{2,63}+|\blocalhost\b"
    r"|(?<![\d.])\d{1,3}+(?:\.\d{1,3}+){3}(?![\d.])"
    r"|(?<=\[)(?=[^\]:]{0,4}:[^\]:]{0,4}:)[\da-f:.]{2,45}+(?=\])"
)
_DOTS = str.maketrans("\u3002\uff61", "..")
"""What a browser reads as the dots of a host."""
URL_SHOWN = 80
"""Characters shown of a URL that stands for a missing text."""


class _Renderer(RendererHTML):
    """Tokens to HTML; each method is named after the token type that it renders.

    They return plain strings: added to a ``Markup``, the parser's own HTML would be escaped.
    """

    def text(self, tokens: Tokens, idx: int, options: OptionsDict, env: EnvType) -> str:
        return str(escape_math(tokens[idx].content))

    def code_inline(self, tokens: Tokens, idx: int, options: OptionsDict, env: EnvType) -> str:
        return _inline_code(tokens[idx].content, str(tokens[idx].attrs.get("dir", "")))

    def fence(self, tokens: Tokens, idx: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[idx]
        # An open code block is repainted often, so it is highlighted only when it is closed.
        is_open = is_unclosed(token, str(env["source"]))
        if is_open and not env.get("streaming") and not token.content.strip():
            return ""  # it was stopped before its first line
        language = fence_language(token.info)
        if (is_open and env.get("streaming")) or not env["highlight"]:
            language = ""
        direction = str(token.attrs.get("dir", ""))
        kind = cell_kind(token.info, token.content) if env.get("cells") else "code"
        return str(code_html(token.content, language, direction=direction, cell=kind))

    code_block = fence

    def table_open(self, tokens: Tokens, idx: int, options: OptionsDict, env: EnvType) -> str:
        side = _AUTO if "dir" in tokens[idx].attrs else ""
        return str(Markup('<div style="overflow-x:auto"{}><table>\n').format(side))

    def table_close(self, tokens: Tokens, idx: int, options: OptionsDict, env: EnvType) -> str:
        return "</table></div>\n"

    def math_inline(self, tokens: Tokens, idx: int, options: OptionsDict, env: EnvType) -> str:
        tex = tokens[idx].content
        if is_self_contained(tex):
            return str(Markup('<span class="math">{}</span>').format(tex))
        return _inline_code(tex)

    def math_block(self, tokens: Tokens, idx: int, options: OptionsDict, env: EnvType) -> str:
        tex = tokens[idx].content
        if is_self_contained(tex):
            return str(Markup('<div class="math">{}</div>\n').format(tex))
        return str(code_html(tex))


def _inline_code(code: str, direction: str = "") -> str:
    """Return inline code that is not broken after a hyphen or a backslash.

    Such a sign is joined only to the next character, so that code that is longer than a line can
    still wrap.
    """
    pieces = _JOINT.split(code)
    shown = [
        (_WHOLE if is_joint else _AS_IS).format(piece)
        for piece, is_joint in zip(pieces, cycle((False, True)))
    ]
    side = Markup(' dir="{}"').format(direction) if direction else ""
    wraps = Markup(' style="{}"').format(_WRAPS) if pieces[1:] and _LONG_CODE.search(code) else ""
    return str(Markup("<code{}{}>{}</code>").format(side, wraps, Markup("").join(shown)))


def _flatten_long_paragraphs(state: StateCore) -> None:
    """Show very long paragraphs as plain text: inline parsing can take quadratic time."""
    for token in state.tokens:
        if token.type == "inline" and len(token.content) > PARAGRAPH_LIMIT:
            token.type = "text"


def _align_cells(state: StateCore) -> None:
    """Set the alignment of every cell: Jupyter's style sheet aligns to the right by default."""
    for token in state.tokens:
        if token.type in {"td_open", "th_open"}:
            token.attrs.setdefault("style", "text-align:start")


def _set_directions(state: StateCore) -> None:
    """Let text that contains right-to-left letters choose its direction; code never does.

    Only the outermost elements have ``dir="auto"``: it ignores inner elements that have ``dir``.
    """
    if not _RIGHT_TO_LEFT.search(state.src):
        return
    for token in state.tokens:
        if token.type in {"fence", "code_block"}:
            token.attrs["dir"] = "ltr"
        elif token.nesting == 1 and token.level == 0:
            token.attrs["dir"] = "auto"
        if token.type in {"paragraph_open", "heading_open", "list_item_open"}:
            token.attrs["style"] = f"text-align:start;{_BIDI}"  # JupyterLab aligns to the left
        elif token.type in {"td_open", "th_open"}:
            token.attrs["style"] = f"{token.attrs['style']};{_BIDI}"
        for child in token.children or ():
            if child.type == "code_inline":
                child.attrs["dir"] = "ltr"


def _shown(token: Token) -> str:
    return "".join(child.content for child in token.children or (token,))


def _wrap_long_words(state: StateCore) -> None:
    """Let words such as addresses wrap: else the whole output scrolls. Tables scroll by themselves.

    The outermost element passes it on to those inside.
    """
    if not _LONG_WORD.search(state.src):
        return
    block: Token | None = None
    for token in state.tokens:
        if token.nesting == 1 and token.level == 0:
            block = None if token.type == "table_open" else token
        elif block and token.type in {"inline", "text"} and _LONG_WORD.search(_shown(token)):
            style = block.attrs.get("style")
            block.attrs["style"] = f"{style};{_WRAPS}" if style else _WRAPS
            block = None


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer)
    parser.enable(["table", "strikethrough"])
    parser.core.ruler.before("inline", "flatten_long_paragraphs", _flatten_long_paragraphs)
    parser.core.ruler.push("sanitize_links", _sanitize_links)
    parser.core.ruler.push("align_cells", _align_cells)
    parser.core.ruler.push("set_directions", _set_directions)
    parser.core.ruler.push("wrap_long_words", _wrap_long_words)
    install_math_rules(parser)
    install_inline_rules(parser)
    return parser


def to_html(
    markdown: str, *, streaming: bool = False, highlight: bool = True, cells: bool = False
) -> Markup:
    """Return ``markdown`` as HTML made of an allow-list of elements, without control sequences.

    CommonMark with tables and strikethrough; raw HTML is shown as text. Links lead to http, https
    and mailto URLs only, and name their host if their text names another one; images become links
    that name their host. Math keeps its delimiters, in an element of class ``math``; other dollars
    and backslashes cannot be taken for math. Markdown that the parser cannot handle is shown as
    code: it is part of a paid reply.

    * ``streaming``: whether ``markdown`` is still growing: a code block that is open at its end is
      not highlighted, which would be most of the cost of repainting it.
    * ``highlight``: whether code is coloured, with the classes of Jupyter's style sheets.
    * ``cells``: whether ``data-cell`` names the cell that a code block needs, unless that is a code
      cell.
    """
    markdown = strip_control_sequences(markdown)
    env: dict[str, object] = {"highlight": highlight, "cells": cells, "streaming": streaming}
    return render_tokens(parse(markdown), markdown, env)


def render_tokens(
    tokens: list[Token] | None, markdown: str, env: dict[str, object] | None = None
) -> Markup:
    """Return the HTML of ``tokens``, the result of `parse` for ``markdown``; see `to_html`."""
    with suppress(Exception):
        if tokens is not None:
            env = {"highlight": True, **(env or {}), "source": markdown}
            html = _CLEANER.clean(_PARSER.renderer.render(tokens, _PARSER.options, env))
            return _without_blank_lines(html)
    return to_plain_html(markdown)


def to_plain_html(text: str) -> Markup:
    """Return untrusted ``text`` as HTML that shows it as it is, in lines that wrap."""
    return code_html(strip_control_sequences(text), style=TEXT_STYLE)


def _without_blank_lines(html: str) -> Markup:
    """Sanitized HTML in one piece: a blank line would end it where a notebook becomes Markdown."""
    return Markup(_BLANK_LINE.sub("&#10;", html))  # noqa: S704 - the allow-list, or escaped code


def code_html(
    code: str,
    language: str = "",
    *,
    direction: str = "",
    style: str = CODE_STYLE,
    cell: str = "code",
) -> Markup:
    """Return a code block in the form that Jupyter's own style sheets colour and space.

    ``cell`` is the kind of cell that it becomes; the element names it unless it is ``code``.

    They colour what is in an element of the class ``highlight``, but the margins of code differ
    between a list, JupyterLab and nbconvert's page; a ``<figure>`` has the browser's own.
    nbconvert sets the font of code on ``<code>`` only. That element also preserves a leading line
    end, which an HTML parser drops right after ``<pre>``. Without a ``style``, JupyterLab
    wraps lines inside words.
    """
    html = _without_blank_lines(highlight_code(code.removesuffix("\n"), language))
    if not direction and _RIGHT_TO_LEFT.search(code):
        direction = "auto"
    side = Markup(' dir="{}"').format(direction) if direction else ""
    kind = Markup(' data-cell="{}"').format(cell) if cell != "code" else ""
    frame = Markup(
        '<figure{} class="highlight"{}><pre style="{}"><code style="{}">{}</code></pre></figure>\n'
    )
    return frame.format(kind, side, _SCROLLS, style, html)


def is_unclosed(fence: Token, markdown: str) -> bool:
    """Whether the code block ``fence`` lacks its closing line at the end of ``markdown``."""
    first, end = fence.map or (0, 0)
    last, line = _last_line(markdown)
    if end <= last or not fence.markup:  # an indented block has no closing line
        return False
    is_closing = line.startswith(fence.markup) and not line.strip(fence.markup[0])
    return first == last or not is_closing


@lru_cache(maxsize=4)
def _last_line(markdown: str) -> tuple[int, str]:
    """The number of the last line that is not empty, and its text without containers."""
    text = markdown.rstrip()
    return text.count("\n"), text.rpartition("\n")[2].lstrip("> \t")


def parse(markdown: str) -> list[Token] | None:
    """Return the tokens of ``markdown``, with harmless links and without images.

    None if the parser cannot handle it. ``markdown`` has no control sequences.
    """
    if len(markdown) <= MAX_LINES or not is_long(markdown):
        with suppress(Exception):
            return _PARSER.parse(markdown)
    return None


def to_line(markdown: str) -> str:
    """Return the text of ``markdown`` on one line, without its markup and control sequences."""
    plain = strip_control_sequences(markdown)
    blocks = parse(plain)
    if blocks is None:
        return one_line(plain)
    pieces = [piece for block in blocks for piece in (*(block.children or (block,)), _SPACE)]
    return one_line("".join(piece.content or " " * (piece.type in _SPACES) for piece in pieces))


def block_tokens(markdown: str) -> list[Token]:
    """Return the block tokens of ``markdown``; text within blocks is not parsed."""
    tokens: list[Token] = []
    _PARSER.block.parse(markdown, _PARSER, {}, tokens)
    return tokens


def _sanitize_links(state: StateCore) -> None:
    has_references = "&" in state.src
    for token in state.tokens:
        if token.children:
            if has_references:
                _strip_references(token.children)
            token.children = list(_sanitized(token.children))


def _strip_references(tokens: Tokens) -> None:
    """Remove the control characters that were written as character references."""
    for token in tokens:
        if token.type in ("text", "text_special", "image"):
            token.content = strip_control_sequences(token.content)
            _strip_references(token.children or ())


def _sanitized(tokens: Tokens) -> Iterator[Token]:
    """Drop links to other schemes than `LINK_SCHEMES`, and turn images into links."""
    refused: str | None = None
    in_link = False
    link, shown = "", ""
    for token in tokens:
        shown += token.content
        if token.type == "link_open":
            href = str(token.attrGet("href") or "")
            in_link = _scheme(href) in LINK_SCHEMES
            refused = None if in_link else href
            if in_link:
                token.attrs = {"href": href}
                link, shown = href, ""
                yield token
        elif token.type == "link_close":
            if in_link:
                yield token
                if token.info == "auto":  # the text is the address, whose path may look like a host
                    shown = shown.partition("//")[2].partition("/")[0]
                if host := foreign_host(shown, link):
                    yield _text(f" ({host})")
            elif refused and token.markup != "autolink":
                yield _text(f" ({truncate(refused, URL_SHOWN)})")
            in_link, refused = False, None
        elif token.type == "image":
            yield from _image(token, in_link)
        else:
            yield token


def _image(token: Token, in_link: bool) -> Iterator[Token]:
    url = str(token.attrGet("src") or "")
    shown = " ".join(_plain(token.children or ()).split()) or truncate(url, URL_SHOWN)
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


def foreign_host(shown: str, url: str) -> str:
    """The host of ``url``, if the text ``shown`` for it names another one; else empty."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    host = (parts.hostname or parts.path.rpartition("@")[2]).lower()
    text = "".join(filter(str.isprintable, normalize("NFKC", shown.translate(_DOTS)))).lower()
    named = {name.removeprefix("www.") for name in _HOST.findall(text[:PARAGRAPH_LIMIT])}
    return "" if named <= {host, host.removeprefix("www.")} else truncate(host, URL_SHOWN)


def _plain(tokens: Tokens) -> str:
    return "".join(
        token.content if token.type != "image" else _plain(token.children or ()) for token in tokens
    )


def _scheme(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:  # invalid IPv6 address
        return ""
    if parts.scheme == "mailto":
        # Some mail programs attach the files that such a field names.
        fields = unquote(url).lower().partition("?")[2]
        return "" if "attach" in fields else parts.scheme
    return parts.scheme if parts.hostname and "%" not in parts.hostname else ""


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def _element(tag: str, nesting: int, attrs: dict[str, str | int | float] | None = None) -> Token:
    return Token(f"image_{tag}", tag, nesting, attrs=attrs or {})  # type: ignore[arg-type]


# Stateless: they can be shared between texts and threads.
_PARSER = _parser()
_CLEANER = nh3.Cleaner(
    tags=set(_TAGS.split()),
    attributes={"a": {"href"}, "ol": {"start"}},
    tag_attribute_values={
        **{tag: {**_DIRECTIONS, "style": {_WRAPS}} for tag in ("ul", "ol", "blockquote")},
        "figure": {**_DIRECTIONS, "data-cell": {"bash", "session", "raw"}},
        **{tag: {**_DIRECTIONS, "style": _BLOCK_STYLES} for tag in ("p", *_HEADINGS)},
        "li": {"style": _CELL_STYLES},
        "span": {"style": {"white-space:nowrap"}},
        "code": {**_DIRECTIONS, "style": {CODE_STYLE, _WRAPS}},
        "pre": {"style": {_SCROLLS}},
        "td": {"style": _CELL_STYLES},
        "th": {"style": _CELL_STYLES},
        "div": {**_DIRECTIONS, "style": {_SCROLLS}},
    },
    allowed_classes={
        "div": {"math"},
        "figure": {"highlight"},
        "span": {"math", "image", *CLASSES.values()},
    },
    url_schemes=LINK_SCHEMES,
    url_relative="deny",
    link_rel="noopener noreferrer",
)
