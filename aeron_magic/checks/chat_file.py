"""A ``.chat.md`` file: questions, their reference replies, and what must hold for the answers.

The file is Markdown. A heading ``## Question`` begins a turn, and ``## Reply`` its reference
reply; what is before the first question is a description. A text is the Markdown below its
heading, or the content of a single block ``verbatim``, which keeps every sign; an HTML comment
that begins a line is left out, also one around whole turns. Below a question a
line ``Image: <https://…>`` adds an image. A fenced block ``expect`` in a turn holds its rules, see
:mod:`aeron_magic.checks.rules`; without one the answer must be the same as the reference.

``{{name}}`` takes a value, and ``\\{{`` is a literal ``{{``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from aeron_magic.checks.rules import SAME, Rule, parse_rule
from aeron_magic.conversations.export import SEAL, save, sealed_markdown
from aeron_magic.errors import AeronError, UsageError
from aeron_magic.markdown_text import escape_cell, fenced, one_line
from aeron_magic.plaintext import strip_control_sequences
from aeron_magic.replies.extract import block_tokens, lines_of

if TYPE_CHECKING:
    from pathlib import Path

    from markdown_it.token import Token

    from aeron_magic.conversations.tree import ConversationTree, Turn

SUFFIX = ".chat.md"
HEADINGS = ("question", "reply")
EXPECT, VERBATIM = "expect", "verbatim"

MAX_TURNS = 10_000

MAX_LINES = 100_000
"""Lines of a file: the parser needs up to a kilobyte for each."""

_IMAGE = re.compile(r"Image: <(\S+)>")
_BARE_IMAGE = re.compile(r"Image:\s*+<?(https?://[^\s<>]++)>?")
_INDENTED = re.compile(r"[ \t]*+(?:`{3}|~{3})[`~]*+[ \t]*+expect\b")
_COMMENTS = re.compile(r"(?:\s*+<!--(?:(?!-->).)*+-->)*+", re.DOTALL)
_UNSEEN = r"\u200b\u2060\ufeff"
_NEARLY = re.compile(
    rf"[ \u00a0{_UNSEEN}]{{0,3}}+(?P<level>#{{1,6}})[\s{_UNSEEN}]*+[*_]*+"
    rf"(?:question|reply|(?P<other>answer|response))[ \t]*+\d*+[*_:.#\s{_UNSEEN}]*+",
    re.IGNORECASE,
)
"""A line that was perhaps meant to begin a turn or a reply; ``other``: below a question only."""
_SEAL_LINE = re.compile(rf"^\[//\]: # \({SEAL}[0-9a-f]{{64}}\)$", re.MULTILINE)


class CheckedTurn(NamedTuple):
    """One question of a file.

    ``parent`` is the index of the turn that it follows, or None. ``line`` is its line in the file.
    ``service`` is the service that it was recorded for, or empty. ``skipped`` is why it cannot be
    asked; empty if it can.
    """

    number: int
    question: str
    parent: int | None = None
    reference: str | None = None
    rules: tuple[Rule, ...] = (SAME,)
    images: tuple[str, ...] = ()
    line: int = 0
    service: str = ""
    skipped: str = ""


@dataclass(slots=True)
class _Section:
    """What is below one heading; ``line`` is the heading's, from 1."""

    kind: str
    line: int
    text: str = ""
    verbatim: bool = False
    rules: list[Rule] = field(default_factory=list)
    images: list[str] = field(default_factory=list)


def read_chat(text: str, name: str) -> tuple[CheckedTurn, ...]:
    """The turns of a file.

    * ``text``: the file's content.
    * ``name``: the file's name, for errors.

    Raises UsageError: it is not such a file, or a line of it is invalid; the message names the
    line.
    """
    turns: list[CheckedTurn] = []
    for section in _sections(text, name):
        if section.kind == "question":
            if not section.text.strip():
                raise _error(name, section.line, "the question is empty", "Write it below.")
            parent = len(turns) - 1 if turns else None
            turns.append(
                CheckedTurn(
                    len(turns) + 1,
                    section.text,
                    parent,
                    rules=tuple(section.rules),
                    images=tuple(section.images),
                    line=section.line,
                )
            )
            if len(turns) > MAX_TURNS:
                raise _error(name, section.line, f"more than {MAX_TURNS:,} questions", "Divide it.")
        elif not turns or turns[-1].reference is not None:
            hint = "Each `## Reply` belongs to the `## Question` before it."
            raise _error(name, section.line, "this reply has no question", hint)
        else:
            rules = (*turns[-1].rules, *section.rules)
            turns[-1] = turns[-1]._replace(reference=section.text, rules=rules)
    if not turns:
        raise UsageError(
            f"{name} has no question.",
            hint="`%aeron export NAME.chat.md` writes such a file; a turn begins with the line "
            "`## Question`.",
        )
    return tuple(_completed(turn, name) for turn in turns)


