"""A reply as front ends show it: safe HTML, Markdown and plain text.

Pure and deterministic: the same text gives the same bundle, without times, ids or counts, so that
saved outputs can be compared. Parser, sanitizer and highlighter are imported on first use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypedDict

from aeron_magic.errors import UsageError
from aeron_magic.markdown_text import escape_markdown, fenced, one_line
from aeron_magic.plaintext import strip_control_sequences

if TYPE_CHECKING:
    from markupsafe import Markup

Bundle = TypedDict(
    "Bundle",
    {
        "text/html": "Markup",
        "text/markdown": str,
        "text/plain": str,
        "application/vnd.jupyter.widget-view+json": dict[str, object],
    },
    total=False,
)
"""The data of one display. Its HTML is ``Markup``: made by this package, or a constant."""


def text_html(text: str) -> Markup:
    """Return untrusted ``text`` as HTML that shows it as it is, without control sequences."""
    from aeron_magic.replies.tex_math import escape_math

    return escape_math(strip_control_sequences(text))


def remark_html(text: str) -> Markup:
    """Return untrusted ``text`` as a paragraph of our own about a reply."""
    from markupsafe import Markup

    return Markup("<p><em>{}</em></p>").format(text_html(text))


def to_markdown(markdown: str) -> str:
    """Return ``markdown`` made safe for renderers that accept raw HTML and any address.

    Tags, images and links to other schemes than http, https and mailto become text.
    """
    from aeron_magic.rendering.safe_html import parse
    from aeron_magic.rendering.safe_markdown import safe_markdown

    text = strip_control_sequences(markdown)
    return safe_markdown(text, parse(text))


def mimebundle(
    text: str,
    *,
    format: str = "markdown",  # noqa: A002 - the name users type
    note: str = "",
) -> Bundle:
    """Return ``text`` as the data of one display: ``text/html``, ``text/markdown``, ``text/plain``.

    * ``format``: how to show it: a name in `FORMATS`.
    * ``note``: one line below the reply, such as "Interrupted"; empty for none.

    Raises UsageError: unknown format. Raises ReplyFormatError: the text has no JSON, table or code,
    but ``format`` asks for it.
    """
    if format not in FORMATS:
        known = ", ".join(FORMATS)
        raise UsageError(f"Unknown format {format!r}.", hint=f"Use one of: {known}.")
    bundle = FORMATS[format](text)
    return _with_note(bundle, one_line(note)) if note else bundle


def _as_markdown(text: str) -> Bundle:
    from aeron_magic.rendering.safe_html import parse, render_tokens
    from aeron_magic.rendering.safe_markdown import safe_markdown

    plain = strip_control_sequences(text)
    tokens = parse(plain)
    return {
        "text/html": render_tokens(tokens, plain),
        "text/markdown": safe_markdown(plain, tokens),
        "text/plain": plain,
    }


def _as_text(text: str) -> Bundle:
    from aeron_magic.rendering.safe_html import to_plain_html

    plain = strip_control_sequences(text)
    return {
        "text/html": to_plain_html(plain),
        "text/markdown": fenced(plain, "text"),
        "text/plain": plain,
    }


def _as_json(text: str) -> Bundle:
    import json

    from aeron_magic.replies.extract import extract_json

    return _as_code([(json.dumps(extract_json(text), indent=2, ensure_ascii=False), "json")])


def _as_table(text: str) -> Bundle:
    from aeron_magic.replies.tables import extract_table, tables

    found = tables(text) or [extract_table(text)]  # raises if there is none
    return _as_markdown("\n\n".join(table.source for table in found))


def _as_blocks(text: str) -> Bundle:
    from aeron_magic.replies.extract import code_blocks, extract_code

    blocks = code_blocks(text)
    if not blocks:
        extract_code(text)  # raises
    return _as_code([(block.code, block.language) for block in blocks])


def _as_code(blocks: list[tuple[str, str]]) -> Bundle:
    from markupsafe import Markup

    from aeron_magic.rendering.safe_html import code_html

    blocks = [(strip_control_sequences(code), language) for code, language in blocks]
    return {
        "text/html": Markup("").join(code_html(code, language) for code, language in blocks),
        "text/markdown": "\n\n".join(fenced(code, language) for code, language in blocks),
        "text/plain": "\n\n".join(code for code, _ in blocks),
    }


FORMATS: dict[str, Callable[[str], Bundle]] = {
    "markdown": _as_markdown,
    "text": _as_text,
    "json": _as_json,
    "table": _as_table,
    "code": _as_blocks,
}
"""The functions that show a reply, by the name that the option ``--format`` takes."""


def _with_note(bundle: Bundle, note: str) -> Bundle:
    from markupsafe import Markup

    from aeron_magic.replies.tex_math import escape_math

    html = Markup("<p><small><em>{}</em></small></p>\n").format(escape_math(note))
    return {
        "text/html": bundle["text/html"] + html,
        "text/markdown": f"{bundle['text/markdown']}\n\n*{escape_markdown(note)}*",
        "text/plain": f"{bundle['text/plain']}\n\n[{note}]",
    }
