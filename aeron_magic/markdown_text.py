"""Small pieces of text: Markdown tables, code fences and escapes; truncation; plurals."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

SPECIAL = r"\`*_[]<>|~$#&!"
"""Characters that can have a meaning in Markdown."""


REFERENCES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "[": "&#91;",
    "]": "&#93;",
    "{": "&#123;",
}
"""Special characters that a backslash does not escape in every renderer: ``\\[`` is also math."""


COLON = "&#58;"
CJK = (
    "\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef"
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
"""Chinese, Japanese and Korean characters and punctuation, for a class of a regular expression."""


MAX_CHARACTERS, MAX_LINES = 500_000, 50_000
"""Of a text that is parsed as Markdown; a cell of a table counts as a line."""


def is_long(text: str) -> bool:
    """Whether the parser would need too much: up to two kilobytes for each line and cell."""
    return len(text) > MAX_CHARACTERS or text.count("\n") + text.count("|") > MAX_LINES


def escape_markdown(text: str) -> str:
    """Return untrusted ``text`` as Markdown that shows it as it is, without control sequences."""
    from aeron_magic.plaintext import strip_control_sequences  # 4 ms

    escaped = "".join(
        REFERENCES.get(character) or (f"\\{character}" if character in SPECIAL else character)
        for character in strip_control_sequences(text)
    )
    return escaped.replace("://", f"{COLON}//")  # else some renderers make a link of it


def fenced(code: str, language: str = "") -> str:
    """Return ``code`` as a code block that nothing in it can close; odd languages are dropped."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", code)), default=0))
    language = language.replace("#", "sharp")  # not every renderer finds a block of `c#`
    info = language if re.fullmatch(r"[A-Za-z][A-Za-z0-9_+-]*", language) else ""
    return f"{fence}{info}\n{code}\n{fence}"


def markdown_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], rules: Sequence[str] = ()
) -> str:
    """Return a Markdown table; each cell must be one line of Markdown without a bare ``|``.

    ``rules`` say how the columns are aligned, such as ``--:``.
    """
    lines = [head, rules or ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def escaped_table(head: Sequence[object], rows: Iterable[Sequence[object]], width: int = 80) -> str:
    """Return a Markdown table of untrusted values, each cut to ``width`` characters."""
    cells = [[escape_cell(value, width) for value in row] for row in (head, *rows)]
    # Pandoc divides the page by the lengths of the rules, if a line is longer than 72 characters.
    rules = ["-" * min(3 + max(map(len, column)), 40) for column in zip(*cells, strict=True)]
    return markdown_table(cells[0], cells[1:], rules if len("".join(rules)) > 60 else ())


def escape_cell(value: object, width: int = 80) -> str:
    """Return untrusted ``value`` on one line, cut to ``width`` characters, as literal text."""
    return escape_markdown(truncate(one_line(str(value)), width))


def code_span(text: object) -> str:
    """Return untrusted ``text`` on one line, as a code span or, with a back-tick, as plain text."""
    line = one_line(str(text))
    return escape_markdown(line) if "`" in line or not line else f"`{line}`"


def one_line(text: str) -> str:
    """Return ``text`` on one line and without control sequences."""
    from aeron_magic.plaintext import strip_control_sequences  # 4 ms

    return " ".join(strip_control_sequences(text).split())


def truncate(text: str, width: int) -> str:
    """Return ``text``, cut to ``width`` characters with ``…`` at the end if it is longer."""
    return text if len(text) <= width else text[: width - 1] + "…"


def plural(count: int, noun: str) -> str:
    """Return the count with its noun: "1 turn", "1,200 turns"."""
    return f"{count:,} {noun}{'s' * (count != 1)}"
