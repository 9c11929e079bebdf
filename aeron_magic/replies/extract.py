"""What a reply's text holds besides prose: JSON, tables, code.

Pure text in, values out; pandas is imported only for the DataFrame of :func:`frame`.

A fence is a line that begins with three or more backticks or tildes, however far it is indented,
up to the next such line that is as long; one that is never closed goes to the end, as in
CommonMark. A table is a GitHub table: a line of cells, a line of dashes with as many cells, and
the lines with a bar that follow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from aeron_magic.errors import ReplyFormatError

__all__ = [
    "CodeBlock",
    "Table",
    "code_blocks",
    "extract_code",
    "extract_json",
    "extract_table",
    "table_to_dataframe",
    "tables",
]

FENCE = re.compile(r"^(?P<indent>[ \t>]*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>.*)$")
DASHES = re.compile(r"^[ \t>]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
BAR = re.compile(r"(?<!\\)((?:\\\\)*)\|")
ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
WRAPPED = re.compile(r"^(\*\*|__|`|\*|_)(?P<inner>[^*_`]+)\1$")
INTEGER = re.compile(r"[+-]?(?:0|[1-9]\d*|[1-9]\d{0,2}(?:,\d{3})+)")
NUMBER = re.compile(rf"{INTEGER.pattern}(?:\.\d+)?(?:[eE][+-]?\d+)?|[+-]?\.\d+")
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")

SHOWN = 60
"""Characters of what was found that an error shows."""

TRIES = 1_000
"""Brackets in prose at which JSON is looked for."""

ALIASES = {"py": "python", "python3": "python", "ipython": "python", "js": "javascript"}
ALIASES |= {"ts": "typescript", "sh": "bash", "shell": "bash", "yml": "yaml"}

PROSE = ("", "markdown", "md", "text")
"""Languages of fences that may hold a table."""


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """A code block: its ``language`` (in lower case, perhaps empty), its ``code`` without the last
    line end, and the ``line`` (from 1) and ``column`` (from 0) of the text where the code begins.
    """

    language: str
    code: str
    line: int
    column: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts; ``source`` is its Markdown. Every row has as many cells as the head."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    source: str


def code_blocks(text: str) -> list[CodeBlock]:
    """The code blocks of ``text``, in order."""
    found: list[CodeBlock] = []
    opening: re.Match[str] | None = None
    first, body = 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        match = FENCE.match(line)
        if opening is None:
            # Only a fence of backticks may have none in its info.
            if match and not (match["fence"][0] == "`" and "`" in match["info"]):
                opening, first, body = match, number + 1, []
        elif match and not match["info"].strip() and match["fence"].startswith(opening["fence"]):
            found.append(_fence(opening, body, first))
            opening = None
        else:
            body.append(line)
    if opening is not None:
        found.append(_fence(opening, body, first))
    return found


def _fence(opening: re.Match[str], body: list[str], line: int) -> CodeBlock:
    indent = opening["indent"]
    words = opening["info"].strip(" \t{}.").split(maxsplit=1)
    code = "\n".join(part.removeprefix(indent) for part in body)
    return CodeBlock(words[0].strip("{}.,").lower() if words else "", code, line, len(indent))


def extract_code(text: str, language: str | None = None, number: int = 1) -> str:
    """The code of the block number ``number`` (from 1), of those in ``language`` if that is given.

    Raises
    ------
    ReplyFormatError
        There is no such block.
    """
    blocks = code_blocks(text)
    wanted = [one for one in blocks if language is None or _same(one.language, language)]
    if 1 <= number <= len(wanted):
        return wanted[number - 1].code
    kind = f"code block in {language}" if language else "code block"
    if not wanted:
        others = ", ".join(sorted({one.language or "no language" for one in blocks}))
        held = f"its blocks are in: {others}" if blocks else _preview(text)
        raise ReplyFormatError(
            f"The reply holds no {kind}; {held}.", hint="Ask for the code in a fenced block."
        )
    raise ReplyFormatError(
        f"The reply has no {kind} number {number}; it has {len(wanted)}.",
        hint="They are counted from 1.",
    )


def _same(one: str, other: str) -> bool:
    one, other = one.lower(), other.lower()
    return ALIASES.get(one, one) == ALIASES.get(other, other)


def extract_json(text: str) -> Any:
    """The JSON in ``text``: of its JSON block, else the whole text, else of any block, else the
    longest object or list that stands in the prose.

    Raises
    ------
    ReplyFormatError
        There is none; where a JSON block is broken, with the line and column of the reply.
    """
    blocks = code_blocks(text)
    named = [one for one in blocks if one.language.startswith("json")]
    problem: ReplyFormatError | None = None
    for block in (*named, CodeBlock("", text, 1), *(b for b in blocks if b not in named)):
        try:
            return _loaded(block.code)
        except ValueError as error:
            if block in named and problem is None:
                problem = _broken(error, block)
    if problem is not None:
        raise problem
    best: tuple[int, Any] = (0, None)
    for length, value in _in_prose(text):
        best = max(best, (length, value), key=lambda one: one[0])
    if best[0]:
        return best[1]
    raise ReplyFormatError(
        f"The reply holds no JSON; {_preview(text)}.",
        hint="Ask for JSON in so many words, such as “Answer with JSON only”.",
    )


def _loaded(text: str) -> Any:
    try:
        return json.loads(text.lstrip("\ufeff"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _broken(error: ValueError, block: CodeBlock) -> ReplyFormatError:
    where, what = f"line {block.line}", str(error)
    if isinstance(error, json.JSONDecodeError):
        where = f"line {block.line + error.lineno - 1}, column {error.colno + block.column}"
        what = error.msg
        lines = block.code.splitlines()
        if error.lineno <= len(lines):
            what += f", at {lines[error.lineno - 1][error.colno - 1 :][:SHOWN]!r}"
    return ReplyFormatError(
        f"The reply's JSON is broken: {where} of the reply: {what}.",
        hint="Ask again, or mend the text of the reply and read that with the json module.",
    )


def _in_prose(text: str) -> Iterator[tuple[int, Any]]:
    """Objects and lists that stand in ``text``, with their lengths; none inside another."""
    decoder = json.JSONDecoder()
    at = 0
    for _ in range(TRIES):
        match = re.compile(r"[\[{]").search(text, at)
        if match is None:
            return
        try:
            value, end = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            at = match.end()
            continue
        yield end - match.start(), value
        at = end


def _preview(text: str) -> str:
    start = " ".join(text.split())
    if not start:
        return "it is empty"
    return f"it begins “{start[:SHOWN]}{'…' if len(start) > SHOWN else ''}”"


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
        f"The reply holds {said}; {_preview(text)}.", hint="Ask for a Markdown table."
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