def _completed(turn: CheckedTurn, name: str) -> CheckedTurn:
    """``turn`` with the rule that holds without an expect block."""
    rules = turn.rules or (SAME,)
    if turn.reference is None and (same := [rule for rule in rules if rule.keyword == "same"]):
        raise _error(
            name,
            same[0].line or turn.line,
            "this question has no reference reply",
            "Write it below a line `## Reply`, or state in a block `expect` what must hold.",
        )
    return turn._replace(rules=rules)


def _error(name: str, line: int, problem: str, hint: str) -> UsageError:
    return UsageError(f"{name}, line {line}: {problem}.", hint=hint)


def _sections(text: str, name: str) -> list[_Section]:
    """The sections of a file, in order."""
    if text.count("\n") > MAX_LINES:
        raise _error(name, MAX_LINES, f"more than {MAX_LINES:,} lines", "Divide it.")
    if seals := list(_SEAL_LINE.finditer(text)):
        text = text[: seals[-1].start()] + text[seals[-1].end() :]
    text = _without_comments(text, name)
    lines, tokens = lines_of(text), block_tokens(text)
    begins = [
        (index, token.map, tokens[index + 1].content.strip().lower())
        for index, token in enumerate(tokens)
        if token.type == "heading_open"
        and token.tag == "h2"
        and token.level == 0
        and token.map
        and tokens[index + 1].content.strip().lower() in HEADINGS
    ]
    for token in tokens[: begins[0][0] if begins else 0]:
        if (
            token.type == "fence"
            and token.map
            and (token.info.lower().split() or [""])[0] == EXPECT
        ):
            hint = "Write it below the question or the reply for which it holds."
            raise _error(name, token.map[0] + 1, "an expect block before the first question", hint)
    _refuse_near_headings(lines, tokens, {span[0]: kind for _, span, kind in begins}, name)
    ends = [*((index, span[0]) for index, span, _ in begins[1:]), (len(tokens), len(lines))]
    sections = []
    for (index, span, kind), (next_index, end) in zip(begins, ends if begins else (), strict=True):
        section = _Section(kind, span[0] + 1)
        _fill(section, tokens[index + 3 : next_index], lines, range(span[1], end), name)
        sections.append(section)
    return sections


def _without_comments(text: str, name: str) -> str:
    """``text`` without HTML comments that begin a line; the lines keep their numbers."""
    if "<!--" not in text:
        return text
    lines = lines_of(text)
    for token in block_tokens(text, html=True):
        if token.type == "html_block" and token.map and not token.level:
            first, end = token.map
            comments = _COMMENTS.match(token.content)
            rest = token.content[comments.end() :] if comments else ""
            if rest.lstrip().startswith("<!--"):
                raise _error(name, first + 1, "this comment is not closed", "End it with `-->`.")
            if rest != token.content:
                after = rest.removesuffix("\n").split("\n")
                lines[first:end] = [""] * (end - first - len(after)) + after
    return "\n".join(lines)


def _refuse_near_headings(
    lines: Sequence[str], tokens: Sequence[Token], kinds: Mapping[int, str], name: str
) -> None:
    """Raise for a line such as ``### Reply``: the reply would be a part of the question."""
    fences = [token.map for token in tokens if token.type == "fence" and token.map]
    code = {number for span in fences for number in range(*span)}
    kind = ""
    for number, line in enumerate(lines):
        kind = kinds.get(number, kind)
        if number in kinds or number in code or not (match := _NEARLY.fullmatch(line)):
            continue
        if not kind and match["level"] == "#":
            continue  # the title of the file
        if kind == "question" or not match["other"]:
            raise _error(
                name,
                number + 1,
                f"`{one_line(line)}` begins neither a question nor a reply",
                "Write `## Question` or `## Reply`; a text that contains such a line belongs in a "
                "block `verbatim`.",
            )


