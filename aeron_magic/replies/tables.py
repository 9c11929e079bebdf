"""Markdown tables in a reply, as rows or as a DataFrame; pandas is imported only for the latter."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from html import unescape
from typing import Any

from aeron_magic.errors import ReplyFormatError
from aeron_magic.replies.extract import check_number, code_blocks, lines_of, preview, reply_tokens
from aeron_magic.replies.spellings import MAX_INT

PROSE = ("", "markdown", "md", "text")
"""Languages of code blocks that may hold a table."""

ESCAPE = re.compile(
    r"(?P<same>(?<!`)(?P<ticks>`++).{1,1000}?(?<!`)(?P=ticks)(?!`)"
    r"|\\\(.{1,1000}?\\\)|\$(?!\s)[^$`]+(?<!\s)\$(?!\d))"
    r"|\\(?P<escaped>[!-/:-@\[-`{-~])|&#?\w{1,32};"
)
"""Code and formulas, which are kept as they are; escapes and character references."""

WRAPPED = re.compile(r"^(\*\*|__|`|\*|_)(?P<inner>[^*_`]+)\1$")

INTEGER = re.compile(r"[+-]?(?:0|[1-9]\d*|[1-9]\d{0,2}(?:,\d{3})+|[1-9]\d?(?:,\d\d)+,\d{3})")

NUMBER = re.compile(rf"{INTEGER.pattern}(?:\.\d+)?(?:[eE][+-]?\d+)?|[+-]?\.\d+")

DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts; ``source`` is its Markdown. Every row has as many cells as the head."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    source: str


def tables(text: str) -> list[Table]:
    """The tables of ``text`` in order; if there are none, those in its blocks without code."""
    prose = (block.code for block in code_blocks(text) if block.language in PROSE)
    return _tables(text) or [table for code in prose for table in _tables(code)]


def _tables(text: str) -> list[Table]:
    """The tables of ``text``; a row without a bar ends a table here, though not in Markdown."""
    if "|" not in text:
        return []  # without importing the parser
    lines = lines_of(text)
    found: list[Table] = []
    rows: list[list[str]] = []
    for token in reply_tokens(text):
        if token.type == "table_open" and token.map:
            begin, end = token.map
            rows = []
        elif token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and rows:
            rows[-1].append(_plain(token.content))
        elif token.type == "table_close":
            end = next((n for n in range(begin + 2, end) if "|" not in lines[n]), end)
            head, *body = rows[: end - begin - 1]
            source = "\n".join(line.strip(" \t>") for line in lines[begin:end])
            found.append(Table(_distinct(head), tuple(map(tuple, body)), source))
            rows = []
    return found


def _plain(cell: str) -> str:
    """A cell's text without the Markdown around all of it."""
    cell = re.sub(r"<br\s*/?>", "\n", cell.strip())
    while match := WRAPPED.match(cell):
        cell = match["inner"].strip()
    return ESCAPE.sub(lambda match: match["same"] or match["escaped"] or unescape(match[0]), cell)


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """``names``, with a number added to those that occur earlier."""
    counts: dict[str, int] = {}
    for name in names:
        fresh, count = name, counts.get(name, 1)
        while fresh in counts:
            count += 1
            fresh = f"{name}_{count}"
        counts[name] = count
        counts[fresh] = 1
    return tuple(counts)


def extract_table(text: str, number: int = 1) -> Table:
    """Table ``number`` (from 1) of ``text``; raises ReplyFormatError if there is none."""
    check_number(number)
    found = tables(text)
    if 1 <= number <= len(found):
        return found[number - 1]
    missing = f"no table number {number}; it has {len(found)}" if found else "no table"
    raise ReplyFormatError(
        f"The reply has {missing}; {preview(text)}.", hint="Ask for a Markdown table."
    )


def table_to_dataframe(text: str, number: int = 1) -> Any:
    """Table ``number`` (from 1) as a DataFrame; without pandas, as a list of dictionaries.

    A column is of integers, decimal numbers, dates (``2026-11-21``) or truth values (``true``,
    ``false``) if all its non-empty cells are; else it is text. Numbers may have commas, as in
    ``1,200,000`` or ``12,00,000``. So a number with a unit or a percent sign stays text, and so
    do ``007`` and a number with more digits than its type keeps. Empty cells are missing values in
    columns that are not text.
    """
    table = extract_table(text, number)
    columns = {
        name: _typed([row[index] for row in table.rows]) for index, name in enumerate(table.head)
    }
    try:
        import pandas
    except ImportError:
        values = zip(*(values for values, _ in columns.values()), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in values]
    return pandas.DataFrame(
        {name: pandas.array(values, dtype=kind) for name, (values, kind) in columns.items()}
    )


def _typed(cells: list[str]) -> tuple[list[Any], Any]:
    """The values of a column, and its pandas dtype."""
    full = [cell.replace("\N{MINUS SIGN}", "-") for cell in cells if cell]
    if not full:
        return list(cells), "str"
    missing = len(full) < len(cells)

    def values(read: Any) -> list[Any]:
        known = map(read, full)
        return [next(known) if cell else None for cell in cells]

    if all(map(NUMBER.fullmatch, full)):
        whole = [Decimal(cell.replace(",", "")) for cell in full if INTEGER.fullmatch(cell)]
        if len(whole) == len(full) and all(abs(number) <= MAX_INT for number in whole):
            return values(lambda cell: int(cell.replace(",", ""))), "Int64" if missing else "int64"
        numbers = values(lambda cell: float(cell.replace(",", "")))
        is_finite = all(math.isfinite(number) for number in numbers if number is not None)
        if is_finite and all(number == float(number) for number in whole):
            return numbers, "float64"
        return list(cells), "str"
    if all(cell.lower() in ("true", "false") for cell in full):
        return values(lambda cell: cell.lower() == "true"), "boolean" if missing else "bool"
    if all(map(DATE.fullmatch, full)):
        try:
            return values(date.fromisoformat), "datetime64[s]"
        except ValueError:
            pass  # such as 2026-02-30: text, then
    return list(cells), "str"
