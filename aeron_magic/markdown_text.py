"""Small pieces of text: Markdown tables, code fences and escapes; truncation; plurals."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from aeron_magic.plaintext import strip_control_sequences

__all__ = [
    "SPECIAL",
    "escape_markdown",
    "fenced",
    "markdown_table",
    "one_line",
    "plural",
    "table_cell",
    "truncate",
]

SPECIAL = r"\`*_[]<>|~$#&!"
"""Characters that can have a meaning in Markdown."""


def escape_markdown(text: str) -> str:
    """Return ``text`` with every special character escaped, so that Markdown shows it as it is."""
    return "".join(f"\\{character}" if character in SPECIAL else character for character in text)


def fenced(code: str, language: str = "") -> str:
    """Return ``code`` as a code block that nothing in it can close; odd languages are dropped."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", code)), default=0))
    info = language if re.fullmatch(r"[\w+#.-]*", language) else ""
    return f"{fence}{info}\n{code}\n{fence}"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; the cells are Markdown on one line, such as `table_cell` returns."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def table_cell(value: object, width: int = 80) -> str:
    """Return untrusted ``value`` as a cell: escaped, on one line, cut to ``width`` characters."""
    return escape_markdown(truncate(one_line(str(value)), width))


def one_line(text: str) -> str:
    """Return ``text`` on one line and without control sequences."""
    return " ".join(strip_control_sequences(text).split())


def truncate(text: str, width: int) -> str:
    """Return ``text``, cut to ``width`` characters with ``…`` at the end if it is longer."""
    return text if len(text) <= width else text[: width - 1] + "…"


def plural(count: int, noun: str) -> str:
    """Return the count with its noun: "1 turn", "1,200 turns"."""
    return f"{count:,} {noun}{'s' * (count != 1)}"
