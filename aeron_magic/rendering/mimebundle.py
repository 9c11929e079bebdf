"""A reply as front ends show it: safe HTML, Markdown and plain text.

Pure and deterministic: the same text gives the same bundle, without times, ids or counts, so that
saved outputs can be compared. Parser, sanitizer and highlighter are imported on first use.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from aeron_magic.errors import UsageError
from aeron_magic.markdown_text import escape_markdown, fenced, one_line
from aeron_magic.plaintext import strip_control_sequences

Bundle = dict[str, str]

_SUSPICIOUS = re.compile(r"!\[|<[A-Za-z/!?]")
_ESCAPED = r"\\."
_AUTOLINK = r"<(?:https?://|mailto:)[^\s<>`]*>"
_CODE_SPAN = r"(?<!`)(?P<ticks>`+)(?!`).{1,1000}?(?<!`)(?P=ticks)(?!`)"
_ACTIVE = r"(?P<image>!+(?=\[))|(?P<tag><(?=[A-Za-z/!?]))"
_outside_code_spans = re.compile(f"{_ESCAPED}|{_CODE_SPAN}|{_AUTOLINK}|{_ACTIVE}", re.DOTALL)
_anywhere = re.compile(f"{_ESCAPED}|{_AUTOLINK}|{_ACTIVE}", re.DOTALL)


def to_html(markdown: str, *, streaming: bool = False, highlight: bool = True) -> str:
    """Return ``markdown`` as HTML made of an allow-list of elements.

    CommonMark with tables and strikethrough; raw HTML is shown as text. Links lead to http, https
    and mailto URLs only; images become links that name their host. Math keeps its delimiters, in
    an element of class ``math``; other dollars and backslashes cannot be taken for math.

    Parameters
    ----------
    streaming
        Whether ``markdown`` is still growing: a code block that is open at its end is not
        highlighted, which would be most of the cost of repainting it.
    highlight
        Whether code is coloured, with the classes of Jupyter's style sheets.
    """
    from aeron_magic.rendering.safe_html import safe_html

    return safe_html(strip_control_sequences(markdown), streaming=streaming, highlight=highlight)


def to_markdown(markdown: str) -> str:
    """Return ``markdown`` made safe for front ends that render Markdown with raw HTML.

    Images become links and HTML tags become text; code is unchanged. The result is parsed again,
    because a pattern and a parser can disagree on what is code; if anything active is left, code
    spans, and then code blocks, are changed too.
    """
    text = strip_control_sequences(markdown)
    if not _SUSPICIOUS.search(text):
        return text
    from aeron_magic.rendering.safe_html import has_no_active_content, outside_code_blocks

    for pattern in (_outside_code_spans, _anywhere):
        attempt = outside_code_blocks(text, partial(pattern.sub, _deactivate))
        if has_no_active_content(attempt):
            return attempt
    return _anywhere.sub(_deactivate, text)


def mimebundle(
    text: str,
    *,
    format: str = "markdown",  # noqa: A002 - the name users type
    note: str = "",
) -> Bundle:
    """Return ``text`` as the data of one display: ``text/html``, ``text/markdown``, ``text/plain``.

    Parameters
    ----------
    text
        The reply.
    format
        How to show it: a name in `FORMATS`.
    note
        One line below the reply, such as "Interrupted"; empty for none.

    Raises
    ------
    UsageError
        Unknown format.
    ReplyFormatError
        The text has no JSON, table or code, but ``format`` asks for it.
    """
    if format not in FORMATS:
        known = ", ".join(FORMATS)
        raise UsageError(f"Unknown format {format!r}.", hint=f"Use one of: {known}.")
    bundle = FORMATS[format](text)
    return _with_note(bundle, one_line(note)) if note else bundle


def _as_markdown(text: str) -> Bundle:
    return {
        "text/html": to_html(text),
        "text/markdown": to_markdown(text),
        "text/plain": strip_control_sequences(text),
    }


def _as_text(text: str) -> Bundle:
    from aeron_magic.rendering.safe_html import code_html

    plain = strip_control_sequences(text)
    return {
        "text/html": code_html(plain),
        "text/markdown": fenced(plain, "text"),
        "text/plain": plain,
    }


def _as_json(text: str) -> Bundle:
    import json

    from aeron_magic.replies.extract import extract_json

    return _as_code([(json.dumps(extract_json(text), indent=2, ensure_ascii=False), "json")])


def _as_table(text: str) -> Bundle:
    from aeron_magic.replies.tables import extract_table, tables

    extract_table(text)  # raises if there is none
    return _as_markdown("\n\n".join(table.source for table in tables(text)))


def _as_blocks(text: str) -> Bundle:
    from aeron_magic.replies.extract import code_blocks, extract_code

    extract_code(text)  # raises if there is none
    return _as_code([(block.code, block.language) for block in code_blocks(text)])


def _as_code(blocks: list[tuple[str, str]]) -> Bundle:
    from aeron_magic.rendering.safe_html import code_html

    blocks = [(strip_control_sequences(code), language) for code, language in blocks]
    return {
        "text/html": "".join(code_html(code, language) for code, language in blocks),
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
    from aeron_magic.rendering.safe_html import close_fence
    from aeron_magic.rendering.tex_math import escape_math

    html = f"<p><small><em>{escape_math(note)}</em></small></p>\n"
    return {
        "text/html": bundle["text/html"] + html,
        "text/markdown": f"{close_fence(bundle['text/markdown'])}\n\n*{escape_markdown(note)}*",
        "text/plain": f"{bundle['text/plain']}\n\n[{note}]",
    }


def _deactivate(match: re.Match[str]) -> str:
    if match["image"]:
        return ""
    if match["tag"]:
        return "\\<"
    return match.group()