def _fill(
    section: _Section, tokens: Sequence[Token], lines: Sequence[str], own: range, name: str
) -> None:
    """Read the text, the rules and the images of a section, whose lines are ``own``."""
    kept = {number: lines[number] for number in own}
    verbatim: list[Token] = []
    for token in tokens:
        if not token.map:
            continue
        first, end = token.map
        if token.type == "fence":
            info = (token.info.split() or [""])[0].lower()
            if token.level == 0 and not _is_closed(token, lines):
                raise _error(
                    name, first + 1, "this block is not closed", f"End it with {token.markup}"
                )
            if info != EXPECT and re.match(r"[{.]*expect(?:ed|s)?\b", info):
                hint = "Begin the block with ```expect alone."
                raise _error(name, first + 1, f"`{info}` is not an expect block", hint)
            if info == EXPECT:
                if token.level:
                    hint = "Write it without indentation and quotation marks."
                    raise _error(name, first + 1, "this expect block is inside another block", hint)
                section.rules += _rules(token.content, first + 2, name)
                for line in range(first, end):
                    del kept[line]
            elif info == VERBATIM and token.level == 0:
                verbatim.append(token)
        elif token.type == "code_block" and _INDENTED.match(token.content):
            hint = "Write it without a tab, and with at most three blanks before it."
            raise _error(name, first + 1, "this expect block is indented", hint)
        elif section.kind == "question" and token.type == "paragraph_open" and not token.level:
            for line in range(first, end):
                if image := _IMAGE.fullmatch(lines[line].strip()):
                    section.images.append(image[1])
                    del kept[line]
                elif image := _BARE_IMAGE.fullmatch(lines[line].strip()):
                    hint = f"Write `Image: <{image[1]}>`, or the whole text in a block `verbatim`."
                    raise _error(name, line + 1, "this image would be sent as text", hint)
    whole = {number for number, line in kept.items() if line.strip()}
    if len(verbatim) == 1 and verbatim[0].map and whole <= set(range(*verbatim[0].map)):
        section.text, section.verbatim = verbatim[0].content.removesuffix("\n"), True
    else:
        section.text = "\n".join(kept.values()).strip("\n")


def _is_closed(fence: Token, lines: Sequence[str]) -> bool:
    first, end = fence.map or (0, 0)
    last = lines[end - 1].strip()
    return end - 1 > first and last.startswith(fence.markup) and not last.strip(fence.markup[0])


def _rules(content: str, line: int, name: str) -> Iterator[Rule]:
    """The rules of an expect block whose first line is ``line``."""
    rules = []
    for number, text in enumerate(content.split("\n"), line):
        if text.strip():
            try:
                rules.append(parse_rule(text, number))
            except UsageError as error:
                raise _error(name, number, error.message.rstrip("."), error.hint) from None
    if not rules:
        hint = "Write a rule into it; `matches: .` accepts any reply."
        raise _error(name, line - 1, "this expect block is empty", hint)
    return iter(rules)


def write_chat(tree: ConversationTree, path: Path) -> int:
    """Write the current branch up to its newest reply; return the number of its turns.

    Raises UsageError: as for :func:`turns_to_check` and
    :func:`aeron_magic.conversations.export.write`.
    """
    turns = turns_to_check(tree)
    save(chat_text(tree.name, turns), path)
    return len(turns)


def turns_to_check(tree: ConversationTree) -> list[Turn]:
    """The current branch up to its newest reply.

    Raises UsageError: one of its turns has no complete reply, or it continues a reply that is not a
    part of it.
    """
    turns = tree.head.path() if tree.head is not None else []
    if not turns:
        raise UsageError(
            "No turn of the current branch has a complete reply to check against.",
            hint="Ask something with %%aeron first.",
        )
    incomplete = next((turn for turn in turns if not turn.revision), None)
    if incomplete is not None:
        raise UsageError(
            f"Turn {incomplete.label} has no complete reply to check against.",
            hint="Run its cell and those after it again, then export.",
        )
    if turns[0].parent_token is not None:
        raise UsageError(
            "This branch continues a reply that is not a part of it, which a check cannot repeat.",
            hint="Ask the questions in a new conversation, from its beginning.",
        )
    return turns


def chat_text(title: str, turns: Iterable[Turn]) -> str:
    """The content of a file with these turns, without active content."""
    parts = [f"# {escape_cell(title)}"]
    for turn in turns:
        parts += ["## Question", _text(turn.question)]
        parts += [f"Image: <{address}>" for address in turn.images]
        parts += ["## Reply", _text(turn.reply.text if turn.reply else "")]
    return sealed_markdown("\n\n".join(parts) + "\n")


def _text(text: str) -> str:
    """``text`` as Markdown where it is safe and can be read back, else as a block."""
    from aeron_magic.rendering.mimebundle import to_markdown

    text = strip_control_sequences(text).replace("{{", "\\{{")
    if to_markdown(text) == text:
        try:
            section, *others = _sections(f"## Question\n\n{text}\n\n## Question\n\nnext\n", "")
        except AeronError:
            return fenced(text, VERBATIM)
        read = (section.text, section.verbatim, section.rules, section.images, len(others))
        if read == (text, False, [], [], 1):
            return text
    return fenced(text, VERBATIM)
