"""JSON and code blocks in a reply's text.

A fence is a line that begins with three or more backticks or tildes, however far it is indented,
up to the next such line that is as long; one that is never closed goes to the end, as in
CommonMark.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aeron_magic.errors import ReplyFormatError

__all__ = ["CodeBlock", "code_blocks", "extract_code", "extract_json", "preview"]

FENCE = re.compile(r"^(?P<indent>[ \t>]*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>.*)$")

SHOWN = 60
"""Characters of what was found that an error shows."""

MAX_TRIES = 1_000
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
        held = f"its blocks are in: {others}" if blocks else preview(text)
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
        f"The reply holds no JSON; {preview(text)}.",
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
    for _ in range(MAX_TRIES):
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


def preview(text: str) -> str:
    start = " ".join(text.split())
    if not start:
        return "it is empty"
    return f"it begins “{start[:SHOWN]}{'…' if len(start) > SHOWN else ''}”"
