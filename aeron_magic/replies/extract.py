"""JSON and code blocks in a reply's text, found by the parser that renders it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

from aeron_magic.errors import ReplyFormatError, UsageError
from aeron_magic.markdown_text import MAX_CHARACTERS, MAX_LINES, is_long, truncate

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

PREVIEW = 60
"""Characters of the reply that an error shows."""

MAX_TRIES = 1_000
"""Brackets in prose that are tried as the beginning of JSON."""

JSON_LINES = ("jsonl", "jsonlines", "ndjson")
PROSE = ("", "text", "txt", "plain", "plaintext", "markdown", "md", "output", "http")
"""Languages of blocks in which JSON is looked for as in prose."""

_DECODER = json.JSONDecoder(strict=False)
_NEXT_LINE = re.compile(r"(?:[^\S\n]*+\n|\A)\s*+(?=[\[{])")
_BRACKET = re.compile(r"(?P<joined>(?<=[A-Za-z0-9_)\]}]))?[\[{]")
"""A bracket in prose. A ``joined`` one begins JSON only if there is an object: it can be an index,
as in ``fees["card"]``. Only letters of ASCII: Chinese has no blanks between words.
"""
_JSON_BEGUN = re.compile(
    r"\{\s*\"[^\"\n]*\"\s*:|\[\s*(?:[\[{]\s*[\"\[{\d]|\"[^\"\n]*\"\s*[,\]])"
    r"|(?P<other>(?<!\{)\{\s*(?:'[^'\n]*'|[A-Za-z_]\w*)\s*:)"
)
_STRING_OR_BRACKET = re.compile(r"\"(?:[^\"\\]|\\.)*+\"?|[\[\]{}]", re.DOTALL)

ALIASES = {"py": "python", "python3": "python", "ipython": "python", "js": "javascript"}
ALIASES |= {"ts": "typescript", "sh": "bash", "shell": "bash", "yml": "yaml"}
ALIASES |= {"zsh": "bash", "pycon": "python", "c++": "cpp", "c#": "csharp", "cs": "csharp"}
ALIASES |= {"golang": "go", "rs": "rust", "rb": "ruby", "jl": "julia", "kt": "kotlin"}
ALIASES |= {"md": "markdown", "ps1": "powershell", "docker": "dockerfile", "tex": "latex"}
SESSIONS = ("console", "shell-session", "shellsession", "terminal")
"""Languages of blocks in which commands have a prompt and are followed by their output."""
ALIASES |= dict.fromkeys(SESSIONS, "bash")
_PROMPTED = re.compile(r"\s*(?:#[^\n]*\n\s*)*+\$ ")
_SHELL_COMMAND = re.compile(
    r"^(?:(?:\([^()\n]{1,40}\) ?)?(?:\S{1,80}@[^$%\n]{1,80})?[$%]|>) (.*)", re.MULTILINE
)
_PYTHON_COMMAND = re.compile(r"^(?:>>>|\.\.\.)(?: (.*)|$)", re.MULTILINE)


@cache
def _parser(*, html: bool) -> MarkdownIt:
    from markdown_it import MarkdownIt

    from aeron_magic.replies.tex_math import install_table_rules

    parser = MarkdownIt("commonmark", {"html": html}).enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    install_table_rules(parser)
    return parser


def block_tokens(text: str, *, html: bool = False) -> list[Token]:
    """The block tokens of the Markdown ``text``: CommonMark with tables; raw HTML with ``html``."""
    return _parser(html=html).parse(text)


def reply_tokens(text: str) -> list[Token]:
    """The block tokens of a reply; raises ReplyFormatError if it is too long for the parser."""
    text = re.sub("\r\n?", "\n", text)
    if is_long(text):
        raise ReplyFormatError(
            f"The reply is too long to look for tables and code blocks: {len(text):,} characters.",
            hint=f"At most {MAX_CHARACTERS:,} characters, and {MAX_LINES:,} lines and cells of "
            "tables, are read. Read the text of the reply with your own code.",
        )
    return block_tokens(text)


def lines_of(text: str) -> list[str]:
    """The lines that the ``map`` of a block token counts."""
    return re.split("\r\n?|\n", text)


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """A fenced code block.

    Attributes:
    * ``language``: in lower case; empty if the fence names none.
    * ``code``: without the last line end.
    * ``line``: the line of the reply, from 1, on which the code begins.
    """

    language: str
    code: str
    line: int


def code_blocks(text: str) -> list[CodeBlock]:
    """The fenced code blocks of ``text`` in order; an unclosed one goes to the end.

    Raises ReplyFormatError if the text is too long for the parser.
    """
    if "```" not in text and "~~~" not in text:
        return []  # without importing the parser
    return [
        CodeBlock(fence_language(token.info), token.content.removesuffix("\n"), token.map[0] + 2)
        for token in reply_tokens(text)
        if token.type == "fence" and token.map
    ]


def fence_language(info: str) -> str:
    """The language in an info string such as ``{.python}`` or ``python:app.py``, in lower case."""
    words = info.strip(" \t{}.").split(maxsplit=1)
    return words[0].partition(":")[0].strip("{}.,").lower() if words else ""


def cell_kind(info: str, code: str) -> Literal["code", "bash", "session", "raw"]:
    """What a notebook's cell needs to be for a code block: ``bash`` is a cell with ``%%bash``.

    ``session`` is such a cell with the commands of a shell, without their output.

    ``info`` is the fence's info string, or the language.

    A block without a language is taken for Python; magics are code in a block of any language.
    """
    language = fence_language(info)
    name = ALIASES.get(language, language)
    if name in ("", "python") or code.lstrip().startswith(("%", "!")):
        return "code"
    if name != "bash":
        return "raw"
    return "session" if language in SESSIONS and _SHELL_COMMAND.search(code) else "bash"


def cell_source(block: CodeBlock) -> str:
    """The source of a code cell for a block: without prompts, and a shell script in ``%%bash``."""
    kind, code = cell_kind(block.language, block.code), block.code
    if kind == "session":
        code = "\n".join(_SHELL_COMMAND.findall(code))
    elif kind == "bash" and _PROMPTED.match(code):
        code = re.sub(r"(?m)^\$ ", "", code)
    elif kind == "code" and code.startswith(">>> "):
        code = "\n".join(_PYTHON_COMMAND.findall(code))
    return f"%%bash\n{code}" if kind in ("bash", "session") else code


def extract_code(text: str, language: str | None = None, number: int = 1) -> str:
    """The code of block ``number`` (from 1), counting only those in ``language`` if given.

    Raises ReplyFormatError if the reply has no such block.
    """
    if not isinstance(language, str | None):
        raise UsageError(
            f"A language is a text, not {type(language).__name__}.",
            hint="For the second block write `code(number=2)`.",
        )
    check_number(number)
    blocks = code_blocks(text)
    matching = [one for one in blocks if language is None or _same(one.language, language)]
    if 1 <= number <= len(matching):
        return matching[number - 1].code
    kind = "code block" if language is None else f"code block in {language or 'no language'}"
    if matching:
        raise ReplyFormatError(
            f"The reply has no {kind} number {number}; it has {len(matching)}.",
            hint="They are counted from 1.",
        )
    others = ", ".join(sorted({one.language or "no language" for one in blocks}))
    found = f"its blocks are in: {others}" if blocks else preview(text)
    raise ReplyFormatError(
        f"The reply has no {kind}; {found}.", hint="Ask for the code in a fenced block."
    )


def check_number(number: object) -> None:
    """Raise UsageError unless ``number`` can count blocks or tables."""
    if not isinstance(number, Integral):
        raise UsageError(
            f"A number is a whole number from 1, not {type(number).__name__}.",
            hint="For the second one write `number=2`.",
        )


def _same(one: str, other: str) -> bool:
    one, other = (ALIASES.get(name.lower(), name.lower()) for name in (one, other))
    return one == other


def extract_json(text: str) -> Any:
    """The JSON in ``text``.

    Tried in this order: blocks marked as JSON, the whole text, other blocks, and the longest
    object or list in the prose, but not in code of another language. Several objects or lists, each
    on lines of its own, are JSON Lines: a list of them. Raises ReplyFormatError if there is none;
    for broken JSON with the line and column in the reply.
    """
    blocks = [] if is_long(text) else code_blocks(text)
    marked = [one for one in blocks if "json" in one.language]
    whole = CodeBlock("", text, 1)
    problem: ReplyFormatError | None = None
    for block in (*marked, whole, *(one for one in blocks if one not in marked)):
        try:
            return _loaded(block.code, is_lines=block.language in JSON_LINES)
        except ValueError as error:
            if problem is None and (block in marked or _are_broken_lines(error)):
                problem = _broken(error, block, text)
    if problem is not None:
        raise problem
    prose = _without_code(text) if blocks else text
    length, value = max(_in_prose(prose), key=lambda found: found[0], default=(0, None))
    if isinstance(value, ValueError):
        raise _broken(value, CodeBlock("", prose, 1), text)
    if length:
        return value
    raise ReplyFormatError(
        f"The reply has no JSON; {preview(text)}.",
        hint="Ask for JSON explicitly, such as “Answer with JSON only”.",
    )


def _loaded(text: str, *, is_lines: bool = False) -> Any:
    """The JSON value that is all of ``text``; control characters may be unescaped."""
    text = text.lstrip("\ufeff")
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:
        if not (values := list(_lines(text))):
            raise
        return values
    return [value] if is_lines and not isinstance(value, list) else value


def _lines(text: str) -> Iterator[Any]:
    """The objects and lists of ``text``, if there is nothing else and each begins a line."""
    position = 0
    found: list[Any] = []
    while match := _NEXT_LINE.match(text, position):
        try:
            value, position = _DECODER.raw_decode(text, match.end())
        except (ValueError, RecursionError):
            return
        found.append(value)
    if not text[position:].strip():
        yield from found


def _are_broken_lines(error: ValueError) -> bool:
    """Whether JSON follows JSON on a line of its own, but is broken or followed by other text."""
    if not isinstance(error, json.JSONDecodeError) or error.msg != "Extra data":
        return False
    text, end = error.doc, error.pos
    return text[:end].rstrip(" \t").endswith("\n") and bool(_JSON_BEGUN.match(text, end))


def _broken(error: ValueError, block: CodeBlock, text: str) -> ReplyFormatError:
    where, problem = f"line {block.line}", str(error)
    if isinstance(error, json.JSONDecodeError):
        line = block.line + error.lineno - 1
        code = block.code.split("\n")[error.lineno - 1]
        indent = len("".join(lines_of(text)[line - 1 : line])) - len(code)
        where = f"line {line}, column {error.colno + max(0, indent)}"
        problem = f"{error.msg}, at {code[error.colno - 1 :][:PREVIEW]!r}"
    return ReplyFormatError(
        f"The reply's JSON is broken: {where} of the reply: {problem}.",
        hint="Ask again, or correct the text of the reply and read it with the json module.",
    )


def _without_code(text: str) -> str:
    """``text`` with empty lines instead of the blocks in a language that is not JSON or prose."""
    lines = lines_of(text)
    for token in reply_tokens(text):
        language = fence_language(token.info) if token.type == "fence" else ""
        if language not in PROSE and "json" not in language and token.map:
            lines[slice(*token.map)] = [""] * (token.map[1] - token.map[0])
    return "\n".join(lines)


def _in_prose(text: str) -> Iterator[tuple[int, Any]]:
    """Objects and lists in ``text``, each with its length; none inside another.

    One that is broken is an error with the length of its text, so that no part of it is taken for
    the whole. What may be of another language, such as ``{a: 1}``, has the length 1.
    """
    position = 0
    for _ in range(MAX_TRIES):
        match = _BRACKET.search(text, position)
        if match is None:
            return
        begin = match.start()
        try:
            value, position = _DECODER.raw_decode(text, begin)
        except (ValueError, RecursionError) as error:
            begun = _JSON_BEGUN.match(text, begin)
            if begun and match["joined"] is not None and ("{" not in begun[0] or begun["other"]):
                begun = None
            position = _end_of_brackets(text, begin) if begun else begin + 1
            if begun and isinstance(error, ValueError):
                yield 1 if begun["other"] else position - begin, error
        else:
            first = value[0] if value and isinstance(value, list) else value
            if match["joined"] is None or (first and isinstance(first, dict)):
                yield position - begin, value


def _end_of_brackets(text: str, begin: int) -> int:
    """The end of the object or list that begins there; the end of ``text`` if it has none."""
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text, begin):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(match[0], 0)
        if not depth:
            return match.end()
    return len(text)


def preview(text: str) -> str:
    """The beginning of ``text``, as a part of an error message."""
    start = " ".join(text.split())
    return f"it begins “{truncate(start, PREVIEW)}”" if start else "it is empty"
