"""A growing reply as finished blocks and an open tail, so that the cost of showing it is linear.

Repainting a whole reply for every update costs quadratic time. So its beginning is shown once, in
blocks that no longer change, and only the tail is repainted.

A block ends where one of Markdown's blocks ends, once the open text is longer than a *limit*. What
is still open at twice the limit is split inside: code, a paragraph or a quote at a line, a list at
an item. The next block then repeats the context that it needs, such as the opening fence. A table,
whose HTML is several times as long as its text, is split at a row from the limit on, under a copy
of its head; so is, from the limit on, the rest of whatever was split. A line that is longer than
twice the limit is split at a sentence or a space. Where twice the limit is open, the block takes as
much of it as it can, so that no text is parsed often to find the ends of blocks.

The limit grows, because JupyterLab hides the outputs of a cell after the fiftieth. Above 8,000
finished characters it is one eighth of the excess, if that is more than the initial limit; so 40
outputs hold 100 to 200 kB. After 40 outputs it is the number of finished characters, so that each
further output doubles the total.

The open text is parsed once a repaint, and only from the limit on. Blocks only have to look nearly
like the whole, which is rendered at the end: a link that is defined in another block, for example,
is not resolved before that. What follows `MAX_CHARACTERS` is plain text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it.token import Token
    from markupsafe import Markup

LIMIT = 1_000
"""Characters from which on a block may end."""

FIXED_LIMIT_UP_TO = 8_000
"""Characters of a reply up to which the limit does not grow."""

MAX_OUTPUTS = 40
"""Outputs after which the limit grows faster."""

MAX_CHARACTERS, MAX_LINES = 200_000, 10_000
"""Of the text that is formatted; a cell of a table counts as a line. The rest is plain text."""

CONTEXT_LIMIT = 500
"""Characters of context that are repeated; a longer table head is not."""

_LISTS = {"bullet_list_open", "ordered_list_open"}
_OPEN_AFTER_BLANK_LINE = {*_LISTS, "heading_open", "code_block"}
_UNDERLINE_BEGUN = re.compile(r"(?:\A|(?<=\n)) {0,3}(?:-+|=+)[ \t]*\Z")
_MAY_END_BLOCK = re.compile(r"^[ \t]*(?:\n|```|~~~|\|)", re.MULTILINE)
"""A blank line, a fence or a table row: without one, parsing again finds no better split."""
_END_TAG = re.compile(r"</t[dhr]>\n")
_QUOTED = re.compile(r'="([a-z:-]+)">')
_SENTENCE_END = re.compile(r".*[.!?:;]\s", re.DOTALL)
_WORD_END = re.compile(r".*\s", re.DOTALL)


@dataclass(frozen=True, slots=True)
class MarkdownBlock:
    """A part of a reply that can be rendered separately.

    * ``source``: the text of the part.
    * ``context``: Markdown to put before it: an opening fence, a table's head, a list marker.
    * ``number``: the number of the list item that it begins with, if its text says another one: in
      Markdown every item may be ``1.``.
    * ``is_open``: whether its last line can still grow.
    * ``is_plain``: whether it is shown as it is.
    """

    source: str
    context: str = ""
    number: int | None = None
    is_open: bool = False
    is_plain: bool = False

    @property
    def markdown(self) -> str:
        """The Markdown to render.

        Without the last line of an open block if that is only dashes or equals signs: it may
        become a list item, and would show the line above as a heading for a moment.
        """
        source = self.source
        if self.number is not None:
            source = re.sub(r"\d+", str(self.number), source, count=1)
        if self.is_open:
            source = _UNDERLINE_BEGUN.sub("", source)
        return self.context + source


def render_block(
    block: MarkdownBlock, *, highlight: bool = True, compact: bool = False, cells: bool = False
) -> Markup:
    """Return the HTML of a block; see `aeron_magic.rendering.safe_html.to_html`.

    ``compact``: without optional HTML, which every cell of a table has.
    """
    from markupsafe import Markup

    from aeron_magic.rendering.safe_html import to_html, to_plain_html

    if block.is_plain:
        return to_plain_html(block.source)
    html = to_html(block.markdown, streaming=block.is_open, highlight=highlight, cells=cells)
    if compact:  # text contains no unescaped ``>``
        shorter = _QUOTED.sub(r"=\1>", _END_TAG.sub("", html))
        html = Markup(shorter)  # noqa: S704 - the same elements
    return html


BETWEEN_BLOCKS, AT_ROW, IN_BLOCK, IN_ITEM = range(4)
"""The ranks of a split point, best first."""


@dataclass(frozen=True, slots=True)
class _SplitPoint:
    """A line at which the text may be split, and how the next block begins."""

    rank: int = BETWEEN_BLOCKS
    context: str = ""
    number: int | None = None
    is_plain: bool = False

    def block(self, source: str, *, is_open: bool = False) -> MarkdownBlock:
        """The block that begins here."""
        return MarkdownBlock(source, self.context, self.number, is_open, self.is_plain)


_PLAIN = _SplitPoint(IN_BLOCK, is_plain=True)


class MarkdownStream:
    """Splits a reply, as it arrives, into finished blocks and an open tail.

    * ``limit``: characters from which on the first block may end.
    * ``limit_blocks``: whether the limit grows with the text, to limit the number of blocks.
    """

    def __init__(self, limit: int = LIMIT, *, limit_blocks: bool = True) -> None:
        self._least = self._limit = limit
        self._limit_blocks = limit_blocks
        self._finished: list[MarkdownBlock] = []
        self._finished_chars = 0
        self._chars = self._lines = 0
        self._pops = 0
        self._start = _SplitPoint()
        self._open: list[str] = []
        self._open_chars = 0
        self._parsed = 0

    def add(self, text: str) -> None:
        """Append ``text``, of any length."""
        for begin in range(0, len(text), self._least):
            part = text[begin : begin + self._least]
            self._open.append(part)
            self._open_chars += len(part)
            self._chars += len(part)
            self._lines += max(part.count("\n"), part.count("\r")) + part.count("|")
            if not self._start.is_plain and (
                self._lines > MAX_LINES or self._chars > MAX_CHARACTERS
            ):
                self._begin_plain()
            if self._open_chars >= 2 * self._limit:
                self._split()

    def pop_finished(self) -> list[MarkdownBlock]:
        """Return the blocks that were finished since the last call, to be shown as one output."""
        if self._open_chars >= self._limit and self._is_due():
            self._split()
        finished, self._finished = self._finished, []
        self._pops += bool(finished)
        return finished

    @property
    def tail(self) -> MarkdownBlock:
        """The text after the last finished block."""
        return self._start.block("".join(self._open), is_open=True)

    def _is_due(self) -> bool:
        """Whether a block may have ended since the open text was parsed last."""
        if self._start.rank:
            return self.tail.source.find("\n", max(self._parsed, self._limit - 1)) >= 0
        return _MAY_END_BLOCK.search(self.tail.source, self._parsed) is not None

    def _begin_plain(self) -> None:
        text = "".join(self._open)
        end = text.rfind("\n") + 1 or len(text)
        self._finish_block(text[:end], _PLAIN)
        self._open, self._open_chars, self._parsed = [text[end:]], len(text) - end, 0

    def _split(self) -> None:
        text = "".join(self._open)
        while len(text) >= self._limit and (found := self._find_split(text)):
            end, next_start = found
            self._finish_block(text[:end], next_start)
            text = text[end:]
        self._open, self._open_chars = [text], len(text)
        self._parsed = text.rfind("\n") + 1 if len(text) >= self._limit else 0

    def _find_split(self, text: str) -> tuple[int, _SplitPoint] | None:
        """Return where the first block of ``text`` ends, and how the next one begins."""
        window = text[: 2 * self._limit]
        source = window[: window.rfind("\n") + 1]
        if self._start.is_plain:
            return len(source) or _end_within_line(window), _PLAIN
        block = self._start.block(source)
        points, context = _split_points(block.markdown)
        ends = enumerate(re.finditer("\n", source), block.context.count("\n") + 1)
        # The end is negative, so that the smallest is the best: of one rank, the last.
        splits = [(points[n].rank, -end.end(), points[n]) for n, end in ends if n in points]
        worst = IN_ITEM if self._start.rank else AT_ROW
        good = [
            n for n, (rank, end, _) in enumerate(splits, 1) if rank <= worst and -end >= self._limit
        ]
        is_behind = len(text) >= 2 * self._limit
        if not good and not is_behind:
            return None
        if not splits:
            return _end_within_line(window), _SplitPoint(IN_BLOCK, context)
        _, end, point = min(splits[: good[0] if good and not is_behind else None])
        return -end, point

    def _finish_block(self, source: str, next_start: _SplitPoint) -> None:
        self._finished.append(self._start.block(source))
        self._start = next_start
        self._finished_chars += len(source)
        if self._limit_blocks and self._pops < MAX_OUTPUTS:
            self._limit = max(self._least, (self._finished_chars - FIXED_LIMIT_UP_TO) // 8)
        elif self._limit_blocks:
            self._limit = max(self._least, self._finished_chars)


def _end_within_line(text: str) -> int:
    """Return the end of the last sentence, or else word, in the second half of ``text``."""
    half = len(text) // 2
    found = _SENTENCE_END.match(text, half) or _WORD_END.match(text, half)
    return found.end() if found else len(text)


def _split_points(markdown: str) -> tuple[dict[int, _SplitPoint], str]:
    """Return the split points by line, and the context for a split inside the last line."""
    from aeron_magic.rendering.safe_html import block_tokens, is_unclosed

    tokens = [token for token in block_tokens(markdown) if token.level == 0 or _is_in_list(token)]
    lines = markdown.split("\n")[:-1]
    points: dict[int, _SplitPoint] = {}
    kind = context = marker = ""
    number = block_begin = 0
    for token in tokens:
        if token.map is None:
            continue
        begin, end = token.map
        if token.level == 0:
            if kind != "heading_open":  # a heading stays with what follows it
                points[begin] = _SplitPoint()
            kind, context, marker, block_begin = token.type, "", "", begin
            number = int(token.attrs.get("start", 1)) - 1
            if kind == "fence":
                context = _fence_context(token)
                points |= _fence_points(token, _SplitPoint(IN_BLOCK, context), markdown)
            elif kind == "table_open":
                head = "".join(f"{line}\n" for line in lines[begin : begin + 2])
                context = head if len(head) <= CONTEXT_LIMIT else ""
                row = _SplitPoint(AT_ROW, context)
                points |= dict.fromkeys(range(begin + 3, end + 1), row)
            elif kind not in {*_LISTS, "heading_open"}:
                points |= dict.fromkeys(range(begin + 1, end + 1), _SplitPoint(IN_BLOCK))
        elif token.type == "list_item_open":
            number += 1
            if begin > block_begin:
                is_other = token.info and int(token.info) != number
                points[begin] = _SplitPoint(IN_BLOCK, number=number if is_other else None)
            indent = len(lines[begin]) - len(lines[begin].lstrip())
            marker = " " * indent + token.info + token.markup
            inside = [line for line in range(begin + 1, end) if lines[line][:2].isspace()]
            points |= dict.fromkeys(inside, _SplitPoint(IN_ITEM, f"{marker}\n"))
        elif marker:
            for line in (begin + 1, end - 1):
                points.pop(line, None)
            inner = f"{marker}\n{' ' * (len(marker) + 1)}{_fence_context(token)}"
            points |= _fence_points(token, _SplitPoint(IN_ITEM, inner), markdown)
    if kind == "fence":
        is_complete = not is_unclosed(tokens[-1], markdown)
    else:
        is_complete = not "".join(lines[-1:]).strip() and kind not in _OPEN_AFTER_BLANK_LINE
    if is_complete:
        points[len(lines)] = _SplitPoint()
    return points, context


def _is_in_list(token: Token) -> bool:
    """Whether ``token`` begins an item of a top-level list, or may be a code block in one."""
    return (token.level, token.type) in {(1, "list_item_open"), (2, "fence")}


def _fence_points(fence: Token, point: _SplitPoint, markdown: str) -> dict[int, _SplitPoint]:
    """Return the split points inside a code block, where no part is an empty block."""
    from aeron_magic.rendering.safe_html import is_unclosed

    begin, end = fence.map or (0, 0)
    is_closed = not is_unclosed(fence, markdown)
    return dict.fromkeys(range(begin + 2, end - is_closed), point)


def _fence_context(fence: Token) -> str:
    language = next(iter(fence.info.split()), "")
    return f"{fence.markup}{language[:40]}\n"
