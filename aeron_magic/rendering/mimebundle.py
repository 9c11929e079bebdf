"""A reply as front ends show it: HTML that can do no harm, Markdown and plain text.

Pure and deterministic: the same text gives the same bundle, without times, ids or counts, so that
saved outputs can be compared. Parser, sanitiser and highlighter are imported when they are first
used.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from aeron_magic.errors import UsageError
from aeron_magic.plaintext import strip_control_sequences

__all__ = ["FORMATS", "mimebundle", "to_html", "to_markdown", "to_plain", "warm_cache"]

Bundle = dict[str, str]

_SUSPICIOUS = re.compile(r"!\[|<[A-Za-z/!?]")
_ESCAPED = r"\\."
_AUTOLINK = r"<(?:https?://|mailto:)[^\s<>`]*>"
_CODE_SPAN = r"(?<!`)(?P<ticks>`+)(?!`).{1,1000}?(?<!`)(?P=ticks)(?!`)"
_ACTIVE = r"(?P<image>!+(?=\[))|(?P<tag><(?=[A-Za-z/!?]))"
_outside_code_spans = re.compile(f"{_ESCAPED}|{_CODE_SPAN}|{_AUTOLINK}|{_ACTIVE}", re.DOTALL)
_anywhere = re.compile(f"{_ESCAPED}|{_AUTOLINK}|{_ACTIVE}", re.DOTALL)


def to_html(markdown: str, *, streaming: bool = False, plain: bool = False) -> str:
    """Return ``markdown`` as HTML made of an allow-list of elements.

    CommonMark with tables and strikethrough; raw HTML is shown, not obeyed. Links lead to http,
    https and mailto addresses only; images become links that name their host. Code is coloured
    with the classes that Jupyter's style sheets know. Math keeps its delimiters, in an element of
    class ``math``; other dollars and backslashes cannot be taken for math.

    With ``streaming``, a code block at the end that is not closed is not coloured yet, which would
    be most of the work of painting it again and again. With ``plain`` no code is.
    """
    from aeron_magic.rendering.safe_html import safe_html

    return safe_html(strip_control_sequences(markdown), streaming=streaming, plain=plain)


def warm_cache(markdown: str) -> str:
    """Render ahead what `to_html` will need of a text that begins with ``markdown``, and keep it.

    Returns the end that may yet change: to be given again, with what follows it.
    """
    from aeron_magic.rendering.safe_html import warm_cache

    return warm_cache(strip_control_sequences(markdown))


def to_markdown(markdown: str) -> str:
    """Return ``markdown`` for front ends that render Markdown themselves, and trust it.

    Images become links and HTML tags become text; code stays as it is. The result is parsed
    again to see that nothing active is left, since what is code to a pattern may be none to a
    parser; if something is, less is taken for code.
    """
    text = strip_control_sequences(markdown)
    if not _SUSPICIOUS.search(text):
        return text
    from aeron_magic.rendering.safe_html import has_no_active_content, outside_code_blocks

    for attempt in (
        outside_code_blocks(text, lambda part: _outside_code_spans.sub(_deactivate, part)),
        outside_code_blocks(text, lambda part: _anywhere.sub(_deactivate, part)),
    ):
        if has_no_active_content(attempt):
            return attempt
    return _anywhere.sub(_deactivate, text)


def to_plain(text: str) -> str:
    """Return ``text`` as it is, but for what a terminal would act on."""
    return strip_control_sequences(text)


def mimebundle(
    text: str,
    *,
    format: str = "markdown",  # noqa: A002 - the name users type
    note: str = "",
    markdown: bool = True,
) -> Bundle:
    """Return ``text`` as the data of one display: ``text/html``, ``text/markdown``, ``text/plain``.

    Parameters
    ----------
    text
        The reply.
    format
        How to show it: a name in `FORMATS`.
    note
        One line of ours below it, such as "Interrupted"; empty for none.
    markdown
        Whether to offer ``text/markdown`` too: a front end that ignores the HTML renders that by
        its own rules.

    Raises
    ------
    UsageError
        There is no such format.
    ReplyFormatError
        The text holds no JSON, table or code, as the format of that name wants.
    """
    if format not in FORMATS:
        known = ", ".join(FORMATS)
        raise UsageError(f"There is no format {format!r}.", hint=f"Use one of: {known}.")
    bundle = FORMATS[format](text)
    if note:
        bundle = _with_note(bundle, " ".join(strip_control_sequences(note).split()))
    if not markdown:
        del bundle["text/markdown"]
    return bundle


def _as_markdown(text: str) -> Bundle:
    return {
        "text/html": to_html(text),
        "text/markdown": to_markdown(text),
        "text/plain": to_plain(text),
    }


def _as_text(text: str) -> Bundle:
    from aeron_magic.rendering.safe_html import code_html

    plain = to_plain(text)
    return {
        "text/html": code_html(plain),
        "text/markdown": _fenced(plain, "text"),
        "text/plain": plain,
    }


def _as_json(text: str) -> Bundle:
    import json

    from aeron_magic.replies.extract import extract_json

    return _as_code([(json.dumps(extract_json(text), indent=2, ensure_ascii=False), "json")])


def _as_table(text: str) -> Bundle:
    from aeron_magic.replies.tables import extract_table, tables

    extract_table(text)  # which says what is wrong, if there is none
    source = "\n\n".join(table.source for table in tables(text))
    return _as_markdown(source)


def _as_blocks(text: str) -> Bundle:
    from aeron_magic.replies.extract import code_blocks, extract_code

    extract_code(text)  # which says what is wrong, if there is none
    return _as_code([(block.code, block.language) for block in code_blocks(text)])


def _as_code(blocks: list[tuple[str, str]]) -> Bundle:
    from aeron_magic.rendering.safe_html import code_html

    harmless = [(to_plain(code), language) for code, language in blocks]
    return {
        "text/html": "".join(code_html(code, language) for code, language in harmless),
        "text/markdown": "\n\n".join(_fenced(code, language) for code, language in harmless),
        "text/plain": "\n\n".join(code for code, _ in harmless),
    }


def _fenced(code: str, language: str) -> str:
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", code)), default=0))
    named = language if re.fullmatch(r"[\w+#.-]*", language) else ""
    return f"{fence}{named}\n{code}\n{fence}"


FORMATS: dict[str, Callable[[str], Bundle]] = {
    "markdown": _as_markdown,
    "text": _as_text,
    "json": _as_json,
    "table": _as_table,
    "code": _as_blocks,
}
"""The ways to show a reply, by the name that the option ``--format`` takes."""


def _with_note(bundle: Bundle, note: str) -> Bundle:
    from aeron_magic.rendering.safe_html import close_fence, text_html

    escaped = re.sub(r"([\\`*_\[\]<>&!$|~])", r"\\\1", note)
    return {
        "text/html": f"{bundle['text/html']}<p><small><em>{text_html(note)}</em></small></p>\n",
        "text/markdown": f"{close_fence(bundle['text/markdown'])}\n\n*{escaped}*",
        "text/plain": f"{bundle['text/plain']}\n\n[{note}]",
    }


def _deactivate(match: re.Match[str]) -> str:
    if match["image"]:
        return ""
    if match["tag"]:
        return "\\<"
    return match.group()
