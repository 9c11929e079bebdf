"""Markdown tables in a reply, as rows or as a DataFrame; pandas is imported only for the latter.

A table is a GitHub table: a line of cells, a line of dashes with as many cells, and the lines with
a bar that follow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from aeron_magic.errors import ReplyFormatError
from aeron_magic.replies.extract import PROSE, code_blocks, preview

__all__ = ["Table", "extract_table", "table_to_dataframe", "tables"]


DASHES = re.compile(r"^[ \t>]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")

BAR = re.compile(r"(?<!\\)((?:\\\\)*)\|")

ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")

WRAPPED = re.compile(r"^(\*\*|__|`|\*|_)(?P<inner>[^*_`]+)\1$")

INTEGER = re.compile(r"[+-]?(?:0|[1-9]\d*|[1-9]\d{0,2}(?:,\d{3})+)")

NUMBER = re.compile(rf"{INTEGER.pattern}(?:\.\d+)?(?:[eE][+-]?\d+)?|[+-]?\.\d+")

DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts; ``source`` is its Markdown. Every row has as many cells as the head."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    source: str


def tables(text: str) -> list[Table]:
    """The tables of ``text`` in order; where there are none, those in its blocks without code."""
    blocks = code_blocks(text)
    lines = text.splitlines()
    for block in blocks:
        first = block.line - 1
        for number in range(first, first + block.code.count("\n") + 1):
            if number < len(lines):
                lines[number] = ""
    return _tables(lines) or [
        table
        for block in blocks
        if block.language in PROSE
        for table in _tables(block.code.splitlines())
    ]


def _tables(lines: Sequence[str]) -> list[Table]:
    found: list[Table] = []
    at = 0
    while at + 1 < len(lines):
        head, dashes = lines[at], lines[at + 1]
        if not (("|" in head or "|" in dashes) and head.strip() and DASHES.match(dashes)):
            at += 1
            continue
        names = _cells(head)
        if len(_cells(dashes)) != len(names):
            at += 1
            continue
        end = at + 2
        while end < len(lines) and "|" in lines[end]:
            end += 1
        rows = tuple(_padded(_cells(line), len(names)) for line in lines[at + 2 : end])
        source = "\n".join(line.strip(" \t>") for line in lines[at:end])
        found.append(Table(_distinct(names), rows, source))
        at = end
    return found


def _cells(line: str) -> tuple[str, ...]:
    line = line.strip(" \t>")
    line = line.removeprefix("|")
    parts = BAR.sub("\\1\0", line).split("\0")
    if len(parts) > 1 and not parts[-1].strip():
        parts.pop()
    return tuple(map(_plain, parts))


def _plain(cell: str) -> str:
    """A cell's text without the Markdown around all of it."""
    cell = re.sub(r"<br\s*/?>", "\n", cell.strip())
    while match := WRAPPED.match(cell):
        cell = match["inner"].strip()
    return ESCAPE.sub(r"\1", cell)


def _padded(cells: tuple[str, ...], width: int) -> tuple[str, ...]:
    return (cells + ("",) * width)[:width]


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """``names``, with a number after those that were there before."""
    taken: list[str] = []
    for name in names:
        count, fresh = 1, name
        while fresh in taken:
            count += 1
            fresh = f"{name}_{count}"
        taken.append(fresh)
    return tuple(taken)


def extract_table(text: str, number: int = 1) -> Table:
    """Table number ``number`` (from 1) of ``text``.

    Raises
    ------
    ReplyFormatError
        There is no such table.
    """
    found = tables(text)
    if 1 <= number <= len(found):
        return found[number - 1]
    said = f"no table number {number}; it has {len(found)}" if found else "no table"
    raise ReplyFormatError(
        f"The reply holds {said}; {preview(text)}.", hint="Ask for a Markdown table."
    )


def table_to_dataframe(text: str, number: int = 1) -> Any:
    """Table number ``number`` (from 1) of ``text``: a DataFrame, or without pandas a list of
    dictionaries with the same values.

    A column is of integers, decimal numbers (both may have commas between thousands), dates
    (``2026-11-21``) or truth values (``true``, ``false``) if all its cells are, empty ones apart;
    else it is text. So what has a unit or a percent sign stays text, and so does ``007``. Empty
    cells are missing values in columns that are not text.

    Raises
    ------
    ReplyFormatError
        There is no such table.
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
    """The values of a column, and the type that pandas calls it."""
    full = [cell.replace("\N{MINUS SIGN}", "-") for cell in cells if cell]
    if not full:
        return list(cells), "str"
    missing = len(full) < len(cells)

    def values(read: Any) -> list[Any]:
        known = map(read, full)
        return [next(known) if cell else None for cell in cells]

    if all(map(INTEGER.fullmatch, full)) and all(len(cell) < 19 for cell in full):
        whole = values(lambda cell: int(cell.replace(",", "")))
        return whole, "Int64" if missing else "int64"
    if all(map(NUMBER.fullmatch, full)):
        return values(lambda cell: float(cell.replace(",", ""))), "float64"
    if all(cell.lower() in ("true", "false") for cell in full):
        return values(lambda cell: cell.lower() == "true"), "boolean" if missing else "bool"
    if all(map(DATE.fullmatch, full)):
        try:
            return values(date.fromisoformat), "datetime64[s]"
        except ValueError:
            pass  # such as 2026-02-30: no dates, then, but texts
    return list(cells), "str"
