"""A growing reply cut into finished pieces and an open tail, so that showing it stays cheap.

Repainting a whole reply for every update costs the square of its length. So its beginning is
shown once, in pieces that no longer change, and only the tail is painted again.

A piece ends where a block of Markdown ends, once the open part is longer than a *limit*. What
does not end by itself within twice the limit is cut inside: a fence at a line, a list at an item,
other text at a line; and goes on in the next piece within the context that it needs, a fence that
is opened again. A table, whose HTML is several times as long as its text, is cut at a row from the
limit on, and goes on below its head; and so is, from the limit on, the rest of whatever was cut. A
line that is longer than twice the limit is cut at a sentence or a space.

The limit grows with the text, because JupyterLab hides the outputs of a cell after the fiftieth:
past the length of most replies it is an eighth of what came since, so that 40 pieces hold
100 to 200 kB, and after these each piece may double the whole.

A line is looked at once, when it is complete, so the work is linear in the text however it comes
in. The pieces need only look nearly like the whole, which is rendered from one text at the end:
a link that another piece defines, for one, is not resolved before that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from aeron_magic.rendering.mimebundle import to_html

__all__ = ["LIMIT", "MarkdownBlock", "MarkdownStream", "render_block"]

LIMIT = 1_000
"""Characters from which on a piece ends at the next block."""

FIXED_LIMIT_UP_TO = 8_000
"""Characters of a reply up to which the limit stays."""

MAX_OUTPUTS = 40
"""Outputs after which the limit grows faster."""

CONTEXT_LIMIT = 500
"""Characters of context that are worth repeating; a longer head of a table is not."""

_FENCE = re.compile(r"[ \t]*(?P<marker>`{3,}(?=[^`]*$)|~{3,})[ \t]*(?P<language>[^\s`]{0,40})")
_ITEM = re.compile(r"(?P<marker> {0,3}(?:[-*+]|(?P<number>\d{1,9})[.)]))(?=\s)")
_HEADING = re.compile(r" {0,3}#{1,6}(?=\s)")
_MATH = re.compile(r" {0,3}(?:(?P<dollars>\$\$)|\\\[)")
_UNDERLINE_BEGUN = re.compile(r"(?:\A|(?<=\n)) {0,3}(?:-+|=+)[ \t]*\Z")
_SENTENCE_END = re.compile(r".*[.!?:;]\s", re.DOTALL)
_WORD_END = re.compile(r".*\s", re.DOTALL)


@dataclass(frozen=True, slots=True)
class MarkdownBlock:
    """A part of a reply that can be rendered by itself.

    Parameters
    ----------
    source
        The part, letter for letter.
    context
        Markdown that must stand before it: a fence that is open, a table's head.
    number
        The number of the list item it begins with: Markdown lets every item say ``1.``.
    is_open
        Whether more may follow within its last line.
    """

    source: str
    context: str = ""
    number: int | None = None
    is_open: bool = False

    @property
    def markdown(self) -> str:
        """The part with what it needs to be rendered alone.

        Of an open part, a last line that may yet become a list item or the underline of a
        heading is left out: for a moment it would show what stands above it as a heading.
        """
        source = self.source
        if self.number is not None:
            source = re.sub(r"\d+", str(self.number), source, count=1)
        if self.is_open:
            source = _UNDERLINE_BEGUN.sub("", source)
        return self.context + source


def render_block(piece: MarkdownBlock, *, plain: bool = False) -> str:
    """Return the HTML of one piece; with ``plain``, without colours in code."""
    return to_html(piece.markdown, streaming=piece.is_open, plain=plain)


class MarkdownStream:
    """Takes a reply as it comes; gives its finished pieces and the open tail.

    Parameters
    ----------
    limit
        Characters from which on the first piece ends at the next block.
    limit_blocks
        Whether the limit grows with the text, so that the pieces stay few; else it stays.
    """

    def __init__(self, limit: int = LIMIT, *, limit_blocks: bool = True) -> None:
        self._least = self._limit = limit
        self._limit_blocks = limit_blocks
        self._blocks = _Blocks()
        self._ready: list[MarkdownBlock] = []
        self._count = 0
        self._finished_chars = 0
        self._start = _SplitPoint()
        self._split_points: dict[int, tuple[int, _SplitPoint]] = {}
        self._lines: list[str] = []
        self._lines_length = 0
        self._unfinished: list[str] = []
        self._unfinished_length = 0
        self._goes_on = False

    def add(self, text: str) -> None:
        """Take the next ``text`` of the reply, of any length."""
        for begin in range(0, len(text), self._least):
            self._add(text[begin : begin + self._least])

    def pop_finished(self) -> list[MarkdownBlock]:
        """Return the pieces that were finished since the last call: to be shown as one."""
        ready, self._ready = self._ready, []
        self._count += bool(ready)
        return ready

    @property
    def tail(self) -> MarkdownBlock:
        """What is not finished."""
        source = "".join([*self._lines, *self._unfinished])
        return MarkdownBlock(source, self._start.context, self._start.number, is_open=True)

    def _add(self, text: str) -> None:
        if "\n" in text:
            *ends, text = text.split("\n")
            for end in ends:
                self._complete("".join([*self._unfinished, end, "\n"]))
                self._unfinished, self._unfinished_length = [], 0
        self._unfinished.append(text)
        self._unfinished_length += len(text)
        if self._lines_length + self._unfinished_length >= 2 * self._limit:
            self._cut_what_is_too_long()

    def _complete(self, line: str) -> None:
        before, after = self._blocks.rest() if self._goes_on else self._blocks.read(line)
        self._goes_on = False
        self._may_cut(before)
        self._lines.append(line)
        self._lines_length += len(line)
        self._may_cut(after)

    def _may_cut(self, cut: _SplitPoint | None) -> None:
        if cut is None or not self._lines:
            return
        self._split_points[cut.rank] = (len(self._lines), cut)
        is_good = cut.rank == 0 or cut.is_row or self._start.rank > 0
        if is_good and self._lines_length >= self._limit:
            self._finish_block_lines(*self._split_points.pop(min(self._split_points)))

    def _cut_what_is_too_long(self) -> None:
        while self._lines_length + self._unfinished_length >= 2 * self._limit:
            if self._split_points:
                self._finish_block_lines(*self._split_points.pop(min(self._split_points)))
            else:
                self._finish_block_within_line()

    def _finish_block_lines(self, count: int, cut: _SplitPoint) -> None:
        source = "".join(self._lines[:count])
        self._lines = self._lines[count:]
        self._lines_length -= len(source)
        self._split_points = {
            rank: (line - count, other)
            for rank, (line, other) in self._split_points.items()
            if line > count
        }
        self._finish_block(source, cut)

    def _finish_block_within_line(self) -> None:
        text = "".join([*self._lines, *self._unfinished])
        window = text[: 2 * self._limit]
        least = len(window) // 2
        found = _SENTENCE_END.match(window, least) or _WORD_END.match(window, least)
        end = found.end() if found else len(window)
        self._lines, self._lines_length = [], 0
        self._unfinished, self._unfinished_length = [text[end:]], len(text) - end
        self._split_points = {}
        self._goes_on = True
        self._finish_block(text[:end], self._blocks.within_a_line())

    def _finish_block(self, source: str, cut: _SplitPoint) -> None:
        self._ready.append(MarkdownBlock(source, self._start.context, self._start.number))
        self._start = cut
        self._finished_chars += len(source)
        if not self._limit_blocks:
            return
        growth = (
            (self._finished_chars - FIXED_LIMIT_UP_TO) // 8
            if self._count < MAX_OUTPUTS
            else self._finished_chars
        )
        self._limit = max(self._least, growth)


@dataclass(frozen=True, slots=True)
class _SplitPoint:
    """How the text goes on after a cut, and how good the place is.

    The ranks: 0 between two blocks, 1 within one, 2 within an item of a list.
    """

    rank: int = 0
    context: str = ""
    number: int | None = None
    is_row: bool = False


_SplitPoints = tuple[_SplitPoint | None, _SplitPoint | None]


class _Blocks:
    """Follows the blocks of Markdown, line by line, as far as cutting needs it.

    For each line it says whether, and how, the text may be cut before it and after it.
    """

    def __init__(self) -> None:
        self._kind = ""
        self._after_blank = True
        self._last = ""
        self._end = ""
        self._context = ""
        self._item = ""
        self._item_indent = 0
        self._number: int | None = None

    def read(self, line: str) -> _SplitPoints:
        """Read the next complete ``line``."""
        if line.isspace():
            return self._blank_line()
        after_blank, self._after_blank = self._after_blank, False
        if self._kind == "list":
            if not self._leaves_list(line, after_blank):
                return self._in_list(line)
            return self._begin(line)
        if self._kind == "fence":
            return self._in_fence(line)
        if self._kind == "math":
            return self._in_math(line)
        if self._kind in {"", "heading"} or self._interrupts(line):
            return self._begin(line)
        return self._go_on(line)

    def rest(self) -> _SplitPoints:
        """Read the end of a line that was cut."""
        return None, self.within_a_line()

    def within_a_line(self) -> _SplitPoint:
        """How the text goes on after a cut that no block has asked for."""
        if self._kind in {"", "heading"}:
            self._kind = "text"
        context = self._context if self._kind in {"fence", "table"} else ""
        if len(context) > CONTEXT_LIMIT:
            context = ""
        return _SplitPoint(1, context, is_row=self._kind == "table")

    def _blank_line(self) -> _SplitPoints:
        self._after_blank = True
        if self._kind in {"fence", "list", "heading"}:
            return None, None
        self._kind = ""
        return None, _SplitPoint()

    def _begin(self, line: str) -> _SplitPoints:
        """Read the first line of a block; a heading stays with what follows it."""
        before = None if self._kind == "heading" else _SplitPoint()
        after = None
        self._last = line
        if fence := _FENCE.match(line):
            self._kind, self._end = "fence", fence["marker"]
            self._context = f"{fence['marker']}{fence['language']}\n"
        elif math := _MATH.match(line):
            self._end = "$$" if math["dollars"] else "\\]"
            self._kind = "text" if self._end in line[math.end() :] else "math"
        elif item := _ITEM.match(line):
            self._kind, self._end, self._number = "list", "", None
            self._item_indent = _indent(line)
            self._begin_item(line, item)
        elif _HEADING.match(line):
            self._kind = "heading"
        else:
            self._kind = "quote" if line.lstrip().startswith(">") else "text"
            after = _SplitPoint(1)
        return before, after

    def _go_on(self, line: str) -> _SplitPoints:
        if self._kind == "text" and "|" in self._last and _is_rule(line):
            self._kind, self._context = "table", self._last + line
            return None, None
        self._last = line
        return None, self.within_a_line()

    def _in_fence(self, line: str) -> _SplitPoints:
        """Read a line of a fence; neither its first nor its last line stands alone."""
        opener, self._last = self._last, ""
        if _closes(line, self._end):
            self._kind = ""
            return None, _SplitPoint()
        return None if opener else self.within_a_line(), None

    def _in_math(self, line: str) -> _SplitPoints:
        if self._end in line:
            self._kind = "text"
        return None, None

    def _in_list(self, line: str) -> _SplitPoints:
        """Read a line of a list; ``_end`` is that of a fence within the item."""
        inside = _indent(line) >= self._item_indent + 2
        item = _ITEM.match(line)
        if item and not inside:
            self._begin_item(line, item)
            written = item["number"]
            again = self._number if written and int(written) != self._number else None
            return _SplitPoint(1, number=again), None
        if self._end:
            if _closes(line, self._end):
                self._end = ""
                return None, None
            return _SplitPoint(2, f"{self._item}\n{self._context}"), None
        if inside:
            self._find_fence(line, 0)
            return _SplitPoint(2, f"{self._item}\n"), None
        return None, None

    def _begin_item(self, line: str, item: re.Match[str]) -> None:
        if item["number"] is None:
            self._number = None
        else:
            self._number = int(item["number"]) if self._number is None else self._number + 1
        self._item = item["marker"]
        self._end = ""
        self._find_fence(line, item.end())

    def _find_fence(self, line: str, begin: int) -> None:
        if fence := _FENCE.match(line, begin):
            self._end = fence["marker"]
            indent = " " * (len(self._item) + 1)
            self._context = f"{indent}{fence['marker']}{fence['language']}\n"

    def _leaves_list(self, line: str, after_blank: bool) -> bool:
        if _indent(line) >= self._item_indent + 2 or _ITEM.match(line):
            return False
        return bool(self._end) or after_blank or self._interrupts(line)

    def _interrupts(self, line: str) -> bool:
        """Whether ``line`` begins a block though no blank line stands before it."""
        if _FENCE.match(line) or _HEADING.match(line) or _MATH.match(line):
            return True
        if line.lstrip().startswith(">"):
            return self._kind != "quote"
        item = _ITEM.match(line)
        return item is not None and item["number"] in {None, "1"}


def _indent(line: str) -> int:
    line = line.expandtabs(4)
    return len(line) - len(line.lstrip(" "))


def _closes(line: str, fence: str) -> bool:
    line = line.strip()
    return line.startswith(fence) and not line.strip(fence[0])


def _is_rule(line: str) -> bool:
    return "-" in line and not line.strip(" \t\n|:-")
